"""Tests every metric: against loops over clips in float64, closed forms, scipy and arrays worked by hand."""

import ast
import statistics
from itertools import combinations
from math import dist, exp, log10, sqrt
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.linalg import sqrtm
from scipy.stats import entropy

import wavegan
from wavegan.evaluation.metrics import HEADLINE, LOWER, METRICS
from wavegan.evaluation.resampling import interval, resamples


def normal(count: int, features: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, features))


def value(name: str, candidate: ArrayLike, reference: ArrayLike) -> float:
    """Computes a metric of arrays in which every clip counts once."""
    rows, others = np.asarray(candidate, float), np.asarray(reference, float)
    [result] = METRICS[name].function(rows, others, np.ones((1, len(rows))), np.ones((1, len(others))))
    return float(result)


# Each metric once more, of one row of weights: w for the candidate x, v for the reference y.


def kad(x, y, w, v):
    width = statistics.median(dist(a, b) for a, b in combinations(y, 2))

    def mean_kernel(rows, others, counts, other_counts, is_one):
        places = [(i, j) for i in range(len(rows)) for j in range(len(others)) if not (is_one and i == j)]
        pairs = [counts[i] * other_counts[j] for i, j in places]
        kernels = [exp(-((dist(rows[i], others[j]) / width) ** 2) / 2) for i, j in places]
        return np.average(kernels, weights=pairs)

    return 100 * (mean_kernel(x, x, w, w, True) + mean_kernel(y, y, v, v, True) - 2 * mean_kernel(x, y, w, v, False))


def fad(x, y, w, v):
    x, y = np.repeat(x, w, axis=0), np.repeat(y, v, axis=0)
    shift, covariance, other_covariance = x.mean(axis=0) - y.mean(axis=0), np.cov(x.T), np.cov(y.T)
    return shift @ shift + np.trace(covariance + other_covariance - 2 * np.real(sqrtm(covariance @ other_covariance)))


def radius(rows, number):
    return sorted(dist(rows[number], other) for place, other in enumerate(rows) if place != number)[4]


def balls_around(clip, centres):
    return sum(dist(clip, centre) <= radius(centres, number) for number, centre in enumerate(centres))


def precision(x, y, w, v):
    return np.average([balls_around(clip, y) > 0 for clip in x], weights=w)


def density(x, y, w, v):
    return np.average([balls_around(clip, y) / 5 for clip in x], weights=w)


def recall(x, y, w, v):
    return np.average([balls_around(clip, x) > 0 for clip in y], weights=v)


def coverage(x, y, w, v):
    held = [any(dist(clip, other) <= radius(y, number) for other in x) for number, clip in enumerate(y)]
    return np.average(held, weights=v)


def hundredth(values):
    """Returns the 1 % quantile of at most 101 values, on the line between the least two."""
    least, second = sorted(values)[:2]
    return least + (second - least) * (len(values) - 1) / 100


def duplicate_share(x, y, w, v):
    closest = [[min(dist(a, b) for b in rows if b is not a) for a in rows] for rows in (list(x), list(y))]
    return np.average(np.array(closest[0]) <= hundredth(closest[1]), weights=w)


def copy_share(x, y, w, v):
    return np.average([distance <= min(hundredth(y), np.median(y) / 2) for distance in x], weights=w)


def copy_z(x, y, w, v):
    x, y = np.repeat(x, w), np.repeat(y, v)
    wins = sum((b < a) + (a == b) / 2 for a in x for b in y)
    return (wins - len(x) * len(y) / 2) / sqrt(len(x) * len(y) * (len(x) + len(y) + 1) / 12)


def artefact_share(x, y, w, v):
    return np.average([any(number > 0 for number in clip) for clip in x], weights=w)


def comb_db(x, y, w, v):
    return max(np.average(stage, weights=w) for stage in x.T)


def line_db(x, y, w, v):
    """Averages the products of all pairs of different clips, where a clip that counts twice is one clip."""
    heard = x[:, [bool(column.any()) for column in x.T]]
    heard = [*(heard - heard.mean(axis=1, keepdims=True)).T]
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
    weight = sum(w[i] * w[j] for i, j in pairs)
    squares = [sum(w[i] * w[j] * column[i] * column[j] for i, j in pairs) / weight for column in heard]
    return max(0.0, statistics.mean(squares)) ** 0.5


def spectrum_error_db(x, y, w, v):
    bands = zip(np.repeat(x, w, axis=0).T, np.repeat(y, v, axis=0).T, strict=True)
    return statistics.mean(abs(10 * log10(np.mean(band) / np.mean(other))) for band, other in bands)


def noise_floor_db(x, y, w, v):
    return np.average(x, weights=w)


def inception_score(x, y, w, v):
    rows = np.repeat(x, w, axis=0)
    return exp(statistics.mean(float(entropy(row, rows.mean(axis=0))) for row in rows))


def mis(x, y, w, v):
    rows = np.repeat(x, w, axis=0)
    return exp(statistics.mean(float(entropy(row, other)) for row in rows for other in rows))


