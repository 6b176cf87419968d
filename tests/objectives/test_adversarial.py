"""Compares objectives with numbers worked by hand, and their gradients with finite differences."""

from math import exp, log, sqrt

import pytest
import torch
from torch import Tensor

from wavegan.objectives.adversarial import (
    OBJECTIVES,
    relativistic_discriminator,
    relativistic_generator,
    wasserstein_discriminator,
    wasserstein_generator,
)

REAL, FAKE = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([-1.0, 0.5, 2.0, 4.5])  # means 3 and 1.5

# On D(real) = (0, log 3) and D(fake) = (-log 3, log 7), so that sigmoids are 1/2, 3/4 and 1/4, 7/8.
REALS, FAKES = [0.0, log(3)], [-log(3), log(7)]
BY_HAND = {  # the discriminator's loss, the generator's
    "wasserstein": ((log(7) - log(3)) / 2 - log(3) / 2, -(log(7) - log(3)) / 2),
    "minimax": (-(log(1 / 2) + log(3 / 4)) / 2 - (log(3 / 4) + log(1 / 8)) / 2, (log(3 / 4) + log(1 / 8)) / 2),
    "non_saturating": (-(log(1 / 2) + log(3 / 4)) / 2 - (log(3 / 4) + log(1 / 8)) / 2, -(log(1 / 4) + log(7 / 8)) / 2),
    "least_squares": (
        ((0 - 1) ** 2 + (log(3) - 1) ** 2) / 4 + (log(3) ** 2 + log(7) ** 2) / 4,
        ((-log(3) - 1) ** 2 + (log(7) - 1) ** 2) / 4,
    ),
    "hinge": (((1 - 0) + 0) / 2 + (0 + 1 + log(7)) / 2, -(log(7) - log(3)) / 2),
    # real - fake is log 3 and log 3 - log 7, of which the sigmoids are 3/4 and 3/10
    "relativistic": (-(log(3 / 4) + log(3 / 10)) / 2, -(log(1 / 4) + log(7 / 10)) / 2),
    # real lies r = log √(3/7) and log √(27/7) above the mean fake output, fake lies f = -log √27 and log √(49/3) above
    # the mean real one; each is told by a sigmoid of that
    "relativistic_average": (
        (log(1 + sqrt(7 / 3)) + log(1 + sqrt(7 / 27)) + log(1 + 1 / sqrt(27)) + log(1 + sqrt(49 / 3))) / 4,
        (log(1 + sqrt(3 / 7)) + log(1 + sqrt(27 / 7)) + log(1 + sqrt(27)) + log(1 + sqrt(3 / 49))) / 4,
    ),
}
SMOOTHED = {  # the discriminator's loss with a fifth of smoothing
    "minimax": -(0.8 * log(1 / 2) + 0.2 * log(1 / 2) + 0.8 * log(3 / 4) + 0.2 * log(1 / 4)) / 2
    - (log(3 / 4) + log(1 / 8)) / 2,
    "least_squares": ((0 - 0.8) ** 2 + (log(3) - 0.8) ** 2) / 4 + (log(3) ** 2 + log(7) ** 2) / 4,
}
SMOOTHED["non_saturating"] = SMOOTHED["minimax"]


