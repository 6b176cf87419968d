"""Writes checkpoints, whole or not at all; loads the newest that can be read; removes old ones."""

import logging
import math
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch

from wavegan import torch_files
from wavegan.atomic_write import PARTIAL, atomic_write
from wavegan.errors import RunError
from wavegan.torch_files import ContentError

logger = logging.getLogger(__name__)

CHECKPOINT_FORMAT = 3  # increased whenever the layout of the content changes
OLDER = (2,)  # formats that assemble/checkpoint_migration.py brings to the present one
NAME = re.compile(r"step-(\d{8,})\.pt")
NEWEST, BEST = "newest", "best"  # names that choose a checkpoint of a folder, beside a step
Check = Callable[[dict[str, Any]], None]
"""check(content) raises ContentError for content that cannot be used."""


class VanishedError(RunError):
    """Says that a checkpoint is not there, or not any more: a training beside removes old ones."""


def save(folder: Path, content: dict[str, Any], *, is_best: bool = False) -> Path:
    """Writes a checkpoint of tensors and plain values, `content["step"]` in its name, or as best.pt.

    It is written under a temporary name, flushed to the disk and renamed, so that a kill at any moment leaves
    either the whole file or none. Raises OSError if that fails, or if the folder above `folder` is gone.
    """
    folder.mkdir(exist_ok=True)  # never the run folder: who has moved it must not get a second one
    path = folder / f"{BEST}.pt" if is_best else path_of(folder, content["step"])
    with atomic_write(path, is_durable=True) as file:
        torch.save({"format": CHECKPOINT_FORMAT, **content}, file)
    return path


def no_check(content: dict[str, Any]) -> None:
    """Accepts any content."""


def load(path: Path, check: Check = no_check) -> dict[str, Any]:
    """Loads the content that `save` wrote, on the CPU.

    Raises RunError for a damaged or foreign file and for content that `check` refuses, VanishedError for none.
    """
    rule, remedy = "it is damaged or not a checkpoint", "name another one"
    try:
        content = torch_files.read(path)
    except FileNotFoundError as error:
        raise VanishedError(f"{path} cannot be read ({error.strerror})", rule, remedy) from error
    except ContentError as error:
        raise RunError(f"{path} cannot be read ({error})", rule, remedy) from error
    if not isinstance(content, dict) or content.get("format") not in (*OLDER, CHECKPOINT_FORMAT):
        raise RunError(
            f"{path} is not a checkpoint of this version of wavegan", "only those can be read", "name another file"
        )
    try:
        match = NAME.fullmatch(path.name)
        if match and content.get("step") != int(match[1]):
            raise ContentError(f"step: it is {content.get('step')!r}, unlike that of its name")
        check(content)
    except ContentError as error:
        raise RunError(
            f"{path} cannot be used ({error})", "its content is not that of a checkpoint of this version", remedy
        ) from error
    return content


def path_of(folder: Path, step: int) -> Path:
    """Returns the path of the checkpoint of a step, which need not exist."""
    return folder / f"step-{step:08d}.pt"


def steps(folder: Path) -> dict[int, Path]:
    """Lists the checkpoints of a folder by step, in rising order."""
    matches = ((NAME.fullmatch(path.name), path) for path in folder.glob("step-*.pt"))
    return dict(sorted((int(match[1]), path) for match, path in matches if match))


def load_chosen(folder: Path, which: str, check: Check = no_check) -> dict[str, Any] | None:
    """Loads the checkpoint of a folder by "newest", "best" or a step; None for "newest" in a folder without any.

    check: see `load`. Raises RunError if the checkpoint is missing or cannot be used.
    """
    if which == NEWEST:
        return load_newest(folder, check)
    paths = steps(folder)
    if which == BEST:
        if not (folder / f"{BEST}.pt").exists():
            raise RunError(
                f"{folder} has no best checkpoint",
                "only a recipe with evaluation.every above 0 keeps one",
                "leave `checkpoint` out for the newest",
            )
        return load(folder / f"{BEST}.pt", check)
    if which.isdecimal() and int(which) in paths:
        try:
            return load(paths[int(which)], check)
        except VanishedError:
            paths = steps(folder)
    there = ", ".join(map(str, paths)) or "no steps"
    raise RunError(
        f"`checkpoint` is {which}",
        "it must be newest, best or the step of a kept checkpoint",
        f"this run has {there}",
    )


def best_figure(folder: Path, headline: str) -> float:
    """Returns the headline figure of a folder's best checkpoint, or infinity without one.

    A checkpoint that cannot be used is reported, and the next evaluation replaces it.
    """

    def check(content: dict[str, Any]) -> None:
        figures = content.get("evaluation")
        figure = figures.get(headline) if isinstance(figures, dict) else None
        if not isinstance(figure, float) or not math.isfinite(figure):
            raise ContentError(f"evaluation.{headline}: it is {figure!r}")

    try:
        return load(folder / f"{BEST}.pt", check)["evaluation"][headline]
    except VanishedError:
        return math.inf
    except RunError as error:
        logger.warning(f"{error.value}; the next evaluation takes its place")
        return math.inf


def newest_path(folder: Path) -> Path:
    """Returns the path of the checkpoint with the highest step, in a folder that holds at least one."""
    return list(steps(folder).values())[-1]


def load_newest(folder: Path, check: Check = no_check) -> dict[str, Any] | None:
    """Loads the newest checkpoint that can be used; None if the folder has none.

    check: see `load`. For one that cannot be used it logs a warning and tries the one before. Raises RunError if none
    can be used.
    """
    refused: dict[Path, RunError] = {}
    vanished: set[Path] = set()
    while candidates := [path for path in reversed(steps(folder).values()) if path not in refused]:
        path = candidates[0]
        try:
            return load(path, check)
        except RunError as error:
            if isinstance(error, VanishedError) and path not in vanished:
                vanished.add(path)  # a training removed it after it was listed, when there was a newer one already
                continue
            logger.warning(error)
            refused[path] = error
    if refused:
        raise RunError(
            f"none of the {len(refused)} checkpoints in {folder} can be read", "", "start again with `fresh=True`"
        )
    return None


def prune(folder: Path, *, keep_last: int, keep_every: int, keep: Collection[int] = ()) -> None:
    """Removes old checkpoints, and the files of interrupted writes.

    It keeps the newest `keep_last`, the multiples of `keep_every` (0 for none) and the steps in `keep`.
    """
    paths = steps(folder)
    kept = {*list(paths)[-keep_last:], *keep}
    for step, path in paths.items():
        if step not in kept and not (keep_every and step % keep_every == 0):
            path.unlink(missing_ok=True)
    for unfinished in folder.glob(f"*{PARTIAL}"):
        unfinished.unlink()


def forget_later(folder: Path, step: int) -> None:
    """Removes the checkpoints after a step, so that a training that goes on from there does not find them."""
    for later, path in steps(folder).items():
        if later > step:
            path.unlink()
