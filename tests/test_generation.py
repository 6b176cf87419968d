"""Tests generation: clip k of a seed whatever the batch, truncation, and walks between latents."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from wavegan import generation
from wavegan.dsp.representation import Waveform
from wavegan.generation import (
    Model,
    generate,
    interpolate,
    numbered_labels,
    numbered_latents,
    numbered_noise,
    spherical_interpolation,
    synthesize,
)
from wavegan.models.heads import LatentLayer
from wavegan.models.inputs import DISTRIBUTIONS, Input
from wavegan.models.wavegan import Generator
from wavegan.settings import Latent


def model(latent: Latent = "uniform", *, latent_dim: int = 8, channels: int = 1) -> Model:
    torch.manual_seed(0)
    network = Generator(4096, channels, dim=1, latent=latent, latent_dim=latent_dim, batch_norm=True)
    with torch.no_grad():
        for _ in range(3):  # batch statistics of its own
            network(torch.randn(8, latent_dim))
    return Model(network.eval(), 4096, channels, 16000, "a test", 0, ())


def clips(made) -> torch.Tensor:
    return torch.cat(list(made))


def test_shapes_and_batches():
    sizes = [tuple(batch.shape) for batch in generate(model(channels=2), 10, batch_size=4)]
    assert sizes == [(4, 2, 4096), (4, 2, 4096), (2, 2, 4096)]
    assert list(generate(model(), 0)) == []


@pytest.mark.parametrize("latent", DISTRIBUTIONS)
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
    first = clips(generate(ours, 3))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(clips(generate(ours, 3)), first)


@pytest.mark.parametrize("latent", DISTRIBUTIONS)
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


@pytest.mark.parametrize("latent", DISTRIBUTIONS)
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
    monkeypatch.setattr(generation, "synthesize", lambda model, z, labels, noise: z)
    return clips(interpolate(ours, 6, **settings))


def test_a_uniform_walk_is_straight_and_stays_in_the_support(monkeypatch):
    ours = model("uniform")
    z = walked_latents(monkeypatch, ours)
    assert z.shape == (5 * 8 + 1, 8) and z.abs().max() <= 1
    key_latents = numbered_latents(ours, range(6))
    for leg, (here, there) in enumerate(itertools.pairwise(key_latents)):
        for step in range(8):
            torch.testing.assert_close(z[8 * leg + step], here + (there - here) * step / 8)
    assert torch.equal(z[::8], key_latents)


def test_a_normal_walk_keeps_its_length(monkeypatch):
    """Straight lines between normal latents of 512 numbers pass at 0.7 of their length. No latent ever lies there."""
    ours = model("normal", latent_dim=512)
    lengths = walked_latents(monkeypatch, ours).norm(dim=1)
    key_latents = numbered_latents(ours, range(6)).norm(dim=1)
    assert key_latents.min() * 0.97 < lengths.min() and lengths.max() < key_latents.max() * 1.03


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


NAMES = ("clap", "kick", "snare")


def knowing() -> Model:
    """Returns a model that knows three labels."""
    torch.manual_seed(0)
    network = Generator(4096, dim=1, latent_dim=8, labels=3).eval()
    return Model(network, 4096, 1, 16000, "a test", 0, NAMES)


def told(rows: torch.Tensor | None) -> list[str]:
    assert rows is not None and (rows.sum(1) == 1).all() and ((rows == 0) | (rows == 1)).all()
    return [NAMES[place] for place in rows.argmax(1)]


def test_named_labels_take_turns_and_others_are_drawn_clip_by_clip():
    ours = knowing()
    assert told(numbered_labels(ours, range(5), only=("snare", "clap"))) == ["snare", "clap", "snare", "clap", "snare"]
    drawn = told(numbered_labels(ours, range(300)))
    assert told(numbered_labels(ours, [7, 299])) == [drawn[7], drawn[299]]
    assert min(drawn.count(name) for name in NAMES) > 60
    assert told(numbered_labels(ours, range(300), seed=1)) != drawn
    assert numbered_labels(model(), range(3)) is None


def test_labels_are_as_frequent_as_in_the_training():
    uneven = told(numbered_labels(replace(knowing(), label_counts=(0, 1, 3)), range(400)))
    assert "clap" not in uneven and 270 < uneven.count("snare") < 330
    even = replace(knowing(), label_counts=(1, 1, 1))
    assert told(numbered_labels(even, range(300))) == told(numbered_labels(knowing(), range(300)))
    assert told(numbered_labels(replace(even, label_counts=(0, 1, 3)), range(2), only=("clap",))) == ["clap"] * 2


def test_labels_are_drawn_apart_from_latents_and_noise(monkeypatch):
    """With a common seed a label would be a function of the latent, and not every label could get every sound."""
    draws = {"latents": numbered_latents, "noise": numbered_noise, "labels": numbered_labels}
    seeds: dict[str, set[int]] = {kind: set() for kind in draws}
    ours, derive = noisy(labels=3), generation.derive
    for kind, draw in draws.items():
        monkeypatch.setattr(
            generation, "derive", lambda *given, kind=kind: seeds[kind].add(derive(*given)) or derive(*given)
        )
        draw(ours, range(50), seed=3)
    assert {kind: len(drawn) for kind, drawn in seeds.items()} == {"latents": 50, "noise": 100, "labels": 50}
    assert len(set.union(*seeds.values())) == 200


def test_a_label_changes_the_clip_and_not_its_latent():
    ours = knowing()
    kick, snare = (clips(generate(ours, 4, seed=2, labels=(name,))) for name in ("kick", "snare"))
    assert (kick - snare).flatten(1).norm(dim=1).min() > 0
    z = numbered_latents(ours, range(4), seed=2)
    row = torch.tensor([[0.0, 1.0, 0.0]]).expand(4, 3)
    torch.testing.assert_close(kick, ours.generator(z, row).detach())


def test_a_label_weighs_as_much_as_the_whole_latent():
    """Measures at the start: its row of the dense layer moves the features about as far as a latent does."""
    torch.manual_seed(0)
    layer = LatentLayer(100, 4096, 3)
    nn.init.uniform_(layer.weight, -1, 1)
    nn.init.zeros_(layer.bias)
    latent = layer(torch.rand(50, 100) * 2 - 1, torch.zeros(50, 3)).norm(dim=1).mean()
    label = layer(torch.zeros(3, 100), torch.eye(3)).norm(dim=1).mean()
    assert (label / latent).item() == pytest.approx(1, abs=0.05)


def test_a_walk_between_labels_keeps_its_latent_and_mixes_them(monkeypatch):
    seen = []
    monkeypatch.setattr(generation, "synthesize", lambda model, z, labels, noise: seen.append((z, labels)) or z)
    clips(interpolate(knowing(), 3, clips_between=3, labels=("kick", "snare")))
    z, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
    assert len(z) == 9 and (z == z[0]).all()
    expected = [[0, 1 - share, share] for share in (0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0)]
    torch.testing.assert_close(labels, torch.tensor(expected))


def test_a_walk_with_one_label_moves_its_latent(monkeypatch):
    seen = []
    monkeypatch.setattr(generation, "synthesize", lambda model, z, labels, noise: seen.append((z, labels)) or z)
    clips(interpolate(knowing(), 3, clips_between=1, labels=("kick",)))
    z, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
    assert told(labels) == ["kick"] * 5 and not torch.equal(z[0], z[2])


class Shows(nn.Module):
    """Describes a generator whose clip is its latent of 4 numbers and its noise, 2 rows of 3, and 4; all halved thrice.

    All its inputs are normal, so that nothing but their seeds tells them apart.
    """

    inputs = (Input("normal", (4,)), Input("normal", (2, 3)), Input("normal", (4,)))

    def __init__(self, labels: int):
        super().__init__()
        self.labels = labels
        self.output = Waveform()
        self.scale = nn.Parameter(torch.tensor(0.125))

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None, *noise: torch.Tensor) -> torch.Tensor:
        assert (labels is None) == (not self.labels), "labels come second, noise after them"
        return self.scale * torch.cat([part.flatten(1) for part in (z, *noise)], dim=1)[:, None]


def noisy(labels: int = 0) -> Model:
    return Model(Shows(labels), 14, 1, 16000, "a test", 0, NAMES[:labels])


def shown(made) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the latents (N, 4) and all noise (N, 10) of a noisy model's clips."""
    return (clips(made)[:, 0] * 8).split([4, 10], dim=1)  # type: ignore[return-value]


