"""Tests clip lengths: which are suggested, which are refused, and that the refusal names the network."""

import pytest
import torch

from wavegan.models.catalogue import DISCRIMINATORS, GENERATORS
from wavegan.models.lengths import Lengths

TWO = Lengths((4096, 8192))
MULTIPLES = Lengths(multiple=16)
ANY = Lengths()
NAMES = {"wavegan": "WaveGAN", "specgan": "SpecGAN", "translator": "a translator"}  # in messages


@pytest.mark.parametrize(
    ("lengths", "asked", "nearest"),
    [
        (TWO, 1, 4096),
        (TWO, 4096, 4096),
        (TWO, 6143, 4096),
        (TWO, 6145, 8192),
        (TWO, 10**6, 8192),
        (MULTIPLES, 39, 32),
        (MULTIPLES, 41, 48),
        (MULTIPLES, 48, 48),
        (MULTIPLES, 1, 16),
        (MULTIPLES, 0, 16),
        (ANY, 12345, 12345),
        (ANY, 0, 1),
    ],
)
def test_the_nearest_length(lengths, asked, nearest):
    assert lengths.nearest(asked) == nearest
    lengths.require(nearest, "a network")
    if asked != nearest:
        with pytest.raises(ValueError, match=f"^clip_samples is {asked}; a network makes .*; try {nearest}$"):
            lengths.require(asked, "a network")


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (Lengths((4096,)), "4096"),
        (TWO, "4096 or 8192"),
        (Lengths((1, 2, 3)), "1, 2 or 3"),
        (MULTIPLES, "multiples of 16"),
        (ANY, "clips of any length"),
    ],
)
def test_lengths_in_words(lengths, words):
    assert str(lengths) == words


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_makes_the_lengths_that_it_declares_and_its_refusal_names_it(name):
    kind, refused = GENERATORS[name], 5000
    lengths = [*kind.lengths.values] or [kind.lengths.nearest(length) for length in (refused, 9000)]
    for clip_samples in lengths:
        generator = kind(clip_samples, dim=1)
        z, *noise = [declared.draw(1) for declared in generator.inputs] or [torch.zeros(1, 1, clip_samples)]
        given = (z, None, *noise) if noise else (z,)
        assert generator.output.decode(generator(*given)).shape == (1, 1, clip_samples)
    if kind.lengths != ANY:
        with pytest.raises(ValueError, match=f"^clip_samples is {refused}; {NAMES[name]} makes .*; try "):
            kind(refused, dim=1)


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS.keys() & GENERATORS.keys()))
def test_a_discriminator_declares_the_lengths_of_its_generator(name):
    generator, discriminator = GENERATORS[name], DISCRIMINATORS[name]
    assert discriminator.lengths == generator.lengths and discriminator.sees == generator.gives
    clip_samples = generator.lengths.nearest(5000)
    shape = generator(clip_samples, dim=1).output.shape(1, clip_samples)
    assert discriminator(shape, dim=1)(torch.zeros(2, *shape)).shape == (2,)


def test_the_names_are_those_of_all_networks_with_lengths():
    assert NAMES.keys() == {name for name, kind in GENERATORS.items() if kind.lengths != ANY}
