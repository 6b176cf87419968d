"""Sound files of any length through a translation, window by window."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan.audio import files
from wavegan.audio.corpus import SILENCE_PEAK
from wavegan.audio.overlap import overlapped
from wavegan.commands.folders import make_folder
from wavegan.commands.memory import keep_freed_memory
from wavegan.commands.models import load_model
from wavegan.commands.telling import with_progress
from wavegan.errors import DataError, UserError
from wavegan.generation import Model, synthesize
from wavegan.recipe import Recipe
from wavegan.training import checkpoint

NETWORKS = {"A": "b_to_a", "B": "a_to_b"}  # by what they translate to


def load_translator(
    path: Path, to: str, on: torch.device, *, raw: bool = False, which: str = checkpoint.NEWEST
) -> tuple[Recipe, Model]:
    """The network of a MODEL that translates to A, its data.source, or to B, its data.source_b.

    Raises UserError for a MODEL that makes sound from latents, RunError as `load_model`.
    """
    recipe, _ = load_model(path, on, raw=raw, which=which)
    if recipe.method.name != "translation":
        raise UserError(
            f"{path} was trained by method.name: {recipe.method.name}, which makes sound from nothing; translate needs "
            "one of method.name: translation; try wavegan generate"
        )
    return load_model(path, on, raw=raw, which=which, name=NETWORKS[to])


def translate(
    recipe: Recipe,
    model: Model,
    sounds: Sequence[Path],
    out: Path,
    *,
    to: str,
    extension: str = "wav",
    force: bool = False,
) -> list[Path]:
    """Writes NAME-to-B.wav, say, for every sound file, as long as that is, at the model's rate and channels.

    Where a model has learned from sound scaled to a peak of 1, a file is scaled likewise, and its translation back.
    Raises DataError for files that cannot be read, before anything is written, and where one would be written over,
    unless `force`.
    """
    keep_freed_memory()
    files.check_format(extension, model.sample_rate, model.channels)
    paths = [out / f"{path.stem}-to-{to}.{extension}" for path in sounds]
    _refuse(sounds, paths, force)
    for source in sounds:
        for _ in _blocks(source, model):
            pass  # read once to see that each can be, and once more below, so that one at a time is held
    make_folder(out)
    for source, path in zip(sounds, paths, strict=True):
        sound = _read(source, model)
        peak = float(sound.abs().max())
        scale = peak if recipe.data.normalize and peak > SILENCE_PEAK else 1.0
        made = scale * overlapped(
            lambda windows: synthesize(model, windows),
            sound / scale,
            model.clip_samples,
            watch=lambda numbers: with_progress(numbers, len(numbers), "batches"),
        )
        files.write(path, made.numpy(), model.sample_rate)
    return paths


def _read(path: Path, model: Model) -> Tensor:
    """A file's sound, (C, T)."""
    return torch.from_numpy(np.concatenate(list(_blocks(path, model))).T.copy())


def _blocks(path: Path, model: Model) -> Iterator[np.ndarray]:
    try:
        yield from files.decode(path, model.sample_rate, model.channels)
    except DataError as fault:
        raise DataError(f"{path} {fault}") from fault


def _refuse(sounds: Sequence[Path], paths: Sequence[Path], force: bool) -> None:
    missing = [path for path in sounds if not path.is_file()]
    if missing:
        raise DataError(f"{missing[0]} is no file; translate takes sound files; check the spelling")
    twice = [path for path in paths if paths.count(path) > 1]
    if twice:
        raise DataError(f"two of the files would be written as {twice[0]}; translate one of them into another --out")
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        raise DataError(
            f"{existing[0]} exists already; nothing is written over; name another folder with --out or add --force"
        )
