"""Writes the clips of a model into files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from torch import Tensor

from wavegan import assemble, generation, progress
from wavegan.audio import files
from wavegan.commands.folders import make_folder
from wavegan.commands.models import load_model
from wavegan.errors import DataError, UserError
from wavegan.generation import Model

BATCH_SIZE = 16  # enough to fill a CPU, and small where clips are long


@dataclass(frozen=True)
class GenerateResult:
    """Lists the files that were written, in the order of the clips, with their folder and format."""

    out: Path
    files: tuple[Path, ...]
    sample_rate: int
    clip_samples: int


def generate(
    model: Path,
    count: int = 16,
    *,
    out: Path | None = None,
    seed: int = 0,
    labels: Sequence[str] = (),
    truncation: float = 1.0,
    extension: str = "wav",
    precision: str = "fp32",
    interpolate: bool = False,
    force: bool = False,
    checkpoint: str = "newest",
    raw: bool = False,
    device: str = "auto",
) -> GenerateResult:
    """Writes clips 0 to `count - 1` of a seed, or one file that walks between them, of a MODEL into a folder.

    out: generated/ in the MODEL's run folder where None. labels: names that take turns; where the MODEL knows labels
    and none is named, each clip draws its own. Raises RunError as `load_model`, UserError for arguments that do not go
    together, DataError where a file exists already, unless `force`, and for a format that cannot hold the clips.
    """
    _refuse_arguments(count, labels, truncation, interpolate)
    loaded = load_model(model, assemble.device(device), raw=raw, precision=precision, checkpoint=checkpoint)
    if loaded.is_translation:
        raise UserError(
            f"{model} makes sound from sound and not from nothing", "", f"try wavegan translate {model} SOUND"
        )
    folder = out or loaded.run_folder / "generated"
    write = write_walk if interpolate else write_clips
    paths = write(
        loaded.model, folder, count, seed=seed, truncation=truncation, labels=labels, extension=extension, force=force
    )
    return GenerateResult(folder, tuple(paths), loaded.model.sample_rate, loaded.model.clip_samples)


def write_clips(
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
    _refuse_labels(model, labels)
    files.check_format(extension, model.sample_rate, model.channels)
    paths = [out / f"clip-{index:06d}.{extension}" for index in range(count)]
    _refuse_existing(paths, force)
    make_folder(out)
    clips = generation.generate(model, count, seed=seed, truncation=truncation, labels=labels, batch_size=BATCH_SIZE)
    for path, clip in zip(paths, progress.track(_each(clips), count, "clips"), strict=True):
        files.write(path, clip.numpy(), model.sample_rate)
    return paths


def write_walk(
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
    """Writes one file that walks through the latents of clips 0 to `stations - 1`; errors as `write_clips`.

    Between several labels it walks with the latent of clip 0.
    """
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
        for clip in progress.track(_each(clips), count, "clips"):
            files.write_clip(sound, clip.numpy())
    return [path]


def _refuse_arguments(count: int, labels: Sequence[str], truncation: float, interpolate: bool) -> None:
    if interpolate and count < 2:
        raise UserError(f"`count` is {count}", "`interpolate` walks between two latents or more", "try `count=8`")
    if interpolate and len(labels) > count:
        raise UserError(
            f"`count` is {count} and there are {len(labels)} labels",
            "a walk passes through each",
            f"try `count={len(labels)}`",
        )
    if not 0 < truncation <= 1:
        raise UserError(f"`truncation` is {truncation:g}", "it must be above 0 and at most 1", "try 0.7")


def _refuse_labels(model: Model, labels: Sequence[str]) -> None:
    if labels and not model.labels:
        raise UserError(
            f"`labels` is {labels[0]}, and {model.name} knows no labels",
            "",
            "leave it out, or train with generator.labels at the number of labels",
        )
    unknown = [name for name in labels if name not in model.label_names]
    if unknown:
        near = get_close_matches(unknown[0], model.label_names, 1, 0)[0]
        raise UserError(
            f"`labels` is {unknown[0]}", f"{model.name} knows {', '.join(model.label_names)}", f"try `labels={near}`"
        )


def _refuse_existing(paths: Sequence[Path], force: bool) -> None:
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        raise DataError(
            f"{existing[0]} exists already ({len(existing)} of {len(paths)} files do)",
            "clips are never written over",
            "name another folder with `out` or add `force=True`",
        )


def _each(batches: Iterator[Tensor]) -> Iterator[Tensor]:
    for batch in batches:
        yield from batch
