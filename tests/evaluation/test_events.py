"""Tests events planted in a decaying tone: clamped samples, clicks, second hits, growth, swells; and their bounds."""

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.evaluation.events import EVENTS, event_counts, events, excess
from wavegan.evaluation.features import white_noise

RATE, SAMPLES = 16000, 16384
SECONDS = torch.arange(SAMPLES) / RATE


def hit(at: float = 0.0, decay: float = 20.0) -> Tensor:
    """Makes a tone of 400 Hz that begins at a time in seconds and falls: (1, 1, samples)."""
    time = SECONDS - at
    return torch.where(time >= 0, torch.sin(800 * torch.pi * time) * torch.exp(-decay * time), 0)[None, None]


def burst(at: float, seconds: float, rms: float) -> Tensor:
    noise = white_noise(1, 1, SAMPLES, rms=rms, seed=0)
    return noise * ((at <= SECONDS) & (at + seconds > SECONDS))


PLANTED = {
    "clamped": (3 * hit()).clamp(-1, 1),
    "click": hit() + burst(0.5, 0.001, 0.1),
    "second hit": hit() + 0.3 * hit(0.4),
    "growth": hit() + burst(0.5, 0.3, 0.05),
    "swell": hit() + burst(0.6, 0.3, 0.02),
}


def of(kind: str, clips: Tensor) -> float:
    [row] = events(clips, RATE)
    return dict(zip(EVENTS, row, strict=True))[kind]


@pytest.mark.parametrize("kind", EVENTS)
def test_each_kind_sees_its_event_and_nothing_in_a_plain_hit(kind):
    plain = of(kind, hit(0.01))
    assert plain < 6 and of(kind, PLANTED[kind]) > plain + 8
    assert of(kind, hit(0.01) / 30) == pytest.approx(plain, abs=0.5), "level is nothing"


@pytest.mark.parametrize("kind", EVENTS)
def test_silence_noise_and_channels(kind):
    assert of(kind, torch.zeros(1, 1, 4096)) == pytest.approx(0, abs=1e-4)
    assert of(kind, white_noise(1, 1, SAMPLES, rms=0.1, seed=3)) < 12
    there, other = PLANTED[kind], hit()
    assert of(kind, torch.cat([there, other], dim=1)) > of(kind, torch.cat([other, other], dim=1)) + 4
    assert len(events(torch.cat([there, other]), RATE)) == 2


def test_clamped_samples_by_hand():
    """Runs of 3 and 2 at the peak have 2 + 1 samples that follow another.

    Below half of full scale nothing is clamped.
    """
    clip = torch.zeros(1, 1, 4096)
    clip[..., [5, 6, 7, 20, 30, 31]] = 0.8
    assert of("clamped", clip) == 3
    assert of("clamped", clip / 2) == 0


def test_a_second_hit_is_told_by_its_rise_in_decibels():
    """The first one has fallen by 20 · 0.5 · 8.7 = 87 dB, below the floor at -45 dB, when the second begins at -20."""
    assert of("second hit", hit() + 0.1 * hit(0.5)) == pytest.approx(25, abs=1.5)
    assert of("growth", hit(0.3)) > 20, "silence before a late start counts as growth, as the real clips' does"


def test_a_swell_rises_from_the_lowest_level_since_the_loudest_and_is_not_faint():
    """The hit has fallen by 20 · 0.5 · 8.7 = 87 dB, below the floor at -80 dB; the noise is 27 dB below its start."""
    noise = burst(0.5, 0.3, 10 ** (-30 / 20))
    assert of("swell", hit() + noise) == pytest.approx(53, abs=2)
    assert of("swell", hit() + burst(0.1, 0.3, 10 ** (-30 / 20))) < 8, "it has not faded by then: 17 dB"
    assert of("swell", hit() + noise / 10) == 0, "50 dB below the loudest"
    assert of("swell", noise + hit(0.85)) == 0, "it comes before the loudest"


@pytest.mark.parametrize(("rate", "samples"), [(8000, 4096), (44100, 65536), (96000, 4096), (16000, 1024)])
def test_any_format_has_an_answer(rate, samples):
    assert np.isfinite(events(white_noise(2, 2, samples, rms=0.1, seed=0), rate)).all()


def test_real_clips_set_the_bound_and_one_in_a_hundred_may_exceed_it():
    real = np.arange(4001.0)[:, None] * np.ones((1, len(EVENTS)))
    excesses = excess(np.array([[3993.9, 0, 0, 0, 0], [3994.1, 0, 0, 4000, 0]]), real)
    np.testing.assert_allclose(excesses[:, 0], [3993.9 - 3994, 3994.1 - 3994])
    assert event_counts(excesses, RATE) == {"clamped": 1, "click": 0, "second hit": 0, "growth": 1, "swell": 0}
    drawn = np.random.default_rng(0).normal(size=(20000, len(EVENTS))) * 100
    share = (excess(drawn[:10000], drawn[10000:]) > 0).any(axis=1).mean()
    assert 0.003 < share <= 0.01
