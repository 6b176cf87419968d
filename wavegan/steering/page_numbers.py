"""Draws the random numbers of the instrument's page, so that Python can make its sounds again.

It is wavegan/export/web/random.js once more: xoshiro128** (Blackman and Vigna 2018), and Box and Muller's transform.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from wavegan.generation import Model

MASK = 0xFFFFFFFF


def page_noise(model: Model, seed: int) -> list[Tensor]:
    """Returns the noise inputs (1, …) of a model that its page draws from a seed of 32 bits."""
    return [
        torch.from_numpy(normal_numbers(seed, f"noise {place}", math.prod(declared.shape))).view(1, *declared.shape)
        for place, declared in enumerate(model.inputs[1:])
    ]


def normal_numbers(seed: int, purpose: str, count: int) -> np.ndarray:
    """Returns standard normal numbers (count,), float32; a browser's may differ in the last bit of a few."""
    uniform = _uniform_numbers(seed, purpose)
    pairs = np.array([next(uniform) for _ in range(count + count % 2)]).reshape(-1, 2)
    radius, angle = np.sqrt(-2 * np.log(pairs[:, 0])), 2 * np.pi * pairs[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:count].astype(np.float32)


def _uniform_numbers(seed: int, purpose: str) -> Iterator[float]:
    """Yields numbers above 0 and below 1 without end."""
    start = _scattered(seed)
    for letter in purpose:
        start = _scattered(start ^ ord(letter))
    s0, s1, s2, s3 = (_scattered(start + place * 0x9E3779B9 & MASK) for place in range(1, 5))
    s3 |= 1  # never all zeros
    while True:
        yield (_rotated(s1 * 5 & MASK, 7) * 9 % 2**32 + 0.5) / 2**32
        shifted = s1 << 9 & MASK
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = _rotated(s3, 11)


def _scattered(bits: int) -> int:
    """Spreads the bits of a 32-bit number (the finaliser of MurmurHash3)."""
    bits = (bits ^ bits >> 16) * 0x85EBCA6B & MASK
    bits = (bits ^ bits >> 13) * 0xC2B2AE35 & MASK
    return bits ^ bits >> 16


def _rotated(bits: int, by: int) -> int:
    return (bits << by | bits >> 32 - by) & MASK
