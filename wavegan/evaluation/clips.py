"""Sets of clips that are made when they are asked for: fifty thousand need no more memory than a batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BATCH_SIZE = 16  # enough to fill a CPU, and small where clips are long


@dataclass(frozen=True)
class ClipSet:
    """The first `count` clips of what `batch(number)` gives: clips number · 16 and the 15 after it, (16, C, T)."""

    count: int
    batch: Callable[[int], Tensor]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Tensor]:
        """Batches (N, C, T) of all clips."""
        for start in range(0, self.count, BATCH_SIZE):
            yield self.batch(start // BATCH_SIZE)[: self.count - start]

    def __getitem__(self, number: int) -> Tensor:
        """One clip, (C, T)."""
        return self.batch(number // BATCH_SIZE)[number % BATCH_SIZE]

    def first(self, count: int) -> "ClipSet":
        """The same clips, no more than `count` of them."""
        return ClipSet(min(count, self.count), self.batch)

    def together(self) -> Tensor:
        """All of them at once, (N, C, T)."""
        return torch.cat(list(self))