def am(x, y, w, v):
    rows, others = np.repeat(x, w, axis=0), np.repeat(y, v, axis=0)
    return entropy(others.mean(axis=0), rows.mean(axis=0)) + statistics.mean(float(entropy(row)) for row in rows)


BY_HAND = {
    "kad_l": ("log_mel", kad),
    "kad_order": ("order", kad),
    "kad_partials": ("partials", kad),
    "kad_attack": ("attack", kad),
    "kad_stereo": ("stereo", kad),
    "kad_c": ("classifier", kad),
    "fad_l": ("log_mel", fad),
    "fad_c": ("classifier", fad),
    "precision": ("log_mel", precision),
    "density": ("log_mel", density),
    "recall": ("log_mel", recall),
    "coverage": ("log_mel", coverage),
    "duplicate_share": ("log_mel", duplicate_share),
    "copy_share": ("to_training", copy_share),
    "copy_z": ("to_training", copy_z),
    "comb_db": ("comb", comb_db),
    "ripple_db": ("ripple", comb_db),
    "line_db": ("lines", line_db),
    "spectrum_error_db": ("third_octaves", spectrum_error_db),
    "noise_floor_db": ("noise_floor", noise_floor_db),
    "artefact_share": ("events", artefact_share),
    "partial_jitter_hz": ("jitter", noise_floor_db),
    "inception_score": ("probabilities", inception_score),
    "mis": ("probabilities", mis),
    "am": ("probabilities", am),
    "kad_e": ("embedding", kad),
    "fad_e": ("embedding", fad),
    "precision_e": ("embedding", precision),
    "density_e": ("embedding", density),
    "recall_e": ("embedding", recall),
    "coverage_e": ("embedding", coverage),
}
REAL, MADE = normal(26, 3, 1), normal(30, 3, 2)
REAL[:5] *= 4  # which nothing made comes near
MADE[:8] = MADE[8] + 1e-3 * MADE[:8]  # nearly one clip
MADE[-8:] *= 9  # far from all
SEEN = {
    "log_mel": (MADE, REAL),
    "order": (MADE[:, 1:], REAL[:, 1:]),
    "partials": (MADE[:, ::2], REAL[:, ::2]),
    "attack": (MADE[:, ::-1], REAL[:, ::-1]),
    "stereo": (MADE[:, 1:] - 0.2, REAL[:, 1:]),
    "embedding": (MADE + 0.3, REAL),
    "events": (normal(30, 2, 12) - 0.7, normal(26, 2, 13) - 0.7),
    "jitter": (normal(30, 1, 14)[:, 0], normal(26, 1, 15)[:, 0]),
    "classifier": (MADE[:, :2], REAL[:, :2]),
    "to_training": (np.abs(normal(30, 1, 3)[:, 0]), np.abs(normal(26, 1, 4)[:, 0]) + 0.3),
    "comb": (normal(30, 4, 5), normal(26, 4, 6)),
    "ripple": (normal(30, 9, 5), normal(26, 9, 6)),
    "lines": ((2 + normal(30, 9, 5)) * (np.arange(9) > 1), normal(26, 9, 6)),
    "third_octaves": (np.exp(normal(30, 6, 7)), np.exp(normal(26, 6, 8))),
    "noise_floor": (normal(30, 1, 9)[:, 0] - 60, normal(26, 1, 10)[:, 0]),
    "probabilities": tuple(np.random.default_rng(11).dirichlet([0.5] * 5, count) for count in (30, 26)),
}


def test_no_metric_is_without_its_loop():
    assert BY_HAND.keys() == METRICS.keys()


def test_one_metric_makes_the_best_checkpoint_and_less_of_it_is_better():
    assert [name for name, metric in METRICS.items() if metric.is_headline] == [HEADLINE]
    assert METRICS[HEADLINE].better == LOWER and METRICS[HEADLINE].is_periodic


