"""What is judged and by what: models and folders as candidates, real sound that they have not learned from."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import soundfile
import torch
from torch import Tensor

from wavegan import assemble, generation
from wavegan.audio.corpus import LONGEST_CLIP, Corpus, load_corpus
from wavegan.audio.files import find_audio
from wavegan.audio.splits import halves
from wavegan.audio.windows import Windows
from wavegan.commands.models import load_model
from wavegan.commands.telling import say
from wavegan.errors import DataError
from wavegan.evaluation.clips import BATCH_SIZE, ClipSet
from wavegan.evaluation.features import white_noise
from wavegan.generation import Model
from wavegan.recipe import Recipe
from wavegan.seeding import derive
from wavegan.training.run_folder import RunFolder

MOST_TRAINING_CLIPS = 20_000  # that copies are looked for among
LEAST_SAMPLES = 1024  # of a clip, so that its spectra resolve something


class ClipFormat(NamedTuple):
    """What all clips that are compared have in common."""

    sample_rate: int
    channels: int
    clip_samples: int
    normalize: bool = True

    def __str__(self) -> str:
        peaks = "peaks at 1" if self.normalize else "levels as they are"
        return f"{self.sample_rate:,} Hz, channels: {self.channels}, {self.clip_samples:,} samples, {peaks}"


@dataclass(frozen=True)
class ReferenceSets:
    """Real sound: two halves of what was held out, what was learned from (None where unknown), and how they parted."""

    form: ClipFormat
    reference: ClipSet
    real: ClipSet
    training: ClipSet | None
    split: str
    labelled: tuple[str, ...] = ()  # the source that a classifier can learn from

    def facts(self, count: int) -> dict[str, str]:
        """What is compared, in words, where every set has `count` clips."""
        return {
            "clips": f"{count:,} of {self.form.clip_samples / self.form.sample_rate:.2f} s in each set",
            "sound": str(self.form),
            "held out": f"{self.split}; one half is the reference, the other stands beside as real",
            "training": f"{len(self.training):,} clips" if self.training else "not known",
        }


@dataclass(frozen=True)
class Candidate:
    """Clips to judge; model and recipe where a model makes them."""

    name: str
    clips: ClipSet
    path: Path
    facts: dict[str, str] = field(default_factory=dict)
    model: Model | None = None
    recipe: Recipe | None = None


def is_model(path: Path) -> bool:
    """Whether a path is to be read as a MODEL rather than as a folder of audio."""
    return path.is_file() or RunFolder(path).checkpoints.is_dir()


def model_candidate(
    path: Path, on: torch.device, *, seed: int, raw: bool = False, checkpoint: str = "newest"
) -> Candidate:
    """The clips that a MODEL makes of a seed, without an end."""
    recipe, model = load_model(path, on, raw=raw, which=checkpoint)
    if recipe.method.name == "translation":
        model = replace(model, shown=assemble.shown(recipe, assemble.corpora(recipe)))
    weights = "as they learn" if raw or not recipe.training.ema else "running average"
    facts = {"model": model.name, "step": f"{model.step:,}", "weights": weights}
    return Candidate(model.name, generated(model, sys.maxsize, seed), path, facts, model, recipe)


def folder_candidate(folder: Path, form: ClipFormat, *, seed: int) -> Candidate:
    """The clips of a folder, each the start of a file, in a given form; a line says what had to be converted."""
    if not find_audio(folder):
        raise DataError(f"{folder} holds no sound file and no checkpoints; name another folder")
    _tell_conversions(folder, form)
    corpus = _corpus(folder, form)
    return Candidate(folder.resolve().name, _clips(corpus, form, "first", seed), folder, {"folder": str(folder)})


def generated(model: Model, count: int, seed: int) -> ClipSet:
    """The clips 0 to count - 1 that a model makes of a seed."""

    def batch(number: int) -> Tensor:
        first = number * BATCH_SIZE
        return torch.cat(list(generation.generate(model, BATCH_SIZE, seed=seed, batch_size=BATCH_SIZE, first=first)))

    return ClipSet(count, batch)


def noise(like: ClipSet, count: int, seed: int) -> ClipSet:
    """White noise of the mean power of other clips."""
    rms = (sum(float(batch.square().mean((1, 2)).sum()) for batch in like) / len(like)) ** 0.5
    channels, samples = like[0].shape
    return ClipSet(
        count, lambda number: white_noise(BATCH_SIZE, channels, samples, rms=rms, seed=derive(seed, number, "noise"))
    )


def ground_of_recipe(recipe: Recipe, data: Path | None, training: Path | None, *, seed: int) -> ReferenceSets:
    """The recipe's own sound, or what folders are named in place of its held-out part and of its training part."""
    form = form_of(recipe)
    learned, held_out, split, source = _recipe_parts(recipe, data, training, form)
    if data is not None:
        held_out, split = _corpus(data, form), f"all of {data}"
        if data.resolve() in [Path(one).resolve() for one in assemble.target_source(recipe)]:
            say(
                f"{data} is what {recipe.name} has learned from, so its figures look better than they are; "
                "without --data its held-out part judges it"
            )
    if held_out is None:
        raise DataError("the recipe holds nothing out (data.holdout is 0); name real audio with --data DIR")
    return _ground(form, held_out, learned, recipe.data.windows, split, source, seed)


def ground_of_parts(recipe: Recipe, parts: assemble.Corpora, *, seed: int) -> ReferenceSets:
    """What the clips are to be like where it is at hand already. Raises DataError where nothing is held out."""
    if parts.held_out is None:
        raise DataError("the recipe holds nothing out (data.holdout is 0); name real audio with --data DIR")
    form = form_of(recipe)
    return _ground(
        form, parts.held_out, parts.training, recipe.data.windows, parts.split, assemble.target_source(recipe), seed
    )


