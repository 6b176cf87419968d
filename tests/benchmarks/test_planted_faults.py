"""Checks that metrics react to planted faults as they must, on drums at five speeds.

The script that shows it can also report a failure.
"""

import importlib.util
import json
import sys
from pathlib import Path

import expectations
import numpy as np
import pytest
import soundfile
import torch
from corruptions import CORRUPTIONS, Clips, Split

from wavegan.audio import drum_machine
from wavegan.evaluation import classifier_training
from wavegan.evaluation.metrics import METRICS

PATH = Path(__file__).parents[2] / "benchmarks" / "planted_faults.py"
RATE, SAMPLES, COUNT = 16000, 4096, 300
SPEEDS = {"slowest": 0.6, "slow": 0.8, "plain": 1, "fast": 1.25, "fastest": 1.6}
TONAL = [0, 4, 5, 6, 7]  # kick, tom, conga, cowbell, rim

spec = importlib.util.spec_from_file_location("planted_faults", PATH)
assert spec is not None and spec.loader is not None
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


def drums(start: int) -> Clips:
    """Returns the next 300 clips of the drum machine, peaks at 1: ten voices in turn, ten clips at each speed."""
    numbers = np.arange(start, start + COUNT)
    groups = np.array(list(SPEEDS))[numbers // 10 % 5]
    audio = torch.zeros(COUNT, 1, SAMPLES)
    for clip, number, group in zip(audio, numbers.tolist(), groups, strict=True):
        sound = torch.from_numpy(drum_machine.render(number, round(RATE / SPEEDS[group])))[:SAMPLES]
        clip[0, : len(sound)] = sound / sound.abs().max()
    return Clips(audio, numbers % 10, groups)


TAKEN = {name for name, metric in METRICS.items() if metric.features not in ("embedding", "stereo")}


@pytest.fixture(scope="module")
def rows():
    split = Split(drums(0), drums(COUNT), drums(2 * COUNT), RATE, TONAL, ["fast", "fastest"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier_training, "FEWEST_STEPS", 60)
        patch.setattr(classifier_training, "MOST_STEPS", 60)
        classifier = script.train(split, tuple(drum_machine.DRUMS), seed=0)
    return script.rows(split, classifier, count=40)


@pytest.mark.long
@pytest.mark.parametrize("fault", CORRUPTIONS)
def test_metrics_react_to_the_fault(rows, fault):
    row = rows[fault]
    missed = {asked: row.scores[asked.split()[0]] for asked, holds in row.holds.items() if not holds}
    assert not missed, f"beside {row.none}"
    assert len(row.holds) >= 2


@pytest.mark.long
def test_every_metric_is_taken_and_those_that_tell_most_are_asked_for(rows):
    for row in rows.values():
        assert set(row.scores) == set(row.none) == TAKEN
    asked = {expectation.split()[0] for row in rows.values() for expectation in row.holds}
    assert asked == TAKEN - {"density", "mis"}


@pytest.mark.long
def test_a_row_stands_beside_as_many_clips_without_fault(rows):
    assert {name: row.n for name, row in rows.items() if row.n != COUNT} == {"few labels": 150, "few groups": 120}
    for row in rows.values():
        assert {score["n"] for score in [*row.scores.values(), *row.none.values()]} == {row.n}
    first = rows["none: other real clips"]
    assert first.scores == first.none
    assert rows["few labels"].none["coverage"]["value"] < first.scores["coverage"]["value"], "of half as many clips"


NONE = {"a": {"value": 2.0, "low": 1.0, "high": 3.0}, "b": {"value": 1.0, "low": 0.0, "high": 2.0}}


@pytest.mark.parametrize(
    ("relation", "other", "true", "false"),
    [
        ("rises", "", [3.1], [3.0, 2.0, 0.0]),
        ("falls", "", [0.9], [1.0, 2.0, 4.0]),
        ("stays", "", [1.0, 2.0, 3.0], [0.9, 3.1]),
        ("keeps", "", [1.0, 2.0, 4.0], [0.9]),
        (">", "2.5", [2.6], [2.5, -9.0]),
        ("<", "2.5", [2.4, -9.0], [2.5]),
        ("outdoes", "b", [3.1], [3.0, -3.0]),
    ],
)
def test_a_relation_holds_where_it_should_and_nowhere_else(relation, other, true, false):
    for value in [*true, *false]:
        row = {"a": {"value": value, "low": value - 1, "high": value + 1}, "b": NONE["b"]}
        assert expectations.RELATIONS[relation](row, NONE, "a", other) is (value in true), value


def test_every_relation_is_tried_and_every_fault_asked_about():
    assert set(expectations.RELATIONS) == {"rises", "falls", "stays", "keeps", ">", "<", "outdoes"}
    assert list(expectations.EXPECTED) == list(CORRUPTIONS)
    words = [expectation.split() for expected in expectations.EXPECTED.values() for expectation in expected.split("; ")]
    assert {relation for _, relation, *_ in words} <= set(expectations.RELATIONS)
    assert {metric for metric, *_ in words} <= set(METRICS)


class Ears:
    """Describes a listener that needs no training: it returns two features of each clip and a label by one of them."""

    def extract(self, clips, sample_rate):
        level = clips.abs().mean(dim=(1, 2)).double()
        crossings = (clips.diff().sign().diff() != 0).double().mean(dim=(1, 2))
        return torch.stack([level, crossings], dim=1).numpy(), torch.stack([level, 1 - level], dim=1).numpy()


@pytest.fixture
def source(tmp_path):
    """Makes 66 bursts of noise of two labels and three groups; one of them is there again and softer."""
    random = np.random.default_rng(3)
    for number in range(66):
        sound = random.uniform(-0.4, 0.4, 2000) * np.linspace(1, 0, 2000) ** (number % 7)
        place = tmp_path / "bursts" / ("one", "two")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{'abc'[number % 3]}_{number:02d}.wav", np.asarray(sound), RATE)
    soundfile.write(tmp_path / "bursts" / "one" / "a_twin.wav", np.asarray(sound / 2), RATE)
    return tmp_path / "bursts"


@pytest.mark.parametrize(("asked", "code", "mark"), [("fad_l > -1", 0, "✓"), ("fad_l < -1", 1, "✗")])
def test_the_script_writes_its_tables_and_ends_with_1_where_something_does_not_hold(
    tmp_path, source, monkeypatch, capsys, asked, code, mark
):
    some = {name: CORRUPTIONS[name] for name in list(CORRUPTIONS)[:2]}
    monkeypatch.setattr(script, "CORRUPTIONS", some)
    monkeypatch.setattr(script, "EXPECTED", dict.fromkeys(some, asked))
    monkeypatch.setattr(script, "train", lambda *given: Ears())
    monkeypatch.setattr(script, "REAL_SIZES", (20, 33, 34))
    words = ["--groups", "a,b", "--training", "22", "--clip-samples", "2048", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["planted_faults", str(source), *words])
    assert script.main() == code
    content = json.loads((tmp_path / "out/bursts.json").read_text())
    assert content["facts"]["clips"] == [22, 22, 22] and content["facts"]["labels"] == ["one"]
    assert list(content["rows"]) == list(some) and list(content["real_against_real"]) == ["20", "33"]
    assert all(row["holds"] == {asked: not code} for row in content["rows"].values())
    text = (tmp_path / "out/bursts.md").read_text()
    shown = capsys.readouterr().out
    assert text.count(mark) == len(some) and text in shown
    assert ("all holds" in shown) is not code


def test_copies_in_the_data_are_left_out_and_parts_share_nothing(source):
    given = {"source": str(source), "sample_rate": RATE, "clip_samples": 2048, "seed": 1, "training": 19}
    split, names = script.load_split(script.argparse.Namespace(**given, labels="two", groups="c"))
    assert names == ("one", "two") and split.labels == [1] and split.groups == ["c"]
    parts = [split.training, split.reference, split.candidates]
    assert [len(part.labels) for part in parts] == [19, 23, 23]
    assert len(torch.cat([part.audio for part in parts]).flatten(1).unique(dim=0)) == 65
    for part in parts:
        assert set(part.groups) == {"a", "b", "c"} and part.audio.shape[1:] == (1, 2048)
    again, _ = script.load_split(script.argparse.Namespace(**given, labels="two", groups="c"))
    assert torch.equal(again.candidates.audio, split.candidates.audio)
