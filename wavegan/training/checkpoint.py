"""Writes checkpoints, whole or not at all; loads the newest that can be read; removes old ones."""

import logging
import math
import pickle
import re
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from wavegan.atomic_write import PARTIAL, atomic_write
from wavegan.errors import RunError

logger = logging.getLogger(__name__)

CHECKPOINT_FORMAT = 3  # increased whenever the layout of the content changes
OLDER = (2,)  # formats that assemble/migration.py brings to the present one
NAME = re.compile(r"step-(\d{8,})\.pt")
NEWEST, BEST = "newest", "best"  # names that choose a checkpoint of a folder, beside a step
UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error)


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


def load(path: Path) -> dict[str, Any]:
    """Loads the content that `save` wrote, on the CPU. Raises RunError for a damaged or foreign file."""
    try:
        _refuse_wrong_checksums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise RunError(
            f"{path} cannot be read ({reason})", "it is damaged or not a checkpoint", "name another one"
        ) from error
    if not isinstance(content, dict) or content.get("format") not in (*OLDER, CHECKPOINT_FORMAT):
        raise RunError(
            f"{path} is not a checkpoint of this version of wavegan", "only those can be read", "name another file"
        )
    return content


def path_of(folder: Path, step: int) -> Path:
    """Returns the path of the checkpoint of a step, which need not exist."""
    return folder / f"step-{step:08d}.pt"


def steps(folder: Path) -> dict[int, Path]:
    """Lists the checkpoints of a folder by step, in rising order."""
    matches = ((NAME.fullmatch(path.name), path) for path in folder.glob("step-*.pt"))
    return dict(sorted((int(match[1]), path) for match, path in matches if match))


def load_chosen(folder: Path, which: str) -> dict[str, Any] | None:
    """Loads the checkpoint of a folder by "newest", "best" or a step; None for "newest" in a folder without any.

    Raises RunError if the checkpoint is missing or cannot be read.
    """
    if which == NEWEST:
        return load_newest(folder)
    paths = steps(folder)
    if which == BEST:
        if not (folder / f"{BEST}.pt").exists():
            raise RunError(
                f"{folder} has no best checkpoint",
                "only a recipe with evaluation.every above 0 keeps one",
                "leave `checkpoint` out for the newest",
            )
        return load(folder / f"{BEST}.pt")
    if not which.isdecimal() or int(which) not in paths:
        there = ", ".join(map(str, paths)) or "no steps"
        raise RunError(
            f"`checkpoint` is {which}",
            "it must be newest, best or the step of a kept checkpoint",
            f"this run has {there}",
        )
    return load(paths[int(which)])


def best_figure(folder: Path, headline: str) -> float:
    """Returns the headline figure of a folder's best checkpoint, or infinity if no such checkpoint can be read."""
    try:
        return load(folder / f"{BEST}.pt")["evaluation"][headline]
    except (RunError, KeyError):
        return math.inf


def newest_path(folder: Path) -> Path:
    """Returns the path of the checkpoint with the highest step, in a folder that holds at least one."""
    return list(steps(folder).values())[-1]


def load_newest(folder: Path) -> dict[str, Any] | None:
    """Loads the newest checkpoint that can be read; None if the folder has none.

    For a damaged one it logs a warning and tries the one before. Raises RunError if all are damaged.
    """
    candidates = list(reversed(steps(folder).values()))
    for path in candidates:
        try:
            return load(path)
        except RunError as error:
            logger.warning(error)
    if candidates:
        raise RunError(
            f"none of the {len(candidates)} checkpoints in {folder} can be read", "", "start again with `fresh=True`"
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
            path.unlink()
    for unfinished in folder.glob(f"*{PARTIAL}"):
        unfinished.unlink()


def forget_later(folder: Path, step: int) -> None:
    """Removes the checkpoints after a step, so that a training that goes on from there does not find them."""
    for later, path in steps(folder).items():
        if later > step:
            path.unlink()


def _refuse_wrong_checksums(path: Path) -> None:
    """Raises BadZipFile for a wrong checksum: torch.load ignores checksums and would read flipped bits as weights."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
