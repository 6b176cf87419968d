"""Many clips are told before they take long, and distances of one set are taken once."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from wavegan.commands import judged_sets
from wavegan.evaluation import distances, metric_functions
from wavegan.evaluation.clips import ClipSet
from wavegan.evaluation.distances import Unchanging, squared_distances_within
from wavegan.evaluation.reference_sets import ReferenceSets


def test_what_will_take_long_is_told_before_it_starts(monkeypatch, console, capsys):
    class Slow:
        features: dict = {}

        def __init__(self, *_, **__):
            self.extract = lambda clips: {}
            self.expected_seconds = lambda count: 90.0

    clips = ClipSet(4000, lambda number: torch.zeros(16, 1, 64))
    real_sound = ReferenceSets.__new__(ReferenceSets)
    for name, value in {"reference": clips, "training": None, "form": type("Form", (), {"sample_rate": 16000})}.items():
        object.__setattr__(real_sound, name, value)
    monkeypatch.setattr(judged_sets, "Reference", Slow)
    judged_sets.extract_sets({"generated": clips, "real": clips}, real_sound, None, 0)
    err = capsys.readouterr().err
    assert "4,000 clips in each of 2 sets take about 3 minutes; their time grows with the square" in err


def test_pairs_within_a_set_come_once_whatever_the_parts(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(23, 4))
    squares = ((rows[:, None] - rows) ** 2).sum(axis=2)
    for pairs in (1, 50, 1 << 22):
        monkeypatch.setattr(distances, "PAIRS_AT_ONCE", pairs)
        seen = []
        for part, some in squared_distances_within(rows):
            np.testing.assert_allclose(some, squares[part, part.start :], atol=1e-12)
            seen += range(23)[part]
        assert seen == list(range(23))


def test_distances_are_kept_of_unchanging_arrays_alone(monkeypatch):
    rows, counts = np.random.default_rng(0).normal(size=(2, 40, 3)), np.ones((1, 40))
    calls = []
    plain = metric_functions.squared_distances
    monkeypatch.setattr(metric_functions, "squared_distances", lambda *both: calls.append(1) or plain(*both))
    kept = [array.view(Unchanging) for array in rows]
    values = {}
    for name, (mine, real) in {"kept": kept, "plain": rows}.items():
        values[name] = [
            float(metric(mine, real, counts, counts)[0])
            for metric in (metric_functions.precision, metric_functions.recall, metric_functions.coverage)
        ]
        calls.append(0)
    assert calls == [1, 0, 1, 1, 1, 0] and values["kept"] == values["plain"]
    rows[0] += 100.0  # of a plain array nothing is remembered
    assert metric_functions.precision(rows[0].copy(), rows[1], counts, counts)[0] == 0


MEMORY = """
import resource
import numpy as np
from wavegan.evaluation.distances import Unchanging
from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.resampling import resamples
mine, real = (rows.view(Unchanging) for rows in np.random.default_rng(0).normal(size=(2, 3000, 128)))
resamples(METRICS["precision"], mine[:10], real[:10], seed=0, count=200)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in METRICS_TAKEN:
    resamples(METRICS[name], mine, real, seed=0, count=200)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


LONG = [["kad_l"], ["precision", "coverage", "duplicate_share"]]


@pytest.mark.parametrize("metrics", [["fad_l"], *(pytest.param(names, marks=pytest.mark.long) for names in LONG)])
def test_what_is_kept_leaves_no_holes_in_memory(metrics):
    code = MEMORY.replace("METRICS_TAKEN", repr(metrics))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 350  # megabytes; with small results between large ones it was over 800
