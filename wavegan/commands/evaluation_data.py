"""Prepares models and folders as candidates, and the real sound that they are judged by."""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan import assemble, shipped
from wavegan.audio import files, writing
from wavegan.audio.corpus import Corpus
from wavegan.audio.decoding import SILENCE_PEAK
from wavegan.audio.listing import list_sound
from wavegan.audio.windows import Windows, clip_order
from wavegan.commands.clip_arrays import ClipArray
from wavegan.commands.folders import refuse_run
from wavegan.commands.judging_options import DEFAULTS, JudgingOptions
from wavegan.commands.model_loading import is_model, load_model, model_path, run_folder_of, runs_in, runs_near
from wavegan.commands.run_sound import sound_of_run
from wavegan.errors import DataError, UserError
from wavegan.evaluation.clip_format import (
    LEAST_SAMPLES,
    ClipFormat,
    clip_set,
    common_form,
    folder_corpus,
    log_conversions,
)
from wavegan.evaluation.clips import BATCH_SIZE, ClipSet
from wavegan.evaluation.features import white_noise
from wavegan.evaluation.meaning import LEAST_CLIPS
from wavegan.evaluation.reference_sets import ReferenceSets, reference_sets
from wavegan.generation import Model
from wavegan.recipe import Recipe
from wavegan.seeding import derive

logger = logging.getLogger(__name__)

FOLDER_CLIPS = 1000  # at most so many are judged if no recipe and no option says how many


@dataclass(frozen=True)
class Candidate:
    """Holds clips to judge; the last three are set if a model makes the clips. split: what it has learned from."""

    name: str
    clips: ClipSet
    path: Path
    facts: dict[str, str] = field(default_factory=dict)
    model: Model | None = None
    recipe: Recipe | None = None
    split: assemble.SplitRecord | None = None


def target_of(path: Path) -> Path:
    """Returns a target, a MODEL or a folder of audio, by its usual path. Raises DataError if it does not exist."""
    if not path.exists() and not is_model(path):
        remedy = f"check the spelling; {runs_near(path)}"
        raise DataError(f"{path} does not exist", "a MODEL or a folder of audio can be judged", remedy)
    if path.suffix == ".npy":
        remedy = f"in Python: wavegan.evaluate(numpy.load({str(path)!r}), a folder of real sound)"
        raise DataError(f"{path} holds an array", "a MODEL or a folder of audio can be judged", remedy)
    path = model_path(path)
    if not is_model(path) and (runs := runs_in(path)):
        raise DataError(f"{path} is a folder of runs", "a MODEL is one run", f"name {runs[0]}, for example")
    if not is_model(path) and shipped.model_folder(str(path)):
        logger.info(f"{path} is a folder here; to judge the shipped model of this name, go to another folder")
    return path


def model_candidate(path: Path, options: JudgingOptions = DEFAULTS) -> Candidate:
    """Returns the clips that a MODEL makes of the options' seed, as many as are asked for."""
    on = assemble.device(options.device)
    loaded = load_model(path, on, raw=options.raw, checkpoint=options.checkpoint)
    recipe, model = loaded.recipe, loaded.model
    if loaded.is_translation:
        model = replace(model, source_clips=assemble.source_clips(recipe, assemble.corpora(recipe)))
    facts = {"model": model.name, "step": f"{model.step:,}", "weights": loaded.weights}
    return Candidate(
        model.name, assemble.generated(model, sys.maxsize, options.seed), path, facts, model, recipe, loaded.split
    )


def folder_candidate(folder: Path, form: ClipFormat, *, seed: int) -> Candidate:
    """Returns the clips of a folder in a given form, each the start of a file; a line says what had to be converted.

    Raises DataError if the folder holds no sound file.
    """
    if not list_sound(folder).paths:
        raise DataError(f"{folder} holds no sound file and no checkpoints", "", "name another folder")
    log_conversions(folder, form._replace(windows="first"))
    clips = clip_set(Windows(folder_corpus(folder, form), form.clip_samples, "first", seed))
    return Candidate(folder.resolve().name, clips, folder, {"folder": str(folder)})


