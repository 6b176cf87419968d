"""Tests that recordings that repeat themselves are found, and steady, rhythmic and short sounds are not."""

import numpy as np
import pytest

from wavegan.audio import drum_machine
from wavegan.audio.repeats import repeats_after

RATE = 16_000
TIME = np.arange(12 * RATE) / RATE


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).normal(size=round(seconds * rate))


def beat(seconds: float, hits: int) -> np.ndarray:
    """Places the same drum, evenly."""
    bar, drum = np.zeros(round(seconds * RATE)), drum_machine.render(0, RATE)
    for hit in range(hits):
        part = bar[hit * len(bar) // hits :][: len(drum)]
        part += drum[: len(part)]
    return bar


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("rounds", [1.5, 2, 3, 10])
def test_a_second_round_is_found_where_it_begins(rate, rounds):
    start, round_of = noise(0.5, seed=1, rate=rate), noise(4.25, rate=rate)
    several = np.concatenate([start, np.tile(round_of, 10)[: round(rounds * len(round_of))]])
    assert repeats_after(several + 0.3, rate) == pytest.approx(4.25, abs=0.001)
    assert repeats_after(several + 2 * noise(len(several) / rate, seed=2, rate=rate)[: len(several)], rate) == 0


@pytest.mark.parametrize(
    ("round_of", "seconds"),
    [
        (noise(4) + np.sin(2 * np.pi * 100 * TIME[: 4 * RATE]) / 10, 4),
        (beat(4, 8) + noise(4) / 100, 2),
        (beat(2.4, 4) + beat(2.4, 5) / 2 + noise(2.4) / 100, 2.4),
        (noise(2), 2),
        (noise(0.9), 2.7),
    ],
    ids=["drone", "beat", "rhythm", "least", "shorter"],
)
def test_a_loop_of_music_is_found(round_of, seconds):
    assert repeats_after(np.tile(round_of, 8), RATE) == pytest.approx(seconds, abs=0.001)


def test_sound_that_is_alike_all_the_time_does_not_repeat():
    hum = np.sin(2 * np.pi * 50 * TIME) + np.sin(2 * np.pi * 150 * TIME)
    beats = noise(12) * np.exp(-8 * (TIME % 0.5))  # a rhythm, each hit anew
    for sound in (noise(12), hum, beats, np.zeros(12 * RATE), noise(3.9), noise(0.01)):
        assert repeats_after(sound, RATE) == 0


def test_one_event_that_comes_twice_is_no_second_round():
    beeps = noise(20) / 100
    for start in (5, 12):
        beeps[start * RATE :][:4800] += np.sin(2 * np.pi * 880 * TIME[:4800])
    assert repeats_after(beeps, RATE) == 0
