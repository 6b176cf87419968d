"""Tests the page of several trainings: every name, number, curve and clip is in its place, whatever a log holds."""

import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from page_reader import Node, Page, decoded, same_sound, shades_of, sound_of, tones
from training_report import Learned, write_learning

from wavegan.training.run_folder import evaluations, statistics

START = {"kad_l": (58.94, 53.4, 66.5), "fad_l": (322.3, 300, 350), "recall": (0, 0, 0), "coverage": (0.004, 0, 0.01)}
END = {"kad_l": (6.978, 4.6, 10.73), "fad_l": (1230.2, 1100, 1300), "recall": (0.365, 0.3, 0.4), "coverage": (1, 1, 1)}
REAL = {"kad_l": (-0.037, -0.513, 1.591), "fad_l": (4.43, 1.7, 11.6), "recall": (0.99, 0.9, 1), "coverage": (1, 1, 1)}
LINES = [
    {"step": 20, "seconds": 1, "discriminator/loss": 2.0, "discriminator/penalty": 50.0, "generator/loss": -1.0},
    {"step": 40, "seconds": 2, "discriminator/loss": 4.0, "discriminator/penalty": 60.0, "generator/loss": 5.0},
]
HISTORY = [{"step": 40, "kad_l": 20.0, "kad_l_low": 10.0, "kad_l_high": 30.0}]


def scores(of: dict[str, tuple[float, float, float]]) -> dict[str, dict[str, float]]:
    return {metric: dict(zip(("value", "low", "high"), figures, strict=True)) for metric, figures in of.items()}


def row(name: str = "hinge", kind: str = "objective", **changed: Any) -> Learned:
    judged = {"untrained": scores(START), "metrics": scores(END), "reference": scores(REAL), "labels_obeyed": None}
    return replace(Learned(name, kind, 2400, LINES, HISTORY, judged, tones(8), 16000), **changed)


def page_of(tmp_path: Path, *rows: Learned) -> Page:
    write_learning(tmp_path / "page.html", rows, facts={"budget": "4,800 updates"}, title="Everything")
    return Page(tmp_path / "page.html")


def section(page: Page, number: int) -> Node:
    [matching] = [node for node in page.root.all("section") if node.attributes.get("id") == f"row-{number}"]
    return matching


def points(plot: Node, line: str) -> list[tuple[float, float]]:
    [path] = plot.all("path", class_=line)
    return [(float(x), 100 - float(y)) for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path.attributes["d"])]


def marks(node: Node, way: str) -> list[tuple[str, str]]:
    return [(mark.text, mark.attributes["style"]) for mark in node.all("i", class_=way)]


@pytest.mark.parametrize(
    ("start_low", "end_high", "expected"),
    [
        (53.4, 53.3, True),
        (53.4, 53.4, False),  # they touch
        (53.4, 60.0, False),
        (math.nan, 10.0, False),
        (53.4, math.nan, False),
        (math.inf, 10.0, True),
    ],
)
def test_a_row_has_learned_where_the_intervals_of_its_distance_part(start_low, end_high, expected):
    judged = {"untrained": scores({"kad_l": (60, start_low, 70)}), "metrics": scores({"kad_l": (9, 8, end_high)})}
    assert row(judged=judged).has_learned is expected


def test_the_same_before_and_after_is_not_learned():
    judged = {"untrained": scores({"kad_l": (5, 5, 5)}), "metrics": scores({"kad_l": (5, 5, 5)})}
    assert not row(judged=judged).has_learned


def test_the_table_holds_every_figure_of_every_row(tmp_path):
    worse = {"untrained": scores(END), "metrics": scores(START), "reference": scores(REAL), "labels_obeyed": 0.384}
    page = page_of(tmp_path, row(), row("MLP", "model", judged=worse, steps=800))
    [table] = page.root.all("table")
    heads = [head.text for head in table.all("th", scope="col")]
    assert heads == [
        "row",
        "steps",
        "learned",
        "Kernel distance ↓ lower is better",
        "Fréchet distance ↓ lower is better",
        "Recall ↑ higher is better",
        "Coverage ↑ higher is better",
        "Labels obeyed",
    ]
    first, second = [[cell.text for cell in line.all("td")] for line in table.all("tr") if line.all("td")]
    assert first == [
        "steps 2,400",
        "learned yes",
        "Kernel distance 58.9 → 6.98 (−0.04)",
        "Fréchet distance 322 → 1,230 (4)",
        "Recall 0.00 → 0.36 (0.99)",
        "Coverage 0.00 → 1.00 (1.00)",
        "labels obeyed –",
    ]
    assert second == [
        "steps 800",
        "learned no",
        "Kernel distance 6.98 → 58.9 (0.0)",
        "Fréchet distance 1,230 → 322 (4)",
        "Recall 0.36 → 0.00 (0.99)",
        "Coverage 1.00 → 0.00 (1.00)",
        "labels obeyed 38 %",
    ]
    assert page.root.all("title")[0].text == page.root.all("h1")[0].text == "Everything"
    assert "4,800 updates" in page.root.all("dl")[0].text


