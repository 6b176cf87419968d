"""Tests order, partials and attacks: with tones, noise and clicks whose figures follow from their definition."""

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.dsp.mel import log_mel
from wavegan.evaluation.features import white_noise
from wavegan.evaluation.fine_structure import attack, order, partials, principal_directions

RATE, SAMPLES = 16000, 16384
SECONDS = torch.arange(SAMPLES, dtype=torch.float64) / RATE


def tone(frequency: Tensor | float, decay: float = 0.0) -> Tensor:
    """Makes a tone (1, 1, samples) of a frequency in Hz, or one for each sample, that loses `decay` dB a second."""
    phase = 2 * torch.pi * torch.cumsum(torch.as_tensor(frequency, dtype=torch.float64).expand(SAMPLES) / RATE, 0)
    return (10 ** (-decay * SECONDS / 20) * torch.sin(phase))[None, None].float()


def click(at: int, samples: int = SAMPLES) -> Tensor:
    clip = torch.zeros(1, 1, samples)
    clip[..., at] = 0.5
    return clip


def middle(clips: Tensor) -> Tensor:
    """Fades clips in and out, so that their ends are no attacks."""
    return clips * torch.hann_window(SAMPLES)


def test_a_picture_is_the_mean_of_its_cells():
    levels = log_mel(white_noise(2, 1, SAMPLES, rms=0.1, seed=0), RATE)[..., :64]
    expected = levels.unflatten(2, (16, 4)).unflatten(1, (16, 4)).mean(dim=(2, 4))
    torch.testing.assert_close(order(levels), expected.flatten(1))


def test_principal_directions_keep_distances_of_the_reference_and_order_them_by_variance():
    random = np.random.default_rng(0)
    real = random.normal(size=(50, 3)) @ np.diag([9, 3, 1]) @ np.linalg.qr(random.normal(size=(8, 8)))[0][:3] + 5
    rows = real @ principal_directions(real, 3)
    assert (np.diff(rows.std(axis=0)) < 0).all()
    np.testing.assert_allclose(
        np.linalg.norm(rows[:9] - rows[9:18], axis=1), np.linalg.norm(real[:9] - real[9:18], axis=1)
    )
    assert principal_directions(real[:5], 32).shape == (8, 4)


@pytest.mark.parametrize("frequency", [220.0, 1007.0, 5000.0])
def test_a_steady_tone_has_no_jitter_and_noise_much(frequency):
    jitter, level, steady, tonal = partials(middle(tone(frequency)), RATE)[0]
    assert jitter < 0.01 and level < 0.1 and steady > 0.99 and -4 < tonal < 0
    jitter, level, steady, tonal = partials(white_noise(1, 1, SAMPLES, rms=0.1, seed=0), RATE)[0]
    assert jitter > 1 and level > 1 and steady < 0.7 and tonal < -5


def test_jitter_is_in_hertz_and_an_even_decay_is_steady():
    """A glide of 100 Hz a second moves by 0.8 Hz in a hop of 8 ms."""
    [[glide, *_]] = partials(middle(tone(1000 + 100 * SECONDS)), RATE)
    assert glide == pytest.approx(0.8, rel=0.05)
    [[jitter, level, *_]] = partials(tone(1000, decay=60), RATE)
    assert jitter < 0.05 and level < 0.3
    [[_, beating, *_]] = partials(middle(tone(1000) + tone(1008)), RATE)
    assert beating > 3 * level


def test_wobble_is_more_jitter():
    wobble = tone(1000 + 10 * torch.sin(2 * torch.pi * 25 * SECONDS))
    assert partials(wobble, RATE)[0, 0] > 3 * partials(tone(1000), RATE)[0, 0]


@pytest.mark.parametrize("features", [partials, attack])
def test_level_silence_and_channels(features):
    clips = white_noise(3, 1, SAMPLES, rms=0.1, seed=0) * torch.linspace(1, 0, SAMPLES)
    np.testing.assert_allclose(features(clips / 10, RATE), features(clips, RATE), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(features(clips.repeat(1, 2, 1), RATE), features(clips, RATE), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(features(clips, RATE)[1:2], features(clips[1:2], RATE), rtol=1e-3, atol=1e-3)
    assert np.isfinite(features(torch.zeros(2, 1, 4096), RATE)).all()
    opposite = torch.cat([clips, -clips], dim=1)  # their sum would be silence
    np.testing.assert_allclose(features(opposite, RATE), features(clips, RATE), rtol=1e-3, atol=1e-3)


def test_the_crest_of_a_sine_and_of_a_click():
    """A sine has 3 dB in every frame; a click in a frame of n samples has 10 log n."""
    crests = attack(tone(1000), RATE)[0, :6]
    np.testing.assert_allclose(crests, 10 * np.log10(2), atol=0.2)
    crests = attack(click(5000), RATE)[0, [0, 1, 2, 5]]
    np.testing.assert_allclose(crests, 10 * np.log10([64, 256, 1024, SAMPLES]), atol=0.3)


def test_the_steepest_rise_is_from_the_floor_40_decibels_below_the_loudest_frame():
    """Also holds at the first sample; a clip that fades in over half a second rises by little."""
    for at in (0, 9000):
        np.testing.assert_allclose(attack(click(at), RATE)[0, 6:], 40, atol=0.1)
    assert attack(middle(tone(1000)), RATE)[0, 7] < 6


def test_phases_decide():
    """Compares a click with noise: the same magnitudes with random phases."""
    magnitudes = torch.fft.rfft(click(8000)).abs()
    phases = 2 * torch.pi * torch.rand(magnitudes.shape, generator=torch.Generator().manual_seed(0))
    noise = torch.fft.irfft(torch.polar(magnitudes, phases))
    assert (attack(noise, RATE) < attack(click(8000), RATE) - 3)[0, :6].all()
