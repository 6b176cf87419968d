"""What two players minimise, as functions of the discriminator's outputs.

Each objective is a pair: `discriminator(real, fake)` and `generator(fake)`, both scalars to be minimised,
where real and fake are the discriminator's outputs (N,) for real and generated clips. Adding one is a
function or two and a line in `OBJECTIVES`.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Objective(NamedTuple):
    """The two players' losses."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Negated Wasserstein distance: mean D(fake) - mean D(real) (Arjovsky et al. 2017, eq. 2)."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """What the generator lowers: -mean D(fake) (Arjovsky et al. 2017, eq. 3)."""
    return -fake.mean()


OBJECTIVES = {"wasserstein": Objective(wasserstein_discriminator, wasserstein_generator)}
