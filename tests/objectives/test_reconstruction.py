"""Compares reconstruction and divergence with numbers worked by hand, scipy, torch.distributions and differences."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import get_window
from torch import Tensor
from torch.distributions import Normal
from torch.distributions import kl_divergence as torchs_divergence

from wavegan.objectives.reconstruction import (
    LEAST_POWER,
    RECONSTRUCTIONS,
    WINDOWS_SAMPLES,
    kl_divergence,
    l1,
    magnitudes,
    multi_resolution_stft,
)

DOUBLE = torch.float64


def noise(*shape: int, seed: int = 0, level: float = 0.1) -> Tensor:
    return level * torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def tone(frequency: float, amplitude: float = 1.0, samples: int = 4096) -> Tensor:
    """Makes a sine with so many periods per 512 samples, (1, 1, T)."""
    return amplitude * torch.sin(2 * math.pi * frequency * torch.arange(samples, dtype=DOUBLE) / 512)[None, None]


def test_l1_by_hand():
    x = torch.tensor([[[1.0, -1.0]], [[0.0, 0.5]]], requires_grad=True)
    y = torch.tensor([[[0.5, 1.0]], [[0.0, 0.0]]])
    distance = l1(x, y)  # 0.5, 2, 0 and 0.5 over four
    distance.backward()
    assert distance.item() == 0.75
    assert x.grad is not None and x.grad.tolist() == [[[0.25, -0.25]], [[0, 0.25]]]


def test_l1_takes_spectrograms():
    assert l1(torch.zeros(2, 1, 8, 4), torch.full((2, 1, 8, 4), -0.5)).item() == 0.5


@pytest.mark.parametrize("window_samples", WINDOWS_SAMPLES)
def test_magnitudes_are_scipys(window_samples):
    x = noise(2, 2, 3000)
    window = np.asarray(get_window("hann", window_samples))
    expected = []
    hop = window_samples // 4
    for line in x.numpy().reshape(4, -1):
        padded = np.pad(line, window_samples // 2)
        frames = [padded[start : start + window_samples] * window for start in range(0, 3001, hop)]
        expected.append(np.abs(np.fft.rfft(frames, axis=1)).T * 2 / window.sum())
    computed = magnitudes(x, window_samples)
    assert computed.shape == (2, 2, window_samples // 2 + 1, 3000 // hop + 1)
    expected = np.sqrt(np.array(expected).reshape(computed.shape) ** 2 + LEAST_POWER)
    np.testing.assert_allclose(computed.numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("window_samples", WINDOWS_SAMPLES)
def test_a_full_sine_has_magnitude_one_in_its_bin(window_samples):
    computed = magnitudes(tone(40), window_samples)
    frame = computed[0, 0, :, computed.shape[3] // 2]
    assert frame.argmax().item() == 40 * window_samples // 512
    assert frame.max().item() == pytest.approx(1, abs=1e-6)


def by_numpy(x: Tensor, y: Tensor) -> float:
    """Computes the definition, clip by clip, for clips that are louder than the floors."""
    distances = []
    for window_samples in WINDOWS_SAMPLES:
        for clip, copy in zip(x, y, strict=True):
            a, b = (magnitudes(part[None], window_samples)[0].numpy() for part in (clip, copy))
            convergence = np.sqrt(((a - b) ** 2).sum()) / np.sqrt((a**2).sum())
            distances.append(convergence + np.abs(np.log(a) - np.log(b)).mean())
    return float(np.mean(distances))


def test_the_distance_is_its_definition():
    x, y = noise(3, 2, 2500), noise(3, 2, 2500, seed=1, level=0.3)
    assert multi_resolution_stft(x, y).item() == pytest.approx(by_numpy(x, y), rel=1e-9)
    assert by_numpy(x, y) != pytest.approx(by_numpy(y, x), rel=0.1), "the original's norm is the measure"


def test_half_the_level_by_hand():
    """Compares |X| / 2 with |X|: a share of 0.5, and log 2 in every bin, for noise that the floors do not reach."""
    x = noise(2, 1, 4096, level=0.3)
    assert multi_resolution_stft(x, x / 2).item() == pytest.approx(0.5 + math.log(2), abs=1e-3)
    assert multi_resolution_stft(x / 2, x).item() == pytest.approx(1 + math.log(2), abs=1e-3)


def test_equal_clips_and_turned_ones_are_no_distance_apart():
    x = noise(2, 1, 2048).requires_grad_()
    distance = multi_resolution_stft(x.detach(), x)
    distance.backward()
    assert distance.item() == 0
    assert x.grad is not None and not x.grad.any()
    assert multi_resolution_stft(x, -x).item() == pytest.approx(0, abs=1e-12)


def test_a_split_batch_has_the_mean_of_its_parts():
    """Splits a batch as several processes do: no norm runs over clips. One clip is a hundred times as loud."""
    x, y = noise(4, 1, 2048), noise(4, 1, 2048, seed=1)
    x[0] *= 100
    parts = [multi_resolution_stft(x[part], y[part]).item() for part in (slice(2), slice(2, 4))]
    assert multi_resolution_stft(x, y).item() == pytest.approx(np.mean(parts), rel=1e-12)


def test_a_wrong_pitch_is_further_than_a_wrong_phase():
    x = tone(20, 0.5)
    later = torch.cat([x[..., 7:], x[..., :7]], dim=2)
    assert multi_resolution_stft(x, later) < 0.5 < 1.5 < multi_resolution_stft(x, tone(23, 0.5))


SILENCE = torch.zeros(1, 1, 2048)
QUIET = 1e-9 * torch.randn(1, 1, 2048, generator=torch.Generator().manual_seed(1))
LOUD = torch.rand(1, 1, 2048, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize("x", [SILENCE, QUIET, LOUD])
@pytest.mark.parametrize("y", [SILENCE, QUIET, LOUD])
def test_gradients_are_finite_for_silence(x, y):
    """Checks that they are bounded too.

    A copy that is far from silence is some ten times the floor's level away, not 1e10 times.
    """
    y = y.clone().requires_grad_()
    distance = multi_resolution_stft(x, y)
    distance.backward()
    assert distance.item() < 100
    assert y.grad is not None and y.grad.isfinite().all() and y.grad.norm() < 1e4


def test_the_share_of_silence_is_that_of_noise_of_minus_40_decibels():
    """A Hann window's Σw² is 3/8 and its Σw 1/2 of its length: such noise has the magnitude 0.01 · √(6 / length)."""
    y, distances = noise(1, 1, 16384), []
    for window_samples in WINDOWS_SAMPLES:
        made = magnitudes(y, window_samples)
        of_noise = 0.01 * math.sqrt(6 / window_samples)
        share = (made - 1e-5).square().mean().sqrt() / of_noise
        assert share.item() == pytest.approx(10, rel=0.03), "its level is -20 dBFS, but for the frames at the ends"
        distances.append(share.item() + (made.log() - math.log(1e-5)).mean().item())
    assert multi_resolution_stft(torch.zeros_like(y), y).item() == pytest.approx(np.mean(distances), rel=1e-9)