@pytest.mark.parametrize("labels", [0, 3])
def test_clip_k_with_noise_is_the_same_for_any_batch_size_and_first_number(labels):
    ours = noisy(labels)
    whole = clips(generate(ours, 12, seed=3, batch_size=12))
    assert whole.abs().max() < 1, "nothing is cut"
    for count, batch_size, first in [(12, 5, 0), (12, 1, 0), (5, 2, 7), (1, 64, 11)]:
        part = clips(generate(ours, count, seed=3, batch_size=batch_size, first=first))
        assert torch.equal(part, whole[first : first + count])


def test_a_clips_noise_comes_in_the_generators_order_and_untruncated():
    ours = noisy()
    rows, last = numbered_noise(ours, range(5), seed=2)
    assert rows.shape == (5, 2, 3) and last.shape == (5, 4)
    z, noise = shown(generate(ours, 5, seed=2, truncation=0.5))
    assert torch.equal(noise, torch.cat([rows.flatten(1), last], dim=1))
    assert torch.equal(z, 0.5 * numbered_latents(ours, range(5), seed=2))


def test_every_clip_has_noise_of_its_own_that_is_not_its_latent():
    """Collects the first numbers of 60 clips' latents and of both their noises: 180 different ones."""
    ours, first_numbers = noisy(), []
    for seed in range(3):
        drawn = [numbered_latents(ours, range(20), seed=seed), *numbered_noise(ours, range(20), seed=seed)]
        first_numbers += [number for part in drawn for number in part.flatten(1)[:, 0].tolist()]
    assert len(set(first_numbers)) == len(first_numbers) == 180


