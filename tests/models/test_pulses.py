"""Tests the pitches of pulses: their range and spread, which come from the sound, and how steady they are."""

import math

import pytest
import torch

from wavegan.models.inverse_stft import Generator
from wavegan.models.phases import glottal_phases, minimum_phase
from wavegan.models.pitches import pitches_of
from wavegan.models.pulses import Frequencies, Pulses

LARGE = torch.tensor([-50.0, 0.0, 50.0])


def test_pitches_lie_in_four_octaves_unless_they_are_measured():
    assert (512 * Frequencies(512)(LARGE)).tolist() == pytest.approx([2, 8, 32])
    assert "bounds" not in Frequencies(512).state_dict(), "as in models that were made before there was a range"


def test_the_range_is_that_of_nine_of_ten_pitches_and_half_an_octave_more():
    frequencies = Frequencies(512, is_measured=True)
    frequencies.measure(torch.cat([torch.full((960,), 4.0), torch.full((40,), 31.0)]))
    assert (512 * frequencies(LARGE)).tolist() == pytest.approx([4 * 0.5**0.5, 4, 4 * 2**0.5])
    frequencies.measure(2 ** torch.linspace(2, 4, 1001))
    assert frequencies.bounds.tolist() == pytest.approx([2.1 - 0.5, 3.9 + 0.5])
    frequencies.measure(2 ** torch.linspace(1.1, 4.9, 1001))
    assert frequencies.bounds.tolist() == [1, 5], "and stays within the four octaves"


def test_few_pitches_leave_the_range():
    frequencies = Frequencies(512, is_measured=True)
    frequencies.measure(torch.full((199,), 4.0))
    frequencies.measure(torch.empty(0))
    assert frequencies.bounds.tolist() == [1, 5]


def test_a_steady_pitch_is_the_mean_of_nine_frames_or_of_those_that_there_are():
    said = torch.zeros(1, 30)
    said[0, [0, 15]] = 0.9
    heard = []
    pulses = Pulses(512, 128, is_steady=True)
    pulses.frequencies.register_forward_hook(lambda layer, given, output: heard.append(given[0][0]))
    pulses(said)
    expected = torch.zeros(30)
    expected[11:20] = 0.1
    expected[:5] = 0.9 / torch.arange(5, 10)
    torch.testing.assert_close(heard[0], expected)
    steady = Pulses(512, 128, is_steady=True)(torch.full((1, 30), 0.3))
    torch.testing.assert_close(steady, Pulses(512, 128)(torch.full((1, 30), 0.3)), msg="an even pitch stays as it is")


@pytest.mark.parametrize("channels", [1, 2])
def test_a_generator_takes_the_range_from_the_clips(channels):
    time = torch.arange(8192) / 512
    cycles = torch.linspace(4, 6, 40)[:, None, None]
    clips = torch.sin(2 * math.pi * cycles * time).sign().expand(-1, channels, -1) / 2
    generator = Generator(8192, channels, dim=4, pulses=True, steady_pitch=True)
    generator.measure_pitches(pitches_of((generator.mix @ clips)[:, 0], 512), [-1] * 40)
    assert generator.pulses is not None
    low, high = 2**generator.pulses.frequencies.bounds
    assert low.item() == pytest.approx(4.1 / 2**0.5, rel=0.03) and high.item() == pytest.approx(5.9 * 2**0.5, rel=0.03)
    again = Generator(8192, channels, dim=4, pulses=True, steady_pitch=True)
    again.load_state_dict(generator.state_dict())
    assert again.pulses is not None and torch.equal(
        again.pulses.frequencies.bounds, generator.pulses.frequencies.bounds
    )


def test_without_pulses_nothing_is_measured():
    generator = Generator(4096, dim=4, steady_pitch=True)
    assert not generator.needs_pitches and not any("pulses" in name for name in generator.state_dict())


def test_a_fresh_voice_is_pulses():
    """Of the power of a bin, nine tenths at least; without drawn pitches numbers are nearly all."""
    shares = []
    for is_drawn in (True, False):
        generator = Generator(4096, dim=4, pulses=True, drawn_pitch=is_drawn, start_share=0.05)
        _level, real, imaginary, hiss, pulse = generator.head.bias[1:].view(5, -1)
        sources = 2 * pulse.square().mean()  # which have a mean square of 2
        shares.append((sources / (sources + (real.square() + imaginary.square() + 2 * hiss.square()).mean())).item())
    assert shares[0] > 0.9 and shares[1] < 0.1, shares


