"""Shows progress bars of long work, but only if the caller asks for them, as the command line does."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
_is_shown: ContextVar[bool] = ContextVar("progress is shown", default=False)


@contextmanager
def shown() -> Iterator[None]:
    """Shows the progress bars of this thread on stderr while entered, if stderr is a terminal."""
    token = _is_shown.set(True)
    try:
        yield
    finally:
        _is_shown.reset(token)


def bar(total: int, unit: str, **settings: Any) -> "tqdm[Any]":
    """Returns a bar to be updated by hand, in a `with`; settings are tqdm's."""
    return tqdm(total=total, unit=unit, disable=None if _is_shown.get() else True, **settings)


def track(items: Iterable[Item], count: int, unit: str, title: str | None = None) -> Iterator[Item]:
    """Returns the same items, counted by a bar while they are taken; count is 0 if it is not known."""
    is_silent = None if _is_shown.get() else True
    return iter(tqdm(items, desc=title, total=count or None, unit=f" {unit}", disable=is_silent, leave=False))
