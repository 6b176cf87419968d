"""Measures the Fréchet distance of two sets of clips, a metric like those of `metric_functions.py`.

There are two ways to the same figures. Covariances grow with the square of the features, so a large network's
embedding of some hundred clips takes the other one, through products of clips.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from wavegan.evaluation.distances import kept_with
from wavegan.evaluation.metric_functions import Array

FEW = 2  # clips for each feature: with fewer, their products take less time
MOST_KEPT = 1 << 25  # numbers of all covariances of one set, 256 MB; more are computed in turn


def frechet_distance(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes ‖μ₁-μ₂‖² + tr(Σ₁+Σ₂-2√(Σ₁Σ₂)), each set taken as a Gaussian (Kilgour et al. 2019).

    It is biased upward, the more so the fewer clips there are: compare only distances at equal N and M.
    """
    few = min(len(candidate), len(reference)) < FEW * candidate.shape[1]
    compute = by_products if few else by_covariances
    return compute(candidate, reference, weights, reference_weights)


def by_products(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes it from the N × M products of clips, and makes no F × F covariance.

    Of centred rows X and Y with Σ₁ = XᵀX and Σ₂ = YᵀY, tr√(Σ₁Σ₂) is the sum of the singular values of XYᵀ.
    """
    (x, w), (y, v) = (map(torch.from_numpy, both) for both in ((candidate, weights), (reference, reference_weights)))
    middle, other_middle = x.mean(dim=0), y.mean(dim=0)
    x, y = x - middle, y - other_middle  # so that centring each resample loses no digits
    means, other_means = (counts @ rows / counts.sum(1, keepdim=True) for counts, rows in ((w, x), (v, y)))
    shifts = (middle - other_middle + means - other_means).square().sum(dim=1)
    spread = _variances(x, w, means) + _variances(y, v, other_means)
    products = x @ y.T
    overlaps = torch.stack([_overlap(products, *counts) for counts in zip(w, v, strict=True)])
    return (shifts + spread - 2 * overlaps).clamp(min=0).numpy()


def _variances(rows: Tensor, weights: Tensor, means: Tensor) -> Tensor:
    """Computes the trace of the covariance for each row of weights: (R,)."""
    totals = weights.sum(dim=1)
    squares = weights @ rows.square().sum(dim=1) - totals * means.square().sum(dim=1)
    return squares.clamp(min=0) / (totals - 1)


def _overlap(products: Tensor, weights: Tensor, other_weights: Tensor) -> Tensor:
    """Computes tr√(Σ₁Σ₂) of one resample: that of clips which do not count in it has no part in the products."""
    counts, others = weights[weights > 0], other_weights[other_weights > 0]
    inner = products[weights > 0][:, other_weights > 0]
    inner = inner - counts @ inner / counts.sum()
    inner = inner - (inner @ others / others.sum())[:, None]
    scaled = inner * counts.sqrt()[:, None] * others.sqrt()
    return torch.linalg.svdvals(scaled).sum() / ((counts.sum() - 1) * (others.sum() - 1)).sqrt()


def by_covariances(candidate: Array, reference: Array, weights: Array, reference_weights: Array) -> Array:
    """Computes it from the covariances of features, however many clips there are."""
    is_large = len(weights) * candidate.shape[1] ** 2 > MOST_KEPT
    moments = _moments_in_turn if is_large else _all_moments
    both = zip(moments(candidate, weights), moments(reference, reference_weights), strict=True)
    return torch.stack([_distance(*mine, *real) for mine, real in both]).numpy()


@kept_with(2)
def _all_moments(rows: Array, weights: Array) -> Iterable[tuple[Tensor, Tensor]]:
    """Computes mean and covariance for each row of weights, in one piece of memory: small ones would leave holes."""
    count, size = len(weights), rows.shape[1]
    means, covariances = (torch.empty(count, *shape, dtype=torch.float64) for shape in ((size,), (size, size)))
    for place, (mean, covariance) in enumerate(_moments_in_turn(rows, weights)):
        means[place], covariances[place] = mean, covariance
    return list(zip(means, covariances, strict=True))


def _moments_in_turn(rows: Array, weights: Array) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the mean and unbiased covariance of rows, each of which counts as often as its weight says."""
    x = torch.from_numpy(rows)
    for counts in torch.from_numpy(weights):
        mean = counts @ x / counts.sum()
        shifted = x - mean
        yield mean, (shifted * counts[:, None]).T @ shifted / (counts.sum() - 1)


def _distance(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> Tensor:
    # √(Σ₁Σ₂) and √(√Σ₁ Σ₂ √Σ₁) have the same trace. The second form is symmetric, so its eigenvalues are real
    # and at most rounding takes them below zero, even where N < F leaves the covariances without full rank.
    values, vectors = _eigenvectors(covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp(min=0).sqrt().sum()
    shift = mean - other_mean
    return (shift @ shift + covariance.trace() + other_covariance.trace() - 2 * overlap).clamp(min=0)


def _eigenvectors(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Returns eigenvalues and eigenvectors, by QR where divide and conquer fails: where many eigenvalues are equal."""
    try:
        return torch.linalg.eigh(covariance)
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
        import scipy.linalg  # which most evaluations do without

        values, vectors = scipy.linalg.eigh(covariance.numpy(), driver="ev")
        return torch.from_numpy(values), torch.from_numpy(vectors)
