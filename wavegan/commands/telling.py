"""Messages and progress of the jobs; all of it goes to stderr."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Thing = TypeVar("Thing")


def say(text: str) -> None:
    """Writes one line."""
    print(text, file=sys.stderr, flush=True)


def with_progress(things: Iterable[Thing], count: int, unit: str) -> Iterator[Thing]:
    """The same things, with a progress bar while they are taken, where stderr is a terminal."""
    return iter(tqdm(things, total=count, unit=f" {unit}", disable=None, leave=False))
