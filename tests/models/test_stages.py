"""The stages of a sound without an end: a part of a long sound is the short clip of the same numbers."""

from typing import Any

import pytest
import torch
from small_generators import clips_of, drawn, small

from wavegan.models.inverse_stft import Generator
from wavegan.models.stages import STOP_HOPS, STRIDES, latents_on_the_way, unbounded_stages, way_stops, whole_stages

HOPS = 32  # to a part's beginning

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tuned bins, long frames": {"tuned_bins": True, "long_frames": 4, "channels": 2},
    "another window": {"window": 96, "hop": 48},
    "drawn pitches": {"pulses": True, "drawn_pitch": True},
}


def lively(clip_samples: int, settings: dict[str, Any]) -> Generator:
    """Makes a generator whose blocks add something, as those of a new one do not."""
    generator = small(clip_samples, local_latents=3, unbounded=True, **settings)
    for name, parameter in generator.named_parameters():
        if name.endswith("last.weight"):
            torch.nn.init.normal_(parameter, std=0.2)
    return generator


def excerpt(long: Generator, short: Generator, inputs: list[torch.Tensor], hops: int) -> list[torch.Tensor]:
    """Cuts what a clip that begins so many hops later takes out of the inputs of a long sound."""
    latent = inputs[0][:, long.latent_dim :].unflatten(1, (-1, long.local_latents))
    parts = latent[:, hops // STRIDES[0] :][:, : short.local_parts].flatten(1)
    rows = [
        row[..., hops // stage.stride :][..., : stage.length]
        for row, stage in zip(inputs[1:], short.stages, strict=False)
    ]
    white, *numbers = inputs[1 + len(rows) :]
    hiss = white[..., hops * long.hop :][..., : short.inputs[1 + len(rows)].shape[-1]]
    bent = [torch.cat([row[:, :1], row[:, 1 + hops :]], 1)[:, : short.inputs[-1].shape[0]] for row in numbers]
    return [torch.cat([inputs[0][:, : long.latent_dim], parts], 1), *rows, hiss, *bent]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("hops", [HOPS, 3 * HOPS])
@torch.no_grad()
def test_a_part_of_a_long_sound_is_the_short_clip_of_the_same_numbers(variant, hops):
    """What the heads say is compared: phases that gather from the beginning differ, and so do pulses."""
    short = lively(4000, VARIANTS[variant])
    long = small(20 * 1024, local_latents=3, unbounded=True, **VARIANTS[variant])
    long.load_state_dict(short.state_dict())
    said: dict[Generator, list[torch.Tensor]] = {}
    for generator, inputs in ((long, drawn(long)), (short, excerpt(long, short, drawn(long), hops))):
        maps, said[generator] = [], []
        for frames in generator.sets_of_frames:
            frames.head.register_forward_hook(lambda _layer, _given, made, maps=maps: maps.append(made))
        clips_of(generator, inputs)
        said[generator] = maps
    for frames, whole, part in zip(short.sets_of_frames, said[long], said[short], strict=True):
        first = hops * short.hop // frames.hop
        torch.testing.assert_close(whole[:, first : first + frames.frames], part, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(whole[:, first + 1 : first + 1 + frames.frames], part, atol=1e-3)


@torch.no_grad()
def test_the_sound_of_a_part_is_that_of_the_clip_to_both_ends():
    """A hop of a quarter of a window and bins that turn whole turns in HOPS hops, so that phases are the same."""
    short = lively(4096, {})
    long = small(16384, local_latents=3, unbounded=True)
    long.load_state_dict(short.state_dict())
    inputs = drawn(long)
    part = clips_of(long, inputs)[..., HOPS * 128 : HOPS * 128 + 4096]
    clips = clips_of(short, excerpt(long, short, inputs, HOPS))
    torch.testing.assert_close(part, clips, rtol=1e-4, atol=1e-4)
    assert clips.abs().amax() > 0.1


@torch.no_grad()
def test_a_long_sound_goes_from_latent_to_latent():
    """A latent is heard as far as those beside it, and hardly further: blocks hear less than a second."""
    long = lively(3 * STOP_HOPS * 128, {"labels": 2})
    assert long.stops == 4 and long.inputs[0].shape == (4 * long.latent_dim + 3 * long.local_parts,)
    inputs, labels = drawn(long), torch.eye(2)
    clips = long(inputs[0], labels, *inputs[1:])
    latent = long.latent_dim
    for stop in range(4):
        changed = inputs[0].clone()
        changed[:, stop * latent : (stop + 1) * latent] *= -1
        moved = (long(changed, labels, *inputs[1:]) - clips).abs().amax((0, 1)) > 1e-4
        places = moved.nonzero() / (STOP_HOPS * 128)
        assert max(0, stop - 1.25) <= places.min() <= max(0, stop - 0.9), "from the stop before"
        assert min(2.99, stop + 0.9) <= places.max() <= min(3, stop + 1.25), "to the stop behind"


@torch.no_grad()
def test_where_all_latents_are_zero_a_long_sound_is_that_of_one_latent():
    short, long = lively(4096, {}), small(2 * STOP_HOPS * 128, local_latents=3, unbounded=True)
    long.load_state_dict(short.state_dict())
    inputs = drawn(long)
    inputs[0][:, : long.stops * long.latent_dim] = 0
    local = inputs[0][:, long.stops * long.latent_dim :]
    one = [torch.cat([inputs[0][:, : long.latent_dim], local], 1), *inputs[1:]]
    part = clips_of(long, inputs)[..., HOPS * 128 : HOPS * 128 + 4096]
    torch.testing.assert_close(part, clips_of(short, excerpt(long, short, one, HOPS)), rtol=1e-4, atol=1e-4)


def test_latents_on_the_way_between_orthogonal_ones_are_as_long():
    [first, *_] = unbounded_stages(2 * STOP_HOPS)
    stops = torch.eye(3)[None]
    way = latents_on_the_way(stops, first, torch.ones(1))[0]
    at = [first.margin + stop * STOP_HOPS // first.stride for stop in range(3)]
    torch.testing.assert_close(way[at], torch.eye(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(way[(at[0] + at[1]) // 2], torch.tensor([0.5, 0.5, 0]).sqrt(), rtol=0, atol=1e-6)
    torch.testing.assert_close(way.norm(dim=1), torch.ones(len(way)))
    assert [way_stops(hops) for hops in (1, STOP_HOPS, STOP_HOPS + 1, 2 * STOP_HOPS, 3 * STOP_HOPS)] == [1, 1, 3, 3, 4]


@pytest.mark.parametrize("frames", [1, 7, 8, 40, 136, 1000])
def test_stages_reach_as_far_as_blocks_hear(frames):
    stages = unbounded_stages(frames)
    assert [stage.stride for stage in stages] == list(STRIDES)
    assert [stage.margin for stage in stages] == [10, 10, 9, 8, 4]
    for stage in stages:
        assert stage.begin >= 0 and stage.begin + stage.length <= stage.size
        assert 0 <= (stage.length - 2 * stage.margin) * stage.stride - frames < 8
    assert [stage.length for stage in whole_stages(max(frames, 8))][-1] == max(frames, 8)