def test_no_code_decides_by_a_metrics_name():
    """Looks at names with an underscore only: words like precision and recall occur elsewhere as well."""
    names = {name for name in METRICS if "_" in name}
    package = Path(wavegan.__file__).parent
    uses = {
        f"{path.relative_to(package)}:{node.lineno}: {node.value}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    }
    rows = {use for use in uses if use.startswith("evaluation/metrics.py:")}
    assert uses == rows and len(rows) == len(names)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_equals_a_loop_over_clips_however_often_each_counts(name):
    """A clip that counts twice equals a clip that is there twice; only kad leaves out the pair of these two."""
    view, by_hand = BY_HAND[name]
    candidate, reference = SEEN[view]
    random = np.random.default_rng(0)
    w = np.vstack([np.ones(30, int), random.multinomial(30, [1 / 30] * 30, size=3)])
    v = np.vstack([np.ones(26, int), random.multinomial(26, [1 / 26] * 26, size=3)])
    expected = [by_hand(candidate, reference, mine, real) for mine, real in zip(w, v, strict=True)]
    assert METRICS[name].features == view
    assert len(set(np.round(expected, 9))) > 1, "the weights matter"
    computed = METRICS[name].function(candidate, reference, w.astype(float), v.astype(float))
    np.testing.assert_allclose(computed, expected, rtol=1e-7)


@pytest.mark.parametrize("name", METRICS)
def test_the_order_of_clips_changes_nothing(name):
    candidate, reference = SEEN[METRICS[name].features]
    mine, real = np.random.default_rng(0).permutation(30), np.random.default_rng(1).permutation(26)
    assert value(name, candidate[mine], reference[real]) == pytest.approx(value(name, candidate, reference), rel=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_the_first_value_counts_every_clip_once_and_the_same_seed_repeats(name):
    candidate, reference = SEEN[METRICS[name].features]
    values = resamples(METRICS[name], candidate, reference, seed=0, count=50)
    assert values.shape == (51,) and values[0] == pytest.approx(value(name, candidate, reference), rel=1e-12)
    assert len(set(values)) > 2 and interval(values)[0] <= values[0] <= interval(values)[1]
    np.testing.assert_array_equal(resamples(METRICS[name], candidate, reference, seed=0, count=50), values)
    other = resamples(METRICS[name], candidate, reference, seed=1, count=50)
    assert other[0] == values[0] and (other != values).any()


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("count", [2, 3])
def test_two_clips_are_enough_for_a_finite_answer(name, count):
    """Half of all resamples of two clips are one of them twice."""
    candidate, reference = SEEN[METRICS[name].features]
    values = resamples(METRICS[name], candidate[:count], reference[:count], seed=0, count=50)
    low, high = interval(values)
    assert np.isfinite(values).all() and low <= values[0] <= high


def test_kad_of_four_clips_by_hand():
    """Puts the real clips 2 apart, which is the kernel's width; the others are 0 apart, and 1 from both."""
    expected = 100 * (1 + exp(-1 / 2) - 2 * exp(-1 / 8))
    assert value("kad_l", [[1], [1]], [[0], [2]]) == pytest.approx(expected)


def test_kad_of_a_set_against_itself_counts_each_clip_with_itself_across():
    rows = normal(22, 3, 0)  # 231 pairs, so one is in the middle
    assert value("kad_l", rows, rows) == pytest.approx(kad(rows, rows, np.ones(22), np.ones(22)))


def test_kad_is_at_most_200():
    assert value("kad_l", np.full((9, 2), 1e3), np.full((9, 2), 0.1)) == pytest.approx(200)


def kad_of_normals(shift: float, width: float) -> float:
    """Returns the distance of two unit normals in one dimension: kernels between normals are normals."""
    scale = width / sqrt(width**2 + 2)
    return 100 * 2 * scale * (1 - exp(-(shift**2) / 2 / (width**2 + 2)))


def test_kad_of_two_normals_in_closed_form():
    candidate, reference = normal(1500, 1, 0) + 1, normal(1500, 1, 1)
    width = float(np.median([dist(a, b) for a, b in combinations(reference[:400], 2)]))
    assert value("kad_l", candidate, reference) == pytest.approx(kad_of_normals(1, width), rel=0.1)


@pytest.mark.parametrize("count", [10, 30, 100])
def test_kad_is_unbiased_where_fad_is_not(count):
    """Compares sets of one kind, 100 times.

    The mean of kad is within three standard errors of 0, and the mean of fad far above it.
    """
    pairs = [np.split(normal(2 * count, 8, seed), 2) for seed in range(100)]
    kads, fads = ([value(name, *pair) for pair in pairs] for name in ("kad_l", "fad_l"))
    assert abs(np.mean(kads)) < 3 * np.std(kads) / 10
    bias = 2 * 8 / count + 8 * 9 / 2 / count  # of means and of covariances, to first order in 1 / N
    assert np.mean(fads) == pytest.approx(bias, rel=0.15)


def whitened(count: int, features: int, seed: int) -> np.ndarray:
    """Makes rows with mean 0 and covariance exactly 1."""
    rows = normal(count, features, seed)
    rows -= rows.mean(axis=0)
    return np.linalg.qr(rows)[0] * np.sqrt(count - 1)


def test_fad_of_two_gaussians_in_closed_form():
    means, deviations, others = np.array([1.0, -2.0, 0.5]), np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.5])
    generated, reference = whitened(50, 3, 0) * deviations + means, whitened(40, 3, 1) * others
    expected = 1 + 4 + 0.25 + 1 + 0 + 6.25  # Σ (μ₁-μ₂)² + Σ (σ₁-σ₂)²
    assert value("fad_l", generated, reference) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("count", [2, 20, 500])  # ranks 1, 19 and full
def test_fad_of_equal_sets_is_zero_and_a_shift_counts_squared(count):
    clips = normal(count, 128, 0)
    assert 0 <= value("fad_l", clips, clips) < 1e-4
    assert value("fad_l", clips + 0.5, clips) == pytest.approx(128 * 0.25, abs=1e-4)