def test_the_gradient_is_that_of_finite_differences():
    x, y = noise(1, 2, 1056), noise(1, 2, 1056, seed=1).requires_grad_()
    multi_resolution_stft(x, y).backward()
    along = noise(1, 2, 1056, seed=2, level=1.0)
    with torch.no_grad():
        ends = [multi_resolution_stft(x, y + way * 1e-7 * along).item() for way in (1, -1)]
    assert y.grad is not None
    assert (y.grad * along).sum().item() == pytest.approx((ends[0] - ends[1]) / 2e-7, rel=1e-3)


def test_clips_that_are_too_short_are_refused():
    assert multi_resolution_stft(torch.zeros(1, 1, 1025), torch.zeros(1, 1, 1025)).item() == 0
    with pytest.raises(ValueError, match="1024 samples.*2048.*longer or choose l1"):
        multi_resolution_stft(torch.zeros(1, 1, 1024), torch.zeros(1, 1, 1024))


def test_under_autocast_the_distance_is_the_same():
    x, y = noise(1, 1, 2048).float(), noise(1, 1, 2048, seed=1).float()
    with torch.autocast("cpu", torch.bfloat16):
        within = multi_resolution_stft(x, y)
    assert within.dtype == torch.float32 and within.item() == multi_resolution_stft(x, y).item()


def test_the_divergence_by_hand():
    """Takes ½ (1 + 1 - 1 - 0) and ½ (0 + 4 - 1 - log 4) in one clip, and nothing in the other."""
    mean = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    log_variance = torch.tensor([[0.0, math.log(4)], [0.0, 0.0]])
    expected = (0.5 + (1.5 - math.log(2))) / 2
    assert kl_divergence(mean, log_variance).item() == pytest.approx(expected)


def test_the_divergence_is_torchs():
    mean, log_variance = noise(5, 7, level=2.0), noise(5, 7, seed=1, level=2.0)
    prior = Normal(torch.zeros(7, dtype=DOUBLE), torch.ones(7, dtype=DOUBLE))
    expected = torchs_divergence(Normal(mean, (log_variance / 2).exp()), prior).sum(1).mean()
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected, rtol=1e-12, atol=0)


def test_the_divergences_gradient():
    assert torch.autograd.gradcheck(kl_divergence, (noise(2, 3).requires_grad_(), noise(2, 3, seed=1).requires_grad_()))
    mean, log_variance = torch.tensor([[3.0]], requires_grad=True), torch.tensor([[math.log(5)]], requires_grad=True)
    kl_divergence(mean, log_variance).backward()  # μ and ½ (σ² - 1)
    assert mean.grad is not None and log_variance.grad is not None
    assert (mean.grad.item(), log_variance.grad.item()) == (3, pytest.approx(2))


def test_the_table():
    assert {"l1": l1, "multi_resolution_stft": multi_resolution_stft} == RECONSTRUCTIONS
