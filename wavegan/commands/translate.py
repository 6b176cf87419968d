"""Translates sound files of any length, window by window."""

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wavegan import __version__, assemble, progress
from wavegan.audio import comments, single_sound, writing
from wavegan.audio.decoding import SILENCE_PEAK, Conversion
from wavegan.audio.overlap_add import overlap_add
from wavegan.commands.arguments import refuse_equal_names
from wavegan.commands.folders import make_folder, refuse_existing, refuse_no_sound
from wavegan.commands.model_loading import TRANSLATORS, load_model
from wavegan.errors import DataError, UserError
from wavegan.generation import Model, synthesize

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TranslateResult:
    """Lists the files that were written, one for each sound, with their folder and sample rate."""

    out: Path
    files: tuple[Path, ...]
    sample_rate: int


def translate(
    model: Path,
    sounds: Sequence[Path],
    *,
    to: str = "B",
    out: Path | None = None,
    extension: str = "wav",
    force: bool = False,
    checkpoint: str = "newest",
    raw: bool = False,
    device: str = "auto",
) -> TranslateResult:
    """Writes NAME-to-B.wav, say, for every sound file, as long as that is, by a MODEL that translates.

    The sound is converted as what the MODEL learned from: data.channel and data.remove_dc of its recipe hold for it.
    to: "A", the recipe's data.source, or "B", its data.source_b. out: translated/ in the MODEL's run folder where None.
    Files that the same MODEL has made there of the same sounds are kept, so a command that was interrupted goes on.
    Raises UserError for a MODEL that makes sound from latents, RunError as `load_model`, DataError for files that
    cannot be read, before anything is written, and where another one would be written over, unless `force`.
    """
    loaded = load_model(model, assemble.device(device), raw=raw, checkpoint=checkpoint)
    if not loaded.is_translation:
        raise UserError(
            f"{model} was trained by method.name: {loaded.recipe.method.name}, which makes sound from random numbers",
            "translate needs a model of method.name: translation",
            "try wavegan generate",
        )
    translator, folder = loaded.models[TRANSLATORS[to]], out or loaded.result_folder("translated")
    writing.check_format(extension, translator.sample_rate, translator.channels)
    paths = [folder / f"{path.stem}-to-{to}.{extension}" for path in sounds]
    for path in sounds:
        refuse_no_sound(path)
    refuse_equal_names(paths)
    # Each sound is read once more below, so that memory holds one at a time.
    marks = {path: _mark(source, loaded.conversion, translator) for source, path in zip(sounds, paths, strict=True)}
    kept = [] if force else [path for path in paths if _has_mark(path, marks[path])]
    refuse_existing([path for path in paths if path not in kept], force)
    if kept:
        logger.info(f"{folder}: {len(kept):,} of {len(paths):,} are there, made of the same sounds, and kept")
    make_folder(folder)
    for source, path in zip(sounds, paths, strict=True):
        if path not in kept:
            sound, notes = single_sound.read_whole(source, loaded.conversion)
            if notes:
                logger.info(f"{source}: {'; '.join(notes)}")
            translation = _translated(torch.from_numpy(sound), translator, is_scaled=loaded.recipe.data.normalize)
            if (peak := float(translation.abs().max())) > 1:
                logger.info(f"{path}: its peak of {peak:.3g} is lowered to 1, as a file would cut it off")
                translation /= peak
            writing.write(path, translation.numpy(), translator.sample_rate, marks[path])
    return TranslateResult(folder, tuple(paths), translator.sample_rate)


def _mark(source: Path, conversion: Conversion, model: Model) -> str:
    """Returns the comment of a sound's translation, by which it is known again; it holds hashes of sound and model.

    Raises DataError for a file that cannot be read.
    """
    sound, _notes = single_sound.read_whole(source, conversion)
    frames = sound.T.tobytes()
    digest = hashlib.blake2b(frames, digest_size=8).hexdigest()
    return f"wavegan {__version__}: sound {digest} translated by weights {model.weights_hash}"


def _has_mark(path: Path, mark: str) -> bool:
    with suppress(DataError):  # another file, which is no sound
        return path.is_file() and comments.read(path) == mark
    return False


def _translated(sound: Tensor, model: Model, *, is_scaled: bool) -> Tensor:
    """Returns the translation (C, T) of a sound (C, T).

    is_scaled: the model has learned from sound scaled to a peak of 1, so this is scaled likewise, and its translation
    back.
    """
    peak = float(sound.abs().max())
    scale = peak if is_scaled and peak > SILENCE_PEAK else 1.0
    return scale * overlap_add(
        lambda windows: synthesize(model, windows),
        sound / scale,
        model.clip_samples,
        watch=lambda numbers: progress.track(numbers, len(numbers), "batches"),
    )
