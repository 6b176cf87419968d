"""Tests answers of a listening test: they are counted as by hand, or refused."""

import hashlib
import json
from base64 import b64encode
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from wavegan.errors import DataError
from wavegan.evaluation.listening_answers import FIELDS, preference, score_answers
from wavegan.evaluation.resampling import wilson_interval

COUNTS = ("trials", "wins", "losses", "ties", "share")


def answers_file(trials: list[tuple[int, int]], answers: list[str | None], **changes: Any) -> dict[str, Any]:
    """Makes an answers file by hand, of candidates x, y and z."""
    plain = {"seed": 7, "candidates": changes.pop("candidates", ["x", "y", "z"])}
    sides = [[[a, 0], [b, 0]] for a, b in trials]
    key = b64encode(json.dumps({**plain, "sounds": "", "trials": sides, **changes.pop("key", {})}).encode()).decode()
    head = {"program": "wavegan listening test", "format": 1, "key": key}
    test = hashlib.sha256(key.encode()).hexdigest()[:16]
    return {**head, "test": test, **plain, "session": "s1", "listener": "Ann", "answers": answers, **changes}


def test_three_candidates_counted_by_hand():
    trials = [(0, 1), (1, 0), (0, 1), (0, 2), (2, 0), (1, 2), (1, 2)]
    first = answers_file(trials, ["A", "A", "tie", "B", "A", None, "B"])
    second = answers_file(trials, ["A", "B", None, None, None, None, None], session="s2", listener="Bob")
    scores = score_answers([first, second])
    counts = {(pair["first"], pair["second"]): [pair[key] for key in COUNTS] for pair in scores["pairs"]}
    assert counts == {("x", "y"): [5, 3, 1, 1, 0.7], ("x", "z"): [2, 0, 2, 0, 0.0], ("y", "z"): [1, 0, 1, 0, 0.0]}
    overall = {name: [counted[key] for key in COUNTS] for name, counted in scores["overall"].items()}
    assert overall == {"x": [7, 3, 3, 1, 0.5], "y": [6, 1, 4, 1, 0.25], "z": [3, 3, 0, 0, 1.0]}
    assert (scores["candidates"], scores["tests"]) == (["x", "y", "z"], [first["test"]])
    assert scores["listeners"] == [
        {"name": "Ann", "answered": 6, "trials": 7},
        {"name": "Bob", "answered": 2, "trials": 7},
    ]
    for result in [*scores["pairs"], *scores["overall"].values()]:
        points = result["wins"] + result["ties"] / 2
        assert (result["low"], result["high"]) == wilson_interval(points, result["trials"])
    json.dumps(scores)


def test_tests_of_other_clips_count_together_where_the_candidates_are_the_same():
    first = answers_file([(0, 1)], ["A"], candidates=["x", "y"])
    second = answers_file([(0, 1), (1, 0)], ["B", "B"], candidates=["y", "x"])
    assert first["test"] != second["test"]
    scores = score_answers([first, second])
    assert scores["tests"] == sorted([first["test"], second["test"]])
    [pair] = scores["pairs"]
    assert [pair["first"], *(pair[key] for key in COUNTS)] == ["x", 3, 2, 1, 0, pytest.approx(2 / 3)]


@pytest.mark.parametrize(("successes", "trials"), [(31, 40), (0, 7), (7, 7), (1, 1), (500, 1000)])
def test_the_interval_against_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(3.5, 10), (0.5, 3), (39.5, 40)])
def test_with_halves_the_interval_ends_where_the_score_is_critical(successes, trials):
    for chance in wilson_interval(successes, trials):
        score = (successes / trials - chance) / np.sqrt(chance * (1 - chance) / trials)
        assert abs(score) == pytest.approx(1.959964, rel=1e-6)


def test_without_trials_nothing_is_known():
    assert wilson_interval(0, 0) == (0, 1)
    scores = score_answers([answers_file([(0, 1), (0, 2)], ["A", None])])
    assert [scores["pairs"][1][key] for key in (*COUNTS, "low", "high")] == [0, 0, 0, 0, 0.5, 0, 1]
    assert scores["verdicts"][1] == "x and z were not compared"


@pytest.mark.parametrize(
    ("wins", "ties", "losses", "sentence"),
    [
        (31, 0, 9, "real preferred to generated in 31 of 40 (62 % to 88 %)"),
        (9, 0, 31, "generated preferred to real in 31 of 40 (62 % to 88 %)"),
        (29, 3, 8, "real preferred to generated in 30.5 of 40 (61 % to 87 %), 3 undecided counting half"),
        (21, 0, 19, "no clear preference between real and generated: real in 21 of 40 (37 % to 67 %)"),
        (18, 0, 22, "no clear preference between generated and real: generated in 22 of 40 (40 % to 69 %)"),
        (1, 0, 0, "no clear preference between real and generated: real in 1 of 1 (21 % to 100 %)"),
    ],
)
def test_the_verdict_is_a_sentence(wins, ties, losses, sentence):
    answers: list[str | None] = [*["A"] * wins, *["tie"] * ties, *["B"] * losses]
    given = answers_file([(0, 1)] * len(answers), answers, candidates=["real", "generated"])
    scores = score_answers([given])
    assert scores["verdicts"] == [preference(scores["pairs"][0])] == [sentence]


