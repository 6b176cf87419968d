"""Draws the inputs of a generator, for all its uses: a latent and, if the network declares it, noise."""

from typing import NamedTuple

import torch
from torch import Tensor

from wavegan import distributed

DISTRIBUTIONS = ("uniform", "normal")


class Input(NamedTuple):
    """Describes random numbers of `shape` for each clip: uniform on [-1, 1], as in the original, or standard normal."""

    distribution: str
    shape: tuple[int, ...]

    def draw(
        self, count: int, *, device: torch.device | str = "cpu", generator: torch.Generator | None = None
    ) -> Tensor:
        """Draws numbers (count, *shape) on `device`, from its global generator if no `generator` is given."""
        assert self.distribution in DISTRIBUTIONS, f"the distribution is {self.distribution!r}, not {DISTRIBUTIONS}"
        if self.distribution == "normal":
            return torch.randn(count, *self.shape, device=device, generator=generator)
        return torch.rand(count, *self.shape, device=device, generator=generator) * 2 - 1


def draw_own(declared: Input, clips: Tensor) -> Tensor:
    """Draws this process's rows of an input for the whole batch, one per clip (N, C, T), on the device of the clips."""
    return distributed.rank_rows(lambda rows: declared.draw(rows, device=clips.device), len(clips))
