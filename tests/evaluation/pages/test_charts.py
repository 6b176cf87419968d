"""Tests charts: every point, mark and guide lies where it was worked out to lie, and gaps stand for missing values."""

import math
import re
from typing import Any

import librosa
import numpy as np
import pytest

from wavegan.evaluation.pages.charts import (
    Mark,
    Scale,
    clip_marks,
    curves_chart,
    frequency_marks,
    hertz,
    history_chart,
    second_marks,
    spectra_chart,
)

RATE = 16000
FREQUENCIES = np.array([20, 31.25, 1000, 4000, 8000])


def points(path: str) -> list[tuple[float, float]]:
    """Returns the places of a path, in percent, y upward."""
    pairs = re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path)
    return [(float(x), 100 - float(y)) for x, y in pairs]


def values(marks: list[Mark]) -> dict[str, Any]:
    return {mark.label: pytest.approx(mark.at, abs=0.01) for mark in marks}


def test_a_scale_goes_from_its_start_to_its_end():
    assert Scale(-20, 60).at([-20, 0, 60, 100]).tolist() == [0, 25, 100, 150]
    assert Scale(10, 1000, is_logarithmic=True).at([10, 100, 1000]) == pytest.approx([0, 50, 100])


def test_a_spectrum_runs_over_eight_octaves_of_which_each_stage_takes_two():
    chart = spectra_chart({"real": np.array([-5.0, -60, -20, -40, -31])}, FREQUENCIES, RATE)
    assert points(chart.lines["real"]) == [(0, 0), (62.5, 100), (87.5, 50), (100, 72.5)], "20 Hz is left out"
    assert chart.lines["real"] == "M0.00 100.00h0L62.50 0.00L87.50 50.00L100.00 27.50"
    assert values(chart.guides) == {"fs/4": 87.5, "fs/16": 62.5, "fs/64": 37.5, "fs/256": 12.5}
    assert values(chart.across) == {"8 kHz": 100, "4 kHz": 87.5, "1 kHz": 62.5, "250 Hz": 37.5, "62.5 Hz": 12.5}
    assert values(chart.up) == {"−60 dB": 0, "−50 dB": 25, "−40 dB": 50, "−30 dB": 75, "−20 dB": 100}


def test_all_spectra_share_one_axis_of_at_most_100_decibels():
    loud, soft = np.array([0, -13.0, -30, -33, -40]), np.array([0, -130, -80, -np.inf, np.nan])
    chart = spectra_chart({"loud": loud, "soft": soft}, FREQUENCIES, RATE)
    assert list(chart.lines) == ["loud", "soft"]
    assert points(chart.lines["loud"]) == [(0, 97), (62.5, 80), (87.5, 77), (100, 70)]
    assert points(chart.lines["soft"]) == [(0, 0), (62.5, 30), (87.5, 0)], "what is softer lies at the lower edge"
    assert values(chart.up) == {"−100 dB": 10, "−80 dB": 30, "−60 dB": 50, "−40 dB": 70, "−20 dB": 90}


def test_a_flat_or_silent_spectrum_has_an_axis_all_the_same():
    flat = spectra_chart({"noise": np.full(5, -40.0)}, FREQUENCIES, RATE)
    assert points(flat.lines["noise"])[0] == (0, 100)
    silent = spectra_chart({"silence": np.full(5, -np.inf)}, FREQUENCIES, RATE)
    assert points(silent.lines["silence"])[0] == (0, 0)


def test_a_line_leaves_a_gap_where_nothing_is_known():
    chart = spectra_chart({"real": np.array([0, -40, np.nan, -30, -40])}, FREQUENCIES, RATE)
    assert chart.lines["real"] == "M0.00 100.00h0M87.50 0.00h0L100.00 100.00"


