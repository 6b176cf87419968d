"""Tests the distance of sounds by closed forms, and that inversion finds a clip that a model has made."""

from dataclasses import replace

import pytest
import torch

from wavegan.generation import Model
from wavegan.models.inverse_stft import Generator
from wavegan.models.wavegan import Generator as WaveGAN
from wavegan.steering import inversion, points
from wavegan.steering.inversion import Inverter, SpectralDistance

NAMES = ("kick", "snare")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    generator = Generator(4096, dim=8, latent_dim=16, labels=2, window=64, hop=32).eval()
    for part in generator.modules():  # so that latents and labels are heard, as in a trained one
        if isinstance(part, torch.nn.Linear):
            part.weight.data.mul_(3)
    return Model(generator, 4096, 1, 8000, "mouse", 1, NAMES)


def noise(seed: int, level: float = 0.3) -> torch.Tensor:
    return level * torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sample_rate", [2000, 8000, 44100])
def test_distances_are_decibels(sample_rate):
    distance = SpectralDistance(sample_rate, CPU)
    loud, soft = distance.spectra(noise(0)), distance.spectra(noise(0) / 2)
    assert float(distance.between(loud, loud)) == 0
    assert float(distance.between(loud, soft)) == pytest.approx(6.02, abs=0.1)  # both far above the floor
    silence = distance.spectra(torch.zeros(1, 1, 8192))
    assert float(distance.between(silence, distance.spectra(noise(0, 1e-4)))) < 1, "what is below -60 dB is silence"
    both = distance.of_batches([noise(0), noise(1)])
    assert distance.between(loud, both)[0] == 0 and distance.between(loud, both)[1] > 0.5


def test_a_made_clip_is_found_again(model):
    hidden = points.numbered_point(model, 5000, seed=9, labels=["snare"])
    clip = points.clip_of(model, hidden)
    inverter = Inverter(model, seed=1)
    target = inverter.distance.of_batches([clip[None]])
    start = float(inverter.distance.between(target, inverter.spectra).min())
    counted = []

    def watch(steps):
        counted.extend(steps)
        return steps

    reached = inverter.nearest(clip, watch)
    assert reached.distance < 0.6 * start < 0.6 * reached.random
    spectra = inverter.distance.of_batches([reached.clip[None]])
    assert reached.distance == pytest.approx(float(inverter.distance.between(target, spectra)))
    assert torch.equal(points.clip_of(model, reached.point), reached.clip)
    assert reached.point.labels is not None and float(reached.point.labels.sum()) == pytest.approx(1)
    assert reached.point.labels.min() >= 0 and len(counted) == counted[-1] + 1


def test_the_mapped_latent_brings_a_model_nearer_than_its_latent_alone(model, monkeypatch):
    monkeypatch.setattr(inversion, "PHASES", ((4, 20),))
    hidden = points.numbered_point(model, 7, labels=["snare"])
    offset = torch.randn(model.generator.mapped, generator=torch.Generator().manual_seed(3))
    clip = points.clip_of(model, replace(hidden, offset=offset))
    reached = {}
    for steps in (0, 60):
        monkeypatch.setattr(inversion, "OFFSET_STEPS", steps)
        reached[steps] = Inverter(model).nearest(clip)
        assert torch.equal(points.clip_of(model, reached[steps].point), reached[steps].clip)
    assert reached[60].distance < 0.9 * reached[0].distance
    assert reached[0].point.offset.count_nonzero() == 0 < reached[60].point.offset.count_nonzero()


def test_given_labels_stay(model, monkeypatch):
    monkeypatch.setattr(inversion, "PHASES", ((4, 5),))
    clip = points.clip_of(model, points.numbered_point(model, 7, labels=["snare"]))
    point = Inverter(model, labels=["kick:3,snare:1"]).nearest(clip).point
    assert point.labels is not None and point.labels.tolist() == [0.75, 0.25]


def test_a_uniform_latent_stays_within_its_bounds(monkeypatch):
    monkeypatch.setattr(inversion, "PHASES", ((4, 30),))
    torch.manual_seed(0)
    model = Model(WaveGAN(4096, dim=1, latent_dim=4, labels=0).eval(), 4096, 1, 8000, "cat", 1, ())
    point = Inverter(model).nearest(noise(0)[0, :, :4096]).point
    assert point.latent.abs().max() <= 1 and point.labels is None and point.offset is None
    assert not any(values.grad is not None for values in model.generator.parameters()), "the weights learn nothing"
