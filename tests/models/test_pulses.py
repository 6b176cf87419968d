"""Tests the pitches of pulses: their range, which comes from the sound, and how steady they are."""

import math

import pytest
import torch

from wavegan.models.inverse_stft import Generator
from wavegan.models.pulses import Frequencies, Pulses

LARGE = torch.tensor([-50.0, 0.0, 50.0])


def test_pitches_lie_in_four_octaves_unless_they_are_measured():
    assert (512 * Frequencies(512)(LARGE)).tolist() == pytest.approx([2, 8, 32])
    assert "bounds" not in Frequencies(512).state_dict(), "as in models that were made before there was a range"


def test_the_range_is_that_of_nine_of_ten_pitches_and_half_an_octave_more():
    frequencies = Frequencies(512, is_measured=True)
    frequencies.measure(torch.cat([torch.full((960,), 4.0), torch.full((40,), 31.0)]))
    assert (512 * frequencies(LARGE)).tolist() == pytest.approx([4 * 0.5**0.5, 4, 4 * 2**0.5])
    frequencies.measure(2 ** torch.linspace(2, 4, 1001))
    assert frequencies.bounds.tolist() == pytest.approx([2.1 - 0.5, 3.9 + 0.5])
    frequencies.measure(2 ** torch.linspace(1.1, 4.9, 1001))
    assert frequencies.bounds.tolist() == [1, 5], "and stays within the four octaves"


def test_few_pitches_leave_the_range():
    frequencies = Frequencies(512, is_measured=True)
    frequencies.measure(torch.full((99,), 4.0))
    frequencies.measure(torch.empty(0))
    assert frequencies.bounds.tolist() == [1, 5]


def test_a_steady_pitch_is_the_mean_of_nine_frames_or_of_those_that_there_are():
    said = torch.zeros(1, 30)
    said[0, [0, 15]] = 0.9
    heard = []
    pulses = Pulses(512, 128, is_steady=True)
    pulses.frequencies.register_forward_hook(lambda layer, given, output: heard.append(given[0][0]))
    pulses(said)
    expected = torch.zeros(30)
    expected[11:20] = 0.1
    expected[:5] = 0.9 / torch.arange(5, 10)
    torch.testing.assert_close(heard[0], expected)
    steady = Pulses(512, 128, is_steady=True)(torch.full((1, 30), 0.3))
    torch.testing.assert_close(steady, Pulses(512, 128)(torch.full((1, 30), 0.3)), msg="an even pitch stays as it is")


@pytest.mark.parametrize("channels", [1, 2])
def test_a_generator_takes_the_range_from_the_clips(channels):
    time = torch.arange(8192) / 512
    cycles = torch.linspace(4, 6, 40)[:, None, None]
    clips = torch.sin(2 * math.pi * cycles * time).sign().expand(-1, channels, -1) / 2
    generator = Generator(8192, channels, dim=4, pulses=True, steady_pitch=True)
    generator.measure([clips[:20], clips[20:]])
    assert generator.pulses is not None
    low, high = 2**generator.pulses.frequencies.bounds
    assert low.item() == pytest.approx(4.1 / 2**0.5, rel=0.03) and high.item() == pytest.approx(5.9 * 2**0.5, rel=0.03)
    again = Generator(8192, channels, dim=4, pulses=True, steady_pitch=True)
    again.load_state_dict(generator.state_dict())
    assert again.pulses is not None and torch.equal(
        again.pulses.frequencies.bounds, generator.pulses.frequencies.bounds
    )


def test_without_pulses_nothing_is_measured():
    generator = Generator(4096, dim=4, steady_pitch=True)
    generator.measure([torch.rand(2, 1, 4096)])
    assert not any("pulses" in name for name in generator.state_dict())
