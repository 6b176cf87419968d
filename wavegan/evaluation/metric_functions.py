"""Measures how far generated clips are from real ones, with pure functions of arrays that hold one row for each clip.

Every function takes one kind of features (`features.py`) of the candidate (N, …) and of the reference (M, …). It also
takes weights (R, N) and (R, M), which say how often each clip counts, and gives R values. A row of ones gives the
metric itself, rows of bootstrap counts give its resamples. So all resamples share one pass over the distances, and
memory stays bounded.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from wavegan.dsp.mel import LEAST_POWER
from wavegan.evaluation.distances import (
    NEIGHBOURS,
    kept_with,
    neighbour_distances,
    squared_distances,
    squared_distances_within,
)

Array = np.ndarray

NEAR_QUANTILE = 0.01  # of real distances: nearer than that counts as a duplicate or a copy
ROUNDING = 1e-5  # of a distance between standardised features, which is 0 for equal clips
MEDIAN_CLIPS = 2000  # at most, that give the median distance
LEAST_PROBABILITY = 1e-12


def kernel_distance(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes 100 × unbiased MMD² with a Gaussian kernel as wide as the real median distance (Chung et al. 2025).

    If both sets are of one kind, it is about 0, below it as often as above, whatever their sizes. It is at most 200.
    """
    width = _median_distance(reference)
    within = _mean_kernel_within(candidate, weights, width) + _mean_kernel_within(reference, reference_weights, width)
    return (100 * (within - 2 * _mean_kernel(candidate, reference, weights, reference_weights, width))).numpy()


def _mean_kernel(rows: Array, others: Array, weights: Array, other_weights: Array, width: float) -> Tensor:
    """Averages the kernel over all pairs of two sets by weight: (R,)."""
    x, y = torch.from_numpy(weights), torch.from_numpy(other_weights)
    total = torch.zeros(len(x), dtype=torch.float64)
    for part, squares in squared_distances(rows, others):
        total += (x[:, part] * (y @ squares.div_(-2 * width**2).exp_().T)).sum(dim=1)
    return total / (x.sum(dim=1) * y.sum(dim=1))


@kept_with(2)
def _mean_kernel_within(rows: Array, weights: Array, width: float) -> Tensor:
    """Averages the kernel over all pairs of different clips of one set by weight: (R,)."""
    x = torch.from_numpy(weights)
    total = torch.zeros(len(x), dtype=torch.float64)
    for part, squares in squared_distances_within(rows):
        kernel = squares.div_(-2 * width**2).exp_()
        kernel.diagonal().zero_()  # no clip is paired with itself
        kernel[:, len(kernel) :] *= 2  # these pairs come once, and pairs within the part twice
        total += (x[:, part] * (x[:, part.start :] @ kernel.T)).sum(dim=1)
    pairs = x.sum(dim=1).square() - x.square().sum(dim=1)
    return torch.where(pairs > 0, total / pairs, 1.0)  # a resample of one clip alone has no pairs: all are alike


