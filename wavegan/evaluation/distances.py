"""Computes distances between the rows of two arrays, a part at a time: it never holds an array of all pairs."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

PAIRS_AT_ONCE = 1 << 22  # 32 MB of float64


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


def nearest(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distance of each row to the nearest of the others, and that one's number: two arrays (N,)."""
    distances, numbers = np.empty(len(rows)), np.empty(len(rows), np.int64)
    for part, squares in squared_distances(rows, others):
        values, places = squares.min(dim=1)
        distances[part], numbers[part] = values.sqrt().numpy(), places.numpy()
    return distances, numbers


def neighbour_distances(rows: np.ndarray, k: int = 1) -> np.ndarray:
    """Returns the distance of each row to its k-th nearest neighbour among the other rows: (N,); N must be above k."""
    distances = np.empty(len(rows))
    for part, squares in squared_distances(rows, rows):
        squares[torch.arange(len(squares)), torch.arange(part.start, part.stop)] = torch.inf  # not its own one
        distances[part] = squares.topk(k, dim=1, largest=False).values[:, -1].sqrt().numpy()
    return distances
