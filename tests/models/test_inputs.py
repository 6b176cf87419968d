"""Tests that there is one distribution of inputs, wherever they are drawn."""

import pytest
import torch
from scipy import stats
from torch import nn

from wavegan.dsp.representation import Waveform
from wavegan.generation import Model, numbered_latents
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models.inputs import DISTRIBUTIONS, Input
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import gradient_penalty

SCIPYS = {"uniform": stats.uniform(-1, 2), "normal": stats.norm()}


class Sink(nn.Module):
    """Describes a generator that notes its latents; it is also the discriminator."""

    labels = 0

    def __init__(self, latent: str) -> None:
        super().__init__()
        self.inputs = (Input(latent, (20,)),)
        self.output = Waveform()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[torch.Tensor] = []

    def forward(self, z, labels=None):
        self.seen.append(z.detach())
        return self.scale * z[:, None]


@pytest.mark.parametrize("latent", DISTRIBUTIONS)
def test_the_distribution(latent):
    torch.manual_seed(0)
    z = Input(latent, (50,)).draw(200)
    assert z.shape == (200, 50) and z.dtype == torch.float32
    assert stats.kstest(z.flatten().numpy(), SCIPYS[latent].cdf).pvalue > 0.01
    if latent == "uniform":
        assert z.min() >= -1 and z.max() <= 1


@pytest.mark.parametrize("latent", DISTRIBUTIONS)
def test_training_and_generation_draw_alike(latent):
    """Guards against training on uniform latents and previewing on normal ones."""
    torch.manual_seed(0)
    network, judge = Sink(latent), nn.Sequential(nn.Flatten(), nn.Linear(20, 1), nn.Flatten(0))
    adversary = Adversary(judge, objective=OBJECTIVES["wasserstein"], penalty=gradient_penalty, penalty_weight=10)
    gan = GAN(network, {"waveform": adversary}, discriminator_steps=1)
    real = Batch(torch.zeros(200, 1, 20))
    gan.discriminators_backward(real)
    gan.generator_backward(real)
    model = Model(network, 20, 1, 16000, "a test", 0, ())
    for drawn in [*network.seen, numbered_latents(model, range(200))]:
        assert stats.kstest(drawn.flatten().numpy(), SCIPYS[latent].cdf).pvalue > 0.01
    assert len(network.seen) == 2


@pytest.mark.parametrize("latent", DISTRIBUTIONS)
def test_noise_of_any_shape_for_each_clip(latent):
    """Draws the same numbers as one long row: the shape decides nothing else."""
    drawn, flat = (
        Input(latent, shape).draw(5, generator=torch.Generator().manual_seed(3)) for shape in ((2, 7), (14,))
    )
    assert drawn.shape == (5, 2, 7) and torch.equal(drawn.flatten(1), flat)


@pytest.mark.parametrize("latent", DISTRIBUTIONS)
def test_a_generator_of_its_own_leaves_the_global_one_alone(latent):
    before = torch.get_rng_state()
    first, second = (Input(latent, (3,)).draw(2, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_distribution_is_our_own_mistake():
    with pytest.raises(AssertionError, match="distribution is 'gamma', not "):
        Input("gamma", (1,)).draw(1)
