"""Tests the two ways to the Fréchet distance against each other, and against distances worked by hand."""

import resource

import numpy as np
import pytest
import torch

from wavegan.evaluation import frechet
from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.resampling import resamples

WAYS = [frechet.by_products, frechet.by_covariances, frechet.frechet_distance]


def correlated(count: int, features: int, seed: int) -> np.ndarray:
    """Makes rows whose features go together, far from their origin."""
    random = np.random.default_rng(seed)
    return random.normal(size=(count, features)) @ random.normal(size=(features, features)) + 9 * seed


def drawn(count: int, seed: int) -> np.ndarray:
    """Makes weights: of all clips once, and of three resamples."""
    random = np.random.default_rng(seed)
    return np.vstack([np.ones(count), random.multinomial(count, [1 / count] * count, size=3)])


@pytest.mark.parametrize(("clips", "real_clips", "features"), [(60, 50, 8), (12, 60, 20), (60, 12, 20), (9, 7, 40)])
def test_both_ways_agree(clips, real_clips, features):
    given = correlated(clips, features, 1), correlated(real_clips, features, 2)
    weights = drawn(clips, 3), drawn(real_clips, 4)
    expected = frechet.by_covariances(*given, *weights)
    assert len(set(expected)) == 4, "the weights matter"
    np.testing.assert_allclose(frechet.by_products(*given, *weights), expected, rtol=1e-6)
    np.testing.assert_allclose(frechet.frechet_distance(*given, *weights), expected, rtol=1e-6)


@pytest.mark.parametrize("clips", [39, 40])
def test_few_clips_beside_their_features_take_no_covariances(monkeypatch, clips):
    taken = []
    monkeypatch.setattr(frechet, "by_covariances", lambda rows, *given: taken.append(len(rows)) or np.zeros(1))
    frechet.frechet_distance(np.ones((clips, 20)), np.ones((50, 20)), np.ones((1, clips)), np.ones((1, 50)))
    assert taken == [clips] * (clips == 40)


def test_covariances_that_are_not_kept_give_the_same(monkeypatch):
    given = correlated(40, 6, 1), correlated(30, 6, 2), drawn(40, 3), drawn(30, 4)
    kept = frechet.by_covariances(*given)
    monkeypatch.setattr(frechet, "MOST_KEPT", 4 * 36 - 1)
    monkeypatch.setattr(frechet, "_all_moments", None)
    np.testing.assert_array_equal(frechet.by_covariances(*given), kept)


def test_a_large_networks_embedding_takes_little_memory():
    """Covariances of 201 resamples would take 103 GB."""
    rows, others = (np.random.default_rng(seed).normal(size=(64, 8000)) for seed in (0, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    values = resamples(METRICS["fad_e"], rows, others, seed=0, count=200)
    assert values.shape == (201,) and np.isfinite(values).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kB"


@pytest.mark.parametrize("way", WAYS)
def test_covariances_without_full_rank(way):
    generated, reference = np.zeros((4, 128)), np.zeros((6, 128))
    generated[:, 0], reference[:, 0] = [1, -1, 1, -1], [2, -2, 2, -2, 0, 0]
    ones = np.ones((1, 4)), np.ones((1, 6))
    expected = (np.sqrt(4 / 3) - np.sqrt(16 / 5)) ** 2
    assert way(generated, reference, *ones) == pytest.approx(expected)
    assert way(np.zeros((4, 128)), reference, *ones) == pytest.approx(16 / 5)


def test_eigenvectors_that_do_not_converge(monkeypatch):
    """On one machine torch's eigenvectors of a covariance without full rank did not."""

    def failing(covariance):
        raise torch.linalg.LinAlgError("it did not converge")  # pyright: ignore[reportPrivateImportUsage]

    given = correlated(6, 20, 1), correlated(7, 20, 2), np.ones((1, 6)), np.ones((1, 7))
    expected = frechet.by_covariances(*given)
    monkeypatch.setattr(torch.linalg, "eigh", failing)
    assert frechet.by_covariances(*given) == pytest.approx(expected, rel=1e-6)