def ground_of_folders(form: ClipFormat, data: Path | None, training: Path | None, *, seed: int) -> ReferenceSets:
    """What folders of real sound give: `data` to judge by, `training` that the candidates may have learned from."""
    if data is None:
        raise DataError("a folder of audio is no model, so real audio must be named to judge it by; add --data DIR")
    learned = _corpus(training, form) if training else None
    source = (str(training),) if training else ()
    return _ground(form, _corpus(data, form), learned, "first", f"all of {data}", source, seed)


def common_form(folder: Path) -> ClipFormat:
    """The most common sample rate and channel count of a folder, and its longest file in samples at that rate."""
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist; a MODEL or a folder of audio can be judged; check the spelling")
    found = _forms(folder)
    if not found:
        raise DataError(f"{folder} holds no sound file that can be read, and no checkpoints; name another folder")
    sample_rate = Counter(one[0] for one in found).most_common(1)[0][0]
    channels = Counter(one[1] for one in found).most_common(1)[0][0]
    longest = round(max(one[2] for one in found) * sample_rate)
    if longest < LEAST_SAMPLES:
        raise DataError(
            f"the longest file of {folder} has {longest} samples at {sample_rate:,} Hz; spectra need {LEAST_SAMPLES:,} "
            "or more; give longer clips"
        )
    return ClipFormat(sample_rate, channels, min(longest, LONGEST_CLIP))


def agreed_count(wanted: int, ground: ReferenceSets, candidates: Sequence[Candidate] = ()) -> int:
    """How many clips of every set are compared: all the same, as many a figure depends on it."""
    held_out = min(len(ground.reference), len(ground.real))
    if held_out < 2:
        raise DataError(
            f"{len(ground.real)} held-out clips would be compared with {len(ground.reference)} others; 2 or more of "
            "each are needed, several hundred for a figure worth quoting; name a folder of more real audio with "
            "--data DIR"
        )
    sizes = {"there are no more (half of those held out)": held_out}
    sizes |= {f"there are no more in {one.path}": len(one.clips) for one in candidates}
    reason = min(sizes, key=lambda one: sizes[one])
    if (count := min(wanted, sizes[reason])) < 2:
        raise DataError(
            f"1 clip of each set would be compared, as {reason}; 2 or more are needed, several hundred for a figure "
            "worth quoting; name a folder of more"
        )
    if count < wanted:
        say(f"comparing {count:,} clips of each set, not {wanted:,}: {reason}")
    return count


def form_of(recipe: Recipe) -> ClipFormat:
    """The form of the clips that a recipe's model makes."""
    return ClipFormat(recipe.data.sample_rate, recipe.data.channels, recipe.model.clip_samples, recipe.data.normalize)


def _recipe_parts(
    recipe: Recipe, data: Path | None, training: Path | None, form: ClipFormat
) -> tuple[Corpus | None, Corpus | None, str, tuple[str, ...]]:
    """What was learned from, what was held out, the split in words, and the source that was learned from."""
    try:
        learned, held_out, split = assemble.target_corpora(recipe)
    except DataError as fault:
        if data is None:
            raise DataError(
                f"{recipe.name} is judged by its own sound, unless --data DIR names other, and it cannot be used: "
                f"{fault}"
            ) from fault
        if training is None:
            say(f"the sound that {recipe.name} has learned from is not here; --training DIR looks for copies of it")
        learned, held_out, split = None, None, ""
    if training is not None:
        return _corpus(training, form), held_out, split, (str(training),)
    return learned, held_out, split, assemble.target_source(recipe) if learned else ()


def _ground(
    form: ClipFormat,
    held_out: Corpus,
    learned: Corpus | None,
    windows: str,
    split: str,
    source: Sequence[str],
    seed: int,
) -> ReferenceSets:
    real, reference = (_clips(half, form, windows, seed) for half in halves(held_out))
    training = None
    if learned is not None:  # random windows leave gaps
        training = _clips(learned, form, "first" if windows == "first" else "all", seed).first(MOST_TRAINING_CLIPS)
    labelled = tuple(source) if learned is not None and len(learned.label_names) > 1 else ()
    return ReferenceSets(form, reference, real, training, split, labelled)


def _corpus(folder: Path, form: ClipFormat) -> Corpus:
    found = load_corpus([str(folder)], form.sample_rate, form.channels, normalize=form.normalize)
    for name, reason in list(found.skipped.items())[:1]:
        say(f"{folder}: {len(found.skipped):,} files cannot be used and are left out, the first is {name}: {reason}")
    return found


def _clips(corpus: Corpus, form: ClipFormat, windows: str, seed: int) -> ClipSet:
    found = Windows(corpus, form.clip_samples, windows, seed)
    return ClipSet(len(found), lambda number: found.batch(number, BATCH_SIZE))


def _tell_conversions(folder: Path, form: ClipFormat) -> None:
    others = Counter((rate, channels) for rate, channels, _ in _forms(folder))
    others.pop((form.sample_rate, form.channels), None)
    for (rate, channels), count in others.most_common():
        say(f"{folder}: {count:,} files of {rate:,} Hz, channels: {channels}, are converted to {form}")


def _forms(folder: Path) -> list[tuple[int, int, float]]:
    """Sample rate, channels and seconds of every file that can be opened; the others are named when decoded."""
    found = []
    for path in find_audio(folder):
        try:
            info = soundfile.info(path)
        except soundfile.LibsndfileError:
            continue
        found.append((info.samplerate, info.channels, info.duration))
    return found
