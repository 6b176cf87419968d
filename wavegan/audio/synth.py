"""Synthesises notes of five timbres in one octave: a built-in tonal source, which needs no files.

Random draws never depend on the sample rate, so a clip is the same note at every rate.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy
from numpy.random import Generator

from wavegan.audio.instrument_parts import (
    band_noise,
    below_nyquist,
    between,
    finish,
    passed,
    phase,
    ring,
    strike,
    timeline,
)

VERSION = 1  # raised whenever a clip would sound different, so that no stale cache is used
NOTES = tuple(f"{name}4" for name in ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"))
LOWEST_HERTZ = 440 * 2 ** (-9 / 12)  # middle C
DETUNING = 5  # cents, at most
HISS = 0.3  # of that of the drums: a note has rests in which it would be heard


def render(index: int, sample_rate: int, *, seed: int = 0, cents: float = 0) -> np.ndarray:
    """Renders clip `index` of the endless series `seed`: the same on every call, the same note at every rate.

    sample_rate: 4,000 to 96,000 Hz. cents: how far all notes are raised. Returns (samples,) float32, at most 0.95 s,
    its peak from 0.35 to 0.95: a loud note is bright too, as when a key is struck hard.
    """
    random = np.random.default_rng([seed, index])
    force = random.random()
    peak = np.float32(0.35 * (0.95 / 0.35) ** force)
    detuning = random.uniform(-DETUNING, DETUNING)
    return peak * TIMBRES[timbre(index)](random, hertz(index, cents + detuning), force, sample_rate)


def timbre(index: int) -> str:
    """Returns the name of the timbre of clip `index`; the timbres take turns."""
    return list(TIMBRES)[index % len(TIMBRES)]


def note(index: int) -> str:
    """Returns the name of the note of clip `index`; each timbre plays them in turn."""
    return NOTES[index // len(TIMBRES) % len(NOTES)]


def hertz(index: int, cents: float = 0) -> float:
    """Returns the frequency of the note of clip `index`, raised by `cents`."""
    return LOWEST_HERTZ * 2 ** (NOTES.index(note(index)) / 12 + cents / 1200)


# Parts that the timbres share, beside those of `instrument_parts`.


def harmonics(time: np.ndarray, frequency: np.ndarray, levels: Iterable[complex | np.ndarray]) -> np.ndarray:
    """Sums the harmonics of a moving frequency in Hz; they fade out below Nyquist.

    levels: for each harmonic from the first on, a number or (samples,); its angle is the phase at time 0.
    """
    turn = np.exp(1j * phase(time, frequency))
    sound, wave = np.zeros_like(time), turn
    for number, level in enumerate(levels, 1):
        sound += below_nyquist(time, number * frequency) * np.imag(level * wave)
        wave = wave * turn
    return sound


def modulated(index: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the levels of nine harmonics that add up to sin(φ + I sin φ), I being the index, from 0 to 2.5.

    So frequency modulation stops below Nyquist: the level of harmonic k is Jₖ₋₁(I) + (-1)ᵏ Jₖ₊₁(I).
    """
    indices = np.linspace(0, 2.5, 256)  # Bessel functions of every sample would take longer than all else
    bessel = scipy.special.jv
    for k in range(1, 10):
        yield np.interp(index, indices, bessel(k - 1, indices) + (-1) ** k * bessel(k + 1, indices))


def random_phases(random: Generator, count: int) -> np.ndarray:
    """Draws complex numbers of magnitude 1, (count,): the phases of harmonics that start independently."""
    return np.exp(2j * np.pi * random.random(count))


def vibrato(time: np.ndarray, pitch: float, rate: float, cents: float, delay: float) -> np.ndarray:
    """Computes a frequency in Hz that swings `cents` around the pitch at `rate` Hz, in full after `delay` seconds."""
    return pitch * 2 ** (cents / 1200 * np.clip(time / delay, 0, 1) * np.sin(2 * np.pi * rate * time))


def swell(time: np.ndarray, attack: float) -> np.ndarray:
    """Computes an envelope that rises smoothly from 0 to 1 in `attack` seconds and stays there."""
    return np.sin(np.pi / 2 * np.clip(time / attack, 0, 1)) ** 2


# The timbres: (random, pitch in Hz, force from 0 to 1, sample_rate) -> (samples,) float32 of peak 1.


def pluck(random: Generator, pitch: float, force: float, sample_rate: int) -> np.ndarray:
    """Plays a plucked string: harmonics that start together and of which the high ones decay first, and the finger."""
    place, stiffness, corner = random.uniform(0.1, 0.35), between(random, 1e-5, 4e-5), between(random, 900, 1400)
    decay, damping = between(random, 0.5, 2.5), between(random, 0.03, 0.12)
    slow, snap, snap_decay = random.uniform(0.2, 0.5), between(random, 0.02, 0.15), between(random, 0.01, 0.03)

    time = timeline(1.1 * decay, sample_rate)
    numbers = np.arange(1, 80)
    stretched = pitch * numbers * np.sqrt((1 + stiffness * numbers**2) / (1 + stiffness))
    levels = np.sin(np.pi * place * numbers) / numbers * passed(stretched, 1, corner * 6**force) ** 0.5
    decays = decay / (1 + (damping * numbers) ** 2)
    # A string moves in two planes: one gives its energy to the body sooner, and they differ a little in pitch.
    frequencies = np.append(stretched * 2 ** (-0.3 / 1200), stretched * 2 ** (0.6 / 1200))
    string = ring(time, frequencies, np.append(levels, slow * levels), np.append(decays, 2 * decays))
    finger = band_noise(random, time, 150, 2 * corner) * strike(time, snap_decay)
    return finish(random, time, string + snap * finger, HISS)


