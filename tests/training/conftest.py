"""Defines trainings that are small enough to be run many times."""

from collections.abc import Callable

import pytest
import torch

from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import gradient_penalty
from wavegan.settings import PhaseShuffleSettings
from wavegan.training.loop import Training


@pytest.fixture
def training() -> Callable[..., Training]:
    """training(seed=…, start=…, …) makes a WaveGAN of width 1; `start` seeds its weights, the rest is a Training's."""

    def make(
        *, start: int = 0, batch_norm: bool = False, shared: bool = True, updates: int = 1, **settings
    ) -> Training:
        with torch.random.fork_rng([]):
            torch.manual_seed(start)
            gan = GAN(
                Generator(4096, dim=1, latent_dim=4, kernel_size=9, batch_norm=batch_norm),
                {
                    "waveform": Adversary(
                        Discriminator(
                            (1, 4096), dim=1, kernel_size=9, phase_shuffle=PhaseShuffleSettings(shared=shared)
                        ),
                        objective=OBJECTIVES["wasserstein"],
                        penalty=gradient_penalty,
                        penalty_weight=10,
                    )
                },
                discriminator_steps=updates,
            )
        optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.5, 0.9), fused=True)
            for name, network in gan.networks.items()
        }
        return Training(gan, optimizers, torch.device("cpu"), **settings)

    return make


@pytest.fixture
def batches() -> Callable[[int], Batch]:
    """Returns two clips of noise for each draw."""
    return lambda draw: Batch(torch.rand(2, 1, 4096, generator=torch.Generator().manual_seed(draw)) * 2 - 1)
