"""Makes sounds again from their receipts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from torch import Tensor

from wavegan import assemble, generation, progress
from wavegan.audio import writing
from wavegan.commands import receipts
from wavegan.commands.arguments import refuse_equal_names
from wavegan.commands.folders import make_folder, refuse_existing
from wavegan.commands.generate import batch_size_of
from wavegan.commands.receipt_models import maker_model
from wavegan.commands.receipts import ClipReceipt, PointReceipt, Receipt, WalkReceipt
from wavegan.errors import DataError
from wavegan.export.sampler_kit import Cut, cut
from wavegan.generation import Model
from wavegan.steering.directions import steered
from wavegan.steering.points import clip_of

LOSSLESS = {".wav", ".flac"}


@dataclass(frozen=True)
class RegenerateResult:
    """Lists the files that were written.

    differences: the largest difference of a sample between each and the file that it was made from, 0 where they are
    the same, None where one of two formats loses too much to say.
    """

    out: Path
    files: tuple[Path, ...]
    differences: tuple[float | None, ...]


def regenerate(
    sounds: Sequence[Path],
    *,
    model: Path | None = None,
    out: Path = Path("regenerated"),
    extension: str = "wav",
    force: bool = False,
    device: str = "auto",
) -> RegenerateResult:
    """Writes the sounds of files that have receipts again, under the same names, into a folder.

    model: see `receipt_models.maker_model`. On one CPU, with the same version of torch, they are the same to the last
    bit. Raises DataError for a file without a whole receipt, before anything is written, and where a file would be
    written over, unless `force`; RunError if a model cannot be found.
    """
    chosen = [receipts.of_file(path) for path in sounds]
    paths = [out / f"{path.stem}.{extension}" for path in sounds]
    _refuse_paths(sounds, paths, force)
    models = _models(chosen, sounds, model, device)
    for made_by in models:
        writing.check_format(extension, made_by.sample_rate, made_by.channels)
    make_folder(out)
    batch = lru_cache(maxsize=1)(_batch)  # of neighbours, which files in their order share
    differences = []
    work = zip(chosen, models, sounds, paths, strict=True)
    for receipt, made_by, source, path in progress.track(work, len(paths), "sounds"):
        text, loops = receipts.text_of(receipt), bool(receipt.loop)
        with writing.open_writer(path, made_by.sample_rate, made_by.channels, text, loops=loops) as sound:
            for clip in clips_of(made_by, receipt, batch):
                writing.write_clip(sound, clip.numpy())
        differences.append(_difference(source, path))
    return RegenerateResult(out, tuple(paths), tuple(differences))


def _batch(model: Model, seed: int, truncation: float, labels: Sequence[str], first: int, size: int) -> Tensor:
    settings = {"seed": seed, "truncation": truncation, "labels": labels}
    [clips] = generation.generate(model, size, first=first, batch_size=size, **settings)
    return clips


def clips_of(model: Model, receipt: Receipt, batch: Callable[..., Tensor] = _batch) -> Iterator[Tensor]:
    """Yields the clips (channels, clip_samples) of a receipt in the order of its file; batch: `_batch`, or a cache."""
    match receipt:
        case ClipReceipt():
            offset = receipts.offset_of(model, receipt)
            moved = model if offset is None else steered(model, offset[None])
            clips = batch(moved, receipt.seed, receipt.truncation, receipt.labels, *receipt.batch)
            clip = clips[receipt.number - receipt.batch[0]]
            yield cut(clip, Cut(**receipt.cut.model_dump())) if receipt.cut else clip
        case PointReceipt():
            yield clip_of(model, receipts.point_of(model, receipt))
        case WalkReceipt():
            settings = {"seed": receipt.seed, "truncation": receipt.truncation, "labels": receipt.labels}
            for clips in generation.interpolate(model, receipt.stations, batch_size=batch_size_of(model), **settings):
                yield from clips


def _models(chosen: Sequence[Receipt], sounds: Sequence[Path], model: Path | None, device: str) -> list[Model]:
    """Returns the model of each receipt, loaded once where several have the same."""
    on, by_weights = assemble.device(device), {}
    for receipt, path in zip(chosen, sounds, strict=True):
        if (key := _key(receipt)) not in by_weights:
            by_weights[key] = maker_model(receipt, path, on, model=model).model
    return [by_weights[_key(receipt)] for receipt in chosen]


def _key(receipt: Receipt) -> tuple[str | float | None, ...]:
    return receipt.weights, receipt.precision, receipt.clip_samples, receipt.loop, receipt.pitch


def _refuse_paths(sounds: Sequence[Path], paths: Sequence[Path], force: bool) -> None:
    refuse_equal_names(paths)
    own = [path for path, target in zip(sounds, paths, strict=True) if path.resolve() == target.resolve()]
    if own:
        raise DataError(f"{own[0]} would be written over by itself", "", "name another folder with `out`")
    refuse_existing(paths, force)


def _difference(source: Path, path: Path) -> float | None:
    """Returns the largest difference of a sample between two files; None for two formats of which one loses some."""
    formats = {source.suffix.lower(), path.suffix.lower()}
    if len(formats) > 1 and not formats <= LOSSLESS:
        return None
    first, second = (soundfile.read(file, dtype="float32")[0] for file in (source, path))
    return float(np.abs(first - second).max()) if first.shape == second.shape else 2.0
