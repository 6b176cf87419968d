"""Tests metrics of neighbours, copies, labels and spectra, worked by hand; resamples and their intervals."""

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from wavegan.errors import DataError
from wavegan.evaluation.metric_functions import mean_of_clips
from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.resampling import interval, resamples

MEAN = replace(METRICS["noise_floor_db"], function=mean_of_clips)


def normal(count: int, features: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, features))


def value(name: str, candidate, reference) -> float:
    """Computes a metric of arrays in which every clip counts once."""
    rows, others = np.asarray(candidate, float), np.asarray(reference, float)
    [result] = METRICS[name].function(rows, others, np.ones((1, len(rows))), np.ones((1, len(others))))
    return float(result)


ALIKE = {"kad_l": 0, "fad_l": 0, "precision": 1, "density": 8 / 5, "recall": 1, "coverage": 1, "duplicate_share": 1}


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("level", [0.0, 0.1, -100.0])
def test_clips_that_are_all_alike_are_answered_in_full(name, level):
    assert value(name, np.full((6, 128), level), np.full((8, 128), level)) == pytest.approx(ALIKE[name], abs=1e-9)


def test_balls_without_extent_are_not_emptied_by_rounding():
    """Repeats each real clip six times: the 5th neighbour is at 0, and so is one candidate."""
    made = 10 * normal(50, 128, 0)
    real = made.repeat(6, axis=0)
    for name, expected in {"precision": 1, "recall": 1, "coverage": 1, "density": 6 / 5}.items():
        assert value(name, made, real) == pytest.approx(expected), name


def test_a_set_lies_within_its_own_balls_to_the_border():
    """Each ball holds its centre and five others, the last of them on its border."""
    rows = normal(60, 16, 0)
    assert value("density", rows, rows.copy()) == pytest.approx(6 / 5)


def test_balls_of_fewer_than_six_clips_reach_to_the_farthest():
    """Puts three real clips on a line: the balls around 0, 1 and 3 reach 3, 2 and 3."""
    real = [[0], [1], [3]]
    assert value("precision", [[6], [6.1], [-3], [-3.1]], real) == 2 / 4
    assert value("density", [[2], [6]], real) == pytest.approx((3 + 1) / 2 / 2)


# Real clips 0 to 5 on a line: their balls reach 5, 4, 3, 3, 4 and 5 to either side.
LINE = np.arange(6.0)[:, None]


@pytest.mark.parametrize(("clip", "balls"), [(2.5, 6), (-3, 2), (-4.5, 1), (-5, 1), (10, 1), (-5.1, 0), (10.1, 0)])
def test_balls_on_a_line_by_hand(clip, balls):
    """A border counts as inside: -3 lies on that of the ball around 1, -5 on that around 0."""
    clips = np.array([[clip], [1000.0]])
    assert value("precision", clips, LINE) == value("recall", LINE, clips) == (balls > 0) / 2
    assert value("density", clips, LINE) == pytest.approx(balls / 5 / 2)


def test_coverage_on_a_line_by_hand():
    """7.5 lies beyond the ball of 3, which ends at 6, and within those of 4 and 5, which end at 8 and 10."""
    assert value("coverage", [[7.5], [1000]], LINE) == pytest.approx(2 / 6)


def test_copy_share_by_hand():
    """With 101 held-out clips at 1, 2, … 101 the 1 % quantile is 2; a clip at 2 counts."""
    assert value("copy_share", [1.5, 2, 2.1, 50], np.arange(1, 102)) == pytest.approx(2 / 4)


def test_clips_of_the_training_sounds_kind_are_no_copies_where_all_held_out_ones_are_far():
    """With held-out clips at 100 to 200 the median is 150: the 1 % quantile of 101 is further than its half."""
    assert value("copy_share", [75, 76, 90, 100], np.arange(100, 201)) == pytest.approx(1 / 4)


