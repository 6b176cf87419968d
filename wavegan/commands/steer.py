"""Writes the neighbours of a sound, and the steps between two sounds, of one model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wavegan import assemble, progress
from wavegan.audio import writing
from wavegan.commands import receipts
from wavegan.commands.folders import make_folder, refuse_existing
from wavegan.commands.model_loading import LoadedModel
from wavegan.commands.sound_points import points_of
from wavegan.errors import UserError
from wavegan.steering import points
from wavegan.steering.points import Point, clip_of


@dataclass(frozen=True)
class SteerResult:
    """Lists the files that were written, in their order, with their folder."""

    out: Path
    files: tuple[Path, ...]
    sample_rate: int


def vary(
    sound: Path,
    count: int = 16,
    *,
    amount: float = 0.3,
    seed: int = 0,
    model: Path | None = None,
    out: Path | None = None,
    extension: str = "wav",
    force: bool = False,
    device: str = "auto",
) -> SteerResult:
    """Writes neighbours of a sound as NAME-vary-000.wav and so on, see `points.vary`.

    sound: a file with a receipt, or any other that `model` can be brought near to, see `sound_points.points_of`. out:
    varied/ in the MODEL's run folder where None. Raises UserError for an amount out of bounds, DataError for a sound
    that cannot be used and for files that exist, unless `force`.
    """
    if count < 1:
        raise UserError(f"`count` is {count}", "it must be at least 1", "try `count=16`")
    points.refuse_amount(amount)
    loaded, [point] = points_of([sound], model, assemble.device(device))
    near = points.vary(loaded.model, point, count, amount=amount, seed=seed)
    names = [f"{sound.stem}-vary-{number:03d}" for number in range(count)]
    return _write(loaded, near, names, "vary", out or loaded.result_folder("varied"), extension, force)


def morph(
    first: Path,
    last: Path,
    steps: int = 8,
    *,
    model: Path | None = None,
    out: Path | None = None,
    extension: str = "wav",
    force: bool = False,
    device: str = "auto",
) -> SteerResult:
    """Writes the steps between two sounds, both included, as A-to-B-000.wav and so on, see `points.morph`.

    first, last: as the sound of `vary`. out: morphed/ in the MODEL's run folder where None. Raises UserError for fewer
    than two steps, DataError for a sound that cannot be used and for files that exist, unless `force`.
    """
    points.refuse_steps(steps)
    loaded, [here, there] = points_of([first, last], model, assemble.device(device))
    path = points.morph(loaded.model, here, there, steps)
    names = [f"{first.stem}-to-{last.stem}-{step:03d}" for step in range(steps)]
    return _write(loaded, path, names, "morph", out or loaded.result_folder("morphed"), extension, force)


def _write(
    loaded: LoadedModel,
    chosen: Sequence[Point],
    names: Sequence[str],
    made_by: Literal["vary", "morph"],
    out: Path,
    extension: str,
    force: bool,
) -> SteerResult:
    """Writes the clips of points under names, each with its receipt."""
    model = loaded.model
    writing.check_format(extension, model.sample_rate, model.channels)
    paths = [out / f"{name}.{extension}" for name in names]
    refuse_existing(paths, force)
    make_folder(out)
    maker = receipts.maker_of(model)
    for path, point in progress.track(zip(paths, chosen, strict=True), len(paths), "clips"):
        receipt = receipts.of_point(model, maker, point, made_by)
        receipts.write(path, clip_of(model, point), model.sample_rate, receipt)
    return SteerResult(out, tuple(paths), model.sample_rate)
