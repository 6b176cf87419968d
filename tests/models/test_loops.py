"""Loops: what is made repeats, to the last bit of a float or nearly, and the inputs are those of one period."""

import math

import pytest
import torch
from small_generators import clips_of, drawn, small

from wavegan.models.loops import LoopingGenerator, loop_step, repeated, samples_around
from wavegan.models.stages import STOP_HOPS, latents_on_the_way, loop_stops, unbounded_stages

VARIANTS = {
    "plain": {},
    "detuned bins, no local latents": {"detuned_bins": True, "local_latents": 0},
    "tuned bins, long frames, labels": {"tuned_bins": True, "long_frames": 4, "channels": 2, "labels": 2},
    "drops, two channels": {"drops": True, "channels": 2, "panned_hiss": True},
    "another window, three times as long frames": {"window": 96, "hop": 48, "long_frames": 3},
}


def looping(periods: int, **settings) -> LoopingGenerator:
    """Makes a generator of loops of so many steps whose blocks add something, as those of a new one do not."""
    settings = {"dim": 8, "latent_dim": 4, "local_latents": 3, "unbounded": True, "window": 128, "hop": 32} | settings
    any_length = small(4096, **settings)
    samples = periods * loop_step(any_length)
    torch.manual_seed(0)
    generator = LoopingGenerator(samples_around(any_length, samples), **settings)
    for name, parameter in generator.named_parameters():
        if name.endswith("last.weight"):
            torch.nn.init.normal_(parameter, std=0.2)
    if generator.advances is not None:
        generator.advances.add_(0.1 * torch.randn(generator.bins))  # where no bin rings whole cycles by itself
    generator.loop_after(samples)
    return generator


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("periods", [1, 7])
@torch.no_grad()
def test_the_end_of_a_loop_goes_on_at_its_start(variant, periods):
    generator = looping(periods, **VARIANTS[variant])
    samples, seam = generator.loop_samples, generator.window
    inputs = drawn(generator)
    labels = torch.eye(2) if generator.labels else None
    loops = clips_of(generator, inputs, labels)
    assert loops.shape == (2, generator.channels, samples) and loops.std() > 0.01
    generator.loop_samples += 2 * seam  # what it makes around the loop, too
    around = clips_of(generator, inputs, labels)
    torch.testing.assert_close(around[..., seam:-seam], loops)
    torch.testing.assert_close(around[..., : 2 * seam], around[..., samples:], atol=1e-4, rtol=0)


def test_its_inputs_are_those_of_one_period():
    generator = looping(7)
    hops = generator.loop_samples // generator.hop
    assert hops == 56 and generator.period == 56
    rows = [(1, hops // stage.stride) for stage in generator.stages]
    assert [declared.shape for declared in generator.inputs] == [(4 + 3 * 7,), *rows, (1, 56 * 32)]


@torch.no_grad()
def test_a_long_loop_goes_around_its_latents():
    assert [loop_stops(hops) for hops in (1, STOP_HOPS, STOP_HOPS + 200, 3 * STOP_HOPS)] == [1, 1, 1, 3]
    period = 2 * STOP_HOPS + 240
    [first, *_] = unbounded_stages(2 * period)
    stops = torch.eye(3)[None]
    way = latents_on_the_way(stops, first, torch.ones(1), period)[0]
    start, around = first.margin, period // first.stride
    assert (way[start : start + around] - way[start + around : start + 2 * around]).abs().max() < 1e-6
    for stop in range(3):
        place = start + stop * period / 3 / first.stride
        nearest = way[round(place)]
        assert nearest.argmax() == stop and nearest.max() > math.cos(math.pi / 2 * first.stride / (period / 3))
    torch.testing.assert_close(way.norm(dim=1), torch.ones(len(way)))


def phases(turn: torch.Tensor) -> torch.Tensor:
    """Returns the phases (frames, bins) that bins have gathered."""
    return torch.atan2(turn[1], turn[0])


@pytest.mark.parametrize("bins", [{"tuned_bins": True}, {"detuned_bins": True}], ids=["tuned", "detuned"])
@torch.no_grad()
def test_phases_go_on_over_the_seam_as_they_do_elsewhere(bins):
    generator = looping(3, **bins)
    turn = generator.turn if generator.advances is None else generator._tuned_turn(generator.advances)
    advances = phases(turn).diff(dim=0)[: generator.period + 2]
    error = (advances - advances[:1] + math.pi).remainder(2 * math.pi) - math.pi
    assert error.abs().max() < 1e-3, error.abs().max()


@torch.no_grad()
def test_bins_move_to_the_nearest_pitch_with_whole_cycles():
    generator = looping(4, tuned_bins=True)
    assert generator.advances is not None
    asked = generator.advances.clone()
    turn = generator._tuned_turn(generator.advances)
    heard = torch.atan2(turn[1, 1], turn[0, 1])  # of the first frame after the start
    error = (heard - asked + math.pi).remainder(2 * math.pi) - math.pi
    assert error.abs().max() <= math.pi / generator.period + 1e-5
    torch.testing.assert_close(turn[:, generator.period], turn[:, 0])


def test_repeated_along_another_axis():
    rows = repeated(torch.arange(4).view(2, 2, 1), 3, dim=1)
    assert rows[0].flatten().tolist() == [0, 1, 0]
