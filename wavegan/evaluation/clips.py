"""Defines sets of clips that are made when they are asked for: fifty thousand need no more memory than a batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BATCH_SIZE = 16  # enough to fill a CPU, and small where clips are long


@dataclass(frozen=True)
class ClipSet:
    """Holds the first `count` clips of a source; `batch(k)` gives clips 16 · k to 16 · k + 15, (16, C, T)."""

    count: int
    batch: Callable[[int], Tensor]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Tensor]:
        """Yields all clips in batches (N, C, T)."""
        for start in range(0, self.count, BATCH_SIZE):
            yield self.batch(start // BATCH_SIZE)[: self.count - start]

    def __getitem__(self, index: int) -> Tensor:
        """Returns one clip, (C, T)."""
        return self.batch(index // BATCH_SIZE)[index % BATCH_SIZE]

    def first(self, count: int) -> "ClipSet":
        """Returns the same clips, no more than `count` of them."""
        return ClipSet(min(count, self.count), self.batch)

    def together(self) -> Tensor:
        """Returns all clips at once, (N, C, T)."""
        return torch.cat(list(self))
