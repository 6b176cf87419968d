"""Defines the penalties that are added to a discriminator's loss, not yet multiplied by their weights.

A penalty chooses points and turns the discriminator's gradient there into a scalar. When called, it computes this with
plain autograd. If the discriminator is piecewise linear, `methods/first_order.py` computes the same gradients from the
same two functions without a double backward.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from wavegan import distributed

FALL = 0.8  # of a run, in which a weight falls; then it stays, as the end of a training is for details


class Penalty(NamedTuple):
    """Chooses points for a pair of batches and turns the discriminator's gradients there into a scalar.

    sample_points(real, fake) gives P clips, one or two for each pair. value(gradient) gives a scalar from the
    discriminator's gradients there. real, fake: (N, C, T), gradient: (P, C, T), or spectrograms. select_rows: if the
    points are clips themselves, picks their rows from a tensor that has a row for each real and then each fake clip.
    """

    sample_points: Callable[[Tensor, Tensor], Tensor]
    value: Callable[[Tensor], Tensor]
    select_rows: Callable[[Tensor], Tensor] | None = None

    def __call__(self, discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        """Computes the penalty, a scalar that can be differentiated by the discriminator's parameters.

        real, fake: (N, C, T) in [-1, 1]; no gradient reaches them. discriminator: takes the P points.
        """
        points = self.sample_points(real, fake).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
        return self.value(gradient)


def between(real: Tensor, fake: Tensor) -> Tensor:
    """Draws points uniformly between each real clip and its fake partner (Gulrajani et al. 2017, algorithm 1)."""
    size = [1] * (real.dim() - 1)
    share = distributed.rank_rows(lambda rows: torch.rand(rows, *size, device=real.device, dtype=real.dtype), len(real))
    return torch.lerp(real, fake, share)


def at_real(real: Tensor, fake: Tensor) -> Tensor:
    """Returns the real clips themselves."""
    return real


def at_fake(real: Tensor, fake: Tensor) -> Tensor:
    """Returns the generated clips themselves."""
    return fake


def at_both(real: Tensor, fake: Tensor) -> Tensor:
    """Returns the real, then the generated clips: (2N, C, T)."""
    return torch.cat([real, fake])


def distance_from_one(gradient: Tensor) -> Tensor:
    """Computes the mean squared distance from 1 of each example's norm (Gulrajani et al. 2017, eq. 3)."""
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def excess_over_one(gradient: Tensor) -> Tensor:
    """Computes the mean squared excess of each example's norm over 1; smaller norms count as 0.

    Gulrajani et al. 2017, section 4; Petzka et al. 2018, eq. 8.
    """
    return F.relu(gradient.flatten(1).norm(dim=1) - 1).square().mean()


def half_square(gradient: Tensor) -> Tensor:
    """Computes half the mean squared norm (Mescheder et al. 2018, eq. 9)."""
    return gradient.flatten(1).square().sum(1).mean() / 2


def square(gradient: Tensor) -> Tensor:
    """Computes the mean squared norm: over real and fake clips together it is R1 + R2."""
    return 2 * half_square(gradient)


def geometric(floor: float, steps: int) -> Callable[[int], float]:
    """Returns a function of the step, a weight's share: it falls geometrically from 1 to floor by 80 % of steps."""
    return lambda step: floor ** min(1.0, step / (FALL * steps))


gradient_penalty = Penalty(between, distance_from_one)

PENALTIES = {
    "gradient_penalty": gradient_penalty,
    "one_sided": Penalty(between, excess_over_one),
    "r1": Penalty(at_real, half_square, lambda both: both.chunk(2)[0]),
    "r2": Penalty(at_fake, half_square, lambda both: both.chunk(2)[1]),
    "r1_r2": Penalty(at_both, square, lambda both: both),
}
