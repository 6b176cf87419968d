"""Tests log-mel statistics: against numpy, and what they must and must not depend on."""

import numpy as np
import pytest
import torch

from wavegan.dsp.mel import band_at, log_mel
from wavegan.evaluation.features import log_mel_statistics, standardize, white_noise


def test_mean_and_deviation_of_each_band_over_time():
    clips = white_noise(3, 2, 8192, rms=0.1, seed=0) * torch.linspace(1, 0.01, 8192)
    features = log_mel_statistics(clips, 16000)
    level = log_mel(clips, 16000).numpy().astype(np.float64)
    assert features.shape == (3, 128) and features.dtype == np.float64
    np.testing.assert_allclose(features[:, :64], level.mean(axis=2), rtol=1e-12)
    np.testing.assert_allclose(features[:, 64:], level.std(axis=2), rtol=1e-12)


def test_a_steady_tone_has_its_level_in_its_band_and_no_deviation():
    seconds = torch.arange(16384) / 16000
    level, deviation = np.split(log_mel_statistics(torch.sin(2000 * np.pi * seconds)[None, None], 16000)[0], 2)
    band = round(band_at(1000, 16000))
    assert level.argmax() == band
    assert deviation[band] < 2  # the zeros beyond both ends only


def test_features_do_not_depend_on_the_batch():
    clips = white_noise(7, 1, 4096, rms=0.1, seed=0)
    np.testing.assert_allclose(log_mel_statistics(clips, 8000, batch=2), log_mel_statistics(clips, 8000), atol=1e-4)


def test_ten_times_louder_is_twenty_decibels_more_and_no_other_change():
    clips = white_noise(2, 1, 4096, rms=0.01, seed=0)
    change = log_mel_statistics(10 * clips, 16000) - log_mel_statistics(clips, 16000)
    np.testing.assert_allclose(change, np.tile(np.repeat([20.0, 0.0], 64), (2, 1)), atol=1e-3)


def test_silence_is_finite():
    silence = log_mel_statistics(torch.zeros(1, 1, 4096), 16000)
    assert (silence == np.repeat([-100.0, 0.0], 64)).all()


@pytest.mark.parametrize("sample", [torch.nan, torch.inf, -torch.inf])
def test_a_clip_with_a_sample_that_is_not_finite_is_nan_and_the_others_are_not(sample):
    clips = white_noise(3, 1, 4096, rms=0.1, seed=0)
    clips[1, 0, 100] = sample
    features = log_mel_statistics(clips, 16000)
    assert np.isnan(features[1]).all() and np.isfinite(features[[0, 2]]).all()


@pytest.mark.parametrize(("samples", "rate", "channels"), [(4096, 8000, 1), (65536, 44100, 2), (16384, 16000, 8)])
def test_every_form_of_clip_has_128_features(samples, rate, channels):
    features = log_mel_statistics(white_noise(2, channels, samples, rms=0.1, seed=0), rate)
    assert features.shape == (2, 128) and np.isfinite(features).all()


def test_a_clip_in_both_channels_is_the_clip_in_one():
    clips = white_noise(2, 1, 4096, rms=0.1, seed=0)
    np.testing.assert_allclose(
        log_mel_statistics(torch.cat([clips, -clips], 1), 16000), log_mel_statistics(clips, 16000)
    )


def test_standardize_by_hand_with_deviations_of_at_least_one_decibel():
    reference = np.array([[0.0, 10.0, 5.0], [4.0, 10.0, 5.5]])  # deviations 2, 0 and 0.25
    standardized = standardize(np.array([[6.0, 13.0, 6.25]]), reference)
    np.testing.assert_allclose(standardized, [[2.0, 3.0, 1.0]])


def test_standardize_by_hand_with_another_least_deviation():
    reference = np.array([[0.0, 10.0, 5.0], [4.0, 10.0, 5.5]])
    standardized = standardize(np.array([[6.0, 13.0, 6.25]]), reference, 0.1)
    np.testing.assert_allclose(standardized, [[2.0, 30.0, 4.0]])


def test_white_noise_has_its_level_and_its_seed():
    noise = white_noise(4, 2, 16384, rms=0.2, seed=1)
    assert noise.shape == (4, 2, 16384) and noise.abs().max() <= 1
    assert float(noise.square().mean().sqrt()) == pytest.approx(0.2, rel=0.01)
    assert torch.equal(noise, white_noise(4, 2, 16384, rms=0.2, seed=1))
    assert not torch.equal(noise, white_noise(4, 2, 16384, rms=0.2, seed=2))
