"""What training, statistics and evaluation know of the sound: clips by number."""

from typing import Protocol, Self

import torch
from torch import Tensor


class ClipSource(Protocol):
    """Clips of one length, in an order that follows from a seed; the same number always gives the same clip.

    `audio/windows.py` cuts them from a corpus in memory. Another kind (shards on disk, say) needs these methods alone.
    """

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the labels, in the order of their numbers."""
        ...

    @property
    def bytes(self) -> int:
        """The memory that the sound takes where it lies."""
        ...

    def __len__(self) -> int:
        """The number of different clips."""
        ...

    def batch(self, draw: int, count: int, part: slice = slice(None)) -> Tensor:
        """Clips number draw · count and the `count` - 1 after it: (count, channels, clip_samples), [-1, 1].

        part: only these of them, as one of several processes needs.
        """
        ...

    def labels(self, draw: int, count: int, part: slice = slice(None)) -> Tensor:
        """The labels of the same clips as `batch`: (count,) indices into label_names, -1 for none."""
        ...

    def to(self, device: torch.device) -> Self:
        """The same clips, made on a device."""
        ...

    def hold_out(self, share: float) -> tuple[Self, Self]:
        """Two parts without a common sound: to learn from, and about `share` of it to judge by."""
        ...

    def halves(self) -> tuple[Self, Self]:
        """Two parts of equal size without a common sound."""
        ...

    def unlabelled(self) -> list[str]:
        """The names of the sounds that have no label."""
        ...