def test_exact_copies_count_although_rounding_leaves_them_apart():
    """Takes 0 and 1e-7 for the same distance where held-out clips equal training clips, for example silence."""
    held_out = np.concatenate([np.zeros(5), normal(95, 1, 0)[:, 0] ** 2 + 1])
    assert value("copy_share", [1e-7, 0, 0.5, 3], held_out) == pytest.approx(2 / 4)


def test_copy_z_is_the_z_of_scipys_test():
    candidate, held_out = normal(60, 1, 0)[:, 0] + 0.5, normal(80, 1, 1)[:, 0]
    for rows, others, sign in ((candidate, held_out, 1), (held_out, candidate, -1)):
        p = mannwhitneyu(rows, others, alternative="greater", method="asymptotic", use_continuity=False).pvalue
        assert value("copy_z", rows, others) == pytest.approx(norm.isf(p)) and np.sign(norm.isf(p)) == sign


def test_copy_z_is_far_below_zero_for_copies_and_zero_for_equals():
    held_out = 1 + normal(100, 1, 0)[:, 0] ** 2
    assert value("copy_z", 0.01 * held_out, held_out) == pytest.approx(-100 * 50 / sqrt(100 * 100 * 201 / 12))
    assert value("copy_z", held_out, held_out) == pytest.approx(0, abs=1e-9)
    assert value("copy_z", np.zeros(30), np.zeros(20)) == 0


def test_duplicate_share_by_hand():
    """Real clips are 1 apart, and two of 101 are 0.5 apart: the 1 % quantile is 0.5."""
    real = np.append(np.arange(100.0), 99.5)[:, None]
    candidate = np.array([[0], [0.4], [10], [10.6], [20], [20.5], [30], [31]])
    assert value("duplicate_share", candidate, real) == pytest.approx(4 / 8)
    assert value("duplicate_share", real, real) == pytest.approx(2 / 101)


def test_one_sided_sets_lose_recall_or_precision():
    """Uses two modes, 100 apart; a model that knows one of them is precise and covers half."""
    real, more = normal(200, 4, 0), normal(200, 4, 1)
    real[100:, 0] += 100
    assert value("precision", more, real) > 0.9
    for name in ("recall", "coverage"):
        assert 0.4 < value(name, more, real) <= 0.5
    assert value("precision", real, more) == pytest.approx(value("recall", more, real))


CERTAIN, FAIR = np.eye(4), np.full((8, 4), 0.25)


def test_scores_of_labels_at_their_ends():
    assert value("inception_score", CERTAIN, CERTAIN) == pytest.approx(4)
    assert value("inception_score", FAIR, CERTAIN) == pytest.approx(1)
    assert value("inception_score", CERTAIN[[0, 0]], CERTAIN) == pytest.approx(1)
    assert value("mis", FAIR, CERTAIN) == value("mis", CERTAIN[[0, 0]], CERTAIN) == pytest.approx(1)
    assert 1e6 < value("mis", CERTAIN, CERTAIN) < np.inf
    assert value("am", CERTAIN, CERTAIN) == pytest.approx(0, abs=1e-9)
    assert value("am", FAIR, FAIR) == pytest.approx(log(4))
    assert value("am", CERTAIN, CERTAIN[[0, 0]]) == pytest.approx(log(4)), "the real clips are of one label"
    assert 10 < value("am", CERTAIN[[1, 1]], CERTAIN[[0, 0]]) < np.inf


def test_scores_of_two_mirrored_clips_by_hand():
    """Labels of 9 to 1 and of 1 to 9 are 0.8 ln 9 apart, and each has the entropy h."""
    mirrored, h = [[0.9, 0.1], [0.1, 0.9]], -0.9 * log(0.9) - 0.1 * log(0.1)
    assert value("mis", mirrored, mirrored) == pytest.approx(9**0.4)
    assert log(value("inception_score", mirrored, mirrored)) == pytest.approx(log(2) - h)
    assert value("am", mirrored, [[1, 0], [1, 0]]) == pytest.approx(log(2) + h)


