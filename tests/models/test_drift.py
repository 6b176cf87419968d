"""The drift of sound: what stays has none, what changes wholly has 1, and what lies between is found again."""

import math

import pytest
import torch

from wavegan.models.drift import PIECE, UNITS, measured_drift
from wavegan.models.stages import STOP_HOPS, latents_on_the_way, unbounded_stages
from wavegan.models.statistics_since import STATISTICS_SINCE, says_nothing

PIECES, BANDS = 400, 12


def sound(drift: float, chance: float) -> torch.Tensor:
    """Draws levels of pieces that go from latent to latent as a long sound does, and differ by chance as well."""
    random = torch.Generator().manual_seed(0)
    [first, *_] = unbounded_stages(3 * STOP_HOPS)
    stops = torch.randn(PIECES, 4, BANDS, generator=random)
    way = latents_on_the_way(stops, first, torch.full((PIECES,), drift))
    parts = torch.arange(UNITS, UNITS + PIECE) * (STOP_HOPS // UNITS // first.stride) + first.margin
    return way[:, parts] + chance * torch.randn(PIECES, PIECE, BANDS, generator=random)


@pytest.mark.parametrize("chance", [0.1, 0.5])
@pytest.mark.parametrize("drift", [0.0, 0.25, 0.5, 0.8, 1.0])
def test_the_drift_of_a_long_sound_is_found_again(drift, chance):
    assert measured_drift(sound(drift, chance)) == pytest.approx(drift, abs=0.15)


def test_sound_that_changes_within_a_part_is_any_other_sound():
    assert measured_drift(torch.randn(40, PIECE, BANDS, generator=torch.Generator().manual_seed(0))) == 1


@pytest.mark.parametrize("drift", [0.0, 0.5, 1.0])
def test_latents_lie_at_the_drift_from_the_first_one(drift):
    [first, *_] = unbounded_stages(2 * STOP_HOPS)
    way = latents_on_the_way(torch.eye(3).expand(2, 3, 3), first, torch.tensor([drift, 1.0]))
    torch.testing.assert_close(way.norm(dim=-1), torch.ones(way.shape[:2]))
    at = [first.margin + stop * STOP_HOPS // first.stride for stop in range(3)]
    torch.testing.assert_close(way[:, at[0]], torch.eye(3)[0].expand(2, 3), msg="it begins at its first latent")
    angles = [math.acos(min(1.0, float(way[0, at[0]] @ way[0, place]))) for place in at[1:]]
    assert angles == pytest.approx([drift * math.pi / 2] * 2, abs=1e-3)
    torch.testing.assert_close(way[1, at], torch.eye(3), msg="the other clip drifts as far as it can")


def test_what_earlier_versions_lack_says_nothing():
    assert all(says_nothing(name, torch.full((3,), value)) for name, value in STATISTICS_SINCE.items())
    assert not says_nothing("drift", torch.tensor([1.0, 0.5])) and not says_nothing("mix", torch.ones(1))
