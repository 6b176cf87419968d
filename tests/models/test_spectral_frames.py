"""Long frames: a steady part that comes from few frames, behind a gate that short frames open."""

import math

import pytest
import torch
from small_generators import clips_of, drawn, long_part, small

from wavegan.dsp.frames import framed, real_transform
from wavegan.dsp.stft import full_scale
from wavegan.models import spectral_frames
from wavegan.models.phases import detuning, minimum_phase, turned
from wavegan.models.spectral_frames import OPEN, SOFTER, LongFrames, SpectralFrames


def long_frames(clip_samples: int = 4096, factor: int = 4) -> LongFrames:
    return LongFrames(clip_samples, 1, 8, 512, 128, factor)


@pytest.mark.parametrize("factor", [2, 4])
def test_clips_come_back_from_their_own_long_spectra(factor):
    frames = long_frames(8192, factor)
    clips = torch.randn(2, 1, 8192, generator=torch.Generator().manual_seed(3)) * 0.1
    pieces = framed(frames.padded(clips), window=512 * factor, hop=128 * factor) * torch.hann_window(512 * factor)
    sound = frames.synthesized(real_transform(pieces) / full_scale(512 * factor))
    torch.testing.assert_close(sound[..., 1000:-1000], clips[..., 1000:-1000], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [0, 2, 4])
def test_a_frame_is_heard_around_its_time(factor):
    """Frame 5 is in the middle of the 6th hop, so long and short frames have the same time."""
    frames = long_frames(16384, factor) if factor else small(16384)
    maps = torch.full((1, 1, frames.frames, frames.head.out_features), -30.0)
    maps[:, :, 5] = 0
    maps[:, :, 5, 1 + frames.bins : 1 + 2 * frames.bins] = torch.randn(
        frames.bins, generator=torch.Generator().manual_seed(2)
    )
    silence = [] if factor else [torch.zeros(1, 1, frames.frames, frames.bins, 2)]
    power = frames.synthesized(frames.spectra(maps, *silence))[0, 0].square()
    middle = (power * torch.arange(16384)).sum() / power.sum()
    assert middle.item() == pytest.approx(5.5 * frames.hop, abs=0.15 * frames.hop)


def test_a_constant_number_is_a_steady_sine_of_a_narrow_bin():
    frames = long_frames(16384)
    maps = torch.zeros(1, 1, 32, 1 + 3 * 1025)
    level, real = maps[..., 1:1026], maps[..., 1026:2051]
    level[:] = -30
    level[..., 161], real[..., 161] = -3, 1
    middle = frames.synthesized(frames.spectra(maps))[0, 0, 2000:-2000]
    amplitude = 2 * (middle * torch.exp(-2j * math.pi * 161 / 2048 * torch.arange(len(middle)))).mean().abs()
    assert amplitude > 0.01 and (middle.square().mean() - amplitude**2 / 2) < 1e-3 * middle.square().mean()


@pytest.mark.parametrize("factor", [0, 4])
@pytest.mark.parametrize("is_detuned", [False, True])
def test_steady_numbers_repeat_after_a_window_unless_bins_are_detuned(factor, is_detuned):
    """Each bin rings within half a bin of its centre, as loud as one at its centre within 2 dB."""
    plain, window = long_frames(16384, 4) if factor else small(16384), 512 * max(factor, 1)
    frames = LongFrames(16384, 1, 8, 512, 128, 4, detuned_bins=is_detuned) if factor else None
    frames = frames or small(16384, detuned_bins=is_detuned)
    maps = torch.zeros(1, 1, frames.frames, frames.head.out_features)
    random = torch.Generator().manual_seed(4)
    maps[..., 1 + frames.bins : 1 + 3 * frames.bins] = torch.randn(2 * frames.bins, generator=random)
    silence = [] if factor else [torch.zeros(1, 1, frames.frames, frames.bins, 2)]
    sound, other = (each.synthesized(each.spectra(maps, *silence))[0, 0, 2048:-2048] for each in (frames, plain))
    alike = (sound[window:] * sound[:-window]).sum() / (sound[window:].norm() * sound[:-window].norm())
    assert abs(alike) < 0.2 if is_detuned else alike > 0.99
    assert -2 < 20 * (sound.norm() / other.norm()).log10() <= 0.01


