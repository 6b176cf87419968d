"""Tests the variational autoencoder: its loss by hand, and that it learns."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wavegan.distributed.environment import Environment
from wavegan.distributed.joining import Process
from wavegan.distributed.shares import share_of
from wavegan.dsp.representation import Waveform
from wavegan.methods.base import Batch
from wavegan.methods.vae import VAE, posterior
from wavegan.models.inputs import Input
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.reconstruction import RECONSTRUCTIONS
from wavegan.settings import PhaseShuffleSettings
from wavegan.training.loop import Training, take_step

NO_SHUFFLE = PhaseShuffleSettings(radius=0)


class Encoder(nn.Module):
    """Multiplies (N, 1, T) by a matrix, which gives means and log variances."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)  # (T, 2 · latent_dim)

    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze(1) @ self.weight


class Maker(nn.Module):
    """Multiplies z by a matrix, which gives (N, 1, T), and keeps its inputs."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.inputs = (Input("normal", (len(weight),)),)
        self.labels = 0
        self.output = Waveform()
        self.weight = nn.Parameter(weight)  # (latent_dim, T)
        self.seen: list[tuple[Tensor, Tensor | None]] = []

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        self.seen.append((z.detach(), labels))
        return (z @ self.weight)[:, None]


def squared(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().mean()


def method(encoder: nn.Module, generator: nn.Module, **settings) -> VAE:
    standard = {"reconstruction": squared, "kl_weight": 0.5, "kl_warmup_steps": 0}
    return VAE(encoder, generator, **{**standard, **settings})


def toy(latent_dim: int = 2, samples: int = 3, **settings) -> VAE:
    torch.manual_seed(1)
    encoder = Encoder(torch.randn(samples, 2 * latent_dim, dtype=torch.float64) * 0.5)
    maker = Maker(torch.randn(latent_dim, samples, dtype=torch.float64))
    return method(encoder, maker, **settings)


def bounded(said: np.ndarray) -> np.ndarray:
    return said / (1 + np.abs(said) / 10)


@pytest.mark.parametrize("weight", [0.5, 0.0])
def test_loss_and_gradients_by_hand(weight):
    vae, clips = toy(kl_weight=weight), torch.randn(4, 1, 3, dtype=torch.float64)
    torch.manual_seed(5)
    stats = vae.backward(Batch(clips))
    torch.manual_seed(5)
    noise = torch.randn(4, 2).double().numpy()
    encoder, maker = vae.networks["encoder"], vae.networks["generator"]
    assert isinstance(encoder, Encoder) and isinstance(maker, Maker)
    E, G, x = encoder.weight.detach().numpy(), maker.weight.detach().numpy(), clips[:, 0].numpy()
    mean, said = (x @ E)[:, :2], (x @ E)[:, 2:]
    log_variance = bounded(said)
    z = mean + np.exp(log_variance / 2) * noise
    error = z @ G - x
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1).mean() / 2
    assert stats["reconstruction"].item() == pytest.approx((error**2).mean())
    assert stats["kl"].item() == pytest.approx(kl)
    assert stats["loss"].item() == pytest.approx((error**2).mean() + weight * kl)
    # Backwards: the copy, z, and what the encoder says.
    for_copy = 2 * error / error.size
    for_z = for_copy @ G.T
    for_mean = for_z + weight * mean / (4 * 2)
    for_log_variance = for_z * noise * np.exp(log_variance / 2) / 2
    for_log_variance += weight * 0.5 * (np.exp(log_variance) - 1) / (4 * 2)
    for_said = for_log_variance / (1 + np.abs(said) / 10) ** 2
    assert maker.weight.grad is not None and encoder.weight.grad is not None
    np.testing.assert_allclose(maker.weight.grad.numpy(), z.T @ for_copy, rtol=1e-6)
    np.testing.assert_allclose(encoder.weight.grad.numpy(), x.T @ np.hstack([for_mean, for_said]), rtol=1e-6)


def test_neither_term_grows_with_the_clip_or_the_latent():
    """Doubles the numbers on either side and keeps their values: the loss stays the same."""
    small = method(Encoder(torch.tensor([[0.5, -1.0]])), Maker(torch.zeros(1, 1)))
    large = method(Encoder(torch.tensor([[0.5, 0.5, -1.0, -1.0], [0.0] * 4])), Maker(torch.zeros(2, 2)))
    short = small.backward(Batch(torch.full((3, 1, 1), 2.0)))
    long = large.backward(Batch(torch.full((3, 1, 2), 2.0)))
    assert short["reconstruction"].item() == long["reconstruction"].item() == 4
    assert short["kl"].item() == pytest.approx(long["kl"].item())
    said = -2 / 1.2
    assert short["kl"].item() == pytest.approx(0.5 * (1 + math.exp(said) - 1 - said))


@pytest.mark.parametrize(("said", "meant"), [(0.0, 0.0), (1.0, 1 / 1.1), (-10.0, -5.0), (1e30, 10.0), (-1e30, -10.0)])
def test_log_variances_are_bounded(said, meant):
    mean, log_variance = posterior(nn.Identity(), torch.tensor([[3.0, -1e6, said, 0.0]]))
    assert mean.tolist() == [[3.0, -1e6]]
    assert log_variance[0, 0].item() == pytest.approx(meant) and log_variance.shape == (1, 2)


def test_what_is_said_in_bf16_is_reckoned_with_in_the_clips_type():
    class Rough(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.bfloat16()

    assert [tensor.dtype for tensor in posterior(Rough(), torch.ones(1, 4))] == [torch.float32] * 2


@pytest.mark.parametrize("said", [300.0, -300.0])
def test_a_log_variance_gone_astray_finds_back(said):
    """exp(300) overflows; the loss and its gradient are finite, and descending leads towards the prior's 0."""
    vae = method(Encoder(torch.tensor([[0.0, said]])), Maker(torch.zeros(1, 1)))
    stats = vae.backward(Batch(torch.ones(2, 1, 1)))
    encoder = vae.networks["encoder"]
    assert isinstance(encoder, Encoder) and encoder.weight.grad is not None
    assert all(value.isfinite() for value in stats.values())
    pull = encoder.weight.grad[0, 1].item()
    assert math.isfinite(pull) and pull * said > 0


