"""Synthesises one-shot drums in the style of analogue machines: the built-in source, which needs no files.

Random draws never depend on the sample rate, so a clip is the same drum at every rate.
"""

from collections.abc import Callable

import numpy as np
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

# The modes of an ideal circular membrane above its lowest, as ratios to it (zeros of the Bessel functions).
MEMBRANE = np.array([1.594, 2.136, 2.296, 2.653])


def render(index: int, sample_rate: int, *, seed: int = 0) -> np.ndarray:
    """Renders clip `index` of the endless series `seed`: the same on every call, the same drum at every rate.

    sample_rate: 4,000 to 96,000 Hz. Returns (samples,) float32, at most 0.95 s, its peak from 0.35 to 0.95.
    """
    random = np.random.default_rng([seed, index])
    peak = np.float32(between(random, 0.35, 0.95))
    return peak * DRUMS[label(index)](random, sample_rate)


def label(index: int) -> str:
    """Returns the name of the voice that plays clip `index`; the voices take turns."""
    return list(DRUMS)[index % len(DRUMS)]


# Parts that the voices share, beside those of `instrument_parts`.


def glide(time: np.ndarray, pitch: float, bend: float, seconds: float) -> np.ndarray:
    """Computes a frequency in Hz that goes from `bend` times `pitch` to `pitch`, 95 % of the way in `seconds`."""
    return pitch * (1 + (bend - 1) * np.exp(-3 * time / seconds))


def tone(time: np.ndarray, frequency: np.ndarray, envelope: np.ndarray, drive: float) -> np.ndarray:
    """Computes a sine of a moving frequency in Hz, with the odd harmonics of an overdriven stage.

    drive: 0 for a pure sine, 1 for nearly a square while it is loud. The harmonics fade out below Nyquist,
    and decay faster than the fundamental, as when a decaying sine leaves the range of overdrive.
    """
    turns = phase(time, frequency)
    sound = np.sin(turns)
    for harmonic in (3, 5, 7):
        level = below_nyquist(time, harmonic * frequency) * (drive * envelope) ** (harmonic - 1) / harmonic
        sound += level * np.sin(harmonic * turns)
    return envelope * sound


