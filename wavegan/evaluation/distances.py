"""Computes distances between the rows of two arrays, a part at a time: it never holds an array of all pairs."""

import weakref
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

PAIRS_AT_ONCE = 1 << 22  # 32 MB of float64
NEIGHBOURS = 5  # so many nearest ones of each row are kept, for all metrics that ask for some of them


class Unchanging(np.ndarray):
    """Marks an array that nobody writes into once it is made, so that results of it can be kept."""


def kept_with(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a function so that its results are kept while its first `count` arguments live, which are arrays.

    Several metrics take the same distances. Results are kept only of arrays that are marked as `Unchanging`.
    """

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        kept: dict[tuple[Any, ...], Any] = {}

        @wraps(function)
        def call(*given: Any) -> Any:
            arrays = given[:count]
            if not all(isinstance(array, Unchanging) for array in arrays):
                return function(*given)
            key = (*map(id, arrays), *given[count:])
            if key not in kept:
                kept[key] = function(*given)
                for array in arrays:
                    weakref.finalize(array, kept.pop, key, None)
            return kept[key]

        return call

    return decorated


def squared_distances(rows: np.ndarray, others: np.ndarray) -> Iterator[tuple[slice, Tensor]]:
    """Yields squared Euclidean distances of some rows (n, F) at a time to all others (M, F): (slice of rows, (n, M)).

    Keep no tensor that is made from a part: if a small one lies above each freed part in memory, none of that memory
    can be used again.
    """
    y = torch.from_numpy(np.ascontiguousarray(others, np.float64))
    middle = y.mean(dim=0)  # around it the products below are small, and so is their rounding
    y = y - middle
    y_norms = y.square().sum(dim=1)
    size = max(1, PAIRS_AT_ONCE // len(others))
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        x = torch.from_numpy(np.ascontiguousarray(rows[part], np.float64)) - middle
        distances = torch.addmm(y_norms, x, y.T, alpha=-2).add_(x.square().sum(dim=1, keepdim=True))
        yield part, distances.clamp_(min=0)


def squared_distances_within(rows: np.ndarray) -> Iterator[tuple[slice, Tensor]]:
    """Yields squared distances of some rows (n, F) at a time to themselves and all later ones: (slice of rows, (n, M)).

    So every pair comes once, but for pairs within one part, which come twice. Each part takes the place of the one
    before: parts of many sizes would leave holes in memory.
    """
    x = torch.from_numpy(np.ascontiguousarray(rows, np.float64))
    x = x - x.mean(dim=0)
    norms = x.square().sum(dim=1)
    buffer = torch.empty(max(PAIRS_AT_ONCE, len(x)), dtype=torch.float64)
    start = 0
    while start < len(x):
        part = slice(start, min(len(x), start + max(1, PAIRS_AT_ONCE // (len(x) - start))))
        shape = (part.stop - start, len(x) - start)
        distances = buffer[: shape[0] * shape[1]].view(shape)
        torch.addmm(norms[start:], x[part], x[start:].T, alpha=-2, out=distances)
        yield part, distances.add_(norms[part, None]).clamp_(min=0)
        start = part.stop


def nearest(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distance of each row to the nearest of the others, and that one's number: two arrays (N,)."""
    distances, numbers = np.empty(len(rows)), np.empty(len(rows), np.int64)
    for part, squares in squared_distances(rows, others):
        values, places = squares.min(dim=1)
        distances[part], numbers[part] = values.sqrt().numpy(), places.numpy()
    return distances, numbers


def neighbour_distances(rows: np.ndarray, k: int = 1) -> np.ndarray:
    """Returns the distance of each row to its k-th nearest neighbour among the other rows: (N,); N must be above k."""
    return _neighbours(rows, min(max(k, NEIGHBOURS), len(rows) - 1))[:, k - 1]


@kept_with(1)
def _neighbours(rows: np.ndarray, count: int) -> np.ndarray:
    """Returns the distances of each row to its nearest other rows, the nearest first: (N, count)."""
    distances = np.empty((len(rows), count))
    for part, squares in squared_distances(rows, rows):
        squares[torch.arange(len(squares)), torch.arange(part.start, part.stop)] = torch.inf  # not its own one
        distances[part] = squares.topk(count, dim=1, largest=False).values.sqrt().numpy()
    return distances