def test_a_kl_weight_of_zero_during_the_warm_up_gives_no_pull():
    vae = method(Encoder(torch.tensor([[2.0, 1.0]])), Maker(torch.zeros(1, 1)), kl_warmup_steps=10)
    vae.backward(Batch(torch.ones(2, 1, 1)))
    encoder = vae.networks["encoder"]
    assert isinstance(encoder, Encoder) and encoder.weight.grad is not None and not encoder.weight.grad.any()


def test_the_warm_up_rises_evenly_and_stays():
    vae = toy(kl_weight=0.8, kl_warmup_steps=4)
    held, weights = vae.kl_weight, []
    for step in (0, 1, 2, 3, 4, 5, 1000, 2):
        vae.advance(step)
        weights.append(vae.kl_weight.item())
    assert weights == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.4])
    assert vae.kl_weight is held and held.shape == (), "a recorded graph reads this very tensor"
    assert toy(kl_weight=0.8, kl_warmup_steps=0).kl_weight.item() == pytest.approx(0.8)


def test_the_loss_follows_the_weight_of_the_step():
    vae, batch = toy(kl_weight=2.0, kl_warmup_steps=8), Batch(torch.ones(1, 1, 3, dtype=torch.float64))
    vae.advance(2)
    stats = {name: value.item() for name, value in vae.backward(batch).items()}
    assert stats["loss"] == pytest.approx(stats["reconstruction"] + 0.5 * stats["kl"])


def test_each_clip_and_each_update_has_noise_of_its_own():
    vae = method(Encoder(torch.zeros(1, 4)), Maker(torch.zeros(2, 1)))  # z is the noise
    maker = vae.networks["generator"]
    assert isinstance(maker, Maker)
    torch.manual_seed(0)
    for _ in range(2):
        vae.backward(Batch(torch.zeros(2000, 1, 1)))
    drawn = torch.cat([z for z, _ in maker.seen])
    assert len(drawn.unique(dim=0)) == 4000
    assert drawn.mean(0).abs().max() < 0.08 and (drawn.var(0) - 1).abs().max() < 0.12  # five standard deviations


def test_the_posterior_is_normal_whatever_the_generators_latent_is():
    """Draws normal noise for a generator with a uniform latent, as the divergence is that of normal ones."""
    maker = Maker(torch.zeros(2, 1))
    maker.inputs = (Input("uniform", (2,)),)
    torch.manual_seed(3)
    method(Encoder(torch.zeros(1, 4)), maker).backward(Batch(torch.zeros(5, 1, 1)))
    torch.manual_seed(3)
    assert torch.equal(maker.seen[0][0], torch.randn(5, 2))


def test_processes_draw_together_what_one_would(monkeypatch):
    """Gives two processes a clip each: they draw the rows of one draw of two."""
    drawn = []
    for rank in range(2):
        process = Process(Environment(rank, 2), share=share_of(rank, 2, 2, 1))
        monkeypatch.setattr("wavegan.distributed._process", process)
        vae = method(Encoder(torch.zeros(1, 4)), Maker(torch.zeros(2, 1)))
        torch.manual_seed(3)
        vae.backward(Batch(torch.zeros(1, 1, 1)))
        maker = vae.networks["generator"]
        assert isinstance(maker, Maker)
        drawn.append(maker.seen[0][0])
    torch.manual_seed(3)
    torch.testing.assert_close(torch.cat(drawn), torch.randn(2, 2))