def squares(pitches: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns frequencies in Hz and levels of the harmonics of square waves that a band-pass leaves audible."""
    harmonics = np.arange(1, 100, 2)
    frequencies = np.outer(pitches, harmonics)
    levels = passed(frequencies, low, high) / harmonics
    is_audible = levels > 0.001
    return frequencies[is_audible], levels[is_audible]


# The voices: (random, sample_rate) -> (samples,) float32 of peak 1.


def kick(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays a low sine whose pitch drops quickly, and the thud of the beater."""
    pitch, bend, bend_seconds = between(random, 42, 66), between(random, 2, 4.5), between(random, 0.03, 0.07)
    decay, drive, thud = between(random, 0.25, 1), random.uniform(0, 0.9), between(random, 0.05, 0.7)
    thud_decay, brightness = between(random, 0.015, 0.08), between(random, 800, 6000)

    time = timeline(1.1 * decay, sample_rate)
    body = tone(time, glide(time, pitch, bend, bend_seconds), strike(time, decay, 0.002), drive)
    beater = band_noise(random, time, 200, brightness) * strike(time, thud_decay)
    return finish(random, time, body + thud * beater)


def snare(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays two falling tones of the drum head and the hiss of the wires, whose high frequencies decay first."""
    pitch, bend, second = between(random, 150, 260), between(random, 1.1, 1.6), random.uniform(1.5, 1.9)
    head_decay, wire_decay = between(random, 0.15, 0.45), between(random, 0.25, 0.9)
    wires, low, high = between(random, 0.5, 1.5), between(random, 600, 2000), between(random, 5000, 14000)

    time = timeline(1.1 * max(head_decay, wire_decay), sample_rate)
    frequency, envelope = glide(time, pitch, bend, 0.03), strike(time, head_decay)
    head = tone(time, frequency, envelope, 0.4) + 0.5 * tone(time, second * frequency, envelope, 0)
    bright = band_noise(random, time, low, high) * strike(time, 0.6 * wire_decay)
    dark = band_noise(random, time, 300, 2 * low) * strike(time, wire_decay)
    return finish(random, time, head + wires * (bright + 0.5 * dark))


def hihat(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays the high frequencies of six inharmonic square waves and of hiss, closed or open."""
    is_open = random.random() < 0.4
    decay = between(random, 0.35, 1.1) if is_open else between(random, 0.06, 0.25)
    pitches = between(random, 250, 500) * random.uniform(1, 4, size=6)
    corner, hiss = between(random, 3800, 6000), between(random, 0.1, 2)

    time = timeline(1.1 * decay, sample_rate)
    metal = ring(time, *squares(pitches, corner, 12000), decay)
    return finish(random, time, metal + hiss * band_noise(random, time, corner) * strike(time, decay))


def clap(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays three to five hand claps in quick succession; the last one has a short reverberation."""
    hands, apart = random.integers(3, 6), random.uniform(0.006, 0.014, size=4)
    hand_decay, room_decay = between(random, 0.015, 0.04), between(random, 0.15, 0.6)
    room, centre, width = between(random, 0.2, 0.7), between(random, 900, 1800), between(random, 1.5, 3.5)

    time = timeline(0.05 + 1.1 * room_decay, sample_rate)
    starts = np.append(0, np.cumsum(apart))[:hands]
    envelope = room * strike(time - starts[-1], room_decay)
    for start in starts:
        envelope += strike(time - start, hand_decay)
    return finish(random, time, envelope * band_noise(random, time, centre / width, centre * width))


def tom(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays a tuned head whose pitch sinks, the higher modes of its membrane, and the stick."""
    pitch, bend, bend_seconds = between(random, 75, 220), between(random, 1.2, 2), between(random, 0.06, 0.25)
    decay, drive, overtones = between(random, 0.35, 1.2), random.uniform(0, 0.6), between(random, 0.05, 0.5)
    stick, brightness = between(random, 0.05, 1), between(random, 1500, 7000)

    time = timeline(1.1 * decay, sample_rate)
    head = tone(time, glide(time, pitch, bend, bend_seconds), strike(time, decay, 0.002), drive)
    modes = ring(time, pitch * MEMBRANE, overtones / MEMBRANE, decay / MEMBRANE)
    tap = band_noise(random, time, 300, brightness) * strike(time, 0.1 * decay)
    return finish(random, time, head + modes + stick * tap)


def conga(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays a hand on a tight skin: a short pitched knock and the slap."""
    pitch, bend, decay = between(random, 180, 420), between(random, 1.03, 1.25), between(random, 0.15, 0.7)
    overtones, slap, slap_decay = between(random, 0.1, 1), between(random, 0.1, 2), between(random, 0.02, 0.1)

    time = timeline(1.1 * decay, sample_rate)
    skin = tone(time, glide(time, pitch, bend, 0.04), strike(time, decay), 0.2)
    modes = ring(time, pitch * MEMBRANE, overtones / MEMBRANE, decay / MEMBRANE)
    return finish(random, time, skin + modes + slap * band_noise(random, time, 700, 5000) * strike(time, slap_decay))


def cowbell(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays two square waves about a fifth apart through a band-pass, with a loud start."""
    pitch, second, decay = between(random, 450, 750), random.uniform(1.4, 1.56), between(random, 0.2, 0.8)
    low, high = pitch * between(random, 0.8, 2), between(random, 2500, 7000)
    accent, accent_decay = between(random, 0.5, 3), between(random, 0.03, 0.1)

    time = timeline(1.1 * decay, sample_rate)
    hum = ring(time, *squares(pitch * np.array([1, second]), low, high), decay)
    return finish(random, time, hum * (1 + accent * strike(time, accent_decay)))


def rim(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays a dry knock: three short modes of wood and metal, and a short noise."""
    modes = between(random, 350, 600) * np.cumprod([1, random.uniform(2.2, 3.2), random.uniform(1.6, 2.2)])
    levels, speck, decay = random.uniform(0.3, 1.2, 3), between(random, 0.5, 4), between(random, 0.04, 0.16)

    time = timeline(0.03 + 1.1 * decay, sample_rate)
    click = band_noise(random, time, 1200) * strike(time, 0.3 * decay, 0.0005)
    return finish(random, time, ring(time, modes, levels, decay) + speck * click)


def cymbal(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays 90 inharmonic modes, of which the high ones decay first, with hiss and the ping of the stick."""
    modes, levels = 300 * 50 ** random.random(90), random.standard_normal(90)
    decay, tilt, corner = between(random, 0.7, 1.8), random.uniform(-0.3, 0.5), between(random, 300, 2500)
    hiss, hiss_decay, ping = between(random, 0.3, 4), between(random, 0.2, 0.9), between(random, 0.03, 1)

    time = timeline(decay, sample_rate)
    decays = decay * np.clip(3000 / modes, 0.2, 1) ** 0.3
    plate = ring(time, modes, levels * passed(modes, corner) * (modes / 3000) ** tilt, decays)
    sizzle = hiss * band_noise(random, time, corner) * strike(time, hiss_decay)
    return finish(random, time, (plate + sizzle) * (1 + ping * strike(time, 0.05)))


def shaker(random: Generator, sample_rate: int) -> np.ndarray:
    """Plays grains of bright, rough noise that swell slowly and decay."""
    attack, decay = between(random, 0.01, 0.06), between(random, 0.1, 0.4)
    low, high = between(random, 2500, 5000), between(random, 6500, 14000)
    grains, grains_per_second = random.uniform(random.random(), 1, size=300), between(random, 60, 300)

    time = timeline(attack + 1.1 * decay, sample_rate)
    rattle = np.interp(time * grains_per_second, np.arange(300), grains)
    return finish(random, time, band_noise(random, time, low, high) * rattle * strike(time, decay, attack))


VOICES = (kick, snare, hihat, clap, tom, conga, cowbell, rim, cymbal, shaker)
DRUMS: dict[str, Callable[[Generator, int], np.ndarray]] = {voice.__name__: voice for voice in VOICES}
