"""From clips to numbers: every metric of every candidate against the same real clips."""

import numpy as np
from torch import Tensor

from wavegan.evaluation.features import log_mel_statistics, standardize
from wavegan.evaluation.metrics import METRICS, Metric, interval


def evaluate(
    candidates: dict[str, Tensor], reference: Tensor, sample_rate: int, *, seed: int = 0, resamples: int = 200
) -> dict[str, dict[str, dict[str, float]]]:
    """Each metric's value, 95 % interval (low, high) and number of clips n, by candidate and metric.

    candidates: clips (N, C, T) by name, such as generated, real (other real ones), noise; reference: real clips
    (M, C, T), by which all features are standardised. Compare candidates of equal N only, see
    `frechet_distance`. Raises DataError for fewer than two clips and for samples that are not finite.
    """
    real = log_mel_statistics(reference, sample_rate)
    target = _sorted(standardize(real, real))
    scores = {}
    for name, clips in candidates.items():
        features = _sorted(standardize(log_mel_statistics(clips, sample_rate), real))
        scores[name] = {key: _score(metric, features, target, seed, resamples) for key, metric in METRICS.items()}
    return scores


def _score(metric: Metric, features: np.ndarray, target: np.ndarray, seed: int, resamples: int) -> dict[str, float]:
    low, high = interval(metric, features, target, seed=seed, resamples=resamples)
    return {"value": metric(features, target), "low": low, "high": high, "n": len(features)}


def _sorted(features: np.ndarray) -> np.ndarray:
    """The same rows in an order of their own, so that the bootstrap does not depend on the order of the clips."""
    return features[np.lexsort(features.T)]
