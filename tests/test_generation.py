"""Generation: clip k of a seed whatever the batch, truncation, and walks between latents."""

import itertools
import math

import pytest
import torch

from wavegan import generation
from wavegan.generation import Model, generate, interpolate, numbered_latents, spherical_interpolation, synthesize
from wavegan.models.latents import LATENTS
from wavegan.models.wavegan import Generator


def model(latent: str = "uniform", *, latent_dim: int = 8, channels: int = 1) -> Model:
    torch.manual_seed(0)
    network = Generator(4096, channels, dim=1, latent_dim=latent_dim, batch_norm=True)
    with torch.no_grad():
        for _ in range(3):  # batch statistics of its own
            network(torch.randn(8, latent_dim))
    return Model(network.eval(), latent, latent_dim, 4096, channels, 16000, "a test", 0, ())


def clips(made) -> torch.Tensor:
    return torch.cat(list(made))


def test_shapes_and_batches():
    sizes = [tuple(batch.shape) for batch in generate(model(channels=2), 10, batch_size=4)]
    assert sizes == [(4, 2, 4096), (4, 2, 4096), (2, 2, 4096)]
    assert list(generate(model(), 0)) == []


@pytest.mark.parametrize("latent", LATENTS)
def test_clip_k_is_the_same_for_any_batch_size_and_count(latent):
    ours = model(latent)
    whole = clips(generate(ours, 12, seed=3, batch_size=12))
    for count, batch_size, first in [(12, 5, 0), (12, 1, 0), (7, 64, 0), (5, 2, 7), (1, 64, 11)]:
        part = clips(generate(ours, count, seed=3, batch_size=batch_size, first=first))
        torch.testing.assert_close(part, whole[first : first + count], rtol=0, atol=1e-6)
    assert torch.equal(clips(generate(ours, 12, seed=3, batch_size=12)), whole), "the same call, bit for bit"
    assert torch.equal(
        clips(generate(ours, 4, seed=3, batch_size=4, first=4)), clips(generate(ours, 8, seed=3, batch_size=4))[4:]
    )


def test_latents_do_not_depend_on_each_other_bit_for_bit():
    ours = model("normal")
    assert torch.equal(numbered_latents(ours, range(1000, 1010), seed=5)[3], numbered_latents(ours, [1003], seed=5)[0])


def test_every_number_and_seed_has_a_latent_of_its_own():
    rows = [tuple(row) for seed in range(20) for row in numbered_latents(model(), range(20), seed=seed).tolist()]
    assert len(set(rows)) == 400


def test_the_global_generator_neither_decides_nor_moves():
    ours = model()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = clips(generate(ours, 3))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(clips(generate(ours, 3)), one)


@pytest.mark.parametrize("latent", LATENTS)
def test_truncation_scales_the_latents(latent):
    ours = model(latent)
    whole = numbered_latents(ours, range(5))
    torch.testing.assert_close(numbered_latents(ours, range(5), truncation=0.25), 0.25 * whole)
    assert not numbered_latents(ours, range(5), truncation=0).any()
    expected = synthesize(ours, 0.5 * whole)
    torch.testing.assert_close(clips(generate(ours, 5, truncation=0.5)), expected)
    same = clips(generate(ours, 5, truncation=0))
    torch.testing.assert_close(same, same[:1].expand_as(same))


def test_clips_are_fp32_on_the_cpu_without_a_graph():
    made = clips(generate(model(), 2))
    assert made.dtype == torch.float32 and made.device.type == "cpu" and not made.requires_grad
    assert made.abs().max() <= 1


@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("truncation", [1.0, 0.5])
def test_a_walk_passes_through_the_clips_themselves(latent, truncation):
    ours = model(latent)
    walk = clips(interpolate(ours, 4, clips_between=3, seed=2, truncation=truncation, batch_size=5))
    assert len(walk) == 3 * 4 + 1
    torch.testing.assert_close(walk[::4], clips(generate(ours, 4, seed=2, truncation=truncation)), rtol=0, atol=1e-5)
    steps = (walk[1:] - walk[:-1]).flatten(1).norm(dim=1)
    assert steps.min() > 0, "two clips of the walk are the same"


def test_a_walk_of_one_station_is_its_clip():
    torch.testing.assert_close(clips(interpolate(model(), 1)), clips(generate(model(), 1)))


def walked_latents(monkeypatch, ours: Model, **settings) -> torch.Tensor:
    monkeypatch.setattr(generation, "synthesize", lambda model, z: z)
    return clips(interpolate(ours, 6, **settings))


def test_a_uniform_walk_is_straight_and_stays_in_the_support(monkeypatch):
    ours = model("uniform")
    z = walked_latents(monkeypatch, ours)
    assert z.shape == (5 * 8 + 1, 8) and z.abs().max() <= 1
    corners = numbered_latents(ours, range(6))
    for leg, (here, there) in enumerate(itertools.pairwise(corners)):
        for step in range(8):
            torch.testing.assert_close(z[8 * leg + step], here + (there - here) * step / 8)
    assert torch.equal(z[::8], corners)


def test_a_normal_walk_keeps_its_length(monkeypatch):
    """Straight lines between normal latents of 512 numbers pass at 0.7 of their length, where none ever lies."""
    ours = model("normal", latent_dim=512)
    lengths = walked_latents(monkeypatch, ours).norm(dim=1)
    corners = numbered_latents(ours, range(6)).norm(dim=1)
    assert corners.min() * 0.97 < lengths.min() and lengths.max() < corners.max() * 1.03


def test_spherical_interpolation_by_hand():
    east, north = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    shares = torch.tensor([[0.0], [1 / 3], [0.5], [1.0]])
    expected = [[1, 0], [math.sqrt(3) / 2, 0.5], [math.sqrt(0.5), math.sqrt(0.5)], [0, 1]]
    torch.testing.assert_close(spherical_interpolation(east, north, shares), torch.tensor(expected), atol=1e-6, rtol=0)
    longer = spherical_interpolation(2 * east, 4 * north, torch.tensor([[0.5]]))  # the angle counts, not the lengths
    torch.testing.assert_close(longer, torch.tensor([[2 * math.sqrt(0.5), 4 * math.sqrt(0.5)]]))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_spherical_interpolation_of_parallel_and_opposite_latents_is_finite(sign):
    here = torch.tensor([[0.6, 0.8]])
    between = spherical_interpolation(here, sign * here, torch.tensor([[0.0], [0.5], [1.0]]))
    assert between.isfinite().all()
    torch.testing.assert_close(between[[0, 2]], torch.cat([here, sign * here]), atol=1e-3, rtol=0)