def test_the_generator_is_told_the_labels():
    vae, labels = toy(), torch.eye(2)
    maker = vae.networks["generator"]
    assert isinstance(maker, Maker)
    vae.backward(Batch(torch.zeros(2, 1, 3, dtype=torch.float64), labels))
    vae.backward(Batch(torch.zeros(2, 1, 3, dtype=torch.float64)))
    assert [seen for _, seen in maker.seen] == [labels, None]


def test_phases_and_what_is_averaged():
    vae = toy()
    assert [(phase.name, phase.networks, phase.times) for phase in vae.phases] == [("vae", ("encoder", "generator"), 1)]
    assert set(vae.networks) == {"encoder", "generator"} == set(vae.averaged)


def test_statistics_hold_no_graph():
    stats = toy().backward(Batch(torch.zeros(2, 1, 3, dtype=torch.float64)))
    assert stats.keys() == {"loss", "reconstruction", "kl"}
    assert all(value.shape == () and not value.requires_grad for value in stats.values())


def test_a_copy_has_a_weight_of_its_own():
    """Copies matter because speed is measured on copies of a method."""
    vae = toy(kl_weight=1.0)
    twin = copy.deepcopy(vae)
    twin.kl_weight.fill_(7)
    assert vae.kl_weight.item() == 1
    twin.phases[0].backward(Batch(torch.ones(2, 1, 3, dtype=torch.float64)))
    assert all(parameter.grad is None for network in vae.networks.values() for parameter in network.parameters())


def tones() -> Tensor:
    """Makes two decaying sines, 200 and 800 Hz at 16 kHz."""
    time = torch.arange(4096) / 16000
    return 0.5 * torch.sin(2 * math.pi * torch.tensor([[[200.0]], [[800.0]]]) * time) * torch.exp(-20 * time)


def pulses() -> Tensor:
    """Makes two slow pulses, one up and one down, which must not be confused though their spectra are equal."""
    return 0.5 * torch.tensor([[[1.0]], [[-1.0]]]) * torch.sin(math.pi * torch.arange(4096) / 4096)


@pytest.mark.parametrize(
    ("name", "clips", "share", "least_kl"),
    [("l1", pulses(), 0.7, 0.3), ("multi_resolution_stft", tones(), 0.6, 0.0)],
)
def test_a_small_one_learns(name, clips, share, least_kl):
    """Reduces two clips' loss to that share in some steps; with l1 the latent comes to tell the clips apart."""
    torch.manual_seed(0)
    encoder = Discriminator((1, 4096), dim=2, kernel_size=9, outputs=8, phase_shuffle=NO_SHUFFLE)
    generator = Generator(4096, dim=2, kernel_size=9, latent_dim=4)
    vae = VAE(encoder, generator, reconstruction=RECONSTRUCTIONS[name], kl_weight=0.01, kl_warmup_steps=5)
    optimizers = {
        network_name: torch.optim.Adam(network.parameters(), lr=3e-3) for network_name, network in vae.networks.items()
    }
    training = Training(vae, optimizers, torch.device("cpu"), seed=1)
    batch, all_stats = Batch(clips.repeat(4, 1, 1)), []
    for _ in range(60):
        all_stats.append(take_step(training, lambda draw: batch))
        training.step += 1
    losses = [stats["vae/loss"].item() for stats in all_stats]
    assert np.mean(losses[-5:]) < share * np.mean(losses[:5])
    assert least_kl < all_stats[-1]["vae/kl"].item() < 10


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_under_autocast_sums_are_exact(name):
    """Networks compute in bf16; mean, variance, the copy's distance and its statistics stay in the clips' type."""
    torch.manual_seed(0)
    seen = []

    def distance(x: Tensor, y: Tensor) -> Tensor:
        seen.extend([x.dtype, y.dtype])
        return RECONSTRUCTIONS[name](x, y)

    encoder = Discriminator((1, 4096), dim=1, kernel_size=5, outputs=4, phase_shuffle=NO_SHUFFLE)
    vae = method(encoder, Generator(4096, dim=1, kernel_size=5, latent_dim=2), reconstruction=distance)
    with torch.autocast("cpu", torch.bfloat16):
        stats = vae.backward(Batch(tones()))
    assert seen == [torch.float32] * 2
    assert all(value.dtype == torch.float32 and value.isfinite() for value in stats.values())
    assert all(parameter.grad is not None for network in vae.networks.values() for parameter in network.parameters())
