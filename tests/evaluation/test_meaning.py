"""Tests that figures that mean nothing are left out, with the reason, and that all others stay."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from wavegan.evaluation.classifier import Accuracy
from wavegan.evaluation.clip_format import common_form, longest_without_outliers
from wavegan.evaluation.evaluate import Reference
from wavegan.evaluation.meaning import LEAST_CLIPS, fault_of_classifier
from wavegan.evaluation.metrics import METRICS

RATE, SAMPLES = 16000, 4096
ABSOLUTE = {"comb_db", "ripple_db", "line_db", "noise_floor_db", "partial_jitter_hz"}
DIVERSITY = {"recall", "coverage", "duplicate_share"}
EVERY = {
    name
    for name, metric in METRICS.items()
    if metric.features not in ("classifier", "probabilities", "embedding", "stereo")
}


def plucks(count: int, lowest: float = 200, level: float = 0.5) -> Tensor:
    """Makes decaying tones over hiss, no two alike: (count, 1, SAMPLES)."""
    time = torch.arange(SAMPLES) / RATE
    pitch = lowest + 30 * torch.arange(count)[:, None]
    hiss = torch.randn(count, SAMPLES, generator=torch.Generator().manual_seed(int(lowest)))
    return (level * torch.sin(2 * torch.pi * pitch * time) * torch.exp(-9 * time) + 0.001 * hiss)[:, None]


SETS = {
    "plucks": plucks(12, 215),
    "silence": torch.zeros(12, 1, SAMPLES),
    "a constant": torch.full((12, 1, SAMPLES), 0.6),
    "hiss below -60 dBFS": 2e-4 * plucks(12),
    "one sound": plucks(1).expand(12, -1, -1),
    "five sounds": plucks(5).repeat(3, 1, 1)[:12],
    "six sounds": plucks(6).repeat(2, 1, 1),
    "five that sound": torch.cat([plucks(5), torch.zeros(7, 1, SAMPLES)]),
    "six that sound": torch.cat([plucks(6), torch.zeros(6, 1, SAMPLES)]),
    "five clips": plucks(5),
    "six clips": plucks(6),
}


def scores(candidate: str, real: str) -> dict[str, dict]:
    reference = Reference([SETS[real]], RATE, training=[plucks(12, 233)])
    return reference.scores(reference.extract([SETS[candidate]]))


def without(by_metric: dict[str, dict]) -> set[str]:
    """Returns the metrics that are left out, after a look at what stands in their place."""
    left_out = {name for name, score in by_metric.items() if score["value"] is None}
    for name, score in by_metric.items():
        if name in left_out:
            assert set(score) == {"value", "low", "high", "n", "reason"} and score["low"] is score["high"] is None
        else:
            assert all(np.isfinite([score["value"], score["low"], score["high"]])) and "reason" not in score
    return left_out


CASES = [
    ("plucks", "silence", EVERY - ABSOLUTE, "12 of 12 real clips to compare with are silent", "`reference=DIR`"),
    ("plucks", "a constant", EVERY - ABSOLUTE, "12 of 12 real clips to compare with are silent", "`reference=DIR`"),
    ("plucks", "hiss below -60 dBFS", EVERY - ABSOLUTE, "12 of 12 real clips to", "`reference=DIR`"),
    ("plucks", "one sound", EVERY - ABSOLUTE, "only 1 of 12 real clips to compare with are diff", "`reference=DIR`"),
    ("plucks", "five sounds", EVERY - ABSOLUTE, "only 5 of 12 real clips", "`reference=DIR`"),
    ("plucks", "five that sound", EVERY - ABSOLUTE, "7 of 12 real clips", "`reference=DIR`"),
    ("plucks", "five clips", EVERY - ABSOLUTE, "there are 5 real clips", "give more"),
    ("silence", "plucks", EVERY, "12 of 12 clips are silent, and 6 or more must sound", "listen to them"),
    ("a constant", "plucks", EVERY, "12 of 12 clips are silent", "listen to them"),
    ("five that sound", "plucks", EVERY, "7 of 12 clips are silent", "listen to them"),
    ("one sound", "plucks", EVERY - DIVERSITY, "only 1 of 12 clips are different", "listen to them"),
    ("five clips", "plucks", EVERY, "there are 5 clips, and 6 or more are needed", "give more"),
]


@pytest.mark.parametrize(("candidate", "real", "expected", "reason", "remedy"), CASES)
def test_figures_of_clips_that_say_nothing_are_left_out(candidate, real, expected, reason, remedy):
    by_metric = scores(candidate, real)
    assert without(by_metric) == expected and set(by_metric) == EVERY
    for name in expected:
        assert by_metric[name]["reason"].startswith(reason) and remedy in by_metric[name]["reason"]


@pytest.mark.parametrize("other", ["six sounds", "six that sound", "six clips", "plucks"])
def test_as_many_as_are_needed_give_every_figure(other):
    assert without(scores(other, "plucks")) == without(scores("plucks", other)) == set()
    assert len(SETS["six clips"]) == LEAST_CLIPS


def test_a_collapsed_set_is_still_told_apart_by_what_measures_it():
    by_metric = scores("one sound", "plucks")
    assert by_metric["duplicate_share"]["value"] == 1 and by_metric["recall"]["value"] < 0.2


def test_distances_without_a_scale_are_left_out():
    """An embedding that hears nothing gives distances of 0; those of the spectra stay."""
    reference = Reference([SETS["plucks"]], RATE, embedding=lambda clips, rate: torch.ones(len(clips), 3))
    by_metric = reference.scores(reference.extract([plucks(12, 222)]))
    left_out = without(by_metric)
    assert left_out == {name for name, metric in METRICS.items() if metric.features == "embedding"}
    assert by_metric["kad_e"]["reason"].startswith("12 of 12 real clips are equal by embedding")


def test_real_clips_that_were_learned_from_give_no_distances_to_training():
    reference = Reference([SETS["plucks"]], RATE, training=[SETS["plucks"]])
    reason = reference.scores(reference.extract([plucks(12, 222)]))["copy_z"]["reason"]
    assert reason.startswith("12 of 12 real clips are training sounds or equally far from them, so distances have")


def test_what_is_not_finite_is_left_out():
    reference = Reference([SETS["plucks"]], RATE)
    seen = reference.extract([plucks(12, 222)])
    estimates = reference.estimates(seen, count=5)
    estimates["comb_db"][2] = np.nan
    assert without(reference.scores(seen, estimates)) == {"comb_db"}


def curve_of(reference: Reference, clips: torch.Tensor) -> dict:
    seen = reference.extract([clips])
    return reference.curve(seen, reference.scores(seen))


def test_a_curve_has_no_part_and_no_metric_without_meaning():
    reference = Reference([plucks(24)], RATE)
    curve = curve_of(reference, plucks(24, 222))
    assert list(curve) == ["6", "12", "24"] and all("kad_l" in of for of in curve.values())
    few = Reference([plucks(12)], RATE)
    assert list(curve_of(few, plucks(12, 222))) == ["6", "12"]
    collapsed = curve_of(few, SETS["one sound"])["12"]
    assert set(collapsed) == {name for name in DIVERSITY if METRICS[name].is_charted}


# Classifiers.


def fault(heard: str, labels: str, *, model: str = "", held_out: tuple[int, int] = (9, 10), knows: str = "abcd") -> str:
    """Returns the fault of a classifier that hears these letters in real clips of these labels, "-" for none."""
    rows = np.eye(len(knows))[[knows.index(letter) for letter in heard]]
    classifier = SimpleNamespace(label_names=tuple(knows), held_out=Accuracy(*held_out))
    real_labels = [None if label == "-" else label for label in labels]
    return fault_of_classifier(classifier, {"probabilities": rows}, real_labels, model)  # type: ignore[arg-type]


def test_a_classifier_is_measured_on_the_real_clips_whose_labels_it_knows():
    assert fault("abcdabcd", "abcdabcd") == fault("abcdabab", "abcdabcd") == ""
    assert "recognises only 2 of 8 real clips here by 4 labels" in fault("abaaaaaa", "abcdbcdb", held_out=(10, 10))
    assert "classifier=none" in fault("abaaaaaa", "abcdbcdb") and "classifier train" in fault("abaaaaaa", "abcdbcdb")
    assert fault("abcdababaa", "abcdabab-x") == "", "those without a label that it knows do not count"


def test_else_its_own_accuracy_counts():
    assert fault("aaaaaa", "------", held_out=(6, 10)) == ""
    assert "only 2 of 100 clips that were held out from it" in fault("aaaaaa", "------", held_out=(2, 100))
    assert "only 3 of 5" in fault("aaaaaa", "------", held_out=(3, 5), knows="ab"), "no better than a coin"
    assert "only 2 of 100" in fault("abcdaa", "abcda-", held_out=(2, 100)), "five are too few"


def test_a_classifier_of_other_labels_than_the_models_says_nothing_of_it():
    told = fault("aaaaaa", "------", model="xyzuvw")
    assert "the classifier knows a, b, c, d, the model x, y, z, u, v and 1 more, and no label is the same" in told
    assert fault("aaaaaa", "------", model="xa") == "" == fault("abcdab", "abcdab", model="xyz")


def test_a_label_in_another_spelling_is_the_same():
    assert "only 2 of 8 real clips here" in fault("abaaaaaa", "ABCDBCDB", held_out=(10, 10))
    assert fault("abcdabcd", "ABCDABCD", held_out=(1, 10)) == "" == fault("aaaaaa", "------", model="XA")


# Lengths.


def test_a_few_odd_files_do_not_decide_how_long_clips_are():
    assert longest_without_outliers([0.5] * 39 + [600]) == 0.5 and longest_without_outliers([0.5, 600]) == 0.5
    assert longest_without_outliers([0.2] * 30 + [0.8] * 2 + [5]) == 0.8, "four medians are usual"
    assert longest_without_outliers([0.2] * 90 + [2.0] * 10) == 2.0, "a tenth of the files is no exception"
    assert longest_without_outliers([1, 2, 3]) == 3 and longest_without_outliers([7]) == 7


# The commands.


def write(folder: str, clips: Tensor) -> Path:
    Path(folder).mkdir()
    for number, clip in enumerate(clips):
        soundfile.write(f"{folder}/{number:03d}.wav", clip[0].numpy(), RATE)
    return Path(folder)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_evaluate_tells_once_what_it_leaves_out(command):
    write("made", plucks(16))
    write("silent", torch.zeros(24, 1, SAMPLES))
    outcome = command("evaluate", "made", "--data", "silent", "--classifier", "none", "--out", "out", "--json")
    assert outcome.code == 0, outcome.err
    values = json.loads(outcome.out)
    assert values["metrics"]["kad_l"]["value"] is None and "real clips" in values["metrics"]["kad_l"]["reason"]
    assert values["metrics"]["comb_db"]["value"] > 0 and values["by_count"]["real"]["12"] == {}
    told = [line for line in outcome.err.splitlines() if "left out" in line]
    assert len(told) == 2 and "12 of 12 real clips to compare with are silent" in told[0] and "--data DIR" in told[0]
    assert values["facts"]["silent clips"] == "12 of real, 12 of noise, 12 of reference"
    page = Path("out/report.html").read_text()
    assert "real clips to compare with are silent" in page and "None" not in page
    shown = command("evaluate", "made", "--data", "silent", "--classifier", "none", "--out", "out").out
    assert "None" not in shown and shown.splitlines()[1].split() == ["kad_l", "-", "-", "-"]


def test_many_silent_clips_are_told_with_the_figures_that_they_lower(command):
    write("real", plucks(32, 222))
    rest = ("--classifier", "none", "--out", "out")
    for silent, is_told in ((1, True), (8, True), (12, False)):
        write(f"made-{silent}", torch.cat([plucks(16 - silent), torch.zeros(silent, 1, SAMPLES)]))
        err = command("evaluate", f"made-{silent}", "--data", "real", *rest).err
        told = f"warning: {silent} of 16 clips of generated are silent, which makes its partial_jitter_hz, comb_db,"
        assert (told in err) == is_told, "with fewer than six others the figures are left out"
    write("alike", torch.cat([plucks(24, 222), torch.zeros(8, 1, SAMPLES)]))
    assert "are silent" not in command("evaluate", "made-1", "--data", "alike", *rest).err


def test_compare_has_no_difference_from_a_set_without_meaning(command):
    write("made", plucks(16))
    write("same", plucks(1, 999).expand(16, -1, -1))
    write("real", plucks(32, 222))
    outcome = command("compare", "made", "same", "--data", "real", "--classifier", "none", "--trials", 2, "--json")
    assert outcome.code == 0, outcome.err
    values = json.loads(outcome.out)
    assert values["metrics"]["made"]["kad_l"]["value"] is not None is values["metrics"]["same"]["kad_l"]["value"]
    assert set(values["differences"]["same"]) == DIVERSITY
    assert "None" not in Path("comparison/report.html").read_text()


def test_one_long_file_does_not_decide_and_is_told(command):
    write("made", plucks(16))
    soundfile.write("made/loop.wav", np.random.default_rng(0).uniform(-1, 1, 20 * RATE), RATE)
    write("real", plucks(16, 222))
    outcome = command("evaluate", "made", "--data", "real", "--classifier", "none", "--out", "out", "--json")
    assert "made: of 1 of 17 files, up to 20.0 s long, only the first 0.26 s are judged" in outcome.err
    assert common_form(Path("made")).clip_samples == SAMPLES
    assert json.loads(outcome.out)["facts"]["clips"].endswith("of 0.26 s in each set")
