"""What is added to a discriminator's loss, not yet multiplied by its weight.

A penalty says at which points it looks and what it makes of the discriminator's slope there; called, it is the
plain form of autograd. Where the discriminator is piecewise linear, `methods/first_order.py` computes the same
gradients from the same two functions without a double backward.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from wavegan import distributed


class Penalty(NamedTuple):
    """points(real, fake) gives clips (N, C, T); of_slope(slope), with the gradients there, (N, C, T), a scalar."""

    points: Callable[[Tensor, Tensor], Tensor]
    of_slope: Callable[[Tensor], Tensor]

    def __call__(self, discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        """The penalty as a scalar that can be differentiated by the discriminator's parameters.

        real, fake: (N, C, T) in [-1, 1], constants here.
        """
        points = self.points(real, fake).detach().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
        return self.of_slope(slope)


def between(real: Tensor, fake: Tensor) -> Tensor:
    """Points drawn uniformly between each real clip and its fake partner (Gulrajani et al. 2017, algorithm 1)."""
    share = distributed.own_rows(lambda rows: torch.rand(rows, 1, 1, device=real.device, dtype=real.dtype), len(real))
    return torch.lerp(real, fake, share)


def distance_from_one(slope: Tensor) -> Tensor:
    """Mean squared distance from 1 of each example's norm over channels and time (Gulrajani et al. 2017, eq. 3)."""
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


gradient_penalty = Penalty(between, distance_from_one)

PENALTIES = {"gradient_penalty": gradient_penalty}
