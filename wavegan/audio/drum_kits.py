"""What the drums of the drum machine are heard through: kits, which colour every voice alike, and the stereo field.

Nothing here depends on the sample rate, but for what the rate itself can hold.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import fftconvolve, lfilter

from wavegan.audio import drum_machine
from wavegan.audio.drum_machine import LONGEST_SECONDS, noise, strike

VERSION = 1  # raised whenever a kit or the stereo field would sound otherwise
PLAIN = "plain"
STEREO_ROOM = 0.3  # level of the room around a drum in the stereo field

# Reverberation that starts as noise of unit density (see `drum_machine.noise`) and falls by 60 dB in a decay has a gain
# of sqrt(decay / (6 ln 10) / (2 · 22050)) at every frequency: the Fourier integral of the squared envelope.
REVERBERATION_GAIN = np.sqrt(1 / (6 * np.log(10)) / 44100)


def render(index: int, sample_rate: int, *, channels: int = 1, seed: int = 0, kit: str = PLAIN) -> np.ndarray:
    """Clip `index` of the series `seed`, played by a kit: (samples, channels) float32 of the plain clip's peak.

    The plain kit's single channel is `drum_machine.render`, and its hits are every kit's. Two channels are a stereo
    field; more are repetitions of one.
    """
    sound = KITS[kit](drum_machine.render(index, sample_rate, seed=seed), sample_rate)
    if channels == 2:
        return stereo(sound, sample_rate, angle=placement(index, seed))
    return np.repeat(sound[:, None], channels, axis=1)


def placement(index: int, seed: int) -> float:
    """Where a clip is placed in the stereo field, from 0, left, to π / 2, right; never quite at an end."""
    return np.random.default_rng([seed, index, 2]).uniform(0.1, 0.9) * np.pi / 2


def stereo(sound: np.ndarray, sample_rate: int, *, angle: float) -> np.ndarray:
    """A drum (samples,) at an angle in a small room: (samples, 2) float32 of the same peak.

    Panned at constant power; the room answers each ear otherwise, wherever the drum is.
    """
    ears = [
        gain * sound + STEREO_ROOM * reverberation(sound, sample_rate, 0.15, 200, 6000, number=1 + ear)[: len(sound)]
        for ear, gain in enumerate((np.cos(angle), np.sin(angle)))
    ]
    return _finished(np.stack(ears, axis=1), sound, sample_rate)


def reverberation(
    sound: np.ndarray, sample_rate: int, decay: float, low: float, high: float, *, number: int
) -> np.ndarray:
    """What room `number` adds to a sound, from `low` to `high` Hz and as loud; longer than that by `decay` seconds."""
    time = np.arange(round(decay * sample_rate)) / sample_rate
    answer = noise(np.random.default_rng([number, 0]), time, low, high) * strike(time, decay)
    return fftconvolve(sound, answer) / (sample_rate * REVERBERATION_GAIN * np.sqrt(decay))


def plain(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """The drum as it is."""
    return sound


def dry(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Bright, short and coarse: highs raised, all damped by 60 dB in 0.3 s, and 31 levels of loudness, as of 5 bits."""
    time = np.arange(len(sound)) / sample_rate
    dull = lfilter([1], [1, -(pole := np.exp(-2 * np.pi * 1500 / sample_rate))], (1 - pole) * sound)
    bright = (sound - 0.8 * np.asarray(dull)) * strike(time, 0.3, 1e-6)
    coarse = np.round(15 * bright / np.abs(bright).max()) / 15
    return _finished(coarse, sound, sample_rate)


def room(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Dark and distant: the drum behind a wall that lets pass what is under 1 kHz, in a room that rings for 0.6 s."""
    pole = np.exp(-2 * np.pi * 1000 / sample_rate)
    dull = np.asarray(lfilter([(1 - pole) ** 2], [1, -2 * pole, pole**2], sound))
    longest = round(LONGEST_SECONDS * sample_rate)
    wet = reverberation(dull, sample_rate, 0.6, 60, 3000, number=0)[:longest]
    wet[: len(dull)] += 0.5 * dull
    return _finished(wet, sound, sample_rate)


KITS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {PLAIN: plain, "dry": dry, "room": room}


def _finished(heard: np.ndarray, sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """What is heard (samples, …) as float32 of the sound's peak, faded out over the last 20 ms."""
    fade = np.clip(np.arange(len(heard))[::-1] / (0.02 * sample_rate), 0, 1)
    heard = (heard.T * fade).T
    return (heard * (np.abs(sound).max() / np.abs(heard).max())).astype(np.float32)
