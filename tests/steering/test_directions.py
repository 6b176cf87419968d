"""Tests directions: descriptors of sounds that are known, and a generator whose directions are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan import generation
from wavegan.errors import UserError
from wavegan.generation import Model
from wavegan.models import wavegan
from wavegan.models.inverse_stft import Generator
from wavegan.steering import directions
from wavegan.steering.directions import DESCRIPTORS, find_directions, moves_along, steered

RATE = 16000
TIME = np.arange(RATE) / RATE


def tone(frequency: float, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency * TIME) * (seconds > TIME)).astype(np.float32)


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)


def smooth(name: str, clip: np.ndarray) -> float:
    return float(DESCRIPTORS[name].smooth(torch.tensor(clip)[None]))


@pytest.mark.parametrize(
    ("name", "low", "high", "rise"),
    [
        ("brightness", tone(500), tone(2000), math.log(4)),
        ("length", tone(500, 0.2), tone(500, 0.8), math.log(4)),
        ("level", tone(500, 0.5, 0.1), tone(500, 1.0, 0.5), math.log(5)),
    ],
)
def test_a_descriptor_rises_by_the_ratio_of_what_it_measures(name, low, high, rise):
    measure = DESCRIPTORS[name].measure
    assert measure(high, RATE) - measure(low, RATE) == pytest.approx(rise, abs=0.06)
    assert smooth(name, high) - smooth(name, low) == pytest.approx(rise, abs=0.06), "that with a gradient too"


def test_noise_is_noisier_than_a_tone_and_silence_has_numbers():
    measure, faint = DESCRIPTORS["noisiness"].measure, tone(500) + 0.01 * NOISE
    for other, rise in ((faint, 1.5), (tone(500), 5)):
        assert measure(NOISE, RATE) > measure(other, RATE) + rise
        assert smooth("noisiness", NOISE) > smooth("noisiness", other) + rise
    assert smooth("noisiness", NOISE) - smooth("noisiness", faint) == pytest.approx(
        measure(NOISE, RATE) - measure(faint, RATE), rel=0.1
    )


def test_silence_has_numbers_and_slopes():
    silence = torch.zeros(1, 4096, requires_grad=True)
    for descriptor in DESCRIPTORS.values():
        assert math.isfinite(descriptor.measure(np.zeros(4096, np.float32), RATE))
        [slope] = torch.autograd.grad(descriptor.smooth(silence).sum(), silence)
        assert slope.isfinite().all()


def test_numbers_too_small_for_float32_to_hold_in_full_have_slopes():
    """A sound that dies away ends in them; the slope of a complex number's magnitude is nan there."""
    faint = torch.tensor([[1e-45, 0, 1e-44, -1e-40]], requires_grad=True)
    [slope] = torch.autograd.grad(directions._magnitudes(faint, 4, 2).sum(), faint)
    assert slope.isfinite().all()


class Lengths(Generator):
    """Makes noise whose length follows a place of the mapped latent, of each label its own, if it follows any."""

    PLACES = (0, 3)

    def __init__(self, *, follows: bool):
        super().__init__(RATE, dim=2, latent_dim=6, labels=2)
        self.follows = follows
        torch.nn.init.normal_(self.latent.weight, generator=torch.Generator().manual_seed(0))

    def forward(self, z: Tensor, labels: Tensor | None = None, *noise: Tensor, offset: Tensor | None = None) -> Tensor:
        assert labels is not None, "it knows labels"
        w = self.mapping(self.latent(z, labels))
        w = w if offset is None else w + offset
        power = (labels * w[:, self.PLACES]).sum(1) if self.follows else 0 * w[:, 0]
        seconds = 0.2 * torch.exp(0.3 * power) * (1 + labels[:, 1])
        return torch.tensor(NOISE) * torch.sigmoid(500 * (seconds[:, None] - torch.tensor(TIME)))[:, None].float()


def model(**settings: bool) -> Model:
    torch.manual_seed(0)
    return Model(Lengths(**settings).eval(), RATE, 1, RATE, "toy", 0, ("short", "long"))


@pytest.fixture(autouse=True)
def few_sounds(monkeypatch):
    monkeypatch.setattr(directions, "SOUNDS", 40)
    monkeypatch.setattr(directions, "HELD_OUT", 20)


def test_the_direction_of_a_descriptor_is_its_gradient_of_each_label():
    toy = model(follows=True)
    every = find_directions(toy)
    correlations = [direction.correlation for direction in every]
    assert {direction.name for direction in every} == set(DESCRIPTORS) and correlations == sorted(correlations)[::-1]
    [longer] = [direction for direction in every if direction.name == "length"]
    assert longer.correlation > 0.9 and longer.is_sure
    units = longer.rows / longer.rows.norm(dim=1, keepdim=True)
    torch.testing.assert_close(units, torch.eye(4)[list(Lengths.PLACES)], rtol=0, atol=0.05)
    moved = steered(toy, moves_along(every, {"length": 0.5}).rows)
    z, labels, noise = directions._drawn(toy, range(4))
    ends = [
        [int((clip.abs() > 0.01).nonzero().max()) for clip in generation.synthesize(each, z, labels, noise)[:, 0]]
        for each in (toy, moved)
    ]
    reach = 0.5 * float(longer.rows[0].norm())
    np.testing.assert_allclose(np.divide(ends[1], ends[0]), math.exp(0.3 * reach), rtol=0.1)


def test_what_sounds_do_not_follow_is_not_sure():
    assert not any(direction.is_sure for direction in find_directions(model(follows=False)))


def test_amounts_add_up_and_a_mix_of_labels_has_the_mix_of_rows():
    rows = torch.arange(12.0).view(2, 2, 3)
    both = [directions.Direction(name, part, 0.9) for name, part in zip("ab", rows, strict=True)]
    total = moves_along(both, {"b": -0.5, "a": 2.0}).rows
    assert total is not None and torch.equal(total, 2 * rows[0] - 0.5 * rows[1])
    mixed = directions.label_offset(total, torch.tensor([[1.0, 0.0], [0.25, 0.75]]))
    torch.testing.assert_close(mixed, torch.stack([total[0], 0.25 * total[0] + 0.75 * total[1]]))
    assert steered(model(follows=True), moves_along(both, {}).rows).generator.__class__ is Lengths


def test_a_generator_without_a_mapped_latent_is_refused():
    other = Model(wavegan.Generator(4096, dim=1, latent_dim=4), 4096, 1, RATE, "mouse", 0, ())
    with pytest.raises(UserError, match="mouse is no inverse_stft generator"):
        find_directions(other)
