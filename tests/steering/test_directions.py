"""Tests directions: descriptors of sounds that are known, and a generator whose one direction is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wavegan.dsp.representation import Waveform
from wavegan.generation import Model
from wavegan.models.heads import LatentLayer
from wavegan.models.inputs import Input
from wavegan.steering import directions
from wavegan.steering.directions import DESCRIPTORS, find_directions, moved

RATE = 16000
TIME = np.arange(RATE) / RATE


def tone(frequency: float, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency * TIME) * (seconds > TIME)).astype(np.float32)


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "low", "high", "rise"),
    [
        ("brightness", tone(500), tone(2000), math.log(4)),
        ("length", tone(500, 0.2), tone(500, 0.8), math.log(4)),
        ("level", tone(500, 0.5, 0.1), tone(500, 1.0, 0.5), math.log(5)),
        ("pitch", tone(150), tone(450), math.log(3)),
    ],
)
def test_a_descriptor_rises_by_the_ratio_of_what_it_measures(name, low, high, rise):
    assert DESCRIPTORS[name](high, RATE) - DESCRIPTORS[name](low, RATE) == pytest.approx(rise, abs=0.06)


def test_noise_is_noisier_than_a_tone_and_silence_has_numbers():
    assert DESCRIPTORS["noisiness"](NOISE, RATE) > DESCRIPTORS["noisiness"](tone(500), RATE) + 5
    for read in DESCRIPTORS.values():
        assert math.isfinite(read(np.zeros(4096, np.float32), RATE))


class OneDirection(nn.Module):
    """Makes noise of a kind for each label, whose length follows one direction of the latent."""

    def __init__(self, *, follows: bool):
        super().__init__()
        self.labels, self.inputs, self.output = 2, (Input("normal", (6,)),), Waveform()
        self.dense = LatentLayer(6, 6, labels=2)
        self.along = torch.tensor([0.6, 0, -0.8, 0, 0, 0])
        self.follows = follows
        with torch.no_grad():
            self.dense.weight.normal_(0, 10, generator=torch.Generator().manual_seed(0))  # labels stand out
            self.dense.weight[:, :6] = torch.eye(6) + 4 * torch.outer(self.along, self.along)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        seconds = 0.3 * torch.exp(0.3 * z @ self.along if self.follows else 0 * z[:, 0])
        seconds = seconds * (1 + labels[:, 1])
        return torch.tensor(NOISE) * (torch.tensor(TIME) < seconds[:, None]).float()[:, None]


def model(**settings: bool) -> Model:
    return Model(OneDirection(**settings).eval(), RATE, 1, RATE, "toy", 0, ("short", "long"))


def test_the_direction_that_moves_a_descriptor_is_found_and_named(monkeypatch):
    monkeypatch.setattr(directions, "COMPONENTS", 3)
    [direction] = find_directions(model(follows=True))
    assert direction.name == "length" and direction.correlation > 0.9
    torch.testing.assert_close(direction.vector, torch.tensor([0.6, 0, -0.8, 0, 0, 0]), rtol=0, atol=0.1)
    assert direction.vector.norm() == pytest.approx(1, abs=1e-5)


def test_a_direction_that_moves_nothing_is_not_shown(monkeypatch):
    monkeypatch.setattr(directions, "COMPONENTS", 2)
    assert find_directions(model(follows=False)) == []


def test_a_moved_latent_keeps_its_length():
    latents, vector = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), torch.eye(8)[2]
    ahead = moved(latents, vector, 2.0)
    torch.testing.assert_close(ahead.norm(dim=1), latents.norm(dim=1))
    assert ((ahead - latents) @ vector > 0).all()
    torch.testing.assert_close(moved(latents, vector, 0.0), latents)
