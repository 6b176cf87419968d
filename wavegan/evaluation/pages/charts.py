"""Draws charts as paths and marks in percent of their frame; the page around them gives size, colour and type."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from wavegan.dsp.mel import BANDS, band_at
from wavegan.evaluation.pages.spectrogram_images import FREQUENCIES, round_time

STAGES = 4  # of upsampling by 4 that are marked in a spectrum
OCTAVES = 8  # of a spectrum that are drawn, up to half the sample rate
SHOWN_DECIBELS = 100  # of a spectrum, below its highest point


class Mark(NamedTuple):
    """Marks a place along an axis, in percent from its start, with a label."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """Holds lines and areas as SVG paths in a frame of 100 by 100, y downward, and marks in percent, y upward.

    band: lower and upper edge of the area that is shaded across the whole width; guides: vertical lines.
    """

    lines: dict[str, str]
    across: list[Mark]
    up: list[Mark]
    areas: list[str] = field(default_factory=list)
    guides: list[Mark] = field(default_factory=list)
    band: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scale:
    """Converts values to percent of an axis from low to high, by their logarithm if asked."""

    low: float
    high: float
    is_logarithmic: bool = False

    def at(self, values: Any) -> Any:
        """Returns the places of values in percent; outside of 0 to 100 if they are outside of the axis."""
        if self.is_logarithmic:
            return 100 * np.log(np.asarray(values) / self.low) / math.log(self.high / self.low)
        return 100 * (np.asarray(values, float) - self.low) / (self.high - self.low)


def spectra_chart(spectra: Mapping[str, np.ndarray], frequencies: np.ndarray, sample_rate: int) -> Chart:
    """Draws mean spectra in dB over the logarithm of frequency, with guides at fs/4, fs/16, fs/64 and fs/256.

    frequencies: in Hz, rising, one for each value of a spectrum; those below fs/512 are left out.
    """
    across = Scale(sample_rate / 2 ** (OCTAVES + 1), sample_rate / 2, is_logarithmic=True)
    kept = (frequencies >= across.low) & (frequencies <= across.high)
    x, drawn = across.at(frequencies[kept]), {name: power[kept] for name, power in spectra.items()}
    finite = _finite(*drawn.values()) or [0.0]
    highest = 10 * math.ceil(max(finite) / 10)
    lowest = 10 * math.floor(min(finite) / 10)
    up = Scale(max(highest - SHOWN_DECIBELS, min(lowest, highest - 10)), highest)
    stages = {sample_rate / 4**stage: f"fs/{4**stage}" for stage in range(1, STAGES + 1)}
    return Chart(
        lines={name: _path(x, up.at(np.clip(power, up.low, up.high))) for name, power in drawn.items()},
        across=[Mark(float(across.at(frequency)), hertz(frequency)) for frequency in [across.high, *stages]],
        up=_marks(up, most=6, unit=" dB"),
        guides=[Mark(float(across.at(frequency)), label) for frequency, label in stages.items()],
    )


def history_chart(history: Sequence[Mapping[str, Any]], metric: str, band: Mapping[str, float] | None) -> Chart:
    """Draws a metric against the step, with its intervals, and the band in which real clips lie.

    history: maps with "step" and, if measured, the metric, its "_low" and its "_high"; band: low and high.
    """
    lines = [line for line in history if is_finite_number(line.get(metric))]
    steps = np.array([line["step"] for line in lines], float)
    value, low, high = (_column(lines, metric, end) for end in ("", "_low", "_high"))
    edges = [band["low"], band["high"]] if band and all(map(is_finite_number, (band["low"], band["high"]))) else []
    up = _around([*_finite(low, high, value), *edges])
    across = Scale(0, max([1.0, *steps]))
    x = across.at(steps)
    return Chart(
        lines={"generated": _path(x, up.at(value))},
        areas=[_path([*x, *x[::-1]], [*up.at(low), *up.at(high)[::-1]]) + "Z"],
        across=_marks(across, most=3),
        up=_marks(up, most=4),
        band=(float(up.at(edges[0])), float(up.at(edges[1]))) if edges else None,
    )


def curves_chart(curves: Mapping[str, np.ndarray], steps: np.ndarray) -> Chart:
    """Draws several values against the step, on one axis that holds 0 and the usual values of each curve.

    Values beyond that axis are drawn along the edge of the frame.
    """
    up = _around([value for curve in curves.values() for value in _usual(curve)])
    across = Scale(0, max([1.0, *steps]))
    return Chart(
        lines={name: _path(across.at(steps), up.at(np.clip(curve, up.low, up.high))) for name, curve in curves.items()},
        across=_marks(across, most=5),
        up=_marks(up, most=6),
    )


def frequency_marks(sample_rate: int) -> list[Mark]:
    """Marks round frequencies along the height of a mel spectrogram, and the highest that it holds."""
    marks = [frequency for frequency in FREQUENCIES if frequency < 0.3 * sample_rate]
    heights = [100 * (band_at(mark, sample_rate) + 0.5) / BANDS for mark in marks]
    return [*map(Mark, heights, map(hertz, marks)), Mark(100, hertz(sample_rate / 2))]


def clip_marks(seconds: float) -> list[Mark]:
    """Marks the start and one round time along the width of a small spectrogram."""
    mark = round_time(seconds)
    return [Mark(0, "0"), Mark(100 * mark / seconds, f"{mark:g} s")]


def second_marks(seconds: float) -> list[Mark]:
    """Marks round times along the width of a long spectrogram, none too near its right end."""
    return [mark for mark in _marks(Scale(0, seconds), most=8, unit=" s") if mark.at <= 95]


def hertz(frequency: float) -> str:
    """Writes a frequency with its unit, to three digits: 62.5 Hz, 4 kHz."""
    return f"{frequency / 1000:.3g} kHz" if frequency >= 1000 else f"{frequency:.3g} Hz"


def _marks(scale: Scale, *, most: int, unit: str = "") -> list[Mark]:
    """Marks at most `most` round values along a scale."""
    step = _step(scale.high - scale.low, most)
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    values = [multiple * step for multiple in range(first, last + 1)]
    return [Mark(float(scale.at(value)), f"{value:z,.6g}".replace("-", "\N{MINUS SIGN}") + unit) for value in values]


def _step(length: float, most: int) -> float:
    """Returns the smallest step, 1, 2 or 5 times a power of ten, that has at most `most` values in a length."""
    least = length / max(1, most - 1)
    decade = 10.0 ** math.floor(math.log10(least))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= least * (1 - 1e-9))


def _around(values: list[float]) -> Scale:
    """Makes a scale that holds 0 and all values, with a little room at both ends."""
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.04 * (high - low) or 1.0
    return Scale(low - room, high + room)


def _usual(curve: np.ndarray) -> list[float]:
    """Returns a curve's finite values, without those farther from its middle 80 % than that range is wide."""
    ranked = np.sort(curve[np.isfinite(curve)])
    last = len(ranked) - 1
    low, high = (ranked[-(-last // 10)], ranked[9 * last // 10]) if last > 0 else (0, 0)
    length = high - low
    is_usual = (low - length <= ranked) & (ranked <= high + length)
    return (ranked[is_usual] if length > 0 else ranked).tolist()


def _path(x: Iterable[float], y: Iterable[float]) -> str:
    """Draws an SVG path through points in percent, y upward, with a gap at each point that is not finite."""
    words, is_drawing = [], False
    for across, up in zip(x, y, strict=True):
        if can_draw := math.isfinite(across) and math.isfinite(up):
            place = f"{across:.2f} {100 - up:.2f}"
            words.append(f"L{place}" if is_drawing else f"M{place}h0")  # h0 makes a dot of a point that stands alone
        is_drawing = can_draw
    return "".join(words)


def _finite(*values: Iterable[float]) -> list[float]:
    return [float(value) for part in values for value in part if math.isfinite(value)]


def is_finite_number(value: Any) -> bool:
    """Tells whether a value is a finite number: not None, NaN or absent."""
    return isinstance(value, int | float) and math.isfinite(value)


def _column(lines: Sequence[Mapping[str, Any]], metric: str, end: str) -> np.ndarray:
    """Returns each line's value of a metric, or one end of its interval; the value replaces a missing end."""
    ends = [line.get(f"{metric}{end}") for line in lines]
    return np.array([at if is_finite_number(at) else line[metric] for at, line in zip(ends, lines, strict=True)], float)
