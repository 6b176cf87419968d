"""Searches for the clips of a model that are nearest to real sounds, and measures how near they are."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wavegan import assemble, progress
from wavegan.audio import single_sound, writing
from wavegan.audio.windows import gather, side_by_side
from wavegan.commands import receipts
from wavegan.commands.arguments import refuse_equal_names
from wavegan.commands.folders import make_folder, refuse_existing, refuse_no_sound
from wavegan.commands.generate import chosen_labels, refuse_translation
from wavegan.commands.model_loading import LoadedModel, load_model, run_folder_of
from wavegan.commands.run_sound import sound_of_run
from wavegan.errors import DataError
from wavegan.evaluation.pages.spectrogram_images import preview
from wavegan.steering.inversion import BATCH_SIZE, Inversion, Inverter, SpectralDistance, Watch

logger = logging.getLogger(__name__)

CANNOT = 0.4  # of a random clip's distance: held-out drums come nearer than this to a drum model, speech does not


@dataclass(frozen=True)
class Neighbour:
    """Holds the training clip (C, T) that is nearest to a sound, its name, and its distance in dB."""

    name: str
    clip: Tensor
    distance: float


@dataclass(frozen=True)
class InvertedSound:
    """Holds the result for one sound. files: the original in the model's form, the inverted clip, and more.

    label: that of the inverted clip, or a mix; None for a model without labels. nearest: None if the training sound
    cannot be read.
    """

    sound: Path
    inversion: Inversion
    label: str | None
    nearest: Neighbour | None
    files: tuple[Path, ...]

    @property
    def can_be_made(self) -> bool:
        """Says whether the model comes so much nearer to the sound than a random clip that it can make such sounds."""
        return self.inversion.distance < CANNOT * self.inversion.random


@dataclass(frozen=True)
class InvertResult:
    """Lists the results of all sounds in their order, with the folder of the files."""

    out: Path
    sounds: tuple[InvertedSound, ...]


def invert(
    model: Path,
    sounds: Sequence[Path],
    *,
    labels: Sequence[str] = (),
    out: Path | None = None,
    seed: int = 0,
    force: bool = False,
    checkpoint: str = "newest",
    raw: bool = False,
    device: str = "auto",
) -> InvertResult:
    """Writes NAME-original.wav, NAME-inverted.wav, NAME-nearest.wav and NAME.png for every sound.

    The original is in the model's form; the inverted clip is the nearest one that was found, with a receipt; the last
    is the nearest clip that the model learned from, if that sound can be read. labels: those to search among; where
    empty, the best mix. out: inverted/ in the MODEL's run folder where None. Raises DataError for a sound that cannot
    be used, before anything is written, and for files that exist, unless `force`.
    """
    loaded = load_model(model, assemble.device(device), raw=raw, checkpoint=checkpoint)
    refuse_translation(loaded)
    labels = chosen_labels(loaded.model, labels)
    folder, generator = out or loaded.result_folder("inverted"), loaded.model
    ends = ("-original.wav", "-inverted.wav", "-nearest.wav", ".png")
    paths = [[folder / f"{path.stem}{end}" for end in ends] for path in sounds]
    refuse_equal_names([targets[0] for targets in paths])
    clips = [read_sound(loaded, path) for path in sounds]
    refuse_existing(sum(paths, []), force)
    nearest = _nearest(loaded, clips)
    make_folder(folder)
    inverter, maker, reached = Inverter(generator, labels=labels, seed=seed), receipts.maker_of(generator), []
    for sound, clip, neighbour, targets in zip(sounds, clips, nearest, paths, strict=True):
        inversion = inverter.nearest(clip, _watched(sound))
        receipt = receipts.of_point(generator, maker, inversion.point, "invert")
        label = None if receipt.shares is None else receipts.label_text(receipt.shares)
        parts = [(clip, ""), (inversion.clip, receipts.text_of(receipt))] + (
            [(neighbour.clip, "")] if neighbour else []
        )
        for path, (samples, text) in zip(targets, parts, strict=False):
            writing.write(path, samples.numpy(), generator.sample_rate, text)
        titles = ("original", f"inverted, {inversion.distance:.2f} dB from it")
        titles += (f"nearest training clip, {neighbour.distance:.2f} dB",) if neighbour else ()
        preview(targets[-1], torch.stack([part for part, _ in parts]), generator.sample_rate, titles=titles)
        reached.append(InvertedSound(sound, inversion, label, neighbour, (*targets[: len(parts)], targets[-1])))
    return InvertResult(folder, tuple(reached))


def inverted(loaded: LoadedModel, sound: Path) -> Inversion:
    """Returns the point of a model that is nearest to a sound, and warns where that is far off."""
    clip = read_sound(loaded, sound)
    inversion = Inverter(loaded.model).nearest(clip, _watched(sound))
    if inversion.distance >= CANNOT * inversion.random:
        logger.warning(
            f"{loaded.model.name} cannot make {sound}: its nearest clip is {inversion.distance:.2f} dB off, a random "
            f"one by {inversion.random:.2f} dB"
        )
    return inversion


def read_sound(loaded: LoadedModel, sound: Path) -> Tensor:
    """Returns a sound (C, T) in the form of a model, converted as what it learned from; a line says how."""
    refuse_no_sound(sound)
    clip, notes = single_sound.read_clip(sound, loaded.conversion, loaded.model.clip_samples)
    if notes:
        logger.info(f"{sound}: {'; '.join(notes)}")
    return torch.from_numpy(clip)


def _watched(sound: Path) -> Watch:
    return lambda steps: progress.track(steps, len(steps), "steps", sound.name)


def _nearest(loaded: LoadedModel, clips: Sequence[Tensor]) -> list[Neighbour | None]:
    """Returns the training clip that is nearest to each clip; None for each if the training sound cannot be read."""
    try:
        recipe, parts = sound_of_run(loaded.recipe, loaded.split, run_folder_of(loaded.path))
    except DataError as error:
        logger.info(
            f"no training clip is compared: the sound that {loaded.model.name} learned from cannot be read ({error})"
        )
        return [None] * len(clips)
    distance = SpectralDistance(loaded.model.sample_rate, torch.device("cpu"))
    targets = [distance.of_batches([clip[None]]) for clip in clips]
    best: list[Neighbour | None] = [None] * len(clips)
    samples = loaded.model.clip_samples
    training_clips = side_by_side(parts.training, samples, recipe.data.windows)
    batches = range(0, len(training_clips.starts), BATCH_SIZE)
    for first in progress.track(batches, len(batches), "batches", "training sound"):
        part = slice(first, first + BATCH_SIZE)
        batch = gather(training_clips.samples, training_clips.starts[part], training_clips.lengths[part], samples)
        spectra = distance.of_batches([batch])
        for place, target in enumerate(targets):
            value, row = distance.between(target, spectra).min(0)
            before = best[place]
            if before is None or float(value) < before.distance:
                best[place] = Neighbour(training_clips.names[first + int(row)], batch[row], float(value))
    return best