def test_the_comb_is_the_strongest_stage_of_the_mean_and_not_of_each_clip():
    assert value("comb_db", [[10, 0], [0, 12]], np.zeros((2, 2))) == 6


def test_spectrum_error_by_hand():
    real = [[1, 1, 0], [1, 3, 0]]
    assert value("spectrum_error_db", [[10, 0, 0], [10, 0.04, 0]], real) == pytest.approx((10 + 20 + 0) / 3)
    assert value("spectrum_error_db", np.zeros((2, 3)), np.ones((2, 3))) == pytest.approx(100), "silence is at -100 dB"
    assert value("spectrum_error_db", real, real) == 0


def test_candidates_of_other_streams_meet_the_same_resamples_of_the_reference():
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def keep(candidate, reference, weights, reference_weights):
        seen.append((weights, reference_weights))
        return weights[:, 0]

    rows = np.zeros((30, 2))
    for stream in (0, 1):
        resamples(replace(METRICS["kad_l"], function=keep), rows, rows, seed=5, count=20, stream=stream)
    (mine, real), (others, same) = seen
    np.testing.assert_array_equal(real, same)
    for first, second in ((mine, others), (mine, real), (others, real)):
        assert (first[1:] != second[1:]).any(axis=1).all()
    for weights in (mine, others, real):
        assert weights.shape == (21, 30) and (weights[0] == 1).all()
        assert (weights.sum(axis=1) == 30).all() and weights.min() == 0


@pytest.mark.parametrize("counts", [(1, 9), (9, 1), (0, 9)])
def test_fewer_than_two_clips_are_refused(counts):
    with pytest.raises(DataError, match=f"{counts[0]} clips against {counts[1]}; .*2 or more.*; give more"):
        resamples(METRICS["fad_l"], normal(counts[0], 4, 0), normal(counts[1], 4, 1), seed=0, count=10)


def test_an_interval_by_hand():
    """Resamples from 100 to 140 in steps of 1 reach 19 to either side of 120; the interval reaches as far."""
    assert interval(np.array([5.0, *range(100, 141)])) == pytest.approx((5 - 19, 5 + 19))
    skewed = np.array([5.0, *np.arange(41.0) ** 2])
    assert interval(skewed) == pytest.approx((5 - (400 - 1), 5 + (39**2 - 400)))


def test_fads_interval_is_as_wide_as_fresh_samples_spread():
    """Shifts one dimension far from the reference: for N and M clips fad spreads by 2·shift·√(1/N + 1/M)."""
    generated, reference = normal(100, 2, 0) + [10, 0], normal(100, 2, 1)
    low, high = interval(resamples(METRICS["fad_l"], generated, reference, seed=0, count=400))
    assert high - low == pytest.approx(2 * 1.96 * 2 * 10 * np.sqrt(2 / 100), rel=0.25)


def test_a_means_interval_holds_the_truth_19_times_of_20():
    sets = [normal(50, 1, seed)[:, 0] for seed in range(300)]
    intervals = [interval(resamples(MEAN, rows, rows, seed=seed, count=100)) for seed, rows in enumerate(sets)]
    assert 0.90 < np.mean([low < 0 < high for low, high in intervals]) < 0.98


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_kads_interval_holds_the_truth_about_19_times_of_20(shift):
    """Computes the truth in closed form: two unit normals, a kernel as wide as this reference's median distance."""
    held = []
    for seed in range(150):
        candidate, reference = normal(60, 1, 2 * seed) + shift, normal(60, 1, 2 * seed + 1)
        distances = np.abs(reference - reference.T)[np.triu_indices(60, 1)]
        width = np.sqrt(np.median(distances**2))
        scale = width / sqrt(width**2 + 2)
        truth = 100 * 2 * scale * (1 - np.exp(-(shift**2) / 2 / (width**2 + 2)))
        low, high = interval(resamples(METRICS["kad_l"], candidate, reference, seed=seed, count=100))
        held.append(low <= truth <= high)
    assert 0.88 < np.mean(held) <= 1, f"{np.mean(held):.1%}"