def test_each_row_says_by_which_intervals_it_has_learned(tmp_path):
    text = section(page_of(tmp_path, row()), 1).all("p")[0].text
    assert text == (
        "Kernel distance after 2,400 steps 6.98 (4.60 to 10.73), untrained 58.9 (53.4 to 66.5), of real clips −0.04 "
        "(−0.51 to 1.59)."
    )


def test_rows_stand_by_kind_and_every_link_leads_to_its_row_and_back(tmp_path):
    names = {"hinge": "objective", "MLP": "model", "wasserstein": "objective", "4,096 samples": "model"}
    page = page_of(tmp_path, *[row(name, kind) for name, kind in names.items()])
    assert [head.text for head in page.root.all("th", scope="rowgroup")] == ["objective", "model"]
    links = [head.all("a")[0] for head in page.root.all("th", scope="row")]
    assert [link.text for link in links] == ["hinge", "wasserstein", "MLP", "4,096 samples"]
    places = {node.attributes["id"]: node for node in page.root.walk() if "id" in node.attributes}
    assert len(places) == len(re.findall(r'\bid="', page.source)), "no two places have the same name"
    for link in links:
        target = places[link.attributes["href"].removeprefix("#")]
        assert target.all("h2")[0].text == f"{link.text} learned ↑ table"
        [back] = target.all("a")
        assert places[back.attributes["href"].removeprefix("#")].all("a") == [link]


def test_what_is_no_label_is_a_dash_and_none_obeyed_is_not(tmp_path):
    judged = dict(row().judged)
    without = {key: value for key, value in judged.items() if key != "labels_obeyed"}  # as older versions wrote it
    page = page_of(tmp_path, row(judged=without), row(judged=judged), row(judged=judged | {"labels_obeyed": 0.0}))
    texts = [cell.text for cell in page.root.all("td", class_="obeyed")]
    assert texts == ["labels obeyed –", "labels obeyed –", "labels obeyed 0 %"]


def test_names_kinds_and_notes_are_text_whatever_they_hold(tmp_path):
    nasty = '<script>alert("1")</script> & <b>'
    lines = [{"step": 1, "<i>/loss": 1.0}]
    page = page_of(tmp_path, row(nasty, f"kind {nasty}", note=f"note {nasty}", statistics=lines))
    assert not page.root.all("script") and "<script" not in page.source
    assert page.root.all("th", scope="row")[0].text == nasty
    assert page.root.all("th", scope="rowgroup")[0].text == f"kind {nasty}"
    assert [note.text for note in page.root.all("p", class_="note")] == [f"note {nasty}"]
    assert section(page, 1).all("audio")[0].attributes["aria-label"] == f"{nasty} clip 0"
    assert page.root.all("div", class_="legend")[0].text == "<i>/loss"


def test_a_note_stands_in_its_own_row_alone(tmp_path):
    page = page_of(tmp_path, row(), row("minimax", note="It is saturated from the start."), row("r1"))
    notes = [[note.text for note in section(page, number).all("p", class_="note")] for number in (1, 2, 3)]
    assert notes == [[], ["It is saturated from the start."], []]


def test_losses_alone_are_drawn_where_they_were_worked_out_to_lie(tmp_path):
    """The values go from -1 to 5, with 0.24 of room at both ends: the axis goes from -1.24 to 5.24."""
    losses, distance = section(page_of(tmp_path, row()), 1).all("div", class_="plot")
    legend = section(page_of(tmp_path, row()), 1).all("div", class_="legend")[0]
    assert [span.text for span in legend.all("span")] == ["discriminator/loss", "generator/loss"]
    assert points(losses, "line-0") == [(50, 50), (100, pytest.approx(80.86))]
    assert points(losses, "line-1") == [(50, pytest.approx(3.7)), (100, pytest.approx(96.3))]
    low, high = -0.513 - 0.04 * 67.013, 66.5 + 0.04 * 67.013

    def at(value):
        return pytest.approx(100 * (value - low) / (high - low), abs=0.006)

    assert points(distance, "line-0") == [(0, at(58.94)), (100, at(20))], "from its untrained start on"
    assert points(distance, "area") == [(0, at(53.4)), (100, at(10)), (100, at(30)), (0, at(66.5))]
    band = distance.all("path", class_="band")[0].attributes["d"]
    top, bottom = (100 - float(place) for place in re.findall(r"(?:M0 |V)([\d.]+)", band)[::-1])
    assert (bottom, top) == (at(-0.513), at(1.591))


