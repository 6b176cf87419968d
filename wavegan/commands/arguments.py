"""Checks numbers and names that Python code passes, as click does on the command line, and the names of results."""

import operator
import os
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wavegan.errors import DataError, UserError
from wavegan.recipe.parsing import plain

RATES = {"least": 1000, "most": 192_000, "advised": 16_000}  # in Hz, as of a recipe
LARGEST_SEED = 2**63 - 1  # as on the command line
Labels = str | Iterable[str] | Mapping[str, float] | None


def path_of(argument: str, value: Any, *, advised: str) -> Path:
    """Returns a path, of text or of an object that stands for a path; raises UserError for anything else."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        rule = "it must be text or a path"
        raise UserError(f"`{argument}` is {reprlib.repr(value)}", rule, f"try {argument}='{advised}'")
    if not os.fspath(value):
        raise UserError(f"`{argument}` is empty", "it must name a path", f"try {argument}='{advised}'")
    return Path(value)


def refuse_equal_names(paths: Sequence[Path]) -> None:
    """Raises DataError if two of the files that are to be written would have one name."""
    if twice := [path for path, count in Counter(paths).items() if count > 1]:
        raise DataError(f"two of the results would have the name {twice[0]}", "", "make one of them in another `out`")


def whole_number(argument: str, value: Any, *, least: int, advised: int, most: int | None = None) -> int:
    """Returns a whole number, also of NumPy or written 2.0; raises UserError for anything else, and out of bounds."""
    number = plain(value)
    is_whole = isinstance(number, float) and number.is_integer()
    return _within(argument, int(number) if is_whole else number, least, most, advised)


def number(argument: str, value: Any, *, advised: float) -> float:
    """Returns a number, also of NumPy; raises UserError for anything else."""
    given = plain(value)
    if not _is_number(given):
        raise UserError(f"`{argument}` is {value!r}", "it must be a number", f"try {advised:g}")
    return given


def seed_of(value: Any, argument: str = "seed") -> int:
    """Returns a seed; raises UserError for what is no integer, as 1.0 is none, and outside the command's bounds."""
    return _within(argument, plain(value), 0, LARGEST_SEED, 7)


def seeds_of(values: Any) -> list[int]:
    """Returns the seeds of a walk; raises UserError for those that are none, and for fewer than two."""
    seeds = plain(values)
    if not isinstance(seeds, Iterable) or isinstance(seeds, str | bytes):
        raise UserError(f"`seeds` is {seeds!r}", "it must hold several whole numbers", "try seeds=[3, 9]")
    seeds = [seed_of(seed, "seeds") for seed in seeds]
    if len(seeds) < 2:
        raise UserError(f"`seeds` holds {len(seeds)}", "a walk joins two seeds or more", "try seeds=[3, 9]")
    return seeds


def label_texts(label: Labels) -> tuple[str, ...]:
    """Returns labels and mixes as the command takes them; weights by label are one mix, such as kick:0.7,snare:0.3."""
    if isinstance(label, Mapping):
        if not label:
            rule = "a mix has one label or more"
            raise UserError("`label` is {}", rule, "try label={'kick': 0.7, 'snare': 0.3}, or leave it out")
        return (",".join(f"{name}:{weight}" for name, weight in label.items()),)
    label = plain(label)
    names = (label,) if isinstance(label, str) else () if label is None else label
    texts = tuple(names) if isinstance(names, Iterable) else (names,)
    if not all(isinstance(text, str) for text in texts):
        rule = "it must be a name, several in a list, or weights by name"
        raise UserError(f"`label` is {label!r}", rule, "try label='kick'")
    return texts


def amounts_by_name(directions: Any) -> dict[str, float]:
    """Returns amounts by the names of directions, none for None; raises UserError for anything else."""
    amounts = {} if directions is None else plain(directions)
    if not isinstance(amounts, dict) or not all(map(_is_number, amounts.values())):
        rule = "it must give amounts from -1 to 1 by name"
        raise UserError(f"`directions` is {directions!r}", rule, "try directions={'brightness': 0.5}")
    return amounts


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _within(argument: str, number: Any, least: int, most: int | None, advised: int) -> int:
    remedy = f"try {advised}"
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        raise UserError(f"`{argument}` is {number!r}", "it must be an integer", remedy)
    whole = operator.index(number)
    if whole < least or (most is not None and whole > most):
        rule = f"it must be at least {least}" if most is None else f"it must be from {least:,} to {most:,}"
        raise UserError(f"`{argument}` is {whole}", rule, remedy)
    return whole
