"""Tests descriptors on sounds that are known."""

import math

import numpy as np
import pytest
import torch

from wavegan.steering import descriptors
from wavegan.steering.descriptors import DESCRIPTORS

RATE = 16000
TIME = np.arange(RATE) / RATE


def tone(frequency: float, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency * TIME) * (seconds > TIME)).astype(np.float32)


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)


def smooth(name: str, clip: np.ndarray) -> float:
    return float(DESCRIPTORS[name].smooth(torch.tensor(clip)[None]))


@pytest.mark.parametrize(
    ("name", "low", "high", "rise"),
    [
        ("brightness", tone(500), tone(2000), math.log(4)),
        ("length", tone(500, 0.2), tone(500, 0.8), math.log(4)),
        ("level", tone(500, 0.5, 0.1), tone(500, 1.0, 0.5), math.log(5)),
    ],
)
def test_a_descriptor_rises_by_the_ratio_of_what_it_measures(name, low, high, rise):
    measure = DESCRIPTORS[name].measure
    assert measure(high, RATE) - measure(low, RATE) == pytest.approx(rise, abs=0.06)
    assert smooth(name, high) - smooth(name, low) == pytest.approx(rise, abs=0.06), "that with a gradient too"


def test_noise_is_noisier_than_a_tone_and_silence_has_numbers():
    measure, faint = DESCRIPTORS["noisiness"].measure, tone(500) + 0.01 * NOISE
    for other, rise in ((faint, 1.5), (tone(500), 5)):
        assert measure(NOISE, RATE) > measure(other, RATE) + rise
        assert smooth("noisiness", NOISE) > smooth("noisiness", other) + rise
    assert smooth("noisiness", NOISE) - smooth("noisiness", faint) == pytest.approx(
        measure(NOISE, RATE) - measure(faint, RATE), rel=0.1
    )


def test_silence_has_numbers_and_slopes():
    silence = torch.zeros(1, 4096, requires_grad=True)
    for descriptor in DESCRIPTORS.values():
        assert math.isfinite(descriptor.measure(np.zeros(4096, np.float32), RATE))
        [slope] = torch.autograd.grad(descriptor.smooth(silence).sum(), silence)
        assert slope.isfinite().all()


def test_numbers_too_small_for_float32_to_hold_in_full_have_slopes():
    """A sound that dies away ends in them; the slope of a complex number's magnitude is nan there."""
    faint = torch.tensor([[1e-45, 0, 1e-44, -1e-40]], requires_grad=True)
    [slope] = torch.autograd.grad(descriptors._magnitudes(faint, 4, 2).sum(), faint)
    assert slope.isfinite().all()
