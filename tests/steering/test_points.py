"""Tests how points move: lengths and ends of arcs, lines of uniform latents, and that a point makes one sound."""

import math

import pytest
import torch

from wavegan import generation
from wavegan.errors import UserError
from wavegan.generation import Model
from wavegan.models.inverse_stft import Generator
from wavegan.models.wavegan import Generator as WaveGAN
from wavegan.steering import points
from wavegan.steering.points import Point

NAMES = ("kick", "snare")


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    generator = Generator(4096, dim=8, latent_dim=16, labels=2, window=64, hop=32).eval()
    return Model(generator, 4096, 1, 16000, "mouse", 1, NAMES)


def test_a_numbered_point_makes_the_numbered_clip(model):
    [clips] = generation.generate(model, 3, seed=5, truncation=0.5, labels=["snare"])
    point = points.numbered_point(model, 2, seed=5, truncation=0.5, labels=["snare"])
    clip = points.clip_of(model, point)
    assert torch.allclose(clip, clips[2], atol=1e-5) and torch.equal(clip, points.clip_of(model, point))


def test_neighbours_lie_on_the_arc_at_the_length_of_the_first(model):
    point = points.numbered_point(model, 2, truncation=0.7)
    for amount in (0.1, 0.3, 1.0):
        near = points.vary(model, point, 200, amount=amount, seed=1)
        latents = torch.stack([neighbour.latent for neighbour in near])
        assert torch.allclose(latents.norm(dim=1), point.latent.norm().expand(200), rtol=1e-4)
        angles = torch.cosine_similarity(latents, point.latent[None]).arccos()
        # A fresh draw lies at about a right angle, of which a neighbour has gone its share.
        assert abs(float(angles.mean()) - amount * math.pi / 2) < 0.1 * amount
        assert all(neighbour.noise == point.noise and neighbour.labels is point.labels for neighbour in near)
    assert torch.equal(near[3].latent, points.vary(model, point, 4, amount=1.0, seed=1)[3].latent)
    assert not torch.equal(near[3].latent, points.vary(model, point, 4, amount=1.0, seed=2)[3].latent)


@pytest.mark.parametrize("amount", [0, -0.1, 1.1, math.nan])
def test_other_amounts_are_refused(model, amount):
    with pytest.raises(UserError, match="`amount` is .*; it must be above 0 and at most 1"):
        points.vary(model, points.numbered_point(model, 0), 1, amount=amount)


def test_a_morph_begins_and_ends_with_its_sounds(model):
    first = points.numbered_point(model, 1, seed=1, labels=["kick"])
    last = points.numbered_point(model, 2, seed=9, labels=["snare"])
    path = points.morph(model, first, last, 5)
    for end, point in ((0, first), (-1, last)):
        assert torch.allclose(points.clip_of(model, path[end]), points.clip_of(model, point), atol=1e-5)
        assert path[end].noise == point.noise
    assert path[2].labels is not None and path[2].labels.tolist() == [0.5, 0.5]
    for step, point in enumerate(path):  # on the arc: steps are of one angle in the plane of both ends
        share = step / 4
        angle = math.acos(float(torch.cosine_similarity(first.latent, last.latent, 0)))
        on_arc = (math.sin((1 - share) * angle) * first.latent + math.sin(share * angle) * last.latent) / math.sin(
            angle
        )
        assert torch.allclose(point.latent, on_arc, atol=1e-5)
    [white] = [noise for noise in points.noise_inputs(model, path[2]) if noise.numel() > 1000]
    assert abs(float(white.square().mean()) - 1) < 0.1, "the middle is as loud as the ends"
    with pytest.raises(UserError, match="`steps` is 1"):
        points.morph(model, first, last, 1)


def test_a_morph_within_one_noise_keeps_it(model):
    first = points.numbered_point(model, 1)
    [near] = points.vary(model, first, 1)
    assert [point.noise for point in points.morph(model, first, near, 3)] == [first.noise] * 3
    softer = Point(near.latent, near.labels, ((0, 1, 0.5),))
    assert points.morph(model, first, softer, 3)[1].noise == ((0, 1, 0.75),)


def test_uniform_latents_are_joined_by_lines():
    generator = WaveGAN(4096, dim=1, latent_dim=4).eval()
    model = Model(generator, 4096, 1, 16000, "cat", 1, ())
    first, last = (Point(torch.full((4,), value), None, ((0, 0, 1.0),)) for value in (-1.0, 0.5))
    assert torch.allclose(points.morph(model, first, last, 4)[1].latent, torch.full((4,), -0.5))
    assert all(point.latent.abs().max() <= 1 for point in points.vary(model, first, 50, amount=0.5))


def test_noise_is_the_weighted_sum_of_its_draws(model):
    point = points.numbered_point(model, 1)
    inputs = points.noise_inputs(model, Point(point.latent, point.labels, ((3, 4, 0.5), (0, 2, -1.0))))
    first, second = (generation.numbered_noise(model, [number], seed=seed) for seed, number in ((3, 4), (0, 2)))
    assert len(inputs) == len(model.inputs) - 1
    for noise, one_draw, other in zip(inputs, first, second, strict=True):
        assert torch.allclose(noise, 0.5 * one_draw - other)
