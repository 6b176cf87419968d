"""Tests distances computed in parts: against scipy, far from the origin, and in bounded memory."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from wavegan.evaluation import distances
from wavegan.evaluation.distances import nearest, neighbour_distances, squared_distances


def normal(count: int, features: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, features))


@pytest.mark.parametrize("pairs", [1, 13, 14, 5 * 13, 1 << 22])  # one row at a time, five, all
def test_every_pair_comes_once_and_in_its_place(monkeypatch, pairs):
    monkeypatch.setattr(distances, "PAIRS_AT_ONCE", pairs)
    rows, others = normal(23, 4, 0), normal(13, 4, 1)
    parts = list(squared_distances(rows, others))
    assert [number for part, _ in parts for number in range(23)[part]] == list(range(23))
    assert {len(part) for _, part in parts[:-1]} <= {max(1, pairs // 13)}
    assert all(part.shape == (where.stop - where.start, 13) for where, part in parts)
    computed = np.concatenate([part.numpy() for _, part in parts])
    np.testing.assert_allclose(computed, cdist(rows, others, "sqeuclidean"), rtol=1e-12)


def test_far_from_the_origin_small_distances_keep_their_digits():
    """Without a shift to the middle the products would be 1e12, and rounded at 1e-4."""
    rows, others = normal(10, 3, 0) + 1e6, normal(8, 3, 1) + 1e6
    [(_, computed)] = squared_distances(rows, others)
    np.testing.assert_allclose(computed.numpy(), cdist(rows, others, "sqeuclidean"), rtol=1e-9)


def test_equal_rows_are_at_zero_and_none_is_below():
    rows = 100 * normal(200, 128, 0)
    [(_, computed)] = squared_distances(rows, rows.copy())
    assert computed.min() >= 0 and computed.diagonal().max() < 1e-8


def test_rows_of_single_precision_and_of_any_stride_are_taken():
    wide = normal(12, 10, 0).astype(np.float32)
    [(_, computed)] = squared_distances(wide[::2, ::3], wide[1::2, ::3])
    np.testing.assert_allclose(computed.numpy(), cdist(wide[::2, ::3], wide[1::2, ::3], "sqeuclidean"), rtol=1e-9)


@pytest.mark.parametrize("pairs", [40, 1 << 22])
def test_nearest_gives_distance_and_number(monkeypatch, pairs):
    monkeypatch.setattr(distances, "PAIRS_AT_ONCE", pairs)
    rows, others = normal(30, 5, 0), normal(20, 5, 1)
    rows[4] = others[17]
    least, numbers = nearest(rows, others)
    table = cdist(rows, others)
    np.testing.assert_array_equal(numbers, table.argmin(axis=1))
    np.testing.assert_allclose(least, table.min(axis=1), atol=1e-6)
    assert numbers[4] == 17 and least[4] < 1e-6


def test_nearest_by_hand():
    least, numbers = nearest(np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([[9.0, 0.0], [3.0, 4.0], [-6.0, 0.0]]))
    np.testing.assert_allclose(least, [5, 1])
    assert numbers.tolist() == [1, 0]


@pytest.mark.parametrize("pairs", [40, 1 << 22])
@pytest.mark.parametrize("k", [1, 2, 5, 29])
def test_the_kth_neighbour_is_never_the_row_itself(monkeypatch, pairs, k):
    monkeypatch.setattr(distances, "PAIRS_AT_ONCE", pairs)
    rows = normal(30, 5, 0)
    expected = np.sort(cdist(rows, rows), axis=1)[:, k]  # column 0 is the row itself
    np.testing.assert_allclose(neighbour_distances(rows, k), expected, rtol=1e-9)


def test_an_equal_row_is_a_neighbour_at_zero():
    rows = np.array([[0.0], [0.0], [1.0], [5.0]])
    np.testing.assert_allclose(neighbour_distances(rows), [0, 0, 1, 4])
    np.testing.assert_allclose(neighbour_distances(rows, 2), [1, 1, 1, 5])


FIFTY_THOUSAND = """
import itertools
import numpy as np
import torch
from wavegan.evaluation import distances, metric_functions, metrics

torch.set_num_threads(1)
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024
rows, others = np.random.default_rng(0).normal(size=(2, 50_000, 8))
metric_functions.coverage(rows[:64], others[:64], np.ones((2, 64)), np.ones((2, 64)))  # libraries load
before = peak()
some, ones, few = rows[:8_000], np.ones((2, 8_000)), np.ones((2, 200))
for name in ("precision", "density", "coverage"):
    metrics.METRICS[name].function(some, others[:200], ones, few)
metrics.METRICS["recall"].function(others[:200], some, few, ones)
def first_parts(function):
    return lambda *sides: itertools.islice(function(*sides), 4)
distances.squared_distances = metric_functions.squared_distances = first_parts(distances.squared_distances)
metric_functions.squared_distances_within = first_parts(distances.squared_distances_within)
distances.nearest(rows, others)
distances.neighbour_distances(rows, 5)
metric_functions.kernel_distance(rows, others, np.ones((2, len(rows))), np.ones((2, len(others))))
print(before, peak())
"""


def megabytes(program: str) -> tuple[int, int]:
    """Runs a program and returns the two numbers that it prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    return before, after


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere peaks are counted otherwise")


@on_linux
def test_fifty_thousand_clips_need_no_more_than_a_part_at_a_time():
    """All pairs would take 20 GB, and those of 8,000 clips, which are passed over whole, 0.5 GB.

    Each part needs as much memory as any other, so the first four of each pass stand for all.
    """
    before, after = megabytes(FIFTY_THOUSAND)
    assert after - before < 400 and after < 1500, f"{before} MB before, {after} at most"


EVERY_METRIC = """
import numpy as np
import torch
from wavegan.evaluation import distances, metric_functions, metrics

torch.set_num_threads(1)
distances.PAIRS_AT_ONCE, metric_functions.MEDIAN_CLIPS = 1 << 16, 100
def pass_over(count):
    rows, others = np.random.default_rng(0).normal(size=(2, count, 8))
    ones = np.ones((2, count))
    for metric in metrics.METRICS.values():
        if metric.features == "log_mel":
            metric.function(rows, others, ones, ones)
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024
print(pass_over(200), pass_over(3_000))
"""


@on_linux
def test_no_metric_keeps_the_parts_that_it_has_seen():
    """All 3,000 × 3,000 pairs take 72 MB; in parts of half a megabyte no metric may need much more than a part."""
    before, after = megabytes(EVERY_METRIC)
    assert after - before < 30, f"{before} MB with 200 clips, {after} with 3,000"