TRIALS = [(0, 1), (1, 0), (0, 2)]
GOOD = answers_file(TRIALS, ["A", None, "tie"])
OTHER_KEY = answers_file([(1, 0), (1, 0), (0, 2)], [])["key"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"program": "another"}, "answers 1 is not of a wavegan listening test; .*; give"),
        ({"format": 2}, "has format 2; this wavegan reads 1; use the version"),
        ({"format": None}, "has format None; this wavegan reads 1; use the version"),
        ({"key": OTHER_KEY}, "the key of answers 1 does not belong to its test '.*', .*; save it again"),
        ({"key": GOOD["key"][:-8]}, "the key of answers 1 does not belong"),
        ({"key": None}, "the key of answers 1 does not belong"),
        ({"test": "0" * 16}, "does not belong to its test '0000000000000000'"),
        ({"seed": 8}, "the key of answers 1 does not belong"),
        ({"candidates": ["x", "z", "y"]}, "the key of answers 1 does not belong"),
        ({"answers": ["A", None]}, "holds 2 answers; .* 3 of A, B, tie and null; save"),
        ({"answers": ["A", None, "tie", "B"]}, "holds 4 answers; .* 3 of"),
        ({"answers": ["A", "C", "tie"]}, "holds the answer 'C'; .* 3 of"),
        ({"answers": ["A", ["B"], "tie"]}, r"holds the answer \['B'\]; .* 3 of"),
        ({"answers": "A"}, "holds 1 answers; .* 3 of"),
        ({"answers": 5}, "holds the answer 5; .* 3 of"),
        ({"answers": [None] * 3}, "answers 0 of 3 trials; 1 or more .*; leave"),
    ],
)
def test_answers_that_are_not_as_saved_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        score_answers([{**GOOD, **changes}])


@pytest.mark.parametrize("field", FIELDS)
def test_answers_without_a_field_are_refused(field):
    with pytest.raises(DataError, match=f"answers 1 lacks {field}; only whole files count; save it again"):
        score_answers([{key: value for key, value in GOOD.items() if key != field}])


@pytest.mark.parametrize("trials", [[[[0, 0], [0, 1]]] * 3, [[[0, 0], [3, 0]]] * 3, [[0, 1]] * 3, 3, None])
def test_a_key_that_makes_no_sense_is_refused(trials):
    with pytest.raises(DataError, match="the key of answers 1 does not belong"):
        score_answers([answers_file(TRIALS, ["A", None, "tie"], key={"trials": trials})])


@pytest.mark.parametrize("content", ["", "sounds good", json.dumps(GOOD)[:-20], "\x00\xff", "[" * 100_000])
def test_a_file_that_is_no_whole_json_is_refused(tmp_path, content):
    path = tmp_path / "answers.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match="answers.json cannot be read .*; answers are whole JSON files; save it again"):
        score_answers([path])


def test_a_missing_file_and_other_json_are_refused(tmp_path):
    with pytest.raises(DataError, match="none.json cannot be read .*No such file"):
        score_answers([tmp_path / "none.json"])
    path = tmp_path / "metrics.json"
    for content in ("[]", "3", '{"fad_l": 1}'):
        path.write_text(content)
        with pytest.raises(DataError, match="metrics.json is not of a wavegan listening test"):
            score_answers([path])


def test_the_same_listening_counts_once_and_other_candidates_not_at_all():
    with pytest.raises(DataError, match="0 answers files .* 1 or more; save"):
        score_answers([])
    later = {**GOOD, "answers": ["A", "B", "tie"]}
    with pytest.raises(DataError, match="answers 3 and answers 1 hold the same listening; .*once; give only"):
        score_answers([GOOD, {**GOOD, "session": "s2"}, later])
    for names in ("x, y", "x, y, v"):
        other = answers_file([(0, 1)], ["A"], candidates=names.split(", "))
        with pytest.raises(DataError, match=f"answers 2 compares {names}, and answers 1 x, y, z; .* same .*; score"):
            score_answers([GOOD, other])


def test_a_key_whose_candidates_are_no_names_is_refused():
    names = [["a"], ["b"]]
    with pytest.raises(DataError, match="counts only as the page saved it"):
        score_answers([answers_file([(0, 1)], ["A"], candidates=names)])
