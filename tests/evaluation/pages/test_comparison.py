"""Tests the comparison page: its verdicts worked by hand, and that each number, clip and line is in its place."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_reader import RATE, Node, Page, same_sound, shades_of, sound_of, tones

from wavegan.evaluation.metrics import AS_REAL, HIGHER, LOWER, METRICS
from wavegan.evaluation.pages.comparison import ComparisonPage, verdict, write_comparison

NAN = math.nan


def score(value: float, low: float, high: float, n: int = 40, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n, **more}


SCORES = {
    "plain": {
        "kad_l": score(20, 18, 22),
        "coverage": score(0.5, 0.4, 0.6),
        "noise_floor_db": score(-40, -42, -38),
        "comb_db": score(9, 8, 10, stages={"4,000 Hz": 9.0}),
    },
    "nearest": {"kad_l": score(22, 20, 24), "coverage": score(0.75, 0.7, 0.8), "noise_floor_db": score(-70, -72, -68)},
    "folder": {"kad_l": score(19, 17, 21), "coverage": score(0.45, 0.3, 0.6)},
    "real": {"kad_l": score(0.1, -0.2, 0.4), "noise_floor_db": score(-75, -80, -71)},
    "noise": {"kad_l": score(120, 110, 130)},
}
DIFFERENCES = {
    "nearest": {
        "kad_l": score(2, 1, 4),
        "coverage": score(0.25, 0.125, 0.375),
        "noise_floor_db": score(-30, -33, -27),
    },
    "folder": {"kad_l": score(-1, -2, 0.5), "coverage": score(-0.05, -0.25, 0.1)},
}
FACTS = {"clips": "40 of 0.26 s", "held out": "by <file>"}
BINS = np.linspace(0, RATE / 2, 5)


def small(**changes: Any) -> ComparisonPage:
    page = ComparisonPage(
        facts=FACTS,
        sample_rate=RATE,
        scores=SCORES,
        differences=DIFFERENCES,
        clips={"plain": tones(2), "nearest": tones(3, lowest=300), "folder": tones(2), "real": tones(2, lowest=400)},
        spectra={name: np.full(5, -10.0 * place) for place, name in enumerate(SCORES)},
        frequencies=BINS,
    )
    return replace(page, **changes)


def written(folder: Path, page: ComparisonPage) -> Page:
    path = folder / "report.html"
    write_comparison(path, page)
    return Page(path)


def table(page: Page) -> Node:
    [matching] = [node for node in page.root.all("table") if "differences" in node.attributes["class"].split()]
    return matching


def cells_of(page: Page, metric: str) -> list[Node]:
    [row] = [row for row in table(page).all("tr", class_="metric") if row.all("code")[0].text == metric]
    return row.all("td")


# The verdict.


@pytest.mark.parametrize(
    ("metric", "ends", "expected"),
    [
        ("kad_l", (-3, -1), "better"),
        ("kad_l", (1, 3), "worse"),
        ("recall", (0.1, 0.3), "better"),
        ("recall", (-0.3, -0.1), "worse"),
        ("kad_l", (-1, 1), "no clear difference"),
        ("kad_l", (0, 2), "no clear difference"),
        ("recall", (-2, 0), "no clear difference"),
        ("recall", (0, 0), "no clear difference"),
        ("kad_l", (NAN, NAN), "not known"),
        ("kad_l", (-math.inf, -1), "not known"),
    ],
)
def test_a_difference_is_clear_where_its_interval_does_not_hold_0(metric, ends, expected):
    assert verdict(metric, score(sum(ends) / 2, *ends), 10) == expected


def test_every_metric_has_its_direction():
    for metric, meaning in METRICS.items():
        more = verdict(metric, score(2, 1, 3), 10)
        assert more == {LOWER: "worse", HIGHER: "better", AS_REAL: "differs"}[meaning.better], metric


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        ((-80, -70), "better"),  # below both
        ((-66, -62), "better"),  # between them, nearer to the later one
        ((-61, -58.1), "better"),
        ((-61, -57.9), "differs"),  # too near to the middle, which is -55 ± 3
        ((-56, -54), "differs"),
        ((-90, -20), "differs"),
        ((-52.1, -49), "differs"),
        ((-51.9, -49), "worse"),
        ((-30, -20), "worse"),
        ((NAN, NAN), "differs"),
    ],
)
def test_where_as_real_is_best_the_nearer_one_is_better(real, expected):
    """Moves from -40 to -70 dB, a difference that may be 6 more or less, so the middle may be 3 more or less."""
    answer = verdict("noise_floor_db", score(-30, -36, -24), -40, score(sum(real) / 2, *real))
    assert answer == expected
    mirrored = verdict("noise_floor_db", score(30, 24, 36), 40, score(-sum(real) / 2, -real[1], -real[0]))
    assert mirrored == expected
    swapped = verdict("noise_floor_db", score(30, 24, 36), -70, score(sum(real) / 2, *real))
    assert swapped == {"better": "worse", "worse": "better"}.get(expected, expected)


def test_without_a_clear_difference_it_does_not_matter_what_is_real():
    assert verdict("copy_z", score(-30, -60, 1), -40, score(-80, -81, -79)) == "no clear difference"


# The page.


def test_the_page_is_one_whole_file_that_links_only_to_the_listening_test(tmp_path):
    page = written(tmp_path, small())
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    nodes = page.root.all()
    assert {node.tag for node in nodes}.isdisjoint({"script", "link", "iframe", "object", "base", "form"})
    attributes = [(key, value) for node in nodes for key, value in node.attributes.items()]
    assert [value for key, value in attributes if key == "href"] == ["listening.html"]
    [link] = page.root.all("a")
    assert link.text == "listening.html"
    assert all(value.startswith("data:") for key, value in attributes if key == "src")
    assert not any(remote in page.source.lower() for remote in ("http://", "https://", "url(", "@import"))
    [policy] = [node.attributes["content"] for node in nodes if "http-equiv" in node.attributes]
    assert policy.startswith("default-src 'none'") and "script" not in policy


def test_equal_comparisons_are_equal_files(tmp_path):
    for name in ("one.html", "two.html"):
        write_comparison(tmp_path / name, small())
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_head_names_candidates_and_facts(tmp_path):
    page = written(tmp_path, small(candidates={"plain": "runs/plain, step 5", "folder": "a folder"}))
    for tag in ("title", "h1"):
        assert [node.text for node in page.root.all(tag)] == ["plain, nearest and folder"]
    names, values = ([node.text for node in page.root.all(tag)] for tag in ("dt", "dd"))
    assert dict(zip(names, values, strict=True)) == FACTS
    [listed] = page.root.all("ol", class_="candidates")
    assert [node.text for node in listed.all("li")] == ["plain runs/plain, step 5", "folder a folder"]
    assert not written(tmp_path, small()).root.all("ol")


def test_each_difference_stands_in_its_row_and_column_with_interval_and_verdict(tmp_path):
    page = written(tmp_path, small())
    heads = [node.text for node in table(page).all("th", scope="col")]
    assert heads == ["metric", "nearest less plain", "folder less plain"]
    assert [row.all("code")[0].text for row in table(page).all("tr", class_="metric")] == [
        "kad_l",
        "coverage",
        "noise_floor_db",
    ]
    assert [row.text for row in table(page).all("tr", class_="group")] == ["Fidelity", "Diversity", "Artefacts"]
    texts = {metric: [cell.text for cell in cells_of(page, metric)] for metric in DIFFERENCES["nearest"]}
    assert texts == {
        "kad_l": ["worse +2.00 +1.00 to +4.00", "no clear difference −1.00 −2.00 to +0.50"],
        "coverage": ["better +0.250 +0.125 to +0.375", "no clear difference −0.050 −0.250 to +0.100"],
        "noise_floor_db": ["better −30.0 −33.0 to −27.0", "–"],
    }
    strong = [[node.text for node in cell.all("strong")] for cell in cells_of(page, "kad_l")]
    assert strong == [["worse"], []], "what is clear stands out, by more than colour"


def test_bars_of_a_metric_share_one_scale_with_0_in_its_middle(tmp_path):
    page = written(tmp_path, small())
    drawn = [
        {path.attributes["class"]: path.attributes["d"] for path in cell.all("path")}
        for cell in cells_of(page, "kad_l")
    ]
    assert drawn == [  # 4 is the farthest end, at 100 or 0
        {"zero": "M50 0V10", "span": "M62.50 5H100.00", "value": "M75.00 2V8"},
        {"zero": "M50 0V10", "span": "M25.00 5H56.25", "value": "M37.50 2V8"},
    ]
    clear = ["clear" in svg.attributes["class"] for cell in cells_of(page, "kad_l") for svg in cell.all("svg")]
    assert clear == [True, False]


def test_a_sentence_sums_the_verdicts_up(tmp_path):
    page = written(tmp_path, small())
    [summaries] = page.root.all("ul", class_="summaries")
    assert [node.text for node in summaries.all("li")] == [
        "nearest : better in Coverage, Noise floor; worse in Kernel distance; no clear difference in 0 of 3",
        "folder : no clear difference in 2 of 2",
    ]


def test_without_real_clips_what_should_be_as_real_only_differs(tmp_path):
    page = written(tmp_path, small(scores={name: of for name, of in SCORES.items() if name != "real"}))
    assert cells_of(page, "noise_floor_db")[0].text.startswith("differs ")
    assert "differs in Noise floor" in page.root.all("ul", class_="summaries")[0].text


def test_what_is_no_number_is_neither_drawn_nor_judged(tmp_path):
    differences = {"nearest": {"kad_l": score(NAN, NAN, NAN), "coverage": score(0.0, 0.0, 0.0)}, "folder": {}}
    page = written(tmp_path, small(differences=differences))
    assert [cell.text for cell in cells_of(page, "kad_l")] == ["not known – – to –", "–"]
    assert not cells_of(page, "kad_l")[0].all("svg")
    assert cells_of(page, "coverage")[0].text == "no clear difference 0.000 0.000 to 0.000"
    summaries = page.root.all("ul", class_="summaries")[0].all("li")
    assert [node.text for node in summaries] == [
        "nearest : no clear difference in 2 of 2",
        "folder : no clear difference in 0 of 0",
    ]


def test_all_scores_of_all_sets_are_told(tmp_path):
    section = written(tmp_path, small()).section("Scores")
    heads = [node.text for node in section.all("th", scope="col")]
    assert heads == ["metric", *(f"{name} n = 40" for name in SCORES)]
    rows = {row.all("code")[0].text: row for row in section.all("tr", class_="metric")}
    assert list(rows) == [name for name, metric in METRICS.items() if not metric.is_optional]
    assert [cell.text for cell in rows["noise_floor_db"].all("td")] == [
        "−40.0 −42.0 to −38.0",
        "−70.0 −72.0 to −68.0",
        "–",
        "−75.0 −80.0 to −71.0",
        "–",
    ]
    assert [row.text for row in section.all("tr", class_="stage")] == ["at multiples of 4,000 Hz 9.0 – – – –"]


def test_8_clips_of_each_are_seen_and_heard_in_order_on_one_scale(tmp_path):
    clips = {"plain": tones(9, lowest=200), "nearest": tones(2, level=0.05), "folder": tones(1), "real": tones(9)}
    section = written(tmp_path, small(clips=clips)).section("Clips")
    rows = section.all(class_="row")
    assert [row.all("h3")[0].text for row in rows] == list(clips)
    assert [len(row.all("figure")) for row in rows] == [8, 2, 1, 8]
    for (name, its), row in zip(clips.items(), rows, strict=True):
        for number, (cell, clip) in enumerate(zip(row.all("figure"), its, strict=False)):
            assert cell.all("figcaption")[0].text == str(number)
            assert cell.all("audio")[0].attributes["aria-label"] == f"{name} clip {number}"
            assert same_sound(sound_of(cell), clip)
    peaks = [int(shades_of(row.all("figure")[0]).max()) for row in rows]
    assert max(int(shades_of(cell).max()) for cell in section.all("figure")) == 255, "0 dB is the loudest point of all"
    assert peaks[0] == peaks[2] == peaks[3], "one tone at one level"
    assert peaks[0] - peaks[1] == pytest.approx(255 * 20 / 80, abs=1)
    assert [mark.text for mark in rows[3].all("figure")[7].all("i", class_="across")] == ["0", "0.1 s"]
    assert [bool(cell.all("i", class_="up")) for cell in rows[0].all("figure")] == [i % 4 == 0 for i in range(8)]


def test_spectra_are_told_apart_by_more_than_colour(tmp_path):
    page = written(tmp_path, small())
    section = page.section("Mean spectra")
    keys = {span.text: span.all("path")[0].attributes["class"] for span in section.all(class_="legend")[0].all("span")}
    assert keys == {
        "plain": "line line-0",
        "real": "line line-1",
        "nearest": "line later later-0",
        "folder": "line later later-1",
        "noise": "line line-2",
    }
    assert list(keys) == ["plain", "real", "nearest", "folder", "noise"]
    [chart] = section.all("svg", role="img")
    lines = {path.attributes["class"]: path.attributes["d"] for path in chart.all("path", class_="line")}
    heights = {name: lines[keys[name]].split("L")[-1].split()[-1] for name in SCORES}
    assert heights == {
        "plain": "0.00",
        "nearest": "25.00",
        "folder": "50.00",
        "real": "75.00",
        "noise": "100.00",
    }
    assert [mark.text for mark in section.all("i", class_="guide")] == ["fs/4", "fs/16", "fs/64", "fs/256"]
    styles = re.findall(r"\.(?:later|line)-\d \{(.*?)\}", page.source)
    patterns = [re.sub(r"stroke: [^;]*;", "", style) for style in styles]
    assert len(patterns) == len(set(patterns)) == 10, "without their colours no two are alike"


def test_more_lines_than_styles_begin_again(tmp_path):
    names = ["first", *(f"later {number}" for number in range(7))]
    page = written(
        tmp_path,
        small(
            scores=dict.fromkeys(names, SCORES["plain"]),
            differences={name: {} for name in names[1:]},
            clips={name: tones(1) for name in names},
            spectra={name: np.full(5, -50.0) for name in names},
        ),
    )
    keys = [node.attributes["class"] for node in page.section("Mean spectra").all(class_="legend")[0].all("path")]
    assert keys == ["line line-0", *(f"line later later-{number % 5}" for number in range(7))]


def test_names_are_text_and_never_markup(tmp_path):
    nasty, other = "<script>alert('x')</script> & \"more\"", "<b>"
    page = written(
        tmp_path,
        small(
            facts={nasty: nasty},
            scores={nasty: SCORES["plain"], other: SCORES["nearest"]},
            differences={other: DIFFERENCES["nearest"]},
            clips={nasty: tones(1), other: tones(1)},
            spectra={nasty: np.full(5, -50.0)},
            candidates={nasty: nasty, other: other},
        ),
    )
    assert not page.root.all("script") and not page.root.all("b")
    assert page.root.all("h1")[0].text == f"{nasty} and {other}"
    assert page.headings[0] == f"Differences from {nasty}"
    assert [node.text for node in page.section("Clips").all("h3")] == [nasty, other]
