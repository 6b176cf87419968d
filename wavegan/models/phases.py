"""Computes phases of spectra: those of filters with given levels, and by how much bins ring beside their centres."""

import math

import torch
from torch import Tensor

GOLDEN = (math.sqrt(5) - 1) / 2
LONGEST_RING = 5  # a part of the unit of pitches: 6 ms at 16 kHz and a unit of 512 samples
GLOTTAL = 8.0  # cycles a unit, where a pulse of a voice swells, and how broadly; 250 Hz


def minimum_phase(window: int, unit: int) -> Tensor:
    """Returns the matrix (bins, bins) from log magnitudes to the phases of the minimum-phase filter that has them.

    Only the part of the cepstrum below LONGEST_RING of a unit counts, with a taper: it is the envelope, as the phases
    of single partials must not count (Oppenheim and Schafer 1989, chapter 12).
    """
    cepstra = torch.fft.irfft(torch.eye(window // 2 + 1, dtype=torch.float64), window)
    longest = unit // LONGEST_RING
    times = torch.arange(window)
    causal = torch.where((times > 0) & (times < longest), 1 + (math.pi * times / longest).cos(), 0)
    return torch.fft.rfft(cepstra * causal).imag.float()


def glottal_phases(window: int, unit: int) -> Tensor:
    """Returns the phases (bins,) that let pulses swell before their peak as they would ring after it.

    The flow through a glottis swells as it opens, and stops at once as it closes: a resonance that runs backwards in
    time (Doval, d'Alessandro and Henrich 2003). The filter with the levels has it forwards, so its pair of poles is
    moved to the other side of the unit circle.
    """
    places = torch.arange(window // 2 + 1, dtype=torch.float64) * (2 * math.pi / window)
    radius, angle = math.exp(-math.pi * GLOTTAL / unit), 2 * math.pi * GLOTTAL / unit
    phases = 2 * places
    for away in (places - angle, places + angle):
        phases += 2 * torch.atan2(radius * away.sin(), 1 - radius * away.cos())
    return phases.float()


def turned(spectra: Tensor, phases: Tensor) -> Tensor:
    """Returns spectra (..., 2) whose phases are larger by those given, in radians."""
    cosine, sine = phases.cos(), phases.sin()
    real, imaginary = spectra.unbind(-1)
    return torch.stack([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=-1)


def detuning(bins: int) -> Tensor:
    """Returns how far from its centre each bin rings, (bins,) float64, from -0.5 to 0.5 of a bin's width.

    Steady numbers would otherwise be tones with one distance, whose sum repeats after each window: a buzz. The
    fractions of the golden ratio's quadratic multiples are evenly spread, and no distance is frequent (Weyl 1916). The
    first and the last bin, which have no phase, stay where they are.
    """
    places = torch.arange(bins, dtype=torch.float64)
    offsets = GOLDEN * places.square() % 1 - 0.5
    offsets[[0, -1]] = 0
    return offsets
