import pytest
import torch

from wavegan.dsp.channels import channel_mix
from wavegan.models.drops import SPARSEST, Drops, noise_spectra

WINDOW, HOP = 64, 16


def drops(channels: int = 1) -> Drops:
    return Drops(4, channel_mix(channels), window=WINDOW, hop=HOP)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def made(source: Drops, white: torch.Tensor, exponent: float) -> torch.Tensor:
    """Spectra of drops with one exponent in all frames."""
    frames = (white.shape[-1] - WINDOW) // HOP + 1
    return source(source.bursts(white), torch.full((len(white), frames), exponent))


def waves(spectra: torch.Tensor) -> torch.Tensor:
    return torch.fft.irfft(torch.view_as_complex(spectra))


@pytest.mark.parametrize("hop", [1, 16, 128])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_drops_have_the_power_of_hiss_however_sparse_they_are(exponent, hop):
    source = Drops(4, channel_mix(1), window=2 * hop if hop > 1 else 4, hop=hop)
    bursts = source.bursts(noise(4, 1, 400_000))
    frames = (bursts.shape[-1] - source.window) // hop + 1
    power = source(bursts, torch.full((4, frames), exponent)).square().sum(-1)
    assert power[..., 1:-1].mean().item() == pytest.approx(2, rel=0.08)


def test_the_higher_the_exponent_the_fewer_bursts_have_the_power():
    white, peaks = noise(1, 1, 2000 * HOP), []
    for exponent in (0.0, 1.0, SPARSEST):
        power = waves(made(drops(), white, exponent)).square().mean(-1)
        peaks.append((power.max() / power.mean()).item())
    assert peaks[1] > 2 * peaks[0] and peaks[2] > 2 * peaks[1], f"{peaks} of exponents 0, 1 and {SPARSEST}"


def test_a_burst_lasts_an_eighth_of_a_hop():
    source = Drops(4, channel_mix(1), window=256, hop=128)
    power = waves(made(source, noise(1, 1, 256), SPARSEST)[0, 0, 0]).square()
    loudest = power.argmax().item()
    assert power[max(0, loudest - 16) : loudest + 17].sum() > 0.75 * power.sum()
    assert power.max() < 0.5 * power.sum(), "it is no click of one sample"


def test_each_frame_has_its_own_exponent():
    source, white = drops(), noise(1, 1, WINDOW + 2 * HOP)
    bursts = source.bursts(white)
    plain, mixed = (source(bursts, torch.tensor([[0.0, middle, 0.0]])) for middle in (0.0, 1.0))
    torch.testing.assert_close(mixed[:, :, [0, 2]], plain[:, :, [0, 2]])
    assert (mixed[:, :, 1] - plain[:, :, 1]).abs().max() > 0.1, "the middle frame is sparse"


def test_a_drop_keeps_its_place_between_left_and_right():
    """A sound on the left alone has drops on the left alone, those of a single channel."""
    left, source = noise(1, 1, WINDOW + 7 * HOP), drops(2)
    maps = source.mix @ torch.cat([left, torch.zeros_like(left)], 1)
    channels = torch.einsum("mc,nmfbp->ncfbp", source.mix, made(source, maps, 2.0))
    torch.testing.assert_close(channels[:, :1], made(drops(), left, 2.0), rtol=1e-4, atol=1e-4)
    assert channels[:, 1].abs().max() < 1e-3 * channels[:, 0].abs().max(), "the right channel is silent"


def test_drops_are_not_in_phase_with_a_hiss_of_the_same_noise():
    white = noise(1, 1, 20_000 * HOP)
    hiss = noise_spectra(white.unfold(-1, WINDOW, HOP))
    together = (hiss * made(drops(), white, 1.0)).sum(-1).mean((0, 1, 2))[1:-1]
    assert together.abs().max() < 0.15, "of 2, which equal spectra would have"


def test_features_say_the_exponents_and_hear_of_what_they_did():
    source = drops()
    source.begin()
    features = noise(2, 5, 4).requires_grad_()
    exponents = source.exponents(features)
    assert exponents.shape == (2, 5)
    assert exponents.mean().item() == pytest.approx(0.36, abs=0.3), "hardly sparse"
    source(source.bursts(noise(2, 1, WINDOW + 4 * HOP)), exponents).square().square().sum().backward()
    assert features.grad is not None and features.grad.abs().min() > 0
