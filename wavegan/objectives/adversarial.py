"""Defines the losses that two players minimise, as functions of the discriminator's outputs.

Each objective is a pair: `discriminator(real, fake)` and `generator(fake)`, both scalars to be minimised,
where real and fake are the discriminator's outputs (N,) for real and generated clips, without a sigmoid. A new
objective takes a function or two and a line in `OBJECTIVES`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class Objective(NamedTuple):
    """Holds the losses of the two players.

    is_paired: the generator's loss takes the real clips' outputs as well, generator(fake, real). is_smoothable: the
    discriminator's loss takes smoothing=, as it has a target for real clips. is_bounded: its best discriminator needs
    no bound on its slope.
    """

    discriminator: Callable[..., Tensor]
    generator: Callable[..., Tensor]
    is_paired: bool = False
    is_smoothable: bool = False
    is_bounded: bool = True

    def of_generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Computes the generator's loss, a scalar, from outputs (N,); real counts only if the objective is paired."""
        return self.generator(fake, real) if self.is_paired else self.generator(fake)

    def smoothed(self, share: float) -> "Objective":
        """Returns the objective with this share of one-sided label smoothing (Salimans et al. 2016, section 3.4)."""
        return self._replace(discriminator=partial(self.discriminator, smoothing=share)) if share else self


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Computes the negated Wasserstein distance: mean D(fake) - mean D(real) (Arjovsky et al. 2017, eq. 2)."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """Computes -mean D(fake), which the generator minimises (Arjovsky et al. 2017, eq. 3)."""
    return -fake.mean()


def cross_entropy_discriminator(real: Tensor, fake: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Computes the cross-entropy of telling real from fake, as a sum of two means (Goodfellow et al. 2014, eq. 1).

    smoothing: the target probability of real clips is 1 - smoothing.
    """
    return F.softplus(-real).mean() + smoothing * real.mean() + F.softplus(fake).mean()


def minimax_generator(fake: Tensor) -> Tensor:
    """Computes mean log(1 - sigmoid D(fake)), as in the original game (Goodfellow et al. 2014, eq. 1)."""
    return -F.softplus(fake).mean()


def non_saturating_generator(fake: Tensor) -> Tensor:
    """Computes -mean log sigmoid D(fake), which is steep while the discriminator wins.

    Goodfellow et al. 2014, section 3.
    """
    return F.softplus(-fake).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Computes half the squared distances of real from 1 - smoothing and fake from 0 (Mao et al. 2017, eq. 9)."""
    return ((real - (1 - smoothing)).square().mean() + fake.square().mean()) / 2


def least_squares_generator(fake: Tensor) -> Tensor:
    """Computes half the squared distance of fake from 1 (Mao et al. 2017, eq. 9)."""
    return (fake - 1).square().mean() / 2


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Adds up the mean amounts by which real falls short of 1 and fake exceeds -1.

    Lim & Ye 2017; Miyato et al. 2018, eq. 16.
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Computes the cross-entropy of real against its fake partner.

    Jolicoeur-Martineau 2018; Huang et al. 2024, eq. 2.
    """
    return F.softplus(fake - real).mean()


def relativistic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Computes the same for the generator: fake is to look more real than its real partner."""
    return F.softplus(real - fake).mean()


def relativistic_average_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Computes the cross-entropy of each clip against the mean output of the other kind, real or fake.

    Each of several processes takes the means of its own clips (Jolicoeur-Martineau 2018, section 4.2).
    """
    return (F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()) / 2


def relativistic_average_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Computes the same with real and fake exchanged, as the generator wants it."""
    return relativistic_average_discriminator(fake, real)


OBJECTIVES = {
    "wasserstein": Objective(wasserstein_discriminator, wasserstein_generator, is_bounded=False),
    "minimax": Objective(cross_entropy_discriminator, minimax_generator, is_smoothable=True),
    "non_saturating": Objective(cross_entropy_discriminator, non_saturating_generator, is_smoothable=True),
    "least_squares": Objective(least_squares_discriminator, least_squares_generator, is_smoothable=True),
    "hinge": Objective(hinge_discriminator, wasserstein_generator),
    "relativistic": Objective(relativistic_discriminator, relativistic_generator, is_paired=True),
    "relativistic_average": Objective(
        relativistic_average_discriminator, relativistic_average_generator, is_paired=True
    ),
}