def scores(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def generators_loss(name: str, fake: Tensor, real: Tensor) -> Tensor:
    objective = OBJECTIVES[name]
    return objective.generator(fake, real) if objective.is_paired else objective.generator(fake)


def test_every_objective_is_worked_by_hand():
    assert set(BY_HAND) == set(OBJECTIVES)
    assert set(SMOOTHED) == {name for name, objective in OBJECTIVES.items() if objective.is_smoothable}


@pytest.mark.parametrize("name", BY_HAND)
def test_losses_by_hand(name):
    real, fake = scores(REALS), scores(FAKES)
    expected = BY_HAND[name]
    assert OBJECTIVES[name].discriminator(real, fake).item() == pytest.approx(expected[0], rel=1e-12)
    assert generators_loss(name, fake, real).item() == pytest.approx(expected[1], rel=1e-12)


@pytest.mark.parametrize("name", SMOOTHED)
def test_label_smoothing_by_hand(name):
    loss = OBJECTIVES[name].smoothed(0.2).discriminator(scores(REALS), scores(FAKES))
    assert loss.item() == pytest.approx(SMOOTHED[name], rel=1e-12)
    assert OBJECTIVES[name].smoothed(0) is OBJECTIVES[name]


@pytest.mark.parametrize("name", sorted(SMOOTHED))
def test_smoothing_moves_the_best_score_of_real_clips_to_its_target(name):
    """The loss of a single real score is least at logit 0.8, or at 0.8 itself for least squares."""
    real = scores([0.0]).requires_grad_()
    optimizer = torch.optim.SGD([real], lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        OBJECTIVES[name].smoothed(0.2).discriminator(real, scores([0.0])).backward()
        optimizer.step()
    best = 0.8 if name == "least_squares" else log(0.8 / 0.2)
    assert real.item() == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize("name", BY_HAND)
def test_gradients_by_finite_differences(name):
    draw = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 5, dtype=torch.float64, generator=draw).requires_grad_()
    objective = OBJECTIVES[name]
    assert torch.autograd.gradcheck(lambda r, f: objective.discriminator(r, f), (real, fake))
    assert torch.autograd.gradcheck(lambda f: generators_loss(name, f, real.detach()), (fake,))


@pytest.mark.parametrize("name", BY_HAND)
def test_the_two_players_pull_apart(name):
    """The discriminator wants real scores up and fake ones down, the generator fake ones up."""
    real, fake = scores([0.1, -0.2]).requires_grad_(), scores([0.1, 0.3]).requires_grad_()
    up, down = torch.autograd.grad(OBJECTIVES[name].discriminator(real, fake), (real, fake))
    assert (up < 0).all() and (down > 0).all()
    (wanted,) = torch.autograd.grad(generators_loss(name, fake, real.detach()), fake)
    assert (wanted < 0).all()


@pytest.mark.parametrize("name", BY_HAND)
def test_no_loss_overflows(name):
    """Scores of ±1000 leave a finite loss and finite gradients.

    No loss computes the logarithm of a sigmoid that has become 0.
    """
    real, fake = torch.tensor([1000.0, -1000.0]).requires_grad_(), torch.tensor([1000.0, -1000.0]).requires_grad_()
    losses = OBJECTIVES[name].discriminator(real, fake), generators_loss(name, fake, real)
    for loss in losses:
        assert loss.isfinite() and all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, fake))


def test_saturation_is_what_sets_minimax_and_non_saturating_apart():
    """The minimax gradient vanishes if the discriminator is sure of a fake, at -10; the other one does not."""
    sure = scores([-10.0]).requires_grad_()
    losses = [OBJECTIVES[name].generator(sure) for name in ("minimax", "non_saturating")]
    slopes = [torch.autograd.grad(loss, sure)[0].item() for loss in losses]
    assert slopes[0] == pytest.approx(-1 / (1 + exp(10)), rel=1e-9)
    assert slopes[1] == pytest.approx(-1 / (1 + exp(-10)), rel=1e-9)


def test_only_differences_count_to_the_relativistic_pair():
    real, fake = scores(REALS), scores(FAKES)
    for loss in (relativistic_discriminator(real, fake), relativistic_generator(fake, real)):
        assert loss.item() > 0
    moved = relativistic_discriminator(real + 5, fake + 5)
    assert moved.item() == pytest.approx(relativistic_discriminator(real, fake).item())
    assert relativistic_generator(fake, real).item() == relativistic_discriminator(fake, real).item()


def test_wasserstein_gradients_push_scores_apart():
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    wasserstein_discriminator(real, fake).backward()
    assert real.grad is not None and fake.grad is not None
    assert real.grad.tolist() == pytest.approx([-1 / 3] * 3)  # lower loss: real scores up, fake ones down
    assert fake.grad.tolist() == [1 / 4] * 4
    (wanted,) = torch.autograd.grad(wasserstein_generator(fake), fake)
    assert wanted.tolist() == [-1 / 4] * 4  # the generator wants them up
