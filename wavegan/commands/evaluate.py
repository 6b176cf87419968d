"""Judging a model, or a folder of audio made by any other system, against real sound that it has not learned from."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavegan import assemble, generation
from wavegan.commands.classify import Classifier, classifier_of
from wavegan.commands.evaluation_data import (
    Candidate,
    ReferenceSets,
    agreed_count,
    common_form,
    folder_candidate,
    generated,
    ground_of_folders,
    ground_of_recipe,
    is_model,
    model_candidate,
    noise,
)
from wavegan.commands.folders import make_folder
from wavegan.commands.memory import keep_freed_memory
from wavegan.commands.models import home
from wavegan.commands.telling import say, with_progress
from wavegan.evaluation import figures
from wavegan.evaluation.clips import ClipSet
from wavegan.evaluation.evaluate import Reference
from wavegan.evaluation.features import IDENTITY
from wavegan.evaluation.report import SHOWN, Likeness, Report, write_report
from wavegan.evaluation.views import Views, mean_levels
from wavegan.generation import Model
from wavegan.training.run_folder import RunFolder, evaluations

WALK_STATIONS, WALK_BETWEEN = 4, 3
RISKIEST = 8  # clips that are shown beside what they may be copies of


@dataclass(frozen=True)
class Evaluation:
    """Where the pages lie, and metric → value, low, high, n for each set of clips: generated, real, noise, …"""

    out: Path
    report: Path
    spectrograms: Path
    scores: dict[str, dict[str, dict[str, Any]]]
    facts: dict[str, str]
    labels: dict[str, dict[str, float]] | None
    labels_obeyed: float | None = None  # share, where labels were asked for


def evaluate(
    target: Path,
    *,
    data: Path | None = None,
    training: Path | None = None,
    classifier: str | None = None,
    count: int | None = None,
    out: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    raw: bool = False,
    checkpoint: str = "newest",
) -> Evaluation:
    """Writes metrics.json, spectrograms.png and report.html of a MODEL or a folder of audio, and gives the figures.

    data: a folder of real audio to judge by, training: one to look for copies in; a MODEL has its own of both.
    classifier: a file, "none", or None for one that is trained where there are labels. count: clips at most, the
    recipe's evaluation.count or 1,000 where None. Raises DataError or RunError for what cannot be judged.
    """
    keep_freed_memory()
    if out is not None:
        make_folder(out)  # before the work
    on = assemble.device(device)
    if is_model(target):
        candidate = model_candidate(target, on, seed=seed, raw=raw, checkpoint=checkpoint)
        assert candidate.recipe and candidate.model, "a model has both"
        ground = ground_of_recipe(candidate.recipe, data, training, seed=seed)
        wanted = count or candidate.recipe.evaluation.count
        place = home(target) / "evaluation" / f"step-{candidate.model.step:08d}"
    else:
        form = common_form(target)
        ground = ground_of_folders(form, data, training, seed=seed)
        candidate = folder_candidate(target, form, seed=seed)
        wanted = min(count or 1000, len(candidate.clips))
        place = Path("evaluation") / target.resolve().name
    say(f"comparing at {ground.form}")
    count = agreed_count(wanted, ground)
    sets = _sets(candidate, ground, count, seed)
    return _judge(candidate, sets, ground, classifier_of(classifier, ground, device=device), out or place, seed)


def _sets(candidate: Candidate, ground: ReferenceSets, count: int, seed: int) -> dict[str, ClipSet]:
    """The sets of clips that are compared with the reference, the candidate's first."""
    reference = ground.reference.first(count)
    sets = {"generated": candidate.clips.first(count), "real": ground.real.first(count)}
    if candidate.recipe and candidate.model:
        sets["untrained"] = generated(assemble.untrained_model(candidate.recipe, candidate.model), count, seed)
    if ground.training and len(ground.training) >= count:
        sets["training"] = ground.training.first(count)
    return sets | {"noise": noise(reference, count, seed)}