def test_bins_ring_where_detuning_says():
    maps, silence = torch.zeros(1, 1, 128, 1 + 4 * 257), torch.zeros(1, 1, 128, 257, 2)
    level, real = maps[..., 1:258], maps[..., 258:515]
    level[:] = -30
    level[..., 50], real[..., 50] = 0, 1
    generator = small(16384, detuned_bins=True)
    sound = generator.synthesized(generator.spectra(maps, silence))[0, 0, 1024:-1024]
    power = torch.fft.rfft(sound * torch.hann_window(len(sound)), 1 << 18).abs()
    assert power.argmax().item() * 512 / (1 << 18) == pytest.approx(50 + detuning(257)[50].item(), abs=0.02)
    offsets = detuning(257)
    assert offsets[0] == offsets[-1] == 0 and offsets.abs().max() <= 0.5
    assert offsets.std() == pytest.approx(12**-0.5, rel=0.05) and abs(offsets.mean()) < 0.02


@pytest.mark.parametrize("factor", [0, 4])
def test_constant_numbers_of_tuned_bins_are_the_steady_partial_of_the_sound(factor):
    """The sine lies between bins. The bins around it, which all hear it, ring with it, whichever of them sounds."""
    generator, hertz = small(16384, tuned_bins=True, long_frames=factor), 441.3
    sine = 0.5 * torch.sin(2 * math.pi * hertz / 16000 * torch.arange(16384))[None, None]
    generator.measure([sine, 0.7 * sine])
    frames = generator.long_frames or generator
    place = round(hertz * frames.window / 16000)
    silence = [] if factor else [torch.zeros(1, 1, frames.frames, frames.bins, 2)]
    for bin in (place - 1, place, place + 1):
        maps = torch.zeros(1, 1, frames.frames, frames.head.out_features)
        maps[..., 1 : 1 + frames.bins] = -30
        maps[..., 1 + bin], maps[..., 1 + frames.bins + bin] = 0, 1
        sound = frames.synthesized(frames.spectra(maps, *silence))[0, 0, 2048:-2048]
        power = torch.fft.rfft(sound * torch.hann_window(len(sound)), 1 << 18).abs()
        assert power.argmax().item() * 16000 / (1 << 18) == pytest.approx(hertz, abs=0.1)


def test_bins_that_hear_nothing_stay_in_tune_with_their_centres():
    fresh, measured = (small(tuned_bins=True, long_frames=4) for _ in range(2))
    measured.measure([torch.zeros(1, 1, 4096)])
    for own, other in zip(fresh.sets_of_frames, measured.sets_of_frames, strict=True):
        assert own.advances is not None and other.advances is not None and torch.equal(own.advances, other.advances)
        torch.testing.assert_close(own._tuned_turn(own.advances), own.turn, rtol=0, atol=1e-4)
    assert {"advances", "long_frames.advances"} <= fresh.state_dict().keys()
    assert "advances" not in small(long_frames=4).state_dict()


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


def test_a_steady_sine_has_one_level_from_the_first_sample_to_the_last():
    """Although fewer frames reach the ends. Its bin is that of 16 whole cycles in a long hop."""
    frames = long_frames(16384)
    with torch.no_grad():
        for parameter in frames.parameters():
            parameter.zero_()
        frames.gate.bias.fill_(100)
        bias = frames.head.bias
        bias[1:1026] = -30
        bias[1 + 64], bias[1026 + 64] = -3, 1
    sine = frames(torch.zeros(1, 32, 8), torch.zeros(1, 128, 8))[0, 0]
    peaks = sine.unflatten(0, (-1, 32)).amax(1)  # of each cycle
    assert peaks.min() > 0.01
    torch.testing.assert_close(peaks, peaks.mean().expand(512), rtol=0.02, atol=0)


