"""Objectives on numbers worked by hand."""

import pytest
import torch

from wavegan.objectives.adversarial import OBJECTIVES, wasserstein_discriminator, wasserstein_generator

REAL, FAKE = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([-1.0, 0.5, 2.0, 4.5])  # means 3 and 1.5


def test_wasserstein_losses():
    assert wasserstein_discriminator(REAL, FAKE).item() == 1.5 - 3
    assert wasserstein_generator(FAKE).item() == -1.5
    assert OBJECTIVES["wasserstein"] == (wasserstein_discriminator, wasserstein_generator)


def test_wasserstein_gradients_push_scores_apart():
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    wasserstein_discriminator(real, fake).backward()
    assert real.grad is not None and fake.grad is not None
    assert real.grad.tolist() == pytest.approx([-1 / 3] * 3)  # lower loss: real scores up, fake ones down
    assert fake.grad.tolist() == [1 / 4] * 4
    (wanted,) = torch.autograd.grad(wasserstein_generator(fake), fake)
    assert wanted.tolist() == [-1 / 4] * 4  # the generator wants them up