def array_candidate(array: ClipArray, *, seed: int) -> tuple[Candidate, ClipFormat]:
    """Returns clips in memory as a candidate, and their format, as a folder of WAV files with them gives.

    The seed draws them as it draws files, so that the first ones are of all kinds, however the array is sorted.
    """
    count, channels, clip_samples = array.clips.shape
    if clip_samples < LEAST_SAMPLES:
        rule = f"spectra need {LEAST_SAMPLES:,} or more"
        raise UserError(f"the clips have {clip_samples:,} samples", rule, "name longer ones")
    loud = array.clips / np.abs(array.clips).max((1, 2), keepdims=True).clip(min=1)  # as a file of floats is scaled
    written = writing.to_int16(loud).astype(np.float32) / 2**15  # as libsndfile reads a file of 16 bits
    clips = clips_in_memory(written[clip_order(seed, 0, count)])
    candidate = Candidate("clips", clips, Path("clips"), {"clips": f"{count:,} in memory"})
    return candidate, ClipFormat(array.sample_rate, channels, clip_samples)


def rate_of_reference(reference: Path | None) -> int:
    """Returns the most common sample rate of real sound, and says that clips without a rate are taken to have it."""
    if reference is None:
        raise UserError("`reference` is None", "clips are judged by real sound", "name a folder of it")
    refuse_run(reference)
    sample_rate = common_form(reference).sample_rate
    logger.info(f"the clips are taken to have the reference's {sample_rate:,} Hz; `sample_rate` says otherwise")
    return sample_rate


def clips_in_memory(samples: np.ndarray) -> ClipSet:
    """Returns clips, float32 (N, channels, samples), as a corpus stores them: in 16 bits, all but silence made loud."""
    peaks = np.abs(samples).max((1, 2), keepdims=True).astype(np.float64)
    scale = 1 / np.where(peaks > SILENCE_PEAK, peaks, 1)
    stored = torch.from_numpy(writing.to_int16(samples * scale.astype(np.float32)))

    def batch(index: int) -> Tensor:
        return stored[index * BATCH_SIZE : (index + 1) * BATCH_SIZE].float() / files.FULL_SCALE

    return ClipSet(len(stored), batch)


def tell_known_sounds(sets: Mapping[Path | str, ClipSet], data: Path | None, real_sound: ReferenceSets) -> None:
    """Warns of clips that are also in the folder of real sound, to the last bit, silence apart.

    sets: clips by the place that they come from. data: that folder; where None no warning is given.
    """
    real_digests = set(_digests(real_sound.starts)) if data and sets else ()
    for place, clips in sets.items():
        if real_digests and (same := sum(digest in real_digests for digest in _digests(clips))):
            logger.warning(f"{same:,} of {len(clips):,} sounds of {place} are also in {data}, which flatters it")


def _digests(clips: ClipSet) -> Iterator[int]:
    return (hash(clip.numpy().tobytes()) for batch in clips for clip in batch if clip.any())


def white_noise_like(clips: ClipSet, count: int, seed: int) -> ClipSet:
    """Returns white noise with the mean power of other clips."""
    rms = (sum(float(batch.square().mean((1, 2)).sum()) for batch in clips) / len(clips)) ** 0.5
    channels, samples = clips[0].shape
    return ClipSet(
        count, lambda batch: white_noise(BATCH_SIZE, channels, samples, rms=rms, seed=derive(seed, batch, "noise"))
    )


