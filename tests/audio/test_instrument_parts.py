"""Tests the parts that the built-in instruments share: modes, filters, envelopes and noise."""

import numpy as np
import pytest
from scipy import signal

from wavegan.audio import instrument_parts


def test_ring_is_the_sum_of_its_decaying_sines():
    time = instrument_parts.timeline(0.3, 16000)
    made = instrument_parts.ring(time, np.array([440.0, 1234.5, 9000.0]), np.array([1.0, 0.5, 9.0]), 0.2)
    sines = np.sin(2 * np.pi * 440 * time) + 0.5 * np.sin(2 * np.pi * 1234.5 * time)
    expected = np.clip(time / 0.001, 0, 1) * sines * 10 ** (-3 * time / 0.2)
    np.testing.assert_allclose(made, expected, atol=1e-9)


def test_passed_agrees_with_scipy():
    frequencies = np.geomspace(20, 20000, 50)
    expected = np.ones(50)
    for kind, corner in (("highpass", 300), ("lowpass", 5000)):
        zeros, poles, gain = signal.butter(4, corner, kind, analog=True, output="zpk")  # pyright: ignore
        expected *= np.abs(signal.freqs_zpk(zeros, poles, gain, worN=frequencies)[1])  # pyright: ignore
    np.testing.assert_allclose(instrument_parts.passed(frequencies, 300, 5000), expected, rtol=1e-9)


def test_strike_falls_by_60_db_in_its_decay():
    envelope = instrument_parts.strike(np.array([-0.1, 0, 0.0005, 0.001, 0.25, 0.5]), 0.5)
    expected = [0, 0, 0.5 * 10**-0.003, 10**-0.006, 10**-1.5, 1e-3]
    np.testing.assert_allclose(envelope, expected, rtol=1e-12)


def test_noise_has_unit_density_up_to_22_khz():
    time = np.arange(44100) / 44100
    made = instrument_parts.band_noise(np.random.default_rng(0), time, 1)
    assert made.std() == pytest.approx(1, rel=0.02)
    assert abs(made.mean()) < 1e-12


def test_noise_is_the_same_waveform_at_every_rate():
    made = {
        rate: instrument_parts.band_noise(np.random.default_rng(0), np.arange(rate) / rate, 200, 1000)
        for rate in (16000, 48000)
    }
    np.testing.assert_allclose(made[48000][::3], made[16000], atol=1e-3)


def test_a_phase_counts_the_cycles_of_a_glide():
    """A frequency that rises from 100 Hz by 300 Hz a second has gone 100 t + 150 t² cycles."""
    time = np.arange(4000) / 4000
    expected = 2 * np.pi * (100 * time + 150 * time**2)
    np.testing.assert_allclose(instrument_parts.phase(time, 100 + 300 * time), expected, atol=1e-9)


def test_nothing_passes_above_half_of_the_rate():
    time, frequencies = np.arange(5) / 8000, np.array([100.0, 3600, 3800, 4000, 5000])
    np.testing.assert_allclose(instrument_parts.below_nyquist(time, frequencies), [1, 1, 0.5, 0, 0], atol=1e-9)