def test_long_frames_start_from_the_sound():
    generator, tone = small(16384, long_frames=4), torch.sin(2 * math.pi * 160 / 2048 * torch.arange(16384.0))
    generator.measure([0.1 * tone[None, None], 0.3 * tone[None, None]])
    frames = generator.long_frames
    assert frames and frames.bounds[0, 160].item() == pytest.approx(math.log(0.3) + 0.5, abs=0.01)
    assert frames.bounds[0, 400] < -6 and generator.bounds[0, 40].item() == pytest.approx(math.log(0.3) + 0.5, abs=0.01)
    assert frames.gate.bias.item() == OPEN and frames.head.bias[0].item() == -SOFTER and generator.head.bias[0] == 0
    noise = torch.randn(8, 1, 16384, generator=torch.Generator().manual_seed(5))
    generator.measure(iter([noise[:4], noise[4:]]))
    inputs = drawn(generator, 8)
    both = clips_of(generator, inputs).square().mean().sqrt().item()
    assert 0.2 < long_part(generator, inputs).square().mean().sqrt().item() / both < 0.6 and 0.2 < both < 2


@pytest.mark.parametrize("long", [0, 4])
def test_spectra_are_computed_in_full_precision_under_autocast(long, monkeypatch):
    """bf16 has 8 significant bits, and the quietest bins lie 100 dB below the loudest."""
    generator, types = small(long_frames=long), []
    spectra = SpectralFrames.spectra

    def noted(self: SpectralFrames, maps: torch.Tensor, *sources: torch.Tensor, part: slice) -> torch.Tensor:
        types.append((maps.dtype, torch.is_autocast_enabled("cpu")))
        return spectra(self, maps, *sources, part=part)

    monkeypatch.setattr(SpectralFrames, "spectra", noted)
    with torch.autocast("cpu", torch.bfloat16):
        clips = clips_of(generator, drawn(generator))
    assert clips.dtype == torch.float32 and types == [(torch.float32, False)] * (2 if long else 1)


@pytest.mark.parametrize("at_once", [1, 2, 5, 31])
@pytest.mark.parametrize(
    "form",
    [
        {"channels": 2, "long_frames": 4, "unbounded": True, "tuned_bins": True},
        {"broad_hiss": True, "detuned_bins": False, "drops": True},
        {"channels": 2, "broad_hiss": True, "panned_hiss": True},
        {"pulses": True, "drawn_pitch": True, "filtered_pulses": True},
    ],
    ids=["music", "noise", "stereo noise", "voice"],
)
def test_parts_of_a_long_sound_are_those_of_the_whole(form, at_once, monkeypatch):
    generator = small(**form)
    inputs = drawn(generator)
    with torch.no_grad():
        whole = clips_of(generator, inputs)
        monkeypatch.setattr(spectral_frames, "AT_ONCE", at_once)
        parts = clips_of(generator, inputs)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    assert generator.frames > 31 and whole.abs().max() > 0.01


def test_its_statistics_are_in_the_checkpoint():
    names = small(long_frames=4).state_dict().keys() - small().state_dict().keys()
    assert names == {f"long_frames.{name}" for name in ("head.weight", "head.bias", "gate.weight", "gate.bias",
                                                         "start_levels", "bounds")}  # fmt: skip


def test_pulses_ring_as_a_filter_of_one_pole_does():
    """Its log magnitudes have the phases of the filter, and a pulse that is turned by them rings after itself."""
    window = 512
    response = 1 / (1 - 0.8 * torch.exp(-2j * torch.pi * torch.arange(window // 2 + 1) / window))
    phases = response.abs().log() @ minimum_phase(window, window)
    torch.testing.assert_close(phases, response.angle(), rtol=0, atol=0.02)  # the taper costs a little
    pulse = torch.zeros(1, window)
    pulse[0, 100] = 1
    turned_pulse = turned(real_transform(pulse), phases)
    rung = torch.fft.irfft(torch.view_as_complex(turned_pulse.contiguous()) * response.abs(), window)[0]
    torch.testing.assert_close(rung[100:110], 0.8 ** torch.arange(10), rtol=0, atol=0.01)
    assert rung[:100].abs().max() < 0.01, "nothing before the pulse"


def test_partials_do_not_ring_as_their_envelope_does():
    """The phases follow the envelope: a change of levels from bin to bin, as of partials, turns nothing."""
    alternating = torch.tensor([3.0, -3.0]).repeat(129)[:257]
    assert (alternating @ minimum_phase(512, 512)).abs().max() < 1e-4