def keys(random: Generator, pitch: float, force: float, sample_rate: int) -> np.ndarray:
    """Plays an electric piano by frequency modulation: a body that grows mellow, and the ping of the tine."""
    index, mellowing = random.uniform(0.3, 0.8) + 1.7 * force, between(random, 1.2, 4)
    decay, seconds = between(random, 1, 4), between(random, 0.5, 1)
    tine, tine_decay = between(random, 0.03, 0.2), between(random, 0.08, 0.25)
    tremolo, tremolo_rate, tremolo_phase = random.uniform(0, 0.4), between(random, 4, 7), random.uniform(0, 6.28)

    time = timeline(seconds, sample_rate)
    levels = modulated(index * strike(time, mellowing, 0.004))
    body = harmonics(time, np.full_like(time, pitch), levels) * strike(time, decay, 0.003)
    ping = ring(time, pitch * np.array([12.0, 13.0, 14.0]), np.array([0.3, 0.2, 1.0]), tine_decay)
    swing = 1 - tremolo * (0.5 + 0.5 * np.sin(2 * np.pi * tremolo_rate * time + tremolo_phase))
    return finish(random, time, swing * (body + tine * (0.3 + force) * ping), HISS)


def organ(random: Generator, pitch: float, force: float, sample_rate: int) -> np.ndarray:
    """Plays drawbars through a rotating speaker, with a percussive harmonic and the click of the contacts."""
    drawbars = random.uniform([5, 3, 2, 0, 0, 0, 0], [8, 8, 8, 6, 4, 4, 5]) + [0, 0, 0, 1, 1, 2, 3] * np.array(force)
    rate, wobble, swing = between(random, 5.5, 7), random.uniform(1, 5), random.uniform(0.03, 0.25)
    which, percussion, percussion_decay = random.integers(1, 3), random.uniform(0, 1.5), between(random, 0.15, 0.5)
    seconds, attack, click = between(random, 0.45, 1), between(random, 0.004, 0.012), between(random, 0.02, 0.15)

    time = timeline(seconds, sample_rate)
    decibels = np.insert(3 * (drawbars - 8), 6, -np.inf)  # a step of a drawbar is 3 dB; none plays the seventh
    levels = list(10 ** (decibels / 20) * random_phases(random, 8))
    levels[which] = levels[which] + percussion * strike(time, percussion_decay)
    pipes = harmonics(time, vibrato(time, pitch, rate, wobble, 0.1), levels)
    rotor = 1 + swing * np.sin(2 * np.pi * rate * time + 1)
    contacts = band_noise(random, time, 1000, 5000) * strike(time, 0.02)
    return finish(random, time, rotor * pipes * swell(time, attack) + click * contacts, HISS)


def flute(random: Generator, pitch: float, force: float, sample_rate: int) -> np.ndarray:
    """Plays a blown pipe: few harmonics that speak slowly, a vibrato, breath, and the noise of the onset."""
    octave, twelfth, steepness = random.uniform(0.3, 1), random.uniform(0.1, 0.5), random.uniform(0.3, 0.6)
    seconds, attack = between(random, 0.5, 1), between(random, 0.04, 0.12)
    rate, cents, shimmer = between(random, 4.5, 6), random.uniform(2, 9), random.uniform(0.05, 0.3)
    breath, chiff = between(random, 0.02, 0.08), between(random, 0.05, 0.4)

    time = timeline(seconds, sample_rate)
    air = swell(time, attack)
    bright = air * (0.3 + 0.7 * force)
    overtones = np.append(octave, twelfth * steepness ** np.arange(6)) * random_phases(random, 7)
    levels = [air, *(level * bright ** (1 + 0.3 * k) for k, level in enumerate(overtones))]
    pipe = harmonics(time, vibrato(time, pitch, rate, cents, 0.35), levels)
    pipe *= 1 + shimmer * np.clip(time / 0.35, 0, 1) * np.sin(2 * np.pi * rate * time)
    blown = breath * air * band_noise(random, time, 0.9 * pitch, 5000)
    onset = chiff * band_noise(random, time, 1.5 * pitch, 4 * pitch) * strike(time, 0.12, 0.01)
    return finish(random, time, pipe + blown + onset, HISS)


def brass(random: Generator, pitch: float, force: float, sample_rate: int) -> np.ndarray:
    """Plays two detuned saw waves through a low-pass whose corner rises and falls again, as synthesiser brass does."""
    apart, start, second = random.uniform(1, 5), random.uniform(0, 6.28), random.uniform(0.4, 1)
    attack, settling, sustain = between(random, 0.03, 0.12), between(random, 0.15, 0.6), random.uniform(0.3, 0.7)
    seconds, rest, opening = between(random, 0.5, 1), between(random, 1.2, 2.5), between(random, 3, 6) * 3**force

    time = timeline(seconds, sample_rate)
    fall = sustain + (1 - sustain) * np.exp(-3 * np.maximum(time - attack, 0) / settling)
    corner = pitch * (rest + opening * swell(time, attack) * fall)
    numbers = range(1, min(48, int(sample_rate / 2 / pitch) + 1))
    levels = [passed(number * pitch / corner, 1e-6, 1) / number for number in numbers]
    saws = harmonics(time, np.full_like(time, pitch * 2 ** (apart / 2400)), levels)
    later = (second * level * np.exp(1j * number * start) for number, level in zip(numbers, levels, strict=True))
    saws += harmonics(time, np.full_like(time, pitch * 2 ** (-apart / 2400)), later)
    return finish(random, time, saws * swell(time, 0.6 * attack), HISS)


VOICES = (pluck, keys, organ, flute, brass)
TIMBRES: dict[str, Callable[[Generator, float, float, int], np.ndarray]] = {voice.__name__: voice for voice in VOICES}
