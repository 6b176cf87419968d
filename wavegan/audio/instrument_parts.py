"""Gives the parts of which the built-in instruments make their sounds: draws, envelopes, modes, noise, the output.

Random draws never depend on the sample rate, so a clip is the same sound at every rate. `time` is (samples,) in seconds
and carries the sample rate; envelopes and sounds are (samples,) float64; a decay is the time in seconds to fall by
60 dB.
"""

import numpy as np
import scipy  # imports its parts when they are first used: scipy.signal takes half a second
from numpy.random import Generator

LONGEST_SECONDS = 0.95
HISS = (0.006, 0.012)  # range of the output stage's noise, relative to the peak


def between(random: Generator, low: float, high: float) -> float:
    """Draws a value from `low` to `high`, uniform in its logarithm, because we hear pitch, time and level so."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def timeline(seconds: float, sample_rate: int) -> np.ndarray:
    """Returns the sample times of a clip of `seconds`, at most of LONGEST_SECONDS."""
    return np.arange(round(min(seconds, LONGEST_SECONDS) * sample_rate)) / sample_rate


def strike(time: np.ndarray, decay: float, attack: float = 0.001) -> np.ndarray:
    """Computes an envelope that is 0 until time 0, rises for `attack` seconds and decays."""
    return np.clip(time / attack, 0, 1) * 10 ** (-3 * np.maximum(time, 0) / decay)


def phase(time: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Computes the phase in radians of a moving frequency in Hz, 0 at time 0."""
    return 2 * np.pi * time[1] * (np.cumsum(frequency) - (frequency + frequency[0]) / 2)


def below_nyquist(time: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Computes a gain that is 0 above half of the sample rate, and 1 from a tenth below it down."""
    return np.clip(10 * (1 - 2 * frequency * time[1]), 0, 1)


def ring(time: np.ndarray, frequencies: np.ndarray, levels: np.ndarray, decays) -> np.ndarray:
    """Sums struck modes below Nyquist: sines of constant frequencies in Hz, each with its level and decay.

    frequencies, levels: (modes,). decays: (modes,), or one value for all.
    """
    is_audible = frequencies * time[1] < 0.48
    speed = (2j * np.pi * frequencies - np.log(1000) / decays)[is_audible]
    # exp(a + b) = exp(a) exp(b): one matrix product instead of an exponential for every mode and sample.
    block = 128
    starts = levels[is_audible] * np.exp(np.outer(time[::block], speed))
    steps = np.exp(np.outer(speed, time[:block]))
    return np.clip(time / 0.001, 0, 1) * np.imag(starts @ steps).ravel()[: len(time)]


def passed(frequencies: np.ndarray, low: float, high: float = np.inf) -> np.ndarray:
    """Computes the gain of a fourth-order Butterworth band-pass from `low` to `high` at `frequencies`, all in Hz."""
    above, below = np.square(np.square(frequencies / low)), np.square(np.square(frequencies / high))
    return above / np.sqrt((1 + above**2) * (1 + below**2))


def band_noise(random: Generator, time: np.ndarray, low: float, high: float = np.inf) -> np.ndarray:
    """Makes noise from `low` to `high` Hz: the same waveform at every sample rate, up to half of the rate.

    At low rates `low` is reduced, so that at least the top quarter of the spectrum is left.
    """
    sample_rate = round(1 / time[1])
    # One random component per Hz, lowest first, so that a higher rate only adds components. The level is
    # that of white noise which has a root mean square of 1 when it ends at 22,050 Hz.
    frequencies = np.arange(sample_rate // 2 + 1, dtype=float)
    components = random.spawn(1)[0].standard_normal((len(frequencies), 2)) @ [1, 1j]
    components *= passed(frequencies, min(low, 0.375 * sample_rate), high) * sample_rate / np.sqrt(4 * 22050)
    return np.fft.irfft(components, sample_rate)[: len(time)]


def finish(random: Generator, time: np.ndarray, sound: np.ndarray, hiss: float = 1) -> np.ndarray:
    """Removes frequencies under 25 Hz, adds hiss, fades out; returns (samples,) float32 with a peak of 1.

    hiss: 1 is about 45 dB below the peak, as in old 8-bit machines; recorded sounds have a noise floor too.
    """
    sound = np.asarray(scipy.signal.lfilter([1, -1], [1, -np.exp(-2 * np.pi * 25 * time[1])], sound))
    sound /= np.abs(sound).max()
    sound += hiss * between(random, *HISS) * np.clip(time / 0.001, 0, 1) * band_noise(random, time, 25, 7000)
    sound *= np.sin(np.pi / 2 * np.clip(5 * (1 - time / time[-1]), 0, 1)) ** 2
    return (sound / np.abs(sound).max()).astype(np.float32)
