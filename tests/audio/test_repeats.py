"""Tests that recordings that repeat themselves are found, and steady, rhythmic and short sounds are not."""

import numpy as np
import pytest

from wavegan.audio.repeats import repeats_after

RATE = 16_000
TIME = np.arange(12 * RATE) / RATE


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).normal(size=round(seconds * rate))


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_second_round_is_found_where_it_begins(rate):
    start, round_of = noise(0.5, seed=1, rate=rate), noise(4.25, rate=rate)
    twice = np.concatenate([start, round_of, round_of[: len(round_of) // 2]])
    assert repeats_after(twice + 0.3, rate) == pytest.approx(4.25, abs=0.001)
    assert repeats_after(twice + 2 * noise(len(twice) / rate, seed=2, rate=rate), rate) == 0


def test_sound_that_is_alike_all_the_time_does_not_repeat():
    hum = np.sin(2 * np.pi * 50 * TIME) + np.sin(2 * np.pi * 150 * TIME)
    beats = noise(12) * np.exp(-8 * (TIME % 0.5))  # a rhythm, each hit anew
    for sound in (noise(12), hum, beats, np.zeros(12 * RATE), noise(3.9), noise(0.01)):
        assert repeats_after(sound, RATE) == 0