@pytest.mark.parametrize("labels", [(), ("kick",), ("kick", "snare")], ids=["drawn", "one", "two"])
def test_a_walk_keeps_the_noise_of_clip_0(labels):
    """Checks every batch, also the last and shorter one; the latent moves, except in a walk between labels."""
    ours = noisy(3)
    z, noise = shown(interpolate(ours, 3, clips_between=3, seed=2, labels=labels, batch_size=4))
    expected = torch.cat([drawn.flatten(1) for drawn in numbered_noise(ours, [0], seed=2)], dim=1)
    assert len(z) == 9 and torch.equal(noise, expected.expand(9, 10))
    assert torch.equal(z[0], z[8]) == (len(labels) > 1)


def test_a_generator_without_noise_is_given_none():
    assert numbered_noise(model(), range(3)) == []


def test_a_clip_beyond_full_scale_is_made_softer_as_a_whole():
    class Loud(torch.nn.Module):
        inputs, labels = (Input("normal", (2,)),), 0

        def __init__(self):
            super().__init__()
            self.output, self.gains = Waveform(), torch.nn.Parameter(torch.tensor([0.5, 3.0]))

        def forward(self, z, labels=None):
            return self.gains[:, None, None] * torch.tensor([[[1.0, -0.25]]])

    generator = Loud()
    model = Model(generator, clip_samples=2, channels=1, sample_rate=16000, name="loud", step=0, label_names=())
    z = torch.zeros(2, 2)
    with torch.no_grad():
        assert synthesize(model, z).tolist() == [[[0.5, -0.125]], [[1.0, -0.25]]]
        assert synthesize(model, z, limits=False).tolist() == [[[0.5, -0.125]], [[3.0, -0.75]]]
        generator.peaks_are_one = torch.tensor(True)
        assert synthesize(model, z).tolist() == [[[1.0, -0.25]], [[1.0, -0.25]]]
        generator.gains[0] = 0.005
        assert synthesize(model, z)[0].abs().max() == pytest.approx(0.005)
