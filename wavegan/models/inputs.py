"""What a generator takes: a latent and, where the network declares it, noise; drawn in one place for all uses."""

from typing import NamedTuple

import torch
from torch import Tensor

from wavegan import distributed

DISTRIBUTIONS = ("uniform", "normal")


class Input(NamedTuple):
    """Random numbers of `shape` for each clip, uniform on [-1, 1] as the original's latents or standard normal."""

    distribution: str
    shape: tuple[int, ...]

    def draw(
        self, count: int, *, device: torch.device | str = "cpu", generator: torch.Generator | None = None
    ) -> Tensor:
        """Numbers (count, *shape), drawn on `device` from its global generator or from the one given."""
        assert self.distribution in DISTRIBUTIONS, f"the distribution is {self.distribution!r}, not {DISTRIBUTIONS}"
        if self.distribution == "normal":
            return torch.randn(count, *self.shape, device=device, generator=generator)
        return torch.rand(count, *self.shape, device=device, generator=generator) * 2 - 1


def draw_own(declared: Input, clips: Tensor) -> Tensor:
    """This process's rows of an input for the whole batch, one for each of its clips (N, C, T), on their device."""
    return distributed.rank_rows(lambda rows: declared.draw(rows, device=clips.device), len(clips))
