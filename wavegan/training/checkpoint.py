"""Checkpoints: written whole or not at all, the newest good one found again, the old ones cleared away."""

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

FORMAT = 3  # raised whenever what is in it lies otherwise
OLDER = (2,)  # formats that assemble/migration.py brings to the present one
NAME = re.compile(r"step-(\d{8,})\.pt")
NEWEST, BEST = "newest", "best"  # how a checkpoint of a folder is asked for, or by its step
UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error)


def save(folder: Path, content: dict[str, Any], *, is_best: bool = False) -> Path:
    """Writes a checkpoint of tensors and plain values, `content["step"]` in its name, or as best.pt.

    It is written under a temporary name, flushed to the disk and renamed, so that a kill at any moment leaves
    either the whole file or none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{BEST}.pt" if is_best else path_of(folder, content["step"])
    with atomic_write(path, is_durable=True) as partial, partial.open("wb") as file:
        torch.save({"format": FORMAT, **content}, file)  # given a path, it would write the temporary name into the file
    return path


def load(path: Path) -> dict[str, Any]:
    """What `save` was given, on the CPU. Raises RunError for a damaged or foreign file."""
    try:
        _refuse_wrong_checksums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0][:120]
        raise RunError(
            f"{path} cannot be read ({reason})", "it is damaged or no checkpoint", "use another one"
        ) from fault
    if not isinstance(content, dict) or content.get("format") not in (*OLDER, FORMAT):
        raise RunError(
            f"{path} is no wavegan checkpoint of format {FORMAT}", "", "something else or another version wrote it"
        )
    return content


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies, if there is one."""
    return folder / f"step-{step:08d}.pt"


def steps(folder: Path) -> dict[int, Path]:
    """The checkpoints in a folder by step, oldest first."""
    found = ((NAME.fullmatch(path.name), path) for path in folder.glob("step-*.pt"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def load_chosen(folder: Path, which: str) -> dict[str, Any] | None:
    """The checkpoint of a folder by "newest", "best" or a step; None for the newest where there is none at all.

    Raises RunError for one that is not there or cannot be read.
    """
    if which == NEWEST:
        return load_newest(folder)
    found = steps(folder)
    if which == BEST:
        if not (folder / f"{BEST}.pt").exists():
            raise RunError(
                f"{folder} holds no best checkpoint",
                "one is kept where a recipe has evaluation.every above 0",
                "leave `checkpoint` out for the newest",
            )
        return load(folder / f"{BEST}.pt")
    if not which.isdecimal() or int(which) not in found:
        there = ", ".join(map(str, found)) or "no steps"
        raise RunError(
            f"`checkpoint` is {which}", "it must be newest, best or a step that is kept", f"there are {there}"
        )
    return load(found[int(which)])


def best_figure(folder: Path, headline: str) -> float:
    """Returns the headline figure of a folder's best checkpoint, infinity where there is none that can be read."""
    try:
        return load(folder / f"{BEST}.pt")["evaluation"][headline]
    except (RunError, KeyError):
        return math.inf


def newest_path(folder: Path) -> Path:
    """The checkpoint of the highest step in a folder that holds one."""
    return list(steps(folder).values())[-1]


def load_newest(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read, None where there is none at all.

    A damaged one is warned of and the one before it used. Raises RunError where every one is damaged.
    """
    candidates = list(reversed(steps(folder).values()))
    for path in candidates:
        try:
            return load(path)
        except RunError as fault:
            logger.warning(fault)
    if candidates:
        raise RunError(
            f"none of the {len(candidates)} checkpoints in {folder} can be read", "", "start again with `fresh=True`"
        )
    return None


def prune(folder: Path, *, keep_last: int, keep_every: int, keep: Collection[int] = ()) -> None:
    """Removes all but the newest `keep_last`, the multiples of `keep_every` (0 for none), those of the steps in `keep`.

    Torn writes go as well.
    """
    found = steps(folder)
    kept = {*list(found)[-keep_last:], *keep}
    for step, path in found.items():
        if step not in kept and not (keep_every and step % keep_every == 0):
            path.unlink()
    for torn in folder.glob(f"*{PARTIAL}"):
        torn.unlink()


def forget_later(folder: Path, step: int) -> None:
    """Removes the checkpoints after a step, which a training that goes on from there would otherwise meet again."""
    for later, path in steps(folder).items():
        if later > step:
            path.unlink()


def _refuse_wrong_checksums(path: Path) -> None:
    """torch.load does not look at the checksums that torch.save wrote, and takes flipped bits for weights."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