HISTORY = [
    {"step": 10, "seconds": 1.0, "kad_l": 1.0, "kad_l_low": 0.5, "kad_l_high": 2.0},
    {"step": 20, "kad_l": 2.0, "kad_l_low": 1.5, "kad_l_high": 3.0, "recall": 0.5},
    {"step": 30, "seconds": 2.0},
    {"step": 40, "kad_l": 4.0, "kad_l_low": 3.0, "kad_l_high": 5.0, "recall": float("nan")},
]


def test_a_history_is_drawn_against_the_step_with_its_interval_and_the_band_of_real_clips():
    """The axis goes from -0.2 to 5.2: 0 to 5 and 4 % of that at both ends."""

    def at(value):
        return pytest.approx(100 * (value + 0.2) / 5.4, abs=0.006)

    chart = history_chart(HISTORY, "kad_l", {"value": 0.1, "low": 0.0, "high": 0.3})
    assert points(chart.lines["generated"]) == [(25, at(1)), (50, at(2)), (100, at(4))]
    below, above = [(25, at(0.5)), (50, at(1.5)), (100, at(3))], [(100, at(5)), (50, at(3)), (25, at(2))]
    assert points(chart.areas[0]) == below + above and chart.areas[0].endswith("Z")
    assert chart.band == (at(0), at(0.3))
    assert values(chart.across) == {"0": 0, "20": 50, "40": 100}
    assert values(chart.up) == {"0": at(0), "2": at(2), "4": at(4)}


def test_a_history_of_one_point_without_an_interval_or_a_band_is_a_dot():
    chart = history_chart(HISTORY, "recall", None)
    assert chart.lines["generated"] == "M100.00 3.70h0"  # 0.52 of -0.02 to 0.52
    assert [y for _, y in points(chart.areas[0])] == pytest.approx([96.3, 96.3])
    assert chart.band is None
    assert history_chart(HISTORY, "recall", {"low": float("nan"), "high": 1.0}).band is None


def test_the_band_is_on_the_chart_where_it_lies_beyond_all_values():
    chart = history_chart([{"step": 5, "copy_z": -3.0}], "copy_z", {"low": 4.0, "high": 7.0})
    assert chart.band == pytest.approx((100 * 7.4 / 10.8, 100 * 10.4 / 10.8))
    assert [mark.label for mark in chart.up] == ["0", "5"]
    assert [mark.at for mark in chart.up] == pytest.approx([100 * 3.4 / 10.8, 100 * 8.4 / 10.8])


def test_curves_share_an_axis_that_holds_0_and_all_of_them():
    """The values go from -1 to 5, with 0.24 of room at both ends: the axis goes from -1.24 to 5.24."""
    chart = curves_chart({"one": np.array([2.0, 4]), "other": np.array([-1.0, 5])}, np.array([10.0, 20]))
    assert chart.lines["one"] == "M50.00 50.00h0L100.00 19.14"
    assert points(chart.lines["other"]) == [(50, pytest.approx(3.7)), (100, pytest.approx(96.3))]
    assert values(chart.across) == {"0": 0, "5": 25, "10": 50, "15": 75, "20": 100}
    assert values(chart.up) == {"0": 19.14, "2": 50, "4": 80.86}
    assert chart.areas == [] and chart.band is None
    above = curves_chart({"one": np.array([4.0, 8])}, np.array([1.0, 2]))
    assert values(above.up)["0"] == pytest.approx(100 * 0.32 / 8.64, abs=0.01)


@pytest.mark.parametrize(
    ("outlier", "highest"), [(17.0, 17.0), (17.01, 9.0), (1e9, 9.0), (math.inf, 9.0), (-8.0, 9.0), (-8.01, 9.0)]
)
def test_a_value_farther_from_the_middle_than_that_is_long_lies_at_the_edge(outlier, highest):
    """Takes 0 to 9 and an outlier: the middle goes from 1 to 9, or from 0 to 8, and is 8 long."""
    curve = np.array([0.0, 1, 2, 3, 4, outlier, 5, 6, 7, 8, 9])
    lowest = -8.0 if outlier == -8 else 0.0
    room = 0.04 * (highest - lowest)
    scale = Scale(lowest - room, highest + room)
    drawn = points(curves_chart({"loss": curve}, np.arange(11.0)).lines["loss"])
    assert [y for _, y in drawn] == pytest.approx(scale.at(curve).clip(0, 100), abs=0.006)