def _judge(
    candidate: Candidate,
    sets: dict[str, ClipSet],
    ground: ReferenceSets,
    classifier: Classifier | None,
    out: Path,
    seed: int,
) -> Evaluation:
    make_folder(out)
    count, rate = len(sets["generated"]), ground.form.sample_rate
    reference_clips = ground.reference.first(count)
    training = with_progress(ground.training, -(-len(ground.training) // 16), "batches") if ground.training else None
    reference = Reference(reference_clips, rate, training=training, classifier=classifier, seed=seed)
    seen = {name: reference.look(with_progress(clips, -(-count // 16), "batches")) for name, clips in sets.items()}
    scores = {name: reference.scores(one) for name, one in seen.items()}
    labels = _labels(seen | {"reference": reference.views}, classifier)
    facts = candidate.facts | ground.facts(count)
    obeyed = _obeyed(candidate.model, seen["generated"], classifier, seed)
    if obeyed is not None:
        facts["labels obeyed"] = f"{obeyed:.1%} of the clips sound to the classifier as the label they were asked for"
    facts |= {
        "features": IDENTITY,
        "classifier": classifier.name if classifier else "none",
        "seed": str(seed),
    }
    shown, real = sets["generated"].first(SHOWN).together(), reference_clips.first(SHOWN).together()
    spectrograms = out / "spectrograms.png"
    figures.spectrogram_grid(spectrograms, shown, real, rate)
    spectra = {name: mean_levels(one) for name, one in seen.items() if name != "untrained"}
    report = Report(
        title=f"{candidate.name}",
        facts=facts,
        sample_rate=rate,
        scores=scores,
        generated=shown,
        real=real,
        likeness=_likeness(reference, seen["generated"], sets["generated"], ground),
        spectra=spectra,
        frequencies=np.linspace(0, rate / 2, len(spectra["generated"])),
        history=evaluations(RunFolder(home(candidate.path)).log) if candidate.model else [],
        walk=_walk(candidate.model, seed) if candidate.model else None,
        labels=labels,
    )
    page = out / "report.html"
    write_report(page, report)
    result = Evaluation(out, page, spectrograms, scores, facts, labels, obeyed)
    (out / "metrics.json").write_text(json.dumps(as_json(result), indent=1, ensure_ascii=False) + "\n")
    return result


def _likeness(reference: Reference, seen: Views, clips: ClipSet, ground: ReferenceSets) -> list[Likeness]:
    """The clips nearest to a training clip, with that one and the nearest held-out one, and both distances."""
    if ground.training is None:
        return []
    return [
        Likeness(one.number, clips[one.number], ground.training[one.training], ground.reference[one.real], *one[3:])
        for one in reference.nearest(seen, RISKIEST)
    ]


def _labels(seen: dict[str, Views], classifier: Classifier | None) -> dict[str, dict[str, float]] | None:
    """Which share of each set the classifier takes for which label."""
    if classifier is None:
        return None
    names = classifier.label_names
    found = {name: np.bincount(one["probabilities"].argmax(axis=1), minlength=len(names)) for name, one in seen.items()}
    return {name: dict(zip(names, (one / one.sum()).tolist(), strict=True)) for name, one in found.items()}


def _obeyed(model: Model | None, seen: Views, classifier: Classifier | None, seed: int) -> float | None:
    """The share of clips that the classifier takes for what was asked for; None where nothing was."""
    if model is None or not model.classes or classifier is None:
        return None
    found = [classifier.label_names[place] for place in seen["probabilities"].argmax(axis=1)]
    asked = generation.numbered_labels(model, range(len(found)), seed=seed)
    assert asked is not None, "a model with classes is told labels"
    return float(
        np.mean([model.label_names[place] == name for place, name in zip(asked.argmax(1), found, strict=True)])
    )


def _walk(model: Model, seed: int) -> Tensor | None:
    """A sound that walks between latents; None for a translator, which has none."""
    if model.shown:
        return None
    clips: Iterable[Tensor] = generation.interpolate(model, WALK_STATIONS, clips_between=WALK_BETWEEN, seed=seed)
    return torch.cat([clip for batch in clips for clip in batch], dim=1)


def as_json(result: Evaluation) -> dict[str, Any]:
    """An evaluation as plain values: metrics of what was generated, and the same of everything beside it."""
    others = {name: scores for name, scores in result.scores.items() if name not in ("generated", "real")}
    return {
        "metrics": result.scores["generated"],
        "reference": result.scores["real"],
        **others,
        "labels": result.labels,
        "labels_obeyed": result.labels_obeyed,
        "facts": result.facts,
        "report": str(result.report),
        "spectrograms": str(result.spectrograms),
    }