@pytest.mark.parametrize("is_drawn", [True, False])
def test_numbers_that_filter_pulses_make_no_sound_beside_them(is_drawn: bool):
    given = {"dim": 4, "pulses": True, "drawn_pitch": is_drawn, "start_share": 0.05}
    filtered, plain = Generator(4096, **given, filtered_pulses=True), Generator(4096, **given)
    _level, real, imaginary, hiss = filtered.head.bias[1:].view(4, -1)
    assert not imaginary.any() and real.unique().tolist() == pytest.approx([0.6 if is_drawn else 0.05])
    assert hiss.unique().tolist() == pytest.approx([0.05])
    source = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 1, 32, 1 + 4 * 257, generator=source)
    hiss, pulses = torch.zeros(2, 1, 32, 257, 2), torch.randn(2, 1, 32, 257, 2, generator=source)
    assert not filtered.spectra(maps, hiss, 0 * pulses).any()
    assert plain.spectra(torch.cat([maps, maps[..., :257]], dim=-1), hiss, 0 * pulses).any()
    maps[..., 515:772] = 0  # real numbers are shares of pulses, and a turned number turns them
    turned = maps.clone()
    turned[..., 258:515], turned[..., 515:772] = 0, maps[..., 258:515]
    a, b = (torch.view_as_complex(filtered.spectra(each, hiss, pulses)) for each in (maps, turned))
    torch.testing.assert_close(b, 1j * a)
    shares = torch.cat([maps[..., :258], torch.zeros(2, 1, 32, 2 * 257), maps[..., 772:], maps[..., 258:515]], dim=-1)
    torch.testing.assert_close(torch.view_as_complex(plain.spectra(shares, hiss, pulses)), a)


@pytest.mark.parametrize(("edge", "span"), [(0, 49), (64, 9)])
def test_what_a_network_says_of_a_drawn_pitch_is_averaged_as_far_as_there_is_sound(edge: int, span: int):
    pulses, heard = Pulses(64, 16, is_drawn=True, edge=edge), []
    pulses.frequencies.register_forward_pre_hook(lambda _module, given: heard.append(given[0]))
    said = torch.zeros(1, 200)
    said[0, 100] = 1
    pulses(said, torch.full((1, 200), 2.0))
    assert heard[0].count_nonzero() == span and heard[0].max().item() == pytest.approx(1 / span)


@pytest.mark.parametrize(("are_notes", "edge"), [(True, 0), (True, 512), (False, 0)])
def test_the_moves_of_a_note_that_ends_are_centred(are_notes: bool, edge: int):
    """A network that says the same everywhere moves a voice, and a sound without an end, and leaves a note in tune."""
    pulses = Pulses(512, 128, is_drawn=True, are_notes=are_notes, edge=edge)
    drawn, said = torch.full((2, 40), 3.0), torch.full((2, 40), -9.0)
    said[1, 20:] = 9.0
    octaves = (512 * pulses.frequencies(said, drawn, 0.01)).log2()
    assert octaves.mean(dim=1).tolist() == pytest.approx([3.0 if are_notes and not edge else 2.99, 3.0], abs=1e-5)
    assert (octaves[1].max() - octaves[1].min()).item() == pytest.approx(0.02, abs=1e-5)


def test_a_pulse_of_a_voice_swells_before_its_peak_and_ends_with_it():
    pulse = torch.fft.irfft(torch.polar(torch.ones(257), glottal_phases(512, 512)), 512).roll(256)
    before, peak, after = pulse[:256], pulse[256], pulse[257:]
    assert peak.item() == pytest.approx(math.exp(-math.pi * 16 / 512), rel=1e-3) and after.abs().max() < 1e-4
    assert before.square().sum() + peak.square() == pytest.approx(1, rel=1e-3), "levels stay as they are"
    assert torch.fft.rfft(before).abs().argmax().item() in (3, 4, 5), "of half as many samples: 8 cycles a unit"


@pytest.mark.parametrize("is_voice", [True, False])
def test_the_pulses_of_a_voice_swell_in_its_sound(is_voice: bool):
    """Pulses alone, of flat levels: most of what is not the peak of a period comes before it, not after."""
    settings = {"pulses": True, "drawn_pitch": True, "filtered_pulses": True, "glottal_pulses": is_voice}
    generator = Generator(8192, dim=4, window=256, hop=128, **settings)
    maps = torch.zeros(1, 1, 64, 1 + 4 * 129)
    maps[..., 130:259] = 1  # the share of pulses, by which filtered pulses are multiplied
    pulses = Pulses(256, 128, is_drawn=True)(torch.zeros(1, 64), torch.full((1, 64), 2.0))  # four cycles in 512 samples
    sound = generator.synthesized(generator.spectra(maps, torch.zeros(1, 1, 64, 129, 2), pulses))[0, 0]
    begins = torch.arange(1000, 4968, 128)  # of periods, which last as long
    peaks = [int(begin + sound[begin : begin + 128].argmax()) for begin in begins]
    periods = torch.stack([sound[peak - 60 : peak + 61] for peak in peaks])
    before, after = periods[:, :56].square().sum(), periods[:, 65:].square().sum()
    assert (before > 3 * after) == is_voice, "those of notes are symmetric"


def test_pulses_ring_by_what_is_within_a_fifth_of_a_unit():
    """A ripple of log magnitudes with a period of 1/64 of the rate rings after 64 samples, of a window of 512."""
    places = torch.arange(257) * (2 * math.pi / 512)
    heights = [((places * time).cos() @ minimum_phase(512, 512)).abs().max().item() for time in (20, 64, 110)]
    assert heights[0] > heights[1] > 0.2 and heights[2] < 1e-3, heights