@kept_with(1)
def _median_distance(rows: Array) -> float:
    """Computes the median distance between different rows, at most 2,000 of them, evenly spread."""
    rows = rows[:: -(-len(rows) // MEDIAN_CLIPS)]
    squares = torch.cat([part for _, part in squared_distances(rows, rows)]).numpy()
    median = float(np.sqrt(np.median(squares[np.triu_indices(len(rows), 1)])))
    return median if median > ROUNDING else 1.0  # all are alike


def precision(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes the share of candidate clips in a real clip's ball, up to its 5th neighbour (Kynkäänniemi 2019)."""
    return _mean(_crossing(candidate, reference).candidate_balls > 0, weights)


def density(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Averages the number of real balls that a candidate clip lies in, over 5 (Naeem 2020); above 1 if clips crowd."""
    return _mean(_crossing(candidate, reference).candidate_balls / _neighbours(reference), weights)


def recall(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes the share of real clips in a candidate clip's ball, up to its 5th neighbour (Kynkäänniemi 2019)."""
    return _mean(_crossing(candidate, reference).reference_balls > 0, reference_weights)


def coverage(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes the share of real clips whose ball holds a candidate clip (Naeem et al. 2020).

    A ball reaches its centre's 5th neighbour.
    """
    return _mean(_crossing(candidate, reference).reference_nearest <= _radii(reference), reference_weights)


class _Crossing(NamedTuple):
    """Holds how many balls of the other set each clip lies in, and how far each real clip's nearest candidate is."""

    candidate_balls: Array
    reference_balls: Array
    reference_nearest: Array


@kept_with(2)
def _crossing(candidate: Array, reference: Array) -> _Crossing:
    """Compares all pairs of two sets. Each clip's ball reaches its 5th neighbour in its own set."""
    mine, real = (torch.from_numpy(_radii(rows)).square() for rows in (candidate, reference))
    candidate_balls, reference_balls = np.empty(len(candidate)), np.zeros(len(reference))
    nearest = np.full(len(reference), np.inf)
    for part, squares in squared_distances(candidate, reference):
        candidate_balls[part] = (squares <= real).sum(dim=1).numpy()
        reference_balls += (squares <= mine[part, None]).sum(dim=0).numpy()
        np.minimum(nearest, squares.amin(dim=0).numpy(), out=nearest)
    return _Crossing(candidate_balls, reference_balls, np.sqrt(nearest))


def _radii(rows: Array) -> Array:
    return neighbour_distances(rows, _neighbours(rows)) + ROUNDING


def _neighbours(rows: Array) -> int:
    return min(NEIGHBOURS, len(rows) - 1)


def duplicate_share(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes the share of clips as near to another of their set as only 1 % of real clips are; N and M are equal."""
    bound = np.quantile(neighbour_distances(reference), NEAR_QUANTILE)
    return _mean(neighbour_distances(candidate) <= bound + ROUNDING, weights)


def copy_share(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes the share of clips as near to a training clip as only 1 % of held-out ones: 0.01 if none is memorised.

    A copy is also at most half as far as the median held-out clip. Where the held-out sound is another piece of music,
    all its clips are far from the training sound, and any clip in that sound's style would count. candidate, reference:
    distances to the nearest training clip, (N,) and (M,).
    """
    bound = min(np.quantile(reference, NEAR_QUANTILE), np.median(reference) / 2)
    return _mean(candidate <= bound + ROUNDING, weights)


def artefact_share(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes the share of clips with an event that real clips do not have.

    candidate: what `events.excess` gave, (N, kinds), above 0 for such an event.
    """
    return _mean(candidate.max(axis=1) > 0, weights)


def copy_z(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes z of Mann and Whitney's test for the distances to the nearest training clip (Meehan et al. 2020, C_T).

    It is well below 0 if candidate clips are nearer to training clips than held-out ones are; arrays as `copy_share`.
    """
    values = np.concatenate([candidate, reference])
    _, place = np.unique(values, return_inverse=True)  # equal distances share a place
    counts = np.stack([np.bincount(place, row) for row in np.hstack([0 * weights, reference_weights])])
    below = np.cumsum(counts, axis=1) - counts / 2  # held-out clips nearer than a place, half of those at it
    wins = (weights * below[:, place[: len(candidate)]]).sum(axis=1)
    n, m = weights.sum(axis=1), reference_weights.sum(axis=1)
    return (wins - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)


def strongest_of_mean(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Averages levels in dB, (N, stages), over clips and returns that of the strongest stage."""
    return _mean(candidate, weights).max(axis=1)


def unevenness_of_mean(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes the standard deviation over bins of levels in dB, (N, bins), that are averaged over clips.

    Its square is a mean over pairs of different clips, so chance does not count. Bins that are 0 in all are left out.
    """
    levels = candidate[:, candidate.any(axis=0)].astype(np.float64)
    levels -= levels.mean(axis=1, keepdims=True) if levels.size else 0
    totals, squares = weights @ levels, np.square(weights) @ np.square(levels)
    pairs = np.square(weights.sum(axis=1)) - np.square(weights).sum(axis=1)
    products = (np.square(totals) - squares).sum(axis=1) / (pairs * levels.shape[1]).clip(min=1)
    return np.sqrt(products.clip(min=0))


def spectrum_error_db(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes the mean absolute difference in dB of the two sets' mean power, over third octaves, (N, bands)."""
    levels = [10 * np.log10(_mean(candidate, weights).clip(min=LEAST_POWER))]
    levels += [10 * np.log10(_mean(reference, reference_weights).clip(min=LEAST_POWER))]
    return np.abs(levels[0] - levels[1]).mean(axis=1)


def mean_of_clips(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Averages one number for each clip, (N,)."""
    return _mean(candidate, weights)


def inception_score(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes exp E KL(p(y|x)‖p(y)) of label probabilities (N, labels) (Salimans et al. 2016).

    It lies between 1 and the number of labels.
    """
    marginal = _mean(candidate, weights)
    return np.exp(_entropy(marginal) - _mean(_entropy(candidate), weights))


def modified_inception_score(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes exp E E KL(p(y|x)‖p(y|x')) of label probabilities over all pairs of clips (Gurumurthy et al. 2017)."""
    cross = (_mean(candidate, weights) * _mean(_log(candidate), weights)).sum(axis=1)
    return np.exp(-_mean(_entropy(candidate), weights) - cross)


def am_score(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes KL(p of real clips‖p(y)) + E H(p(y|x)) of label probabilities (Zhou et al. 2018); lower is better."""
    real, marginal = _mean(reference, reference_weights), _mean(candidate, weights)
    return (real * (_log(real) - _log(marginal))).sum(axis=1) + _mean(_entropy(candidate), weights)


def _log(probabilities: Array) -> Array:
    return np.log(probabilities.clip(min=LEAST_PROBABILITY))


def _entropy(probabilities: Array) -> Array:
    return -(probabilities * _log(probabilities)).sum(axis=1)


def _mean(rows: Array, weights: Array) -> Array:
    """Averages the rows by weight: (R, …)."""
    return (weights @ rows) / weights.sum(axis=1).reshape(-1, *[1] * (rows.ndim - 1))


# They do not look at the reference.
ABSOLUTE = (strongest_of_mean, unevenness_of_mean, mean_of_clips, inception_score, modified_inception_score)
