"""Judging a model, or a folder of audio made by any other system, against real sound that it has not learned from."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import soundfile
import torch
from torch import Tensor

from wavegan import assemble, generation
from wavegan.audio.corpus import LONGEST_CLIP, Corpus, hold_out, load_corpus
from wavegan.audio.files import find_audio
from wavegan.audio.windows import Windows
from wavegan.errors import DataError
from wavegan.evaluation import figures
from wavegan.evaluation.evaluate import evaluate as score
from wavegan.evaluation.features import white_noise
from wavegan.evaluation.report import write_report
from wavegan.generation import Model
from wavegan.jobs.folders import make_folder
from wavegan.jobs.memory import keep_freed_memory
from wavegan.jobs.models import home, load_model
from wavegan.jobs.telling import say, with_progress
from wavegan.recipe import Recipe
from wavegan.training.run_folder import RunFolder

BATCH_SIZE = 16
HEARD_CLIPS = 16  # in the report


@dataclass(frozen=True)
class Evaluation:
    """Where the pages lie, and metric → value, low, high, n for each candidate: generated, real, noise, …"""

    out: Path
    report: Path
    spectrograms: Path
    scores: dict[str, dict[str, dict[str, float]]]
    facts: dict[str, str]


class Judged(NamedTuple):
    """What is compared: candidates by name, the reference (all clips (N, C, T)), and how they came about."""

    candidates: dict[str, Tensor]
    reference: Tensor
    sample_rate: int
    facts: dict[str, str]


def evaluate(
    target: Path,
    *,
    data: Path | None = None,
    count: int | None = None,
    out: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    raw: bool = False,
) -> Evaluation:
    """Writes metrics.json, spectrograms.png and report.html of a MODEL or a folder of audio, and gives the figures.

    data: a folder of real audio to judge by; a MODEL has its own held-out part. count: clips at most, the recipe's
    evaluation.count or 1,000 where None. Raises DataError or RunError for what cannot be judged.
    """
    keep_freed_memory()
    if out is not None:
        make_folder(out)  # before the work
    if is_model(target):
        judged, place = _judge_model(target, data, count, seed, assemble.device(device), raw)
    else:
        judged, place = _judge_folder(target, data, count or 1000, seed)
    return _write(judged, out or place, seed)


def is_model(path: Path) -> bool:
    """Whether a path is to be read as a MODEL rather than as a folder of audio."""
    return path.is_file() or RunFolder(path).checkpoints.is_dir()


def _judge_model(
    target: Path, data: Path | None, count: int | None, seed: int, on: torch.device, raw: bool
) -> tuple[Judged, Path]:
    recipe, model = load_model(target, on, raw=raw)
    real, held_out, split = _real_parts(recipe, data)
    others = assemble.windows(recipe, real, seed=seed)
    unheard = assemble.windows(recipe, held_out, seed=seed + 1)
    wanted = count or recipe.evaluation.count
    count = min(wanted, len(others))
    _refuse_few(count, len(unheard))
    say(f"judging {model.name} at step {model.step:,} by {min(wanted, len(unheard))} clips ({split})")
    candidates = {
        "generated": _generated(model, count, seed),
        "real": others.batch(0, count),
        "untrained": _generated(assemble.untrained_model(recipe, on), count, seed),
    }
    reference = unheard.batch(0, min(wanted, len(unheard)))
    facts = {
        "model": model.name,
        "step": f"{model.step:,}",
        "weights": "as they learn" if raw or not recipe.training.ema else "running average",
        "seed": str(seed),
        "held-out clips": f"{len(reference)} ({split})",
    }
    place = home(target) / "evaluation" / f"step-{model.step:08d}"
    return Judged(candidates, reference, model.sample_rate, facts), place


def _real_parts(recipe: Recipe, data: Path | None) -> tuple[Corpus, Corpus, str]:
    if data is not None:
        form = recipe.data
        corpus = load_corpus([str(data)], form.sample_rate, form.channels, normalize=form.normalize)
        return *hold_out(corpus, 0.5), f"half of {data}"
    real, held_out, split = assemble.corpora(recipe)
    if held_out is None:
        raise DataError("the recipe holds nothing out (data.holdout is 0); name real audio with --data DIR")
    return real, held_out, split


def _judge_folder(target: Path, data: Path | None, wanted: int, seed: int) -> tuple[Judged, Path]:
    sample_rate, channels, clip_samples = _common_form(target)
    if data is None:
        raise DataError(f"{target} is a folder of audio, not a model; real audio must be named for it; add --data DIR")
    say(f"comparing at {sample_rate:,} Hz, channels: {channels}, {clip_samples:,} samples from each start, peaks at 1")
    made, whole = (load_corpus([str(folder)], sample_rate, channels) for folder in (target, data))
    real, held_out = hold_out(whole, 0.5)
    clips = [Windows(corpus, clip_samples, "first", seed) for corpus in (made, real, held_out)]
    count = min(wanted, *(len(one) for one in clips[:2]))
    _refuse_few(count, len(clips[2]))
    generated, others = (one.batch(0, count) for one in clips[:2])
    reference = clips[2].batch(0, min(wanted, len(clips[2])))
    facts = {"folder": str(target), "seed": str(seed), "held-out clips": f"{len(reference)} (half of {data})"}
    judged = Judged({"generated": generated, "real": others}, reference, sample_rate, facts)
    return judged, Path("evaluation") / target.resolve().name


def _refuse_few(count: int, held_out: int) -> None:
    if min(count, held_out) < 2:
        raise DataError(
            f"{count} clips would be compared with {held_out} held-out ones; 2 or more of each are needed, several "
            "hundred for a figure worth quoting; name a folder of more real audio with --data DIR"
        )


def _common_form(folder: Path) -> tuple[int, int, int]:
    """The most common sample rate and channel count of a folder, and its longest file in samples at that rate."""
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist; a MODEL or a folder of audio can be judged; check the spelling")
    forms = []
    for path in find_audio(folder):
        try:
            info = soundfile.info(path)
        except soundfile.LibsndfileError:
            continue  # named with its reason when the folder is decoded
        forms.append((info.samplerate, info.channels, info.duration))
    if not forms:
        raise DataError(f"{folder} holds no sound file that can be read, and no checkpoints; name another folder")
    sample_rate = Counter(form[0] for form in forms).most_common(1)[0][0]
    channels = Counter(form[1] for form in forms).most_common(1)[0][0]
    longest = round(max(form[2] for form in forms) * sample_rate)
    return sample_rate, channels, min(longest, LONGEST_CLIP)


def _generated(model: Model, count: int, seed: int) -> Tensor:
    batches = generation.generate(model, count, seed=seed, batch_size=BATCH_SIZE)
    return torch.cat(list(with_progress(batches, -(-count // BATCH_SIZE), "batches")))


def _write(judged: Judged, out: Path, seed: int) -> Evaluation:
    make_folder(out)
    generated = judged.candidates["generated"]
    level = float(judged.reference.square().mean().sqrt())
    noise = white_noise(*generated.shape, rms=level, seed=seed)
    scores = score(judged.candidates | {"noise": noise}, judged.reference, judged.sample_rate, seed=seed)
    spectrograms = out / "spectrograms.png"
    figures.spectrogram_grid(spectrograms, generated, judged.reference, judged.sample_rate)
    facts = judged.facts | {"generated clips": f"{len(generated)} of {generated.shape[-1] / judged.sample_rate:.2f} s"}
    report = out / "report.html"
    write_report(
        report,
        title=judged.facts.get("model", judged.facts.get("folder", "")),
        facts=facts,
        scores=scores,
        spectrograms=spectrograms,
        clips=generated[:HEARD_CLIPS],
        sample_rate=judged.sample_rate,
    )
    result = Evaluation(out, report, spectrograms, scores, facts)
    (out / "metrics.json").write_text(json.dumps(as_json(result), indent=1, ensure_ascii=False) + "\n")
    return result


def as_json(result: Evaluation) -> dict[str, Any]:
    """An evaluation as plain values: metrics of what was generated, and the same of everything beside it."""
    others = {name: scores for name, scores in result.scores.items() if name not in ("generated", "real")}
    return {
        "metrics": result.scores["generated"],
        "reference": result.scores["real"],
        **others,
        "facts": result.facts,
        "report": str(result.report),
        "spectrograms": str(result.spectrograms),
    }