def test_statistics_of_several_losses_in_a_phase_are_all_drawn(tmp_path):
    lines = [{"step": 1, "d/loss_a": 1.0, "d/loss_b": 2.0, "g/loss": 3.0, "g/cycle": 9.0, "d/lossless": 9.0}]
    legend = section(page_of(tmp_path, row(statistics=lines)), 1).all("div", class_="legend")[0]
    assert [span.text for span in legend.all("span")] == ["d/loss_a", "d/loss_b", "g/loss"]


def test_a_log_of_alarms_rollbacks_and_torn_lines_is_read_as_what_remains(tmp_path):
    log = tmp_path / "log.jsonl"
    others = [
        {"step": 20, "seconds": 1.5, "alarm": "clips are silent / all of them"},
        {"step": 20, "seconds": 1.6, "rollback": "generator/loss became nan; back to step 20"},
        {"step": 40, "evaluation/kad_l": 20.0, "evaluation/kad_l_low": 10.0, "evaluation/kad_l_high": 30.0},
    ]
    written = [LINES[0], *others[:2], LINES[1], others[2]]
    log.write_text("".join(json.dumps(line) + "\n" for line in written) + '{"step": 60, "discrim')
    assert statistics(log) == LINES and evaluations(log) == HISTORY
    page = page_of(tmp_path, row(statistics=statistics(log), history=evaluations(log)))
    expected = page_of(tmp_path, row())
    assert page.source == expected.source


def test_what_was_not_logged_or_is_no_number_leaves_a_gap(tmp_path):
    lines = [{"step": 10, "a/loss": 1.0}, {"step": 20, "b/loss": 3.0}, {"step": 40, "a/loss": 2.0, "b/loss": math.nan}]
    plot = section(page_of(tmp_path, row(statistics=lines)), 1).all("div", class_="plot")[0]
    assert [x for x, _ in points(plot, "line-0")] == [25, 100]
    assert [x for x, _ in points(plot, "line-1")] == [50]


def test_a_row_without_any_log_line_or_figure_has_a_place_all_the_same(tmp_path):
    nothing = scores(dict.fromkeys(START, (math.nan, math.nan, math.nan)))
    judged = {"untrained": nothing, "metrics": nothing, "reference": nothing, "labels_obeyed": None}
    page = page_of(tmp_path, row(statistics=[], history=[], judged=judged))
    assert "learned no" in page.root.all("table")[0].text
    assert page.root.all("td", class_="measured")[0].text == "Kernel distance – → – (–)"
    assert len(section(page, 1).all("div", class_="plot")) == 2


def test_each_rows_clips_can_be_heard_and_seen_on_axes_of_their_own(tmp_path):
    long, stereo = tones(8, samples=32768), tones(8, channels=2, samples=16384)
    page = page_of(tmp_path, row(clips=long), row(clips=stereo, sample_rate=44100), row(clips=tones(3)))
    cells = [section(page, number).all("figure", class_="cell") for number in (1, 2, 3)]
    assert [len(row_cells) for row_cells in cells] == [8, 8, 3]
    for cell, clip in zip(cells[0], long, strict=True):
        assert same_sound(sound_of(cell), clip)
        shades = shades_of(cell)
        assert shades.shape == (64, 96) and shades.max() > 200
    sound, rate = soundfile.read(io.BytesIO(decoded(cells[1][3].all("audio")[0].attributes["src"])[1]))
    assert rate == 44100 and same_sound(sound.T.astype(np.float32), stereo[3])
    texts = [[mark for mark, _ in marks(row_cells[0], "across")] for row_cells in cells]
    assert texts == [["0", "1 s"], ["0", "0.2 s"], ["0", "0.1 s"]]
    places = [
        float(re.sub(r"[^\d.]", "", marks(row_cells[7 if len(row_cells) > 7 else 2], "across")[1][1]))
        for row_cells in cells
    ]
    assert places == pytest.approx([100 / 2.048, 20 / (16384 / 44100), 10 / 0.256], abs=0.01)
    tops = [marks(row_cells[0], "up")[-1] for row_cells in cells]
    assert tops == [("8 kHz", "bottom: 100.00%"), ("22.1 kHz", "bottom: 100.00%"), ("8 kHz", "bottom: 100.00%")]
    assert [bool(marks(cell, "up")) for cell in cells[0]] == [True, False, False, False] * 2
    assert [cell.all("figcaption")[0].text for cell in cells[1]] == [str(number) for number in range(8)]


def test_the_loudest_point_of_each_row_is_its_own(tmp_path):
    page = page_of(tmp_path, row(clips=tones(4, level=0.5)), row(clips=tones(4, level=0.05)))
    loud, soft = ([shades_of(cell) for cell in section(page, number).all("figure", class_="cell")] for number in (1, 2))
    assert all(
        np.abs(loud_shades - soft_shades).max() <= 2 for loud_shades, soft_shades in zip(loud, soft, strict=True)
    )
    assert not torch.equal(tones(4, level=0.5), tones(4, level=0.05))
