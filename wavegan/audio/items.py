"""Defines the items of a source: sounds that are listed, not yet decoded."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from wavegan.audio.files import OpenSound


@dataclass(frozen=True)
class Item:
    """Describes one sound of a source, not yet decoded.

    name: unique within the source. fingerprint: plain values that change when the sound may have changed.
    open(sample_rate, channels) opens it: a file keeps its own rate and channels, a built-in instrument plays at the
    requested ones. It raises DataError with the reason if that fails. group: a property that items share beside the
    label, such as the speaker. split: "train", "validation" or "test" if the source says to which part the item
    belongs.
    """

    name: str
    label: str | None
    fingerprint: tuple[str | int, ...]
    open: Callable[[int, int], AbstractContextManager[OpenSound]]
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Source:
    """Lists the items of a source in a fixed order, and what to report about it.

    passed_over: reason to the names of files that are not items. notes: sentences on what was guessed or converted.
    """

    items: tuple[Item, ...]
    passed_over: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
