"""Defines the interface by which training, statistics and evaluation read clips."""

from typing import Protocol, Self

import torch
from torch import Tensor


class ClipSource(Protocol):
    """Describes a source of clips of one length, in an order set by a seed; clip k is always the same clip.

    `audio/windows.py` cuts clips from a corpus. Another source, such as shards on disk, needs only these methods.
    """

    @property
    def label_names(self) -> tuple[str, ...]:
        """Returns the names of the labels; a label is an index into them."""
        ...

    @property
    def label_counts(self) -> list[int]:
        """Returns how often each label is drawn, as the smallest whole numbers that have these shares."""
        ...

    @property
    def bytes(self) -> int:
        """Returns the size of the stored sound in bytes, on the device that holds it."""
        ...

    def __len__(self) -> int:
        """Returns the number of different clips."""
        ...

    def batch(self, draw: int, count: int, part: slice = slice(None)) -> Tensor:
        """Returns `count` clips from clip number draw · count on: (count, channels, clip_samples) in [-1, 1].

        part: the rows to return, if a process needs only some of them.
        """
        ...

    def labels(self, draw: int, count: int, part: slice = slice(None)) -> Tensor:
        """Returns the labels of the same clips as `batch`: (count,) indices into label_names, -1 for none."""
        ...

    def to(self, device: torch.device) -> Self:
        """Returns a source of the same clips on another device."""
        ...

    def hold_out(self, share: float) -> tuple[Self, Self]:
        """Splits into a training part and a held-out part of about `share`; they have no sound in common."""
        ...

    def halves(self) -> tuple[Self, Self]:
        """Splits into two parts of equal size that have no sound in common."""
        ...

    def unlabelled(self) -> list[str]:
        """Returns the names of the sounds that have no label."""
        ...
