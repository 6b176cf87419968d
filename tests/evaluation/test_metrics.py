"""The Fréchet distance: closed forms, scipy's matrix root, too few clips, and its interval."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from wavegan.errors import DataError
from wavegan.evaluation.metrics import METRICS, frechet_distance, interval


def normal(count: int, features: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, features))


def whitened(count: int, features: int, seed: int) -> np.ndarray:
    """Rows with mean 0 and covariance exactly 1."""
    rows = normal(count, features, seed)
    rows -= rows.mean(axis=0)
    return np.linalg.qr(rows)[0] * np.sqrt(count - 1)


def test_two_gaussians_in_closed_form():
    means, deviations, others = np.array([1.0, -2.0, 0.5]), np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 0.5])
    generated, reference = whitened(50, 3, 0) * deviations + means, whitened(40, 3, 1) * others
    expected = 1 + 4 + 0.25 + 1 + 0 + 6.25  # Σ (μ₁-μ₂)² + Σ (σ₁-σ₂)²
    assert frechet_distance(generated, reference) == pytest.approx(expected, rel=1e-10)


def test_against_the_matrix_root_of_scipy():
    mixing = normal(6, 6, 2)
    generated, reference = normal(100, 6, 0) @ mixing + 0.5, normal(80, 6, 1)
    covariance, other = np.cov(generated.T), np.cov(reference.T)
    shift = generated.mean(axis=0) - reference.mean(axis=0)
    expected = shift @ shift + np.trace(covariance + other - 2 * np.real(sqrtm(covariance @ other)))
    assert frechet_distance(generated, reference) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("count", [2, 20, 500])  # ranks 1, 19 and full
def test_equal_sets_are_at_zero_and_a_shift_counts_squared(count):
    clips = normal(count, 128, 0)
    assert 0 <= frechet_distance(clips, clips) < 1e-4
    assert frechet_distance(clips + 0.5, clips) == pytest.approx(128 * 0.25, abs=1e-4)


def test_covariances_without_full_rank():
    generated, reference = np.zeros((4, 128)), np.zeros((6, 128))
    generated[:, 0], reference[:, 0] = [1, -1, 1, -1], [2, -2, 2, -2, 0, 0]
    expected = (np.sqrt(4 / 3) - np.sqrt(16 / 5)) ** 2
    assert frechet_distance(generated, reference) == pytest.approx(expected)
    assert frechet_distance(np.zeros((4, 128)), reference) == pytest.approx(16 / 5)
    assert frechet_distance(np.zeros((4, 128)), np.zeros((2, 128))) == 0


def test_the_distance_is_symmetric_and_blind_to_order():
    generated, reference = normal(30, 128, 0), 2 * normal(40, 128, 1)
    value = frechet_distance(generated, reference)
    assert frechet_distance(reference, generated) == pytest.approx(value, rel=1e-6)
    assert frechet_distance(generated[::-1], reference) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("counts", [(1, 9), (9, 1), (0, 9)])
def test_fewer_than_two_clips_are_refused(counts):
    with pytest.raises(DataError, match=f"{counts[0]} clips against {counts[1]}; .*2 or more.*; give more"):
        frechet_distance(normal(counts[0], 4, 0), normal(counts[1], 4, 1))


@pytest.mark.parametrize("metric", METRICS.values())
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_interval_holds_the_value_and_repeats(metric, shift):
    generated, reference = normal(40, 8, 0) + shift, normal(50, 8, 1)
    low, high = interval(metric, generated, reference, seed=0, resamples=50)
    assert low < metric(generated, reference) < high
    assert (low, high) == interval(metric, generated, reference, seed=0, resamples=50)
    assert (low, high) != interval(metric, generated, reference, seed=1, resamples=50)


def test_the_interval_covers_the_spread_of_fresh_samples():
    """In one dimension of 100 clips against a far reference, the distance spreads by 2·shift·√(1/N + 1/M)."""
    generated, reference = normal(100, 2, 0) + [10, 0], normal(100, 2, 1)
    low, high = interval(frechet_distance, generated, reference, seed=0, resamples=400)
    deviation = 2 * 10 * np.sqrt(2 / 100)
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.25)
