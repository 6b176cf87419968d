"""What is added to a discriminator's loss, not yet multiplied by its weight.

A penalty says at which points it looks and what it makes of the discriminator's slope there; called, it is the
plain form of autograd. Where the discriminator is piecewise linear, `methods/first_order.py` computes the same
gradients from the same two functions without a double backward.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from wavegan import distributed

FALL = 0.8  # of a run, after which a weight stays; the end of a training is for details


class Penalty(NamedTuple):
    """points(real, fake) gives P clips, one or two for each pair; of_slope(slope), of the gradients there, a scalar.

    real, fake and slope: (N, C, T) and (P, C, T), or spectrograms. among: where the points are clips themselves, picks
    their rows of what has a row for each real and then each fake clip.
    """

    points: Callable[[Tensor, Tensor], Tensor]
    of_slope: Callable[[Tensor], Tensor]
    among: Callable[[Tensor], Tensor] | None = None

    def __call__(self, discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        """The penalty as a scalar that can be differentiated by the discriminator's parameters.

        real, fake: (N, C, T) in [-1, 1], constants here. discriminator: of the P points.
        """
        points = self.points(real, fake).detach().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
        return self.of_slope(slope)


def between(real: Tensor, fake: Tensor) -> Tensor:
    """Points drawn uniformly between each real clip and its fake partner (Gulrajani et al. 2017, algorithm 1)."""
    size = [1] * (real.dim() - 1)
    share = distributed.rank_rows(lambda rows: torch.rand(rows, *size, device=real.device, dtype=real.dtype), len(real))
    return torch.lerp(real, fake, share)


def at_real(real: Tensor, fake: Tensor) -> Tensor:
    """The real clips themselves."""
    return real


def at_fake(real: Tensor, fake: Tensor) -> Tensor:
    """The generated clips themselves."""
    return fake


def at_both(real: Tensor, fake: Tensor) -> Tensor:
    """All of them: (2N, C, T)."""
    return torch.cat([real, fake])


def distance_from_one(slope: Tensor) -> Tensor:
    """Mean squared distance from 1 of each example's norm over all its numbers (Gulrajani et al. 2017, eq. 3)."""
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def excess_over_one(slope: Tensor) -> Tensor:
    """The same for norms above 1 only (Gulrajani et al. 2017, section 4; Petzka et al. 2018, eq. 8)."""
    return F.relu(slope.flatten(1).norm(dim=1) - 1).square().mean()


def half_square(slope: Tensor) -> Tensor:
    """Half the mean squared norm (Mescheder et al. 2018, eq. 9)."""
    return slope.flatten(1).square().sum(1).mean() / 2


def square(slope: Tensor) -> Tensor:
    """The mean squared norm: over real and fake clips together it is R1 + R2."""
    return 2 * half_square(slope)


def geometric(floor: float, steps: int) -> Callable[[int], float]:
    """Parts of a penalty's weight by step: from 1 they fall geometrically to the floor, within 80 % of the steps."""
    return lambda step: floor ** min(1.0, step / (FALL * steps))


gradient_penalty = Penalty(between, distance_from_one)

PENALTIES = {
    "gradient_penalty": gradient_penalty,
    "one_sided": Penalty(between, excess_over_one),
    "r1": Penalty(at_real, half_square, lambda both: both.chunk(2)[0]),
    "r2": Penalty(at_fake, half_square, lambda both: both.chunk(2)[1]),
    "r1_r2": Penalty(at_both, square, lambda both: both),
}
