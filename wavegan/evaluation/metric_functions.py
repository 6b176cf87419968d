"""How far generated clips are from real ones, as pure functions of arrays that hold one row for each clip.

Every function takes one kind of features (`features.py`) of the candidate (N, …) and of the reference (M, …), and
weights (R, N) and (R, M): how often each clip counts. It gives R values. A row of ones gives the metric itself, rows of
bootstrap counts its resamples; so all resamples share one pass over the distances, and memory stays bounded.
"""

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from wavegan.dsp.mel import LEAST_POWER
from wavegan.evaluation.distances import nearest, neighbour_distances, squared_distances

Array = np.ndarray

NEIGHBOURS = 5
NEAR_QUANTILE = 0.01  # of real distances: nearer than that counts as a duplicate or a copy
ROUNDING = 1e-5  # of a distance between standardised features, which is 0 for equal clips
MEDIAN_CLIPS = 2000  # that the median distance is taken of
LEAST_PROBABILITY = 1e-12


def kernel_distance(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """100 × unbiased MMD² under a Gaussian kernel as wide as the reference's median distance (Chung et al. 2025).

    About 0, and below it as often as above, where both sets are of one kind, whatever their sizes; at most 200.
    """
    width = _median_distance(reference)
    x, y = torch.from_numpy(weights), torch.from_numpy(reference_weights)
    within = _mean_kernel(candidate, candidate, x, x, width) + _mean_kernel(reference, reference, y, y, width)
    return (100 * (within - 2 * _mean_kernel(candidate, reference, x, y, width))).numpy()


def _mean_kernel(rows: Array, others: Array, weights: Tensor, other_weights: Tensor, width: float) -> Tensor:
    """The kernel's weighted mean over all pairs, of a clip with itself excepted where both sets are one: (R,)."""
    total, is_one = torch.zeros(len(weights), dtype=torch.float64), weights is other_weights
    for part, squares in squared_distances(rows, others):
        kernel = squares.div_(-2 * width**2).exp_()
        if is_one:
            kernel[torch.arange(len(kernel)), torch.arange(part.start, part.stop)] = 0
        total += (weights[:, part] * (other_weights @ kernel.T)).sum(dim=1)
    pairs = weights.sum(dim=1) * other_weights.sum(dim=1) - is_one * weights.square().sum(dim=1)
    return torch.where(pairs > 0, total / pairs, 1.0)  # a resample of one clip alone has no pairs: all are alike


def _median_distance(rows: Array) -> float:
    """The median distance between different rows, of 2,000 evenly spread ones where there are more."""
    rows = rows[:: -(-len(rows) // MEDIAN_CLIPS)]
    squares = torch.cat([part for _, part in squared_distances(rows, rows)]).numpy()
    median = float(np.sqrt(np.median(squares[np.triu_indices(len(rows), 1)])))
    return median if median > ROUNDING else 1.0  # all are alike


def frechet_distance(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """‖μ₁-μ₂‖² + tr(Σ₁+Σ₂-2√(Σ₁Σ₂)), each set taken as a Gaussian (Kilgour et al. 2019).

    Biased upward, the more so the fewer clips there are: compare only distances at equal N and M.
    """
    x, y, w, v = map(torch.from_numpy, (candidate, reference, weights, reference_weights))
    values = [_frechet(*_moments(x, counts), *_moments(y, others)) for counts, others in zip(w, v, strict=True)]
    return torch.stack(values).numpy()


def _moments(rows: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased covariance of rows that count so often."""
    mean = weights @ rows / weights.sum()
    shifted = rows - mean
    return mean, (shifted * weights[:, None]).T @ shifted / (weights.sum() - 1)


def _frechet(mean: Tensor, covariance: Tensor, other_mean: Tensor, other: Tensor) -> Tensor:
    # √(Σ₁Σ₂) and √(√Σ₁ Σ₂ √Σ₁) have the same trace. The second form is symmetric, so its eigenvalues are real
    # and at most rounding takes them below zero, even where N < F leaves the covariances without full rank.
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
    shift = mean - other_mean
    return (shift @ shift + covariance.trace() + other.trace() - 2 * overlap).clamp(min=0)


def precision(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Share of candidate clips within the ball of a real one, which reaches its 5th neighbour (Kynkäänniemi 2019)."""
    return _mean(_balls_around(candidate, reference) > 0, weights)


def density(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Fifths of real balls that a candidate clip lies in, on average; above 1 where they gather (Naeem 2020)."""
    return _mean(_balls_around(candidate, reference) / _neighbours(reference), weights)


def recall(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Share of real clips within the ball of a candidate one, which reaches its 5th neighbour (Kynkäänniemi 2019)."""
    return _mean(_balls_around(reference, candidate) > 0, reference_weights)


def coverage(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Share of real clips whose ball, which reaches the 5th neighbour, holds a candidate clip (Naeem et al. 2020)."""
    radii = neighbour_distances(reference, _neighbours(reference))
    return _mean(nearest(reference, candidate)[0] <= radii + ROUNDING, reference_weights)


def _balls_around(rows: Array, centres: Array) -> Array:
    """How many balls each row lies in, one around each centre that reaches its 5th neighbour among them: (N,)."""
    squared_radii = torch.from_numpy(neighbour_distances(centres, _neighbours(centres)) + ROUNDING).square()
    counts = np.empty(len(rows))
    for part, squares in squared_distances(rows, centres):
        counts[part] = (squares <= squared_radii).sum(dim=1).numpy()
    return counts


def _neighbours(rows: Array) -> int:
    return min(NEIGHBOURS, len(rows) - 1)


def duplicate_share(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Share of clips whose nearest other one is nearer than that of all but 1 % of real clips; N and M are equal."""
    bound = np.quantile(neighbour_distances(reference), NEAR_QUANTILE)
    return _mean(neighbour_distances(candidate) <= bound + ROUNDING, weights)


def copy_share(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Share of clips nearer to a training clip than all but 1 % of held-out ones: 0.01 if none is learned by heart.

    candidate, reference: distances to the nearest training clip, (N,) and (M,).
    """
    return _mean(candidate <= np.quantile(reference, NEAR_QUANTILE) + ROUNDING, weights)


def artefact_share(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Share of clips with an event that real clips do not have: above 0 in what `events.excess` gave, (N, kinds)."""
    return _mean(candidate.max(axis=1) > 0, weights)


def copy_z(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """z of Mann and Whitney's test of the distances to the nearest training clip (Meehan et al. 2020, C_T).

    Well below 0 where candidate clips are nearer to training clips than held-out ones are; arrays as `copy_share`.
    """
    values = np.concatenate([candidate, reference])
    place = rankdata(values, "dense").astype(int) - 1  # equal distances share a place
    counts = np.stack([np.bincount(place, row) for row in np.hstack([0 * weights, reference_weights])])
    below = np.cumsum(counts, axis=1) - counts / 2  # held-out clips nearer than a place, half of those at it
    wins = (weights * below[:, place[: len(candidate)]]).sum(axis=1)
    n, m = weights.sum(axis=1), reference_weights.sum(axis=1)
    return (wins - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)


def comb_db(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """The strongest stage's comb, (N, stages) in dB: the clips' mean."""
    return _mean(candidate, weights).max(axis=1)


def spectrum_error_db(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Mean absolute difference in dB of the two sets' mean power, over third octaves, (N, bands)."""
    levels = [10 * np.log10(_mean(candidate, weights).clip(min=LEAST_POWER))]
    levels += [10 * np.log10(_mean(reference, reference_weights).clip(min=LEAST_POWER))]
    return np.abs(levels[0] - levels[1]).mean(axis=1)


def mean_of_clips(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """The mean of one number for each clip, (N,)."""
    return _mean(candidate, weights)


def inception_score(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """exp E KL(p(y|x)‖p(y)) of label probabilities (N, labels): 1 to the number of labels (Salimans et al. 2016)."""
    marginal = _mean(candidate, weights)
    return np.exp(_entropy(marginal) - _mean(_entropy(candidate), weights))


def modified_inception_score(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """exp E E KL(p(y|x)‖p(y|x')) over all pairs of clips (Gurumurthy et al. 2017), of label probabilities."""
    cross = (_mean(candidate, weights) * _mean(_log(candidate), weights)).sum(axis=1)
    return np.exp(-_mean(_entropy(candidate), weights) - cross)


def am_score(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """KL(p of the real clips‖p(y)) + E H(p(y|x)), lower is better (Zhou et al. 2018), of label probabilities."""
    real, marginal = _mean(reference, reference_weights), _mean(candidate, weights)
    return (real * (_log(real) - _log(marginal))).sum(axis=1) + _mean(_entropy(candidate), weights)


def _log(probabilities: Array) -> Array:
    return np.log(probabilities.clip(min=LEAST_PROBABILITY))


def _entropy(probabilities: Array) -> Array:
    return -(probabilities * _log(probabilities)).sum(axis=1)


def _mean(rows: Array, weights: Array) -> Array:
    """The weighted mean of the rows, (R, …)."""
    return (weights @ rows) / weights.sum(axis=1).reshape(-1, *[1] * (rows.ndim - 1))
