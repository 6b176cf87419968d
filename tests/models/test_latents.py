"""One distribution of latents, wherever they are drawn."""

import pytest
import torch
from scipy import stats
from torch import nn

from wavegan.generation import Model, numbered_latents
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models import latents
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import gradient_penalty

DISTRIBUTIONS = {"uniform": stats.uniform(-1, 2), "normal": stats.norm()}


class Sink(nn.Module):
    """A generator that notes its latents; also a discriminator of what it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[torch.Tensor] = []

    def forward(self, z):
        self.seen.append(z.detach())
        return self.scale * z[:, None]


@pytest.mark.parametrize("latent", latents.LATENTS)
def test_the_distribution(latent):
    torch.manual_seed(0)
    z = latents.draw(latent, 200, 50)
    assert z.shape == (200, 50) and z.dtype == torch.float32
    assert stats.kstest(z.flatten().numpy(), DISTRIBUTIONS[latent].cdf).pvalue > 0.01
    if latent == "uniform":
        assert z.min() >= -1 and z.max() <= 1


@pytest.mark.parametrize("latent", latents.LATENTS)
def test_training_and_generation_draw_alike(latent):
    """Fault 10: training on uniform latents and previewing on normal ones."""
    torch.manual_seed(0)
    network, judge = Sink(), nn.Sequential(nn.Flatten(), nn.Linear(20, 1), nn.Flatten(0))
    adversary = Adversary(judge, objective=OBJECTIVES["wasserstein"], penalty=gradient_penalty, penalty_weight=10)
    gan = GAN(network, adversary, discriminator_steps=1, latent=latent, latent_dim=20)
    real = Batch(torch.zeros(200, 1, 20))
    gan.discriminator_backward(real)
    gan.generator_backward(real)
    model = Model(network, latent, 20, 20, 1, 16000, "a test", 0, ())
    for drawn in [*network.seen, numbered_latents(model, range(200))]:
        assert stats.kstest(drawn.flatten().numpy(), DISTRIBUTIONS[latent].cdf).pvalue > 0.01
    assert len(network.seen) == 2


@pytest.mark.parametrize("latent", latents.LATENTS)
def test_a_generator_of_its_own_leaves_the_global_one_alone(latent):
    before = torch.get_rng_state()
    first, second = (latents.draw(latent, 2, 3, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_distribution_is_our_own_mistake():
    with pytest.raises(AssertionError, match="latent is 'gamma', one of"):
        latents.draw("gamma", 1, 1)
