"""Tests that a network begins with the weights of another one, label by label."""

import numpy as np
import pytest
import torch

from wavegan.models.heads import LatentLayer, ScoreLayer
from wavegan.models.inverse_stft import Generator
from wavegan.models.starting_weights import OtherFormError, start_from


def generator(seed: int, dim: int = 4, window: int = 64, hop: int = 32, frames: int = 32, **settings) -> Generator:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return Generator(frames * hop, dim=dim, latent_dim=3, window=window, hop=hop, **settings).eval()


def mirrored(spacing: float, count: int, top: int) -> list[int]:
    """Returns places at a spacing from 0 on, mirrored at the top one and at 0."""
    return [abs((round(place * spacing) + top) % (2 * top) - top) for place in range(count)]


def made(network: Generator, labels: list[float] | None = None) -> torch.Tensor:
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(1)
        z, *noise = (torch.randn(2, *declared.shape) for declared in network.inputs)
        return network(z, torch.tensor([labels] * 2) if labels else None, *noise)


def test_a_network_without_labels_makes_what_the_other_one_makes():
    first, second = generator(0), generator(1)
    assert not torch.allclose(made(first), made(second))
    assert start_from(second, first.state_dict(), 0, ()) == []
    assert torch.equal(made(first), made(second))


@pytest.mark.parametrize("settings", [{}, {"pulses": True, "channels": 2}, {"long_frames": 2}], ids=str)
@pytest.mark.parametrize(
    ("window", "rate", "places"),
    [
        (128, 2.0, [*range(33), *range(31, -1, -1)]),  # twice the band, the same bins: those above are mirrored
        (64, 0.5, [round(place / 2) for place in range(33)]),  # half the band, bins half as far apart
        (64, 3.0, [abs((3 * place + 32) % 64 - 32) for place in range(33)]),  # bins three times as far apart
        (32, 0.5, range(17)),  # half the band, the same bins
    ],
)
def test_bins_take_what_those_of_their_frequency_say(settings, window, rate, places):
    first, second = generator(0, **settings), generator(1, **settings, window=window, hop=window // 2)
    start_from(second, first.state_dict(), 0, (), rate)
    x = torch.randn(2, 5, 4)
    for own, theirs in zip(second.sets_of_frames, first.sets_of_frames, strict=True):
        at = list(places) if theirs is first else mirrored(rate * theirs.window / own.window, own.bins, theirs.bins - 1)
        own_maps, their_maps = (
            frames.maps(x)[..., 1:].unflatten(-1, (-1, frames.bins)).detach() for frames in (own, theirs)
        )
        assert torch.equal(own_maps, their_maps[..., at]) and own_maps.shape[-2] == their_maps.shape[-2] > 2
        assert torch.equal(own.maps(x)[..., 0], theirs.maps(x)[..., 0]), "the loudness has no bin"


@pytest.mark.parametrize(
    ("frames", "places"),
    [
        (40, [*range(16), 15, 15, 15, 15]),  # a quarter longer: the last frame goes on
        (26, range(13)),  # shorter: the end is cut off
        (64, [*(place + 0.5 for place in range(0, 15, 2)), *[15] * 8]),  # twice as long
        (96, [*(4 * place + 1.5 for place in range(4)), *[15] * 8]),  # three times as long: two more blocks
        (16, range(16)),  # half as long: the same frames in half the time
        (
            22,
            [(place + 0.5) * 16 / 22 - 0.5 for place in range(22)],
        ),  # a block less: in less time
    ],
)
def test_sounds_last_as_long_in_clips_of_another_length(frames, places):
    first, second = generator(0), generator(1, frames=frames)
    new = start_from(second, first.state_dict(), 0, ())
    more = len(second.blocks) - len(first.blocks)
    assert {name.split(".")[1] for name in new} == {str(number) for number in range(more)}
    for number in range(min(len(first.blocks), len(second.blocks))):
        given = second.state_dict()[f"blocks.{number + max(more, 0)}.first.weight"]
        assert torch.equal(given, first.state_dict()[f"blocks.{number}.first.weight"])
    w = torch.randn(5, first.mapped)
    theirs, own = (network.start(w).unflatten(1, (-1, 4)).detach().numpy() for network in (first, second))
    assert own.shape[1] == len(places)
    expected = [[np.interp(places, range(16), column) for column in clip.T] for clip in theirs]
    np.testing.assert_allclose(own, np.array(expected).transpose(0, 2, 1), atol=1e-5)


def test_a_head_that_says_other_things_of_as_many_numbers_is_refused():
    first, second = generator(0, window=88, hop=44), generator(1, window=70, hop=35, pulses=True)
    assert first.head.weight.shape == second.head.weight.shape
    with pytest.raises(OtherFormError, match="head.bias: 181 numbers for 45 bins"):
        start_from(second, first.state_dict(), 0, ())


@pytest.mark.parametrize("further", [{}, {"drops": True}, {"pulses": True}], ids=str)
def test_hiss_that_could_not_be_panned_begins_as_it_was(further):
    first, second = generator(0, channels=2, **further), generator(1, channels=2, panned_hiss=True, **further)
    start_from(second, first.state_dict(), 0, ())
    torch.testing.assert_close(made(second), made(first))
    with pytest.raises(OtherFormError, match="head.bias"):
        start_from(first, second.state_dict(), 0, (), is_panned=True)


@pytest.mark.parametrize(
    ("theirs", "own"),
    [
        ({"panned_hiss": True}, {"panned_hiss": True, "drops": True}),
        ({"panned_hiss": True}, {"panned_hiss": True, "pulses": True}),
        ({"panned_hiss": True}, {"drops": True}),
        ({"drops": True}, {"panned_hiss": True}),
        ({"pulses": True}, {"panned_hiss": True}),
    ],
    ids=str,
)
def test_shares_of_other_sources_are_not_taken_for_each_other(theirs, own):
    first, second = generator(0, channels=2, **theirs), generator(1, channels=2, **own)
    with pytest.raises(OtherFormError, match="head.bias"):
        start_from(second, first.state_dict(), 0, (), is_panned="panned_hiss" in theirs)


def test_labels_keep_their_sound_in_another_order():
    first, second = generator(0, labels=3), generator(1, labels=2)
    start_from(second, first.state_dict(), 3, [2, 0])
    assert torch.allclose(made(first, [0.0, 0.0, 1.0]), made(second, [1.0, 0.0]), atol=1e-6)
    assert torch.allclose(made(first, [1.0, 0.0, 0.0]), made(second, [0.0, 1.0]), atol=1e-6)


def test_a_new_label_begins_with_the_mean_of_the_known_ones():
    first, second = generator(0, labels=2), generator(1, labels=2)
    with torch.no_grad():
        second.latent.weight[:, -2:] = 0
    start_from(second, first.state_dict(), 2, [1, None])
    assert torch.allclose(made(first, [0.5, 0.5]), made(second, [0.0, 1.0]), atol=1e-6)
    third = generator(2, labels=2)
    own = third.latent.weight[:, -1].clone()
    start_from(third, first.state_dict(), 2, [1, None])
    assert torch.allclose(third.latent.weight[:, -1], first.latent.weight[:, -2:].mean(1) + own)


def test_a_network_without_labels_takes_their_mean():
    first, second = generator(0, labels=2), generator(1)
    start_from(second, first.state_dict(), 2, ())
    assert torch.allclose(made(first, [0.5, 0.5]), made(second), atol=1e-6)


def test_labels_of_a_network_that_begins_without_any_are_random():
    first, second = generator(0), generator(1, labels=2)
    own = second.latent.weight[:, -2:].clone()
    start_from(second, first.state_dict(), 0, [None, None])
    assert torch.equal(second.latent.weight[:, -2:], own)
    assert torch.equal(second.latent.weight[:, :-2], first.latent.weight)


@pytest.mark.parametrize("labels", [0, 2])
def test_scores_of_known_labels_stay(labels):
    first, second = ScoreLayer(5, 3), ScoreLayer(5, labels)
    network = torch.nn.ModuleDict({"dense": second})
    weights = {f"dense.{name}": values for name, values in first.state_dict().items()}
    start_from(network, weights, 3, [1, None][:labels])
    x = torch.randn(4, 5)
    if labels:
        theirs, own = torch.tensor([[0.0, 1.0, 0.0]] * 4), torch.tensor([[1.0, 0.0]] * 4)
    else:
        theirs, own = torch.full((4, 3), 1 / 3), None
    assert torch.allclose(first(x, theirs), second(x, own), atol=1e-6)


def test_another_size_is_refused_and_changes_nothing():
    first, second = generator(0, dim=8), generator(1)
    before = {name: values.clone() for name, values in second.state_dict().items()}
    with pytest.raises(OtherFormError, match="latent"):
        start_from(second, first.state_dict(), 0, ())
    assert all(torch.equal(values, before[name]) for name, values in second.state_dict().items())
    layer = LatentLayer(3, 4, 2)
    with pytest.raises(OtherFormError, match="weight"):  # 4 numbers of a latent and 1 label are not 3 and 2
        start_from(torch.nn.ModuleDict({"dense": layer}), {"dense.weight": torch.zeros(4, 8)}, 2, [0, 1])


def test_what_the_other_one_lacks_is_named_and_what_was_measured_stays():
    first, second = generator(0), generator(1, pulses=True, drawn_pitch=True)
    levels = second.start_levels.clone() + 1
    second.start_levels.copy_(levels)
    with pytest.raises(OtherFormError, match="head"):
        start_from(second, first.state_dict(), 0, ())
    first = generator(0, pulses=True)
    lacking = start_from(second, first.state_dict(), 0, ())
    assert lacking == [f"blocks.{place}.pitch_gain" for place in range(len(second.blocks))]
    assert torch.equal(second.start_levels, levels)