def test_what_is_far_out_on_one_curve_may_be_usual_of_another():
    steps = np.arange(40.0)
    spike, large = np.where(steps == 20, 1000, 1.0 + steps % 2), 900 + steps
    chart = curves_chart({"spike": spike, "large": large}, steps)
    assert points(chart.lines["large"])[-1] == (100, pytest.approx(100 * (939 * 1.04) / (939 * 1.08), abs=0.01))
    assert points(chart.lines["spike"])[20][1] == 100
    alone = points(curves_chart({"spike": spike}, steps).lines["spike"])
    assert alone[19] == (pytest.approx(48.72), pytest.approx(100 * 2.08 / 2.16, abs=0.01)), "2 is high up again"


@pytest.mark.parametrize("curve", [[5.0], [5.0, 100], [0.0, 1, 1000], [0.0] * 39 + [0.5]])
def test_too_little_to_tell_what_is_usual_is_drawn_as_it_is(curve):
    drawn = points(curves_chart({"loss": np.array(curve)}, np.arange(len(curve)) + 1.0).lines["loss"])
    assert [y for _, y in drawn] == pytest.approx(3.704 + 92.593 * np.array(curve) / max(curve), abs=0.006)


def test_curves_without_a_finite_value_or_without_any_have_axes_all_the_same():
    assert points(curves_chart({"loss": np.array([1, np.nan, 2])}, np.array([1.0, 2, 4])).lines["loss"]) == [
        (25, pytest.approx(50)),
        (100, pytest.approx(96.3)),
    ]
    for curves in ({"loss": np.full(3, np.nan)}, {}):
        chart = curves_chart(curves, np.arange(3.0))
        assert list(chart.lines.values()) == [""] * len(curves)
        assert values(chart.up)["0"] == 50 and values(chart.across)["2"] == 100
    assert values(curves_chart({"loss": np.array([])}, np.array([])).across)["1"] == 100
    assert history_chart([], "recall", None).lines == {"generated": ""}


@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_marks_of_a_mel_spectrogram_are_where_its_bands_are(sample_rate):
    """The 64 bands are centred at 64 places inside 66 evenly spaced on the mel scale, as librosa's are."""
    centres = librosa.mel_frequencies(66, fmin=0, fmax=sample_rate / 2)[1:-1]
    *marks, top = frequency_marks(sample_rate)
    assert top == Mark(100, {16000: "8 kHz", 44100: "22.1 kHz"}[sample_rate])
    expected = {"500 Hz": 500, "2 kHz": 2000} | ({"8 kHz": 8000} if sample_rate == 44100 else {})
    assert [mark.label for mark in marks] == list(expected)
    for mark in marks:
        place = np.interp(librosa.hz_to_mel(expected[mark.label]), librosa.hz_to_mel(centres), np.arange(64))
        assert mark.at == pytest.approx(100 * (place + 0.5) / 64, abs=0.01)


def test_seconds_are_marked_at_round_times():
    assert clip_marks(1.024) == [(0, "0"), (pytest.approx(48.83, abs=0.01), "0.5 s")]
    assert clip_marks(4.096) == [(0, "0"), (pytest.approx(48.83, abs=0.01), "2 s")]
    assert values(second_marks(12.5)) == {"0 s": 0, "2 s": 16, "4 s": 32, "6 s": 48, "8 s": 64, "10 s": 80}
    assert [mark.label for mark in second_marks(1.0)] == ["0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s"]


def test_frequencies_have_their_unit():
    assert [hertz(frequency) for frequency in (62.5, 250, 999, 1000, 2756.25, 22050)] == [
        "62.5 Hz",
        "250 Hz",
        "999 Hz",
        "1 kHz",
        "2.76 kHz",
        "22.1 kHz",
    ]
