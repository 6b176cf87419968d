"""Derives all randomness from (seed, step, purpose): no random state is stored, and resuming is exact."""

import hashlib

import numpy as np


def derive(seed: int, step: int, purpose: str) -> int:
    """Returns a seed of its own, from 0 to 2⁶³ - 1, for one purpose in one step.

    >>> derive(0, 7, "latents") == derive(0, 7, "latents")
    True
    >>> len({derive(0, 7, "latents"), derive(0, 8, "latents"), derive(0, 7, "shifts")})
    3
    """
    text = f"{seed}/{step}/{purpose}/0"  # without the zero, older runs could not go on
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def numpy_generator(seed: int, step: int, purpose: str) -> np.random.Generator:
    """Returns a NumPy generator for one purpose in one step."""
    return np.random.default_rng(derive(seed, step, purpose))


def seed_torch(seed: int, step: int, purpose: str) -> None:
    """Sets torch's global generators, on every device, for one purpose in one step.

    Latents, interpolation, phase shuffle and dropout all draw from them, so no layer is handed a generator.
    """
    import torch

    torch.manual_seed(derive(seed, step, purpose))
