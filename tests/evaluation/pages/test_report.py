"""Tests the report: it needs no network, is safe with any text, and shows the data that it was passed."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_reader import RATE, SAMPLES, Node, Page, decoded, same_sound, shades_of, sound_of, tones

from wavegan.evaluation.metrics import AS_REAL, HIGHER, LOWER, METRICS
from wavegan.evaluation.pages.report import FaultyClip, Likeness, Report, write_report

FACTS = {"checkpoint": "step-00020000.pt", "seed": "0", "split": "held out <by file>"}
SCORES = {
    "generated": {
        "kad_l": {"value": 12.345, "low": 11.04, "high": 13.96, "n": 1000},
        "fad_l": {"value": 44.81, "low": 37.62, "high": 53.04, "n": 1000},
        "copy_share": {"value": 0.0123, "low": -0.002, "high": 0.0201, "n": 400},
        "comb_db": {
            "value": 38.2,
            "low": 37.1,
            "high": 39.3,
            "n": 1000,
            "stages": {"4,000 Hz": 38.2, "1,000 Hz": -0.21},
        },
    },
    "real": {
        "kad_l": {"value": 0.021, "low": -0.052, "high": 0.08, "n": 1000},
        "comb_db": {"value": 0.5, "low": 0.1, "high": 0.9, "n": 1000, "stages": {"4,000 Hz": 0.5}},
    },
    "noise": {"kad_l": {"value": 1680.2, "low": 1590.0, "high": 1771.7, "n": 999}},
}


def small(**changes) -> Report:
    """Makes a report with nothing but what it needs."""
    return replace(Report("drums", FACTS, RATE, SCORES, tones(2), tones(3, lowest=300)), **changes)


def likeness(count: int) -> list[Likeness]:
    clips = tones(3 * count)
    return [
        Likeness(10 * i + 7, clips[3 * i], clips[3 * i + 1], clips[3 * i + 2], 0.25 + i, 1.5 + i) for i in range(count)
    ]


def full() -> Report:
    return small(
        likeness=likeness(2),
        artefacts=[FaultyClip(31, tones(1)[0], "click +9"), FaultyClip(4, tones(2)[1], "growth +3")],
        curve={name: {"50": SCORES[name], "100": {"kad_l": SCORES[name]["kad_l"]}} for name in ("generated", "real")},
        spectra={"generated": np.full(5, -40.0), "real": np.full(5, -50.0)},
        frequencies=np.linspace(0, RATE / 2, 5),
        history=[{"step": 100, "kad_l": 20.0, "comb_db": 40.0}, {"step": 200, "kad_l": 12.0, "comb_db": 30.0}],
        walk=tones(1, samples=3 * SAMPLES)[0],
        labels={"generated": {"one": 0.25, "two": 0.75}, "real": {"one": 0.1, "three": 0.9}, "noise": {"six": 1.0}},
    )


def page(folder: Path, report: Report) -> Page:
    path = folder / "report.html"
    write_report(path, report)
    return Page(path)


def test_the_page_is_one_whole_file_without_scripts_or_links(tmp_path):
    (tmp_path / "report.html").write_text("an older report")
    written = page(tmp_path, full())
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert written.source.startswith("<!doctype html>")
    nodes = written.root.all()
    assert {node.tag for node in nodes}.isdisjoint({"script", "link", "iframe", "object", "a", "base", "form", "use"})
    attributes = [(key, value) for node in nodes for key, value in node.attributes.items()]
    assert not [key for key, _ in attributes if key in ("href", "srcset", "xlink:href") or key.startswith("on")]
    assert all(value.startswith("data:") for key, value in attributes if key in ("src", "poster"))
    assert not any(remote in written.source.lower() for remote in ("http://", "https://", "url(", "@import"))
    [policy] = [node.attributes["content"] for node in nodes if "http-equiv" in node.attributes]
    assert policy.startswith("default-src 'none'") and "script" not in policy


def test_equal_reports_are_equal_files(tmp_path):
    for name in ("one.html", "two.html"):
        write_report(tmp_path / name, full())
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_every_score_stands_in_its_column_with_its_interval(tmp_path):
    [table] = page(tmp_path, small()).section("Scores").all("table")
    heads = [cell.text for cell in table.all("th", scope="col")]
    assert heads == ["metric", "generated n = 1,000", "real n = 1,000", "noise n = 999"]
    codes = {row.all("code")[0].text: row for row in table.all("tr", class_="metric")}
    stages = {row.all("th")[0].text: [cell.text for cell in row.all("td")] for row in table.all("tr", class_="stage")}

    def of(metric: str) -> list[str]:
        return [cell.text for cell in codes[metric].all("td")]

    assert of("kad_l") == ["12.3 11.0 to 14.0", "0.021 −0.052 to 0.080", "1,680 1,590 to 1,772"]
    assert of("fad_l") == ["44.8 37.6 to 53.0", "–", "–"]
    assert of("copy_share") == ["0.012 −0.002 to 0.020 n = 400", "–", "–"], "n where it is not that of the others"
    assert of("mis") == ["–", "–", "–"]
    assert of("comb_db") == ["38.2 37.1 to 39.3", "0.500 0.100 to 0.900", "–"]
    assert stages == {
        "at multiples of 4,000 Hz": ["38.2", "0.5", "–"],
        "at multiples of 1,000 Hz": ["−0.2", "–", "–"],
    }
    assert [node.text for node in codes["comb_db"].all("strong")] == ["38.2", "0.500"], "intervals are small"


def test_every_metric_says_in_one_sentence_what_it_is_and_which_way_is_better(tmp_path):
    table = page(tmp_path, small()).section("Scores").text
    assert METRICS
    for metric in METRICS.values():
        if metric.is_optional:
            continue
        assert metric.sentence.endswith(".") and ". " not in metric.sentence
        assert f"{metric.sentence} {metric.better}" in table
    ways = {
        LOWER: "kad_l kad_order kad_partials kad_attack kad_stereo kad_c fad_l fad_c duplicate_share copy_share "
        "comb_db spectrum_error_db artefact_share am kad_e fad_e",
        HIGHER: "precision density recall coverage inception_score mis precision_e density_e recall_e coverage_e",
        AS_REAL: "ripple_db line_db noise_floor_db copy_z partial_jitter_hz",
    }
    for way, names in ways.items():
        assert {METRICS[name].better for name in names.split()} == {way}


def test_metrics_are_grouped(tmp_path):
    [table] = page(tmp_path, small()).section("Scores").all("table")
    groups = {body.all("tr")[0].text: [code.text for code in body.all("code")] for body in table.all("tbody")}
    assert list(groups) == ["Fidelity", "Diversity", "Originality", "Artefacts", "Labels"]
    shown = {name: metric for name, metric in METRICS.items() if not metric.is_optional}
    assert [name for names in groups.values() for name in names] == list(shown), "a group stands in one place"
    assert {name: group for group, names in groups.items() for name in names} == {
        name: metric.group for name, metric in shown.items()
    }


def test_optional_metrics_are_shown_where_one_set_has_them(tmp_path):
    scores = SCORES | {"real": SCORES["real"] | {"kad_e": SCORES["real"]["kad_l"]}}
    [table] = page(tmp_path, small(scores=scores)).section("Scores").all("table")
    codes = [code.text for code in table.all("code")]
    assert "kad_e" in codes and "fad_e" not in codes


def test_a_metrics_counts_stand_below_it(tmp_path):
    share = {"value": 0.02, "low": 0.01, "high": 0.03, "n": 100, "clips": {"click": 2, "growth": 0}}
    [table] = page(tmp_path, small(scores={"generated": {"artefact_share": share}})).section("Scores").all("table")
    rows = {row.all("th")[0].text: row.all("td")[0].text for row in table.all("tr", class_="stage")}
    assert rows == {"clips with: click": "2", "clips with: growth": "0"}


def test_figures_of_fewer_clips_stand_beside_each_other(tmp_path):
    [table] = page(tmp_path, full()).section("With fewer clips").all("table")
    heads = [cell.text for cell in table.all("th", scope="col")]
    assert heads == ["metric", *(f"{name} n = {n}" for name in ("generated", "real") for n in (50, 100))]
    rows = {row.all("code")[0].text: [cell.text for cell in row.all("td")] for row in table.all("tr", class_="metric")}
    kads = ["12.3 11.0 to 14.0"] * 2 + ["0.021 −0.052 to 0.080"] * 2
    assert rows["kad_l"] == kads and rows["fad_l"] == ["44.8 37.6 to 53.0", "–", "–", "–"]


def test_clips_with_artefacts_are_shown_with_what_they_have(tmp_path):
    section = page(tmp_path, full()).section("Clips with artefacts")
    assert [caption.text for caption in section.all("figcaption")] == ["31: click +9", "4: growth +3"]
    assert len(section.all("audio")) == len(section.all("img")) == 2
    assert "Clips with artefacts" not in page(tmp_path, small()).source


def test_names_are_text_and_never_markup(tmp_path):
    nasty = "<script>alert('x')</script> & \"more\""
    report = full()
    score = SCORES["generated"]["kad_l"]
    written = page(
        tmp_path,
        replace(
            report,
            title=nasty,
            facts={nasty: nasty},
            scores=SCORES | {nasty: {"kad_l": score, "comb_db": score | {"stages": {nasty: 1.0}}}},
            spectra={nasty: report.spectra["real"]},
            labels={"generated": {nasty: 1.0}},
        ),
    )
    assert not written.root.all("script")
    for tag in ("title", "h1", "dt", "dd"):
        assert [node.text for node in written.root.all(tag)] == [nasty]
    assert f"{nasty} n = 1,000" in [node.text for node in written.section("Scores").all("th")]
    assert f"at multiples of {nasty}" in [node.text for node in written.section("Scores").all("th")]
    assert nasty in written.section("Mean spectra").all(class_="legend")[0].text
    assert nasty in [node.text for node in written.section("Recognised labels").all("th")]


def test_facts_stand_beside_their_names(tmp_path):
    [facts] = page(tmp_path, small()).root.all("dl")
    names, values = ([node.text for node in facts.all(tag)] for tag in ("dt", "dd"))
    assert dict(zip(names, values, strict=True)) == FACTS


def test_what_is_not_known_is_left_out(tmp_path):
    assert page(tmp_path, small()).headings == ["Scores", "Clips"]
    assert page(tmp_path, full()).headings == [
        "Scores",
        "With fewer clips",
        "Clips",
        "Clips with artefacts",
        "Closest to the training data",
        "Mean spectra",
        "While training",
        "A walk between latents",
        "Recognised labels",
    ]
    assert page(tmp_path, small(history=[{"step": 1, "seconds": 2.0}], labels={})).headings == ["Scores", "Clips"]


def test_64_clips_of_each_kind_are_seen_and_heard_in_order_in_a_small_file(tmp_path):
    report = small(generated=tones(70, lowest=100, samples=16384), real=tones(65, lowest=110, samples=16384))
    written = page(tmp_path, report)
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
    grids = written.section("Clips").all(class_="grid")
    for kind, grid, clips in zip(("generated", "real"), grids, (report.generated, report.real), strict=True):
        cells = grid.all("figure")
        assert [cell.all("figcaption")[0].text for cell in cells] == [str(number) for number in range(64)]
        assert [cell.all("audio")[0].attributes["aria-label"] for cell in cells] == [
            f"{kind} clip {number}" for number in range(64)
        ]
        loudest = [shades_of(cell).max(axis=1).argmax() for cell in cells]
        assert loudest == sorted(loudest) and len(set(loudest)) > 30, "each clip is higher than the one before"
        for cell, clip in list(zip(cells, clips, strict=False))[::9]:
            assert same_sound(sound_of(cell), clip)


def test_axes_of_the_grid_are_marked_in_the_rows_and_columns_of_both_layouts(tmp_path):
    report = small(generated=tones(20, samples=16384), real=tones(2, samples=16384))
    [grid, _] = page(tmp_path, report).section("Clips").all(class_="grid")
    cells = grid.all("figure")
    assert [number for number, cell in enumerate(cells) if cell.all("i", class_="up")] == [0, 4, 8, 12, 16]
    assert [number for number, cell in enumerate(cells) if cell.all("i", class_="across")] == list(range(8))
    assert [mark.text for mark in cells[0].all("i", class_="up")] == ["500 Hz", "2 kHz", "8 kHz"]
    seconds = cells[7].all("i", class_="across")
    assert [mark.text for mark in seconds] == ["0", "0.5 s"]
    assert [mark.attributes["style"] for mark in seconds] == ["left: 0.00%", "left: 48.83%"]
    assert cells[0].all("i", class_="up")[0].attributes["style"] == "bottom: 16.05%"  # of 45.25 mel, 7.5


def test_all_spectrograms_share_one_scale_of_80_decibels(tmp_path):
    quiet = tones(1, level=0.005)
    loudest = Likeness(3, quiet[0], 100 * quiet[0], quiet[0], 0.1, 0.2)
    report = small(generated=10 * quiet, real=quiet, likeness=[loudest], walk=quiet[0])
    written = page(tmp_path, report)
    assert "−80 dB 0 dB" in written.section("Clips").text
    peaks = [shades_of(cell).max() for cell in written.section("Clips").all("figure")]
    assert peaks == [round(255 * 60 / 80), round(255 * 40 / 80)]
    others = [shades_of(cell).max() for cell in written.section("Closest to the training data").all("figure")]
    assert others == [128, 255, 128]
    assert shades_of(written.section("A walk between latents")).max() == 128
    [bar] = written.section("Clips").all(class_="scale")[0].all("img")
    bar.attributes["alt"] += " as a spectrogram"
    assert shades_of(Node("", {}, [bar])).tolist() == [list(range(256))]


def test_the_riskiest_clips_stand_beside_their_nearest_ones_and_the_distances(tmp_path):
    report = small(likeness=likeness(3))
    rows = page(tmp_path, report).section("Closest to the training data").all("li")
    for row, clip_beside in zip(rows, report.likeness, strict=True):
        cells = row.all("figure")
        assert [cell.all("figcaption")[0].text for cell in cells] == [
            f"generated {clip_beside.number}",
            f"training {clip_beside.to_training:.{3 if clip_beside.to_training < 1 else 2}f}",
            f"held out {clip_beside.to_held_out:.2f}",
        ]
        for cell, clip in zip(cells, (clip_beside.generated, clip_beside.training, clip_beside.held_out), strict=True):
            assert same_sound(sound_of(cell), clip)


def test_a_walk_is_one_long_sound_with_its_seconds(tmp_path):
    section = page(tmp_path, full()).section("A walk between latents")
    assert same_sound(sound_of(section), tones(1, samples=3 * SAMPLES)[0])
    assert [mark.text for mark in section.all("i", class_="across")] == ["0 s", "0.2 s", "0.4 s", "0.6 s"]
    assert shades_of(section).shape == (64, 3 * SAMPLES // 64 + 1)


def test_spectra_are_told_apart_by_more_than_colour(tmp_path):
    written = page(tmp_path, full())
    section = written.section("Mean spectra")
    assert [key.text for key in section.all(class_="legend")[0].all("span")] == ["generated", "real"]
    keys = [key.all("path")[0].attributes["class"] for key in section.all("svg", class_="key")]
    assert keys == ["line line-0", "line line-1"]
    [chart] = section.all("svg", role="img")
    lines = {path.attributes["class"]: path.attributes["d"] for path in chart.all("path", class_="line")}
    assert list(lines) == ["line line-1", "line line-0"], "the generated one lies on top"
    assert " 0.00" in lines["line line-0"] and " 100.00" in lines["line line-1"], "-40 dB lies above -50 dB"
    assert [mark.text for mark in section.all("i", class_="guide")] == ["fs/4", "fs/16", "fs/64", "fs/256"]
    styles = [re.sub(r"stroke: [^;]*;", "", style) for style in re.findall(r"\.line-\d \{(.*?)\}", written.source)]
    assert len(styles) == len(set(styles)) == 5, "without their colours no two are alike"


def test_headline_metrics_are_drawn_against_the_step_with_the_band_of_real_clips(tmp_path):
    history = [{"step": 5, "coverage": 0.5, "fad_l": 9.0, "kad_l": 2.0}, {"step": 10, "kad_l": 1.0}]
    section = page(tmp_path, small(history=history)).section("While training")
    charts = section.all("figure")
    assert [chart.all("code")[0].text for chart in charts] == ["kad_l", "coverage"]
    assert [[mark.text for mark in chart.all("i", class_="within")] for chart in charts] == [["real"], []]
    [band], nothing = (chart.all("path", class_="band") for chart in charts)
    assert nothing == []
    # Real clips have -0.052 to 0.08; the axis goes 4 % of 2.052 beyond -0.052 and 2.
    assert band.attributes["d"] == "M0 96.30H100V90.34H0Z"
    assert LOWER in charts[0].text and HIGHER in charts[1].text


def test_labels_are_counted_for_generated_beside_real_clips(tmp_path):
    [table] = page(tmp_path, full()).section("Recognised labels").all("table")
    rows = [[cell.text for cell in row.all() if cell.tag in ("th", "td")] for row in table.all("tr")]
    assert rows == [
        ["label", "generated", "real"],
        ["one", "25.0 %", "10.0 %"],
        ["two", "75.0 %", "0.0 %"],
        ["three", "0.0 %", "90.0 %"],
    ]
    widths = [float(re.findall(r"\* ([\d.]+)", bar.attributes["style"])[0]) for bar in table.all(class_="bar")]
    assert widths == pytest.approx([25 / 90, 10 / 90, 75 / 90, 0, 0, 1], abs=1e-4)


def test_stereo_and_rates_that_mp3_cannot_hold_are_shown_too(tmp_path):
    stereo = page(tmp_path, small(generated=tones(1, channels=2), real=tones(1, channels=2)))
    assert same_sound(sound_of(stereo.section("Clips").all("figure")[0]), tones(1, channels=2)[0])
    odd = page(tmp_path, small(sample_rate=14000, walk=tones(1)[0]))
    assert {decoded(node.attributes["src"])[0] for node in odd.root.all("audio")} == {"audio/wav"}
