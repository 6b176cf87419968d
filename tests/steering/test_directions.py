"""Tests directions of generators whose directions are known."""

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
from wavegan.steering.descriptors import DESCRIPTORS
from wavegan.steering.directions import find_directions, moves_along, steered

RATE = 16000
TIME = np.arange(RATE) / RATE


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)


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


def model(*, follows: bool, kind: type[Lengths] = Lengths) -> Model:
    torch.manual_seed(0)
    return Model(kind(follows=follows).eval(), RATE, 1, RATE, "toy", 0, ("short", "long"))


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


class Bent(Lengths):
    """Makes noise that becomes longer along one place at once, and along a second the further it is on the first."""

    def forward(self, z: Tensor, labels: Tensor | None = None, *noise: Tensor, offset: Tensor | None = None) -> Tensor:
        assert labels is not None and offset is not None, "it is steered"
        power = offset[:, 0] + offset[:, 0].square() * offset[:, 1]
        seconds = 0.3 * torch.exp(0.2 * power)
        return torch.tensor(NOISE) * torch.sigmoid(500 * (seconds[:, None] - torch.tensor(TIME)))[:, None].float()


def test_a_direction_counts_the_gradient_at_moved_sounds_as_much_as_that_at_the_sounds(monkeypatch):
    monkeypatch.setattr(directions, "_spread", lambda mapped, labels: torch.tensor(1.5))
    toy = model(follows=True, kind=Bent)
    [longer] = [direction for direction in find_directions(toy) if direction.name == "length"]
    turn = np.arctan(np.mean(np.square(directions.AMOUNTS)) * 1.5**2)  # of the gradient at moved sounds
    np.testing.assert_allclose(longer.rows.norm(dim=1).numpy(), 1.5, rtol=1e-5)
    np.testing.assert_allclose(np.arctan2(*longer.rows[:, [1, 0]].numpy().T), turn / 2, atol=0.06)


@pytest.mark.parametrize("labels", [0, 1, 5, 10])
def test_the_sounds_of_each_label_are_moved_by_all_amounts(labels):
    several = max(1, labels)
    amounts = directions._turns(range(100, 100 + 10 * several), labels)
    for label in range(several):
        assert sorted(amounts[label::several].tolist()) == sorted(2 * directions.AMOUNTS)


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
