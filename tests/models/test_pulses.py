"""Tests the pitches of pulses: their range and spread, which come from the sound, and how steady they are."""

import math

import pytest
import torch

from wavegan.models.inverse_stft import Generator
from wavegan.models.pulses import QUANTILES, DrawnPitches, Frequencies, Pulses, _peaks, pitches_of
from wavegan.models.spectral_frames import glottal_phases, minimum_phase

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
    generator.measure([clips[:20], clips[20:]])
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
    generator.measure([torch.rand(2, 1, 4096)])
    assert not any("pulses" in name for name in generator.state_dict())


def test_drawn_pitches_are_spread_as_those_that_were_measured():
    drawn = DrawnPitches(40, 512, 128)
    own = 3 + torch.rand(500, generator=torch.Generator().manual_seed(0))
    slopes = 0.05 / 6 * torch.randn(500, 1, generator=torch.Generator().manual_seed(1))  # within six of 30 frames
    pitches = 2 ** (own[:, None] + slopes * (torch.arange(31) - 15))
    pitches[::2, 20:24] = math.nan  # a gap, in which there is no pitch
    drawn.measure(list(pitches))
    numbers = torch.randn(4000, drawn.count, generator=torch.Generator().manual_seed(2))
    pitches = drawn(numbers)
    assert pitches.shape == (4000, 40)
    quantiles = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(pitches[:, 0].quantile(quantiles), own.quantile(quantiles), rtol=0, atol=0.03)
    away = drawn(torch.cat([torch.zeros(4000, 1), numbers[:, 1:]], dim=1)) - drawn.own[QUANTILES // 2]
    assert (away[:, 12:] - away[:, :-12]).std().item() == pytest.approx(0.05, rel=0.1), "within three units"
    assert away.diff(dim=1).diff(dim=1).std() < 0.2 * away.diff(dim=1).std(), "they glide"
    again = DrawnPitches(40, 512, 128)
    again.load_state_dict(drawn.state_dict())
    assert torch.equal(again(numbers), pitches)


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


def test_a_clips_own_pitch_lies_between_two_quantiles():
    drawn = DrawnPitches(4, 512, 128)  # its quantiles are evenly spread
    numbers = torch.zeros(31, drawn.count)
    numbers[:, 0] = torch.linspace(-3, 3, 31)
    expected = math.log2(3) + torch.special.ndtr(numbers[:, 0]) * math.log2(8 / 3)
    torch.testing.assert_close(drawn(numbers), expected[:, None].expand(-1, 4), rtol=0, atol=1e-5)


def test_few_clips_with_a_pitch_leave_the_spread_and_are_told(caplog):
    drawn = DrawnPitches(40, 512, 128)
    before = drawn.own.clone()
    short = torch.full((30,), math.nan)
    short[:5] = 20
    drawn.measure([torch.full((30,), 20.0)] * 19 + [short] * 100)
    assert torch.equal(drawn.own, before) and "of 119 clips 19 have a pitch, where 20 are needed" in caplog.text


@pytest.mark.parametrize("window", [512, 256])
def test_a_drawn_pitch_is_heard_and_the_network_moves_it_a_little(window: int):
    """Frames of 512 samples hold four to six periods, those of 256 two to three: the pitch is the same."""
    time = torch.arange(8192) / 512
    cycles = torch.linspace(4, 6, 40)[:, None, None]
    clips = torch.sin(2 * math.pi * cycles * time).sign() / 2
    generator = Generator(8192, dim=4, window=window, hop=128, pulses=True, drawn_pitch=True)
    generator.measure([clips[:20], clips[20:]])
    assert generator.drawn_pitches and generator.pulses and generator.pitch
    low, high = 2 ** generator.drawn_pitches.own[[0, -1]]
    assert low.item() == pytest.approx(4, rel=0.03) and high.item() == pytest.approx(6, rel=0.03)
    with torch.no_grad():  # a network of pulses alone
        level, real, imaginary, hiss, pulse = generator.head.bias[1:].view(5, -1)
        for part in (level, real, imaginary, hiss):
            part.zero_()
        pulse.fill_(3)
        generator.head.weight.zero_()
        generator.pitch.weight.zero_()
        generator.pitch.bias.zero_()
        inputs = [declared.draw(12, generator=torch.Generator().manual_seed(0)) for declared in generator.inputs]
        inputs[-1][:, 1:] = 0
        expected = 2 ** generator.drawn_pitches(inputs[-1])[:, 0]
        for moved, factor in ((0.0, 1), (50.0, 2**0.2)):
            generator.pitch.bias.fill_(moved)
            heard = pitches_of(generator(inputs[0], None, *inputs[1:])[:, 0], 512)
            medians = torch.stack([clip.nanmedian() for clip in heard])
            torch.testing.assert_close(medians, expected * factor, rtol=0.04, atol=0)


@pytest.mark.parametrize(("edge", "span"), [(0, 49), (64, 9)])
def test_what_a_network_says_of_a_drawn_pitch_is_averaged_as_far_as_there_is_sound(edge: int, span: int):
    pulses, heard = Pulses(64, 16, is_drawn=True, edge=edge), []
    pulses.frequencies.register_forward_pre_hook(lambda _module, given: heard.append(given[0]))
    said = torch.zeros(1, 200)
    said[0, 100] = 1
    pulses(said, torch.full((1, 200), 2.0))
    assert heard[0].count_nonzero() == span and heard[0].max().item() == pytest.approx(1 / span)


def test_a_pulse_of_a_voice_swells_before_its_peak_and_ends_with_it():
    pulse = torch.fft.irfft(torch.polar(torch.ones(257), glottal_phases(512, 512)), 512).roll(256)
    before, peak, after = pulse[:256], pulse[256], pulse[257:]
    assert peak.item() == pytest.approx(math.exp(-math.pi * 16 / 512), rel=1e-3) and after.abs().max() < 1e-4
    assert before.square().sum() + peak.square() == pytest.approx(1, rel=1e-3), "levels stay as they are"
    assert torch.fft.rfft(before).abs().argmax().item() in (3, 4, 5), "of half as many samples: 8 cycles a unit"


def test_the_pulses_of_a_voice_swell_in_its_sound():
    """Pulses alone, of flat levels: most of what is not the peak of a period comes before it, not after."""
    generator = Generator(8192, dim=4, window=256, hop=128, pulses=True, drawn_pitch=True, filtered_pulses=True)
    maps = torch.zeros(1, 1, 64, 1 + 4 * 129)
    maps[..., 130:259] = 1  # the share of pulses, by which filtered pulses are multiplied
    pulses = Pulses(256, 128, is_drawn=True)(torch.zeros(1, 64), torch.full((1, 64), 2.0))  # four cycles in 512 samples
    sound = generator.synthesized(generator.spectra(maps, torch.zeros(1, 1, 64, 129, 2), pulses))[0, 0]
    begins = torch.arange(1000, 4968, 128)  # of periods, which last as long
    peaks = [int(begin + sound[begin : begin + 128].argmax()) for begin in begins]
    periods = torch.stack([sound[peak - 60 : peak + 61] for peak in peaks])
    before, after = periods[:, :56].square().sum(), periods[:, 65:].square().sum()
    assert before > 3 * after


def test_a_gliding_pitch_is_heard_finer_than_in_steps_of_half_a_semitone():
    glide = 2 ** torch.linspace(2.2, 2.6, 8192, dtype=torch.float64)  # cycles a window, two fifths of an octave
    phases = 2 * math.pi * torch.stack([glide, 2 * glide]).cumsum(1) / 512
    harmonics = torch.arange(1, 6)[:, None, None]
    tones = ((harmonics * phases).cos() / harmonics).sum(0).float()
    low, high, none = pitches_of(torch.cat([tones, torch.zeros(1, 8192)]), 512)
    inner, places = slice(3, -3), torch.arange(33) * 256
    expected = glide[places.clamp(max=8191)][inner].float()
    torch.testing.assert_close(low[inner], expected, rtol=3e-3, atol=0)
    torch.testing.assert_close(high[inner], 2 * expected, rtol=3e-3, atol=0)
    assert none.isnan().all()


def test_a_high_pitch_of_a_short_unit_stays_where_no_lag_is_near():
    pitches = torch.tensor([[2.0, 27.0, 26.0]])  # of a unit of 64 samples the lag of 27 cycles is 2.4
    sine = torch.sin(2 * math.pi * 27 * torch.arange(64) / 64)[None]
    assert _peaks(sine, pitches, 64)[0, 1:].tolist() == [27, 26]


def test_pulses_ring_by_what_is_within_a_fifth_of_a_unit():
    """A ripple of log magnitudes with a period of 1/64 of the rate rings after 64 samples, of a window of 512."""
    places = torch.arange(257) * (2 * math.pi / 512)
    heights = [((places * time).cos() @ minimum_phase(512, 512)).abs().max().item() for time in (20, 64, 110)]
    assert heights[0] > heights[1] > 0.2 and heights[2] < 1e-3, heights