def real_sound_of_recipe(
    recipe: Recipe,
    data: Path | None,
    training: Path | None,
    *,
    seed: int,
    candidate: Candidate,
    others: Iterable[Candidate] = (),
) -> ReferenceSets:
    """Gives the recipe's own sound, or folders in place of its held-out part and of its training part.

    candidate: the model of the recipe, which knows which sounds it has learned from. others: models that are judged
    beside it; what one has learned from judges none.
    """
    refuse_run(data, training)
    form = assemble.clip_format_of(recipe)
    learned, held_out, split, source = _own_parts(recipe, candidate, data, training, form)
    if candidate.model and learned:
        _tell_even_labels(candidate.model, Windows(learned, form.clip_samples, recipe.data.windows))
    if data is not None:
        splits = [each.split for each in (candidate, *others) if each.split]
        hashes = [split.training for split in splits if split.training is not None]
        hashes += [learned.hashes] if learned else []
        held_out, split = _judging_part(data, form, hashes)
    return reference_sets(form, held_out, learned, split, source, seed)


def _tell_even_labels(model: Model, learned: Windows) -> None:
    """Says that a model from before labels were counted makes clips of other shares than its sound has."""
    if model.labels and not model.label_counts and len(set(learned.label_counts)) > 1:
        logger.info(
            f"{model.name} does not know how frequent its labels were in training, so its clips have each equally "
            "often, and distances grow by that; train it again"
        )


def real_sound_of_folders(form: ClipFormat, data: Path | None, training: Path | None, *, seed: int) -> ReferenceSets:
    """Gives the real sound of folders: `data` to judge by, `training` that the candidates may have learned from."""
    if data is None:
        raise DataError(
            "a folder of audio is no model, so real audio must be named to judge it by", "", "add `reference=DIR`"
        )
    refuse_run(data, training)
    learned = folder_corpus(training, form) if training else None
    source = (str(training),) if training else ()
    held_out, split = _judging_part(data, form, [learned.hashes] if learned else [])
    return reference_sets(form, held_out, learned, split, source, seed)


def _judging_part(data: Path, form: ClipFormat, learned: Sequence[np.ndarray]) -> tuple[Corpus, str]:
    """Returns the sounds of a folder to judge by, without those that are also learned from, and the split in words.

    learned: hashes of the sounds that are learned from. Keeps all if too few would be left; a warning tells how many
    are meant in both cases.
    """
    log_conversions(data, form)
    corpus, split = folder_corpus(data, form), f"all of {data}"
    is_copy = np.isin(corpus.hashes, np.concatenate([corpus.hashes[:0], *learned]))
    if not is_copy.any():
        return corpus, split
    count = f"{int(is_copy.sum()):,} of {len(is_copy):,} sounds of {data} are also learned from"
    if (~is_copy).sum() < 2 * LEAST_CLIPS:
        logger.warning(
            f"{count}, and all are used, as fewer than {2 * LEAST_CLIPS} would be left: figures look better than they "
            "are, and copies cannot be told; name other real audio with `reference=DIR`"
        )
        return corpus, split
    logger.warning(f"{count}, so they are not used to judge")
    return corpus.select(~is_copy), f"{split} that is not learned from"


def _own_parts(
    recipe: Recipe, candidate: Candidate, data: Path | None, training: Path | None, form: ClipFormat
) -> tuple[Corpus | None, Corpus | None, str, tuple[str, ...]]:
    """Gives the sound learned from, the sound held out, the split in words, and the source that was learned from."""
    record = candidate.split or assemble.SplitRecord(None, None)
    try:
        recipe, (learned, held_out, split, _) = sound_of_run(recipe, record, run_folder_of(candidate.path))
    except DataError as error:
        if data is None:
            reason = "; ".join(filter(None, (error.value, error.rule)))
            raise DataError(
                f"{recipe.name} is judged by the sound of its training, which cannot be used here ({reason})",
                "",
                "name real audio with `reference=DIR`",
            ) from error
        if training is None:
            logger.info(f"the sound that {recipe.name} has learned from is not here")
        learned, held_out, split = None, None, ""
    if training is not None:
        return folder_corpus(training, form), held_out, split, (str(training),)
    return learned, held_out, split, assemble.target_source(recipe) if learned else ()
