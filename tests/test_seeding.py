"""Tests seeds as a function of (seed, step, purpose): fixed for ever, all different, and free of torch."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from wavegan.seeding import derive, numpy_generator, seed_torch

PLACES = [
    (seed, step, purpose) for seed in (0, 1, 11, -1) for step in (0, 1, 11, 10**9) for purpose in ("a", "b", "a/0")
]


def test_a_seed_is_the_first_63_bits_of_a_hash():
    digest = hashlib.blake2b(b"7/12/latent/0", digest_size=8).hexdigest()
    assert derive(7, 12, "latent") == int(digest, 16) // 2


def test_seeds_never_change():
    """A run continued by a newer version must see the same clips, and a held-out name must stay so."""
    assert derive(0, 0, "windows") == 2917950609368906153
    assert numpy_generator(0, 0, "windows").integers(1000, size=4).tolist() == [234, 244, 661, 574]


def test_seeds_differ_wherever_one_argument_does():
    assert len({derive(*place) for place in PLACES}) == len(PLACES)


def test_a_seed_fits_every_generator():
    seeds = np.array([derive(0, step, "range") for step in range(4000)], dtype=np.float64) / 2**63
    assert 0 <= seeds.min() < 0.001
    assert 0.999 < seeds.max() < 1
    assert seeds.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / 4000))


def test_generators_are_made_anew_on_every_call():
    first, again, other = (numpy_generator(1, 2, purpose).uniform(size=5) for purpose in ("x", "x", "y"))
    assert first.tolist() == again.tolist()
    assert not set(first) & set(other)


def test_torch_is_seeded_as_a_whole():
    def draws(step: int) -> list[float]:
        seed_torch(3, step, "train")
        dropped = torch.nn.functional.dropout(torch.ones(50))
        return [*torch.randn(5).tolist(), *dropped.tolist(), *torch.randperm(9).tolist()]

    with torch.random.fork_rng():
        first, other, again = draws(0), draws(1), draws(0)
    assert first == again
    assert first != other


def test_seeding_alone_does_not_load_torch():
    """The command line's help is quick because nothing imports torch early."""
    code = "import sys, wavegan.seeding; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=600).returncode == 0
