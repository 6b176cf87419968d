"""Tests what of a frame is not predicted: against complex numbers, tones, noise and silence, and its slopes."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.dsp.prediction import SOFTER, power_of, residual_power
from wavegan.dsp.views import LogMagnitude

FLOOR = 1e-4
WINDOW, HOP = 64, 16


def spectra(*shape: int, seed: int = 0) -> Tensor:
    """Returns spectra (*shape, 2) whose magnitudes lie between 1e-6 and 1."""
    random = torch.Generator().manual_seed(seed)
    levels = torch.rand(*shape, 1, dtype=torch.float64, generator=random)
    return 10 ** (-6 * levels) * torch.randn(*shape, 2, dtype=torch.float64, generator=random)


def spectra_of(clips: Tensor) -> Tensor:
    return LogMagnitude(WINDOW, HOP)._spectra(clips)


def sine(cycles: float, samples: int = 1024) -> Tensor:
    """Returns a sine of so many cycles a window, (1, 1, samples) in float64."""
    return torch.sin(2 * math.pi * cycles / WINDOW * torch.arange(samples, dtype=torch.float64))[None, None]


def decibels_unpredicted(clips: Tensor, row: int) -> Tensor:
    """Returns how loud the residual is beside the spectrum itself, in the frames within the clips."""
    x = spectra_of(clips)
    return (10 * (residual_power(x, FLOOR) / power_of(x)).log10())[0, 0, 8:-4, row]


def test_it_is_the_power_of_the_frame_without_the_predicted_one():
    pairs = spectra(2, 3, 6, 5)
    x = np.concatenate([np.zeros((2, 3, 2, 5)), torch.view_as_complex(pairs).numpy()], axis=2)
    now, before, long_before = x[:, :, 2:], x[:, :, 1:-1], x[:, :, :-2]
    soft = np.sqrt(np.abs(long_before) ** 2 + (SOFTER * np.abs(before)) ** 2 + FLOOR**2)
    predicted = before * (before / np.sqrt(np.abs(before) ** 2 + FLOOR**2)) * (long_before.conj() / soft)
    np.testing.assert_allclose(residual_power(pairs, FLOOR).numpy(), np.abs(now - predicted) ** 2, rtol=1e-9)


@pytest.mark.parametrize("cycles", [10, 10.2, 9.6])
def test_of_a_steady_sine_46_decibels_below_itself_are_left_whatever_its_frequency(cycles):
    left = decibels_unpredicted(sine(cycles), row=10)
    expected = 20 * math.log10(1 - 1 / math.sqrt(1 + SOFTER**2))
    torch.testing.assert_close(left, torch.full_like(left, expected), rtol=0, atol=0.2)


def test_noise_beside_a_sine_is_left_and_of_noise_alone_nearly_all():
    noise = torch.randn(1, 1, 4096, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    of_noise = decibels_unpredicted(noise, row=10).median()
    soft, loud = (decibels_unpredicted(sine(10.2, 4096) + level * noise, row=10).median() for level in (0.05, 0.5))
    assert of_noise > -4 and 18 < loud - soft < 22, (of_noise, soft, loud)


def test_of_silence_nothing_is_left_and_of_a_first_frame_all():
    assert (residual_power(torch.zeros(1, 2, 4, 3, 2), FLOOR) == 0).all()
    x = spectra(2, 1, 1, 5)
    assert torch.equal(residual_power(x, FLOOR), power_of(x))


def test_the_slope_of_its_logarithm_is_bounded_at_every_level():
    x = spectra(1, 2000, 3, 1)
    x[0, ::5, 0], x[0, 1::5, 1], x[0, 2::5, 2] = 0, 0, 0
    x.requires_grad_()
    level = (residual_power(x, FLOOR)[:, :, 2] + FLOOR**2).log() / 2
    (slope,) = torch.autograd.grad(level.sum(), x)
    assert slope.isfinite().all()
    now, before, long_before = (slope.norm(dim=-1)[0, :, frame].max().item() * FLOOR for frame in (2, 1, 0))
    assert 0.4 < now <= 0.5 and before < 1.5 and long_before < 0.5 / SOFTER


@pytest.mark.parametrize("floor", [1e-2, 1.0])
def test_gradcheck(floor):
    x = torch.randn(1, 1, 4, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: residual_power(x, floor), (x,))


@pytest.mark.parametrize("power_beside", [0, 0.3])
def test_a_view_has_its_level_as_further_channels_with_statistics_of_their_own(power_beside):
    clips = (torch.randn(6, 2, 640, generator=torch.Generator().manual_seed(1)) / 4).requires_grad_()
    view = LogMagnitude(WINDOW, HOP, power_beside=power_beside, residual_beside=True)
    plain = LogMagnitude(WINDOW, HOP, power_beside=power_beside)
    maps = 3 if power_beside else 2
    seen = view(clips)
    assert seen.shape[1:] == view.shape(2, 640) == (2 * maps, 32, 40)
    level = (residual_power(spectra_of(clips), FLOOR) + FLOOR**2).log().transpose(2, 3) / 2
    torch.testing.assert_close(seen[:, maps - 1 :: maps], level)
    assert (view(torch.zeros(1, 1, 1))[:, maps - 1] - math.log(FLOOR)).abs().max() < 1e-4
    torch.testing.assert_close(seen[:, ::maps], plain(clips)[:, :: maps - 1])
    view.measure([clips.detach()])
    seen = view(clips)[:, maps - 1 :: maps]
    torch.testing.assert_close(seen.mean((0, 1, 3)), torch.zeros(32), rtol=0, atol=1e-4)
    torch.testing.assert_close(seen.std((0, 1, 3), correction=0), torch.ones(32), rtol=1e-3, atol=0)
    (slope,) = torch.autograd.grad(seen.square().sum(), clips)
    assert slope.isfinite().all() and (slope != 0).all()
