"""Tests which pitches are heard in frames: of tones, glides, noise, silence and sound beside louder sound."""

import math

import pytest
import torch
from torch import Tensor

from wavegan.dsp.pitch import clear_pitches

WINDOW = 512


def voice(cycles: float, frames: int = 8, harmonics: int = 10) -> Tensor:
    """Returns frames (frames, WINDOW) of a sound with so many cycles a window and equally loud harmonics below half."""
    time = torch.arange(frames * WINDOW) / WINDOW
    numbers = torch.arange(1, min(harmonics, int(WINDOW / 2 / cycles)) + 1)
    return (
        torch.sin(2 * math.pi * cycles * numbers[:, None] * time + numbers[:, None]).sum(0).unflatten(0, (-1, WINDOW))
    )


@pytest.mark.parametrize("harmonics", [1, 2, 10])
@pytest.mark.parametrize("cycles", [2.2, 3, 4.7, 11.3, 25])
def test_it_is_that_of_the_fundamental(cycles, harmonics):
    pitches = clear_pitches(voice(cycles, harmonics=harmonics))
    assert len(pitches) >= 6 and pitches.tolist() == pytest.approx([cycles] * len(pitches), rel=0.02)


def test_a_constant_does_not_count():
    assert torch.equal(clear_pitches(voice(5) + 100), clear_pitches(voice(5)))


def test_noise_and_silence_have_none():
    assert len(clear_pitches(torch.randn(200, WINDOW, generator=torch.Generator().manual_seed(0)))) < 4
    assert len(clear_pitches(torch.zeros(3, WINDOW))) == 0


def test_a_frame_counts_if_it_is_loud_beside_the_others_of_its_clip():
    loud, soft = voice(5, 1), voice(9, 1) / 50
    together = torch.stack([torch.cat([loud, soft]), torch.cat([soft, soft])])[:, None]
    assert clear_pitches(together).tolist() == pytest.approx([5, 9, 9], rel=0.03)
