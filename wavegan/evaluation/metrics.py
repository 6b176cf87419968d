"""How far generated clips are from real ones: pure functions of features, (N, F) and (M, F)."""

from collections.abc import Callable

import numpy as np

from wavegan.errors import DataError

Metric = Callable[[np.ndarray, np.ndarray], float]


def frechet_distance(generated: np.ndarray, reference: np.ndarray) -> float:
    """‖μ₁-μ₂‖² + tr(Σ₁+Σ₂-2√(Σ₁Σ₂)), each set taken as a Gaussian (Kilgour et al. 2019).

    Biased upward at small N: compare only distances at equal N and M. Raises DataError for fewer than two
    clips on a side.
    """
    if min(len(generated), len(reference)) < 2:
        raise DataError(
            f"{len(generated)} clips against {len(reference)}; the Fréchet distance needs 2 or more on each side; "
            "give more clips, several hundred for a figure worth quoting"
        )
    shift = generated.mean(axis=0) - reference.mean(axis=0)
    covariance, other = np.cov(generated, rowvar=False), np.cov(reference, rowvar=False)
    # √(Σ₁Σ₂) and √(√Σ₁ Σ₂ √Σ₁) have the same trace. The second form is symmetric, so its eigenvalues are real
    # and at most rounding takes them below zero, even where N < F leaves the covariances without full rank.
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(min=0)).sum()
    return max(0.0, float(shift @ shift + np.trace(covariance) + np.trace(other) - 2 * overlap))


METRICS: dict[str, Metric] = {"fad_l": frechet_distance}


def interval(
    metric: Metric, generated: np.ndarray, reference: np.ndarray, *, seed: int, resamples: int = 200
) -> tuple[float, float]:
    """A 95 % bootstrap interval of a metric over the clips of both sides: (low, high).

    Resampling repeats clips, which by itself moves a distance, mostly up. So the resampled values are shifted
    until their median is the metric's value: the interval always holds it, and may reach below zero.
    """
    random = np.random.default_rng(seed)

    def resampled(clips: np.ndarray) -> np.ndarray:
        return clips[random.integers(len(clips), size=len(clips))]

    values = [metric(resampled(generated), resampled(reference)) for _ in range(resamples)]
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    value = metric(generated, reference)
    return float(value - (middle - low)), float(value + (high - middle))
