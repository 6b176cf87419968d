"""Writing the clips of a model into files."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from torch import Tensor

from wavegan import generation
from wavegan.audio import files
from wavegan.commands.folders import make_folder
from wavegan.commands.memory import keep_freed_memory
from wavegan.commands.telling import with_progress
from wavegan.errors import DataError, UserError
from wavegan.generation import Model

BATCH_SIZE = 16  # enough to fill a CPU, and small where clips are long


def generate(
    model: Model,
    out: Path,
    count: int,
    *,
    seed: int = 0,
    truncation: float = 1.0,
    labels: Sequence[str] = (),
    extension: str = "wav",
    force: bool = False,
) -> list[Path]:
    """Writes clips 0 to `count - 1` of a seed as clip-000000.wav and so on; memory does not grow with `count`.

    labels: names that take turns; where the model knows labels and none is named, each clip draws its own.

    Raises DataError where one of the files exists already, unless `force`, and for a format that cannot hold them,
    UserError for a label that the model does not know.
    """
    keep_freed_memory()
    _refuse_labels(model, labels)
    files.check_format(extension, model.sample_rate, model.channels)
    paths = [out / f"clip-{number:06d}.{extension}" for number in range(count)]
    _refuse_existing(paths, force)
    make_folder(out)
    clips = generation.generate(model, count, seed=seed, truncation=truncation, labels=labels, batch_size=BATCH_SIZE)
    for path, clip in zip(paths, with_progress(_each(clips), count, "clips"), strict=True):
        files.write(path, clip.numpy(), model.sample_rate)
    return paths


def generate_walk(
    model: Model,
    out: Path,
    stations: int,
    *,
    seed: int = 0,
    truncation: float = 1.0,
    labels: Sequence[str] = (),
    extension: str = "wav",
    force: bool = False,
) -> list[Path]:
    """Writes one file that walks through the latents of clips 0 to `stations - 1`; errors as `generate`.

    Between several labels it walks with the latent of clip 0.
    """
    keep_freed_memory()
    _refuse_labels(model, labels)
    files.check_format(extension, model.sample_rate, model.channels)
    path = out / f"walk.{extension}"
    _refuse_existing([path], force)
    make_folder(out)
    clips = generation.interpolate(
        model, stations, seed=seed, truncation=truncation, labels=labels, batch_size=BATCH_SIZE
    )
    count = (stations - 1) * (generation.CLIPS_BETWEEN + 1) + 1
    with files.open_writer(path, model.sample_rate, model.channels) as sound:
        for clip in with_progress(_each(clips), count, "clips"):
            files.write_clip(sound, clip.numpy())
    return [path]


def _refuse_labels(model: Model, labels: Sequence[str]) -> None:
    if labels and not model.classes:
        raise UserError(
            f"--label is {labels[0]}, and {model.name} knows no labels; leave it out, or train with model.classes at "
            "the number of labels"
        )
    unknown = [name for name in labels if name not in model.label_names]
    if unknown:
        near = get_close_matches(unknown[0], model.label_names, 1, 0)[0]
        raise UserError(
            f"--label is {unknown[0]}; {model.name} knows {', '.join(model.label_names)}; try --label {near}"
        )


def _refuse_existing(paths: Sequence[Path], force: bool) -> None:
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        raise DataError(
            f"{existing[0]} exists already ({len(existing)} of {len(paths)} files do); clips are never written over; "
            "name another folder with --out or add --force"
        )


def _each(batches: Iterator[Tensor]) -> Iterator[Tensor]:
    for batch in batches:
        yield from batch
