"""Defines effects for the drum machine: kits, which colour all voices alike, and placement in the stereo field.

They sound the same at every sample rate, up to half of the rate.
"""

from collections.abc import Callable

import numpy as np
import scipy  # imports its parts when they are first used: scipy.signal takes half a second

from wavegan.audio import drum_machine
from wavegan.audio.instrument_parts import LONGEST_SECONDS, band_noise, strike

VERSION = 1  # raised whenever a kit or the stereo field would sound different
PLAIN = "plain"
STEREO_ROOM = 0.3  # level of the room around a drum in the stereo field

# Noise of `instrument_parts.band_noise` under an envelope that falls 60 dB in `decay` seconds has this gain times
# sqrt(decay) at every frequency: the root of the noise's density, 1 / (2 · 22050), times the integral of the squared
# envelope, decay / (6 ln 10).
REVERBERATION_GAIN = np.sqrt(1 / (6 * np.log(10)) / 44100)


def render(index: int, sample_rate: int, *, channels: int = 1, seed: int = 0, kit: str = PLAIN) -> np.ndarray:
    """Renders clip `index` of the series `seed` by a kit: (samples, channels) float32 with the plain clip's peak.

    The plain kit in one channel is `drum_machine.render`; the other kits process the same clip. Two channels are a
    stereo field; more channels are copies of one.
    """
    sound = KITS[kit](drum_machine.render(index, sample_rate, seed=seed), sample_rate)
    if channels == 2:
        return stereo(sound, sample_rate, angle=placement(index, seed))
    return np.repeat(sound[:, None], channels, axis=1)


def placement(index: int, seed: int) -> float:
    """Returns the angle of a clip in the stereo field: 0 is left, π / 2 is right, and neither is reached."""
    return np.random.default_rng([seed, index, 2]).uniform(0.1, 0.9) * np.pi / 2


def stereo(sound: np.ndarray, sample_rate: int, *, angle: float) -> np.ndarray:
    """Places a drum (samples,) at an angle in a small room: (samples, 2) float32 with the same peak.

    angle: 0 is left, π / 2 right. It is panned at constant power. The reverberation differs between the ears but not
    with the angle.
    """
    ears = [
        gain * sound + STEREO_ROOM * reverberation(sound, sample_rate, 0.15, 200, 6000, number=1 + ear)[: len(sound)]
        for ear, gain in enumerate((np.cos(angle), np.sin(angle)))
    ]
    return _finished(np.stack(ears, axis=1), sound, sample_rate)


def reverberation(
    sound: np.ndarray, sample_rate: int, decay: float, low: float, high: float, *, number: int
) -> np.ndarray:
    """Returns the reverberation of room `number` for a sound: about as loud as the sound, and `decay` seconds longer.

    The room passes `low` to `high` Hz and falls by 60 dB in `decay` seconds.
    """
    time = np.arange(round(decay * sample_rate)) / sample_rate
    impulse_response = band_noise(np.random.default_rng([number, 0]), time, low, high) * strike(time, decay)
    return scipy.signal.fftconvolve(sound, impulse_response) / (sample_rate * REVERBERATION_GAIN * np.sqrt(decay))


def plain(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Returns the drum unchanged."""
    return sound


def dry(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Raises the treble, adds a decay of 60 dB in 0.3 s, and rounds to 31 levels (about 5 bits)."""
    time = np.arange(len(sound)) / sample_rate
    dull = scipy.signal.lfilter([1], [1, -(pole := np.exp(-2 * np.pi * 1500 / sample_rate))], (1 - pole) * sound)
    bright = (sound - 0.8 * np.asarray(dull)) * strike(time, 0.3, 1e-6)
    coarse = np.round(15 * bright / np.abs(bright).max()) / 15
    return _finished(coarse, sound, sample_rate)


def room(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Makes a drum dark and distant: a low-pass at 1 kHz, and a room that decays by 60 dB in 0.6 s."""
    pole = np.exp(-2 * np.pi * 1000 / sample_rate)
    dull = np.asarray(scipy.signal.lfilter([(1 - pole) ** 2], [1, -2 * pole, pole**2], sound))
    longest = round(LONGEST_SECONDS * sample_rate)
    wet = reverberation(dull, sample_rate, 0.6, 60, 3000, number=0)[:longest]
    wet[: len(dull)] += 0.5 * dull
    return _finished(wet, sound, sample_rate)


KITS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {PLAIN: plain, "dry": dry, "room": room}


def _finished(output: np.ndarray, sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Fades out the last 20 ms of an output (samples, …) and scales it to the sound's peak; returns float32."""
    fade = np.clip(np.arange(len(output))[::-1] / (0.02 * sample_rate), 0, 1)
    output = (output.T * fade).T
    return (output * (np.abs(sound).max() / np.abs(output).max())).astype(np.float32)
