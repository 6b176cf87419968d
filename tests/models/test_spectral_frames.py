"""Long frames: a steady part that comes from few frames, behind a gate that short frames open."""

import math

import pytest
import torch
from small_generators import clips_of, drawn, small

from wavegan.dsp.frames import framed, real_transform
from wavegan.dsp.stft import full_scale
from wavegan.models.inverse_stft import Generator
from wavegan.models.spectral_frames import LongFrames


def long_frames(clip_samples: int = 4096, factor: int = 4) -> LongFrames:
    return LongFrames(clip_samples, 1, 8, 512, 128, factor)


def long_part(generator: Generator, inputs: list[torch.Tensor]) -> torch.Tensor:
    """What the long frames add to clips."""
    assert generator.long_frames
    clips, bias = clips_of(generator, inputs), generator.long_frames.gate.bias
    with torch.no_grad():
        opened = bias.clone()
        bias.fill_(-100)
        short = clips_of(generator, inputs)
        bias.copy_(opened)
    return clips - short


@pytest.mark.parametrize("factor", [2, 4])
def test_clips_come_back_from_their_own_long_spectra(factor):
    """So both kinds of frames have the same time."""
    frames = long_frames(8192, factor)
    clips = torch.randn(2, 1, 8192, generator=torch.Generator().manual_seed(3)) * 0.1
    pieces = framed(frames.padded(clips), window=512 * factor, hop=128 * factor) * torch.hann_window(512 * factor)
    sound = frames.synthesized(real_transform(pieces) / full_scale(512 * factor))
    torch.testing.assert_close(sound[..., 1000:-1000], clips[..., 1000:-1000], rtol=1e-4, atol=1e-5)


def test_a_constant_number_is_a_steady_sine_of_a_narrow_bin():
    frames = long_frames(16384)
    maps = torch.zeros(1, 1, 32, 1 + 3 * 1025)
    level, real = maps[..., 1:1026], maps[..., 1026:2051]
    level[:] = -30
    level[..., 161], real[..., 161] = -3, 1
    middle = frames.synthesized(frames.spectra(maps))[0, 0, 2000:-2000]
    amplitude = 2 * (middle * torch.exp(-2j * math.pi * 161 / 2048 * torch.arange(len(middle)))).mean().abs()
    assert amplitude > 0.01 and (middle.square().mean() - amplitude**2 / 2) < 1e-3 * middle.square().mean()


@pytest.mark.parametrize("hop", [128, 25])
def test_the_gate_is_what_frames_say_in_their_middle_and_fades_between(hop):
    frames = LongFrames(32 * hop, 1, 8, 4 * hop, hop, 4)
    said = torch.full((1, 32, 1), 0.3)
    torch.testing.assert_close(frames._opened(said), torch.full((1, 1, 32 * hop), 1 / (1 + math.exp(-1.2))))
    said[:] = -30
    said[0, 10] = 30
    gate = frames._opened(said)[0, 0]
    middle = 10 * hop + hop // 2
    assert gate.argmax().item() in (middle, middle + 1) and gate[middle].item() == pytest.approx(1, abs=0.01)
    assert gate[middle - hop // 2].item() == pytest.approx(0.5, abs=0.06)
    assert gate[: middle - hop].max() < 1e-6 and gate[middle + hop + 1 :].max() < 1e-6


def test_a_closed_gate_leaves_what_short_frames_make():
    generator, plain = small(labels=2, long_frames=4), small(labels=2)
    plain.load_state_dict({name: value for name, value in generator.state_dict().items() if "long_" not in name})
    assert generator.long_frames
    torch.nn.init.zeros_(generator.long_frames.gate.weight)
    inputs, labels = drawn(generator), torch.eye(2)
    clips = clips_of(plain, inputs, labels)
    assert (clips_of(generator, inputs, labels) - clips).abs().max() > 0.01
    torch.nn.init.constant_(generator.long_frames.gate.bias, -100)
    assert torch.equal(clips_of(generator, inputs, labels), clips)


def test_long_frames_follow_the_first_block_that_has_as_many():
    """Of 16, 32, 64, 128 and 128 frames the second has 32; noise of later ones moves nothing but the gate."""
    generator = small(16384, long_frames=4)
    assert generator.long_frames
    with torch.no_grad():
        generator.long_frames.gate.weight.zero_()
        for name, parameter in generator.named_parameters():
            if name.endswith("last.weight"):
                parameter.normal_(std=0.1)
    inputs, others = drawn(generator), drawn(generator, seed=1)
    expected = long_part(generator, inputs)
    moved = [
        (long_part(generator, [*inputs[:place], others[place], *inputs[place + 1 :]]) - expected).abs().max().item()
        for place in range(1, 6)
    ]
    assert min(moved[:2]) > 1e-3 and max(moved[2:]) < 1e-5, moved


def test_long_frames_start_from_the_sound_and_softer():
    generator, tone = small(16384, long_frames=4), torch.sin(2 * math.pi * 160 / 2048 * torch.arange(16384.0))
    generator.measure([0.1 * tone[None, None], 0.3 * tone[None, None]])
    frames = generator.long_frames
    assert frames and frames.bounds[0, 160].item() == pytest.approx(math.log(0.3) + 0.5, abs=0.01)
    assert frames.bounds[0, 400] < -6 and generator.bounds[0, 40].item() == pytest.approx(math.log(0.3) + 0.5, abs=0.01)
    noise = torch.randn(8, 1, 16384, generator=torch.Generator().manual_seed(5))
    generator.measure(iter([noise[:4], noise[4:]]))
    inputs = drawn(generator, 8)
    both, long = (
        part.square().mean().sqrt().item() for part in (clips_of(generator, inputs), long_part(generator, inputs))
    )
    assert 0.05 < long / both < 0.7 and 0.2 < both < 2


def test_its_statistics_are_in_the_checkpoint():
    names = small(long_frames=4).state_dict().keys() - small().state_dict().keys()
    assert names == {f"long_frames.{name}" for name in ("head.weight", "head.bias", "gate.weight", "gate.bias",
                                                         "start_levels", "bounds")}  # fmt: skip
