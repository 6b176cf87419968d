"""Tests combs, hiss and lost bands: made by hand, in spectra and in sound."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from wavegan.audio.drum_machine import render
from wavegan.dsp.stft import power_spectrum
from wavegan.evaluation.artefacts import (
    comb,
    frame_spectra,
    lines,
    mean_spectrum,
    noise_floor,
    ripple,
    stage_names,
    strongest_line,
    strongest_ripple,
    third_octaves,
    whole_frames,
)
from wavegan.evaluation.features import white_noise
from wavegan.models.wavegan import Generator

FORMS = [(8000, 4096, 1), (16000, 16384, 2), (44100, 65536, 1)]


def sine(frequency: float, samples: int = 16384, *, rate: float = 1.0, decibels: float = 0.0) -> Tensor:
    """Makes a sine (1, 1, samples) whose amplitude is so many dB above 1."""
    return 10 ** (decibels / 20) * torch.sin(2 * np.pi * frequency / rate * torch.arange(samples).double())[None, None]


def bursts(samples: int = 16384) -> Tensor:
    """Makes a tone of amplitude 1 that sounds for two thirds of the clip, in eight swells, over a hiss at -80 dBFS."""
    swell = torch.hann_window(samples // 12, dtype=torch.float64)
    envelope = torch.nn.functional.pad(swell, (0, samples // 8 - len(swell))).repeat(8)
    hiss = white_noise(1, 1, samples, rms=1e-4, seed=0).double()
    return sine(0.0687, samples) * torch.nn.functional.pad(envelope, (0, samples - len(envelope))) + hiss


def comb_of(clips: Tensor) -> np.ndarray:
    return comb(whole_frames(frame_spectra(clips))).mean(axis=0)


def ripple_of(clips: Tensor, rate: int = 16000) -> dict[str, float]:
    return strongest_ripple(ripple(whole_frames(frame_spectra(clips))), rate)


def line_of(clips: Tensor, rate: int) -> dict[str, float]:
    return strongest_line(lines(whole_frames(frame_spectra(clips))), rate)


def repeated(clips: Tensor, samples: int) -> Tensor:
    """Adds clips to themselves, later by so many samples and 6 dB softer."""
    return clips + 0.5 * torch.nn.functional.pad(clips, (samples, 0))[..., : clips.shape[-1]]


def drums(count: int, rate: int, samples: int) -> Tensor:
    """Returns clips of the drum machine, each padded with silence to its length."""
    clips = torch.zeros(count, 1, samples)
    for number in range(count):
        sound = torch.from_numpy(render(number, rate)[:samples])
        clips[number, 0, : len(sound)] = sound
    return clips


@pytest.mark.parametrize(("samples", "bins"), [(65536, 1025), (4096, 1025), (4095, 513), (1024, 257), (100, 17)])
def test_frames_are_of_2048_samples_or_of_at_most_half_a_clip(samples, bins):
    assert frame_spectra(torch.ones(2, 3, samples)).shape[:2] == (2, bins)


@pytest.mark.parametrize("samples", [1024, 4096, 16384])
def test_frames_see_every_moment_alike_and_whole_ones_lie_within_the_clip(samples):
    """A click has the same mean spectrum at the first sample, in the middle and at the last."""
    clips = torch.zeros(3, 1, samples, dtype=torch.float64)
    clips[[0, 1, 2], 0, [0, samples // 2 + 7, samples - 1]] = 1
    spectra = frame_spectra(clips)
    torch.testing.assert_close(mean_spectrum(spectra), mean_spectrum(spectra)[:1].expand(3, -1))
    bins, frames = spectra.shape[1], whole_frames(spectra).shape[2]
    torch.testing.assert_close(whole_frames(spectra), power_spectrum(clips, 2 * (bins - 1)))
    assert frames == (samples - 2 * (bins - 1)) // ((bins - 1) // 2) + 1


@pytest.mark.parametrize(
    ("tone", "expected"),
    [
        (512, [30, 0, 0, 0]),  # fs/4, the last stage's only tone
        (384, [0, 30 / 6, 0, 0]),  # 3 fs/16; its stage has the multiples 1 to 7 without 4
        (32, [0, 0, 30 / 24, 0]),  # fs/64; 1 to 31 without every fourth
        (8, [0, 0, 0, 30 / 96]),  # fs/256; 1 to 127 without every fourth
        (500, [0, 0, 0, 0]),
        (0, [0, 0, 0, 0]),
        (1024, [0, 0, 0, 0]),  # half the sample rate is no tone of any
    ],
)
def test_a_bin_that_stands_out_by_30_decibels_by_hand(tone, expected):
    spectra = torch.full((1, 1025, 10), 1e-3, dtype=torch.float64)
    spectra[:, tone] = 1
    np.testing.assert_allclose(comb(spectra), [expected], atol=1e-6)


def test_every_multiple_belongs_to_one_stage():
    """All multiples of fs/256 but half the sample rate stand out, so every stage is full."""
    spectra = torch.full((1, 1025, 10), 1e-3, dtype=torch.float64)
    spectra[:, 8:1024:8] = 1
    np.testing.assert_allclose(comb(spectra), [[30, 30, 30, 30]], atol=1e-6)


def test_what_a_window_spreads_is_no_neighbour():
    spectra = torch.full((1, 1025, 10), 1e-3, dtype=torch.float64)
    spectra[:, 510:515] = 1
    np.testing.assert_allclose(comb(spectra)[0, 0], 30, atol=1e-6)
    spectra[:, 512 + 3 : 512 + 25] = 1  # 22 of the 44 neighbours: the lower half still lies low
    assert comb(spectra)[0, 0] == pytest.approx(30, abs=1e-6)
    spectra[:, 512 - 3] = 1
    assert comb(spectra)[0, 0] == pytest.approx(0, abs=1e-6)


def test_only_the_quietest_three_tenths_of_the_frames_count_and_silence_never():
    spectra = torch.full((1, 1025, 10), 1.0, dtype=torch.float64)
    spectra[..., [1, 4, 8]] = 1e-3
    spectra[:, 512, [1, 4, 8]] = 1
    alone = comb(spectra)
    np.testing.assert_allclose(alone, [[30, 0, 0, 0]], atol=1e-6)
    padded = torch.cat([spectra, torch.zeros(1, 1025, 25, dtype=torch.float64)], dim=2)
    np.testing.assert_allclose(comb(padded), alone)
    spectra[:, :, 4] = 1  # now one of the three is loud
    assert comb(spectra)[0, 0] == pytest.approx(10 * np.log10(3 / 1.002))


def test_three_tenths_of_few_frames_are_rounded_up():
    spectra = torch.full((1, 1025, 4), 1e-3, dtype=torch.float64)
    spectra[:, 512, 0] = 1e-3 * 1.99  # the louder of the two quietest
    spectra[:, :, 2:] = 1
    assert comb(spectra)[0, 0] == pytest.approx(10 * np.log10(2.99 / 2), abs=1e-6)


@pytest.mark.parametrize(("rate", "samples", "channels"), FORMS)
def test_a_sine_at_a_quarter_30_decibels_below_bursts_raises_the_first_stage_alone(rate, samples, channels):
    clips = bursts(samples).repeat(1, channels, 1)
    before, after = comb_of(clips), comb_of(clips + sine(1 / 4, samples, decibels=-30))
    assert (np.abs(before) < 6).all()
    assert after[0] > before[0] + 30
    np.testing.assert_allclose(after[1:], before[1:], atol=1)


@pytest.mark.parametrize(("rate", "samples", "channels"), FORMS)
def test_a_sine_at_three_sixteenths_raises_the_second_stage_alone(rate, samples, channels):
    """One of six tones stands 40 dB or more above the hiss, so the mean rises by a sixth of that."""
    clips = bursts(samples).repeat(1, channels, 1)
    before, after = comb_of(clips), comb_of(clips + sine(3 / 16, samples, decibels=-30))
    assert after[1] > before[1] + 40 / 6
    np.testing.assert_allclose(after[[0, 2, 3]], before[[0, 2, 3]], atol=1)


@pytest.mark.parametrize(("rate", "samples", "channels"), FORMS)
def test_white_noise_has_no_comb(rate, samples, channels):
    clips = white_noise(2**21 // samples, channels, samples, rms=0.1, seed=0)
    assert (np.abs(comb_of(clips)) < 1.2).all()


def test_silence_has_no_comb_and_before_silence_it_is_found():
    """Frames in which sound breaks off are quiet and spread its tones, so less of the comb stands out."""
    assert (comb(frame_spectra(torch.zeros(2, 1, 16384))) == 0).all()
    clip = bursts(8192) + sine(1 / 4, 8192, decibels=-30)
    padded = torch.cat([clip, torch.zeros(1, 1, 8192)], dim=2)
    assert comb_of(padded)[0] > 30


def test_a_comb_in_one_channel_of_two_is_found():
    clip = bursts()
    one_sided = torch.cat([clip, clip + sine(1 / 4, decibels=-30)], dim=1)
    assert comb_of(one_sided)[0] > comb_of(clip)[0] + 30


@pytest.mark.parametrize(("rate", "samples"), [(8000, 8192), (16000, 4096), (16000, 16384), (44100, 65536)])
def test_drums_stay_below_3_decibels(rate, samples):
    assert comb_of(drums(40, rate, samples)).max() < 3


@pytest.mark.parametrize("delay", [64, 301, 512, 767])
def test_a_ripple_by_hand(delay):
    """Tops at the multiples of a frequency count, those between them count against, and a slope counts nothing."""
    turns = 2 * np.pi * delay * torch.arange(1025).double()[:, None] / 2048
    level = torch.linspace(-20, -60, 1025)[:, None] + torch.stack([3 * turns.cos(), -3 * turns.cos(), 0 * turns])
    found_in = ripple(10 ** (level / 10) * torch.ones(7))
    place = delay - 64
    np.testing.assert_allclose(found_in[:, place], [3, -3, 0], atol=0.02)
    assert found_in.shape == (3, 704) and found_in[0].argmax() == place and np.abs(found_in[2]).max() < 0.02
    assert list(strongest_ripple(found_in[:1], 16000)) == [f"{16000 / delay:,.4g} Hz"]


@pytest.mark.parametrize(("rate", "samples", "channels"), FORMS)
def test_sound_that_repeats_has_a_ripple_and_noise_and_drums_have_none(rate, samples, channels):
    """Clips of 4,096 samples have four whole frames, so their figures are rough."""
    clips, most = white_noise(60, channels, samples, rms=0.1, seed=0), 0.3 if samples == 4096 else 0.1
    for delay in (257, 512):
        [(name, level)] = ripple_of(repeated(clips, delay), rate).items()
        assert name == f"{rate / delay:,.4g} Hz" and 1.5 < level < 5
    assert max(ripple_of(clips, rate).values()) < most
    [(_, level)] = ripple_of(drums(60, rate, samples), rate).items()
    assert level < 0.5


def test_only_loud_frames_have_a_ripple_and_silence_has_none():
    """A faint repetition fills the bands that a loud tone leaves empty."""
    tones = torch.cat([sine(0.001 * (31 + number), 32768) for number in range(60)]).float()
    faint = 1e-3 * repeated(white_noise(60, 1, 32768, rms=1, seed=0), 512)
    together = ripple_of(torch.cat([tones, faint], dim=2))
    assert together.keys() != {"31.25 Hz"} and max(together.values()) < 1
    assert ripple_of(torch.cat([0 * tones, faint], dim=2)).keys() == {"31.25 Hz"}
    assert (ripple(frame_spectra(torch.zeros(2, 1, 16384))) == 0).all()


def test_a_line_by_hand():
    """A bin counts beside the medians of those on either side, two left out; loud frames alone count."""
    level = torch.linspace(-20, -60, 1025).double()[:, None].repeat(4, 1, 7)
    level[0, 300:303] += torch.tensor([5.0, 9.0, 5.0])[:, None]
    level[1, 500, :2] += 20
    level[1, :, 2:] -= 50
    level[2, 700] -= 9
    level[3, 600:] -= torch.linspace(0, 60, 425).double().clamp(max=30)[:, None]  # where a band ends
    measured = lines(10 ** (level / 10))
    assert measured.shape == (4, 1025) and list(np.abs(measured[:3]).argmax(axis=1)) == [301, 500, 700]
    slope = 0.04 * 13.5  # in dB, to the middle of the bins on the higher side
    expected = [9 - slope, 5 - slope, 20 - slope, slope - 9]
    np.testing.assert_allclose(measured[[0, 0, 1, 2], [301, 302, 500, 700]], expected, atol=0.15)
    assert np.abs(measured[3]).max() == 0
    assert (measured[:, :64] == 0).all() and (measured[:, -24:] == 0).all() and np.abs(measured[0, 330:]).max() < 0.15
    assert strongest_line(measured[:1], 16000) == {"2,352 Hz": pytest.approx(9 - slope, abs=0.15)}


@pytest.mark.parametrize(("rate", "samples", "channels"), FORMS)
def test_a_tone_that_all_clips_share_is_a_line_and_one_of_each_clip_is_none(rate, samples, channels):
    clips = white_noise(60, channels, samples, rms=0.1, seed=0)
    shared = clips + sine(301 / 2048, samples, decibels=-30).float()
    assert line_of(shared, rate) == {f"{301 / 2048 * rate:,.0f} Hz": pytest.approx(15.6, abs=0.5)}
    own = torch.cat([sine((100 + 13 * number) / 2048, samples, decibels=-30) for number in range(60)]).float()
    for others, most in ((clips, 1), (clips + own, 1), (drums(60, rate, samples), 3.5)):
        [level] = line_of(others, rate).values()
        assert level < most


def test_short_clips_and_silence_have_lines_of_0_decibels():
    assert (lines(frame_spectra(torch.zeros(2, 1, 16384))) == 0).all()
    assert (lines(frame_spectra(torch.rand(2, 1, 127))) == 0).all()
    assert lines(frame_spectra(torch.rand(2, 1, 512))).shape == (2, 129)


@pytest.mark.parametrize("samples", [4096, 16384])
def test_an_untrained_transposed_generator_shows_its_comb_and_a_nearest_one_none(samples):
    for seed in range(3):
        combs = {}
        for upsample in ("transposed", "nearest"):
            torch.manual_seed(seed)
            network = Generator(samples, dim=8, upsample=upsample)
            with torch.no_grad():
                combs[upsample] = comb_of(network(2 * torch.rand(16, 100) - 1)).max()
        assert combs["transposed"] > 12 and combs["nearest"] < 3, combs


def test_stages_bear_the_frequency_of_their_tones():
    assert stage_names(4, 16000) == ["4,000 Hz", "1,000 Hz", "250 Hz", "62.5 Hz"]
    assert stage_names(2, 44100) == ["11,025 Hz", "2,756.2 Hz"]
    assert stage_names(1, 96000) == ["24,000 Hz"]


def bands(rate: int) -> list[tuple[float, float]]:
    """Returns the thirds of octaves from 50 Hz that contain some bin of an FFT of 2,048.

    The last one reaches to the end.
    """
    edges = [50 * 2 ** (step / 3) for step in range(40) if 50 * 2 ** (step / 3) < rate / 2]
    limits = list(zip(edges, [*edges[1:], np.inf], strict=True))
    return [(low, high) for low, high in limits if any(low <= rate / 2048 * bin < high for bin in range(1025))]


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("third", [8, 13, 18])
def test_a_sine_has_half_its_squared_amplitude_in_its_third_of_an_octave(rate, third):
    frequency = 50 * 2 ** ((third + 0.5) / 3)  # 356 Hz, 1,131 Hz, 3,592 Hz: each the middle of its band
    [powers] = third_octaves(frame_spectra(sine(frequency, rate=rate, decibels=-6)), rate)
    assert len(powers) == len(bands(rate))
    [place] = [number for number, (low, high) in enumerate(bands(rate)) if low <= frequency < high]
    assert powers[place] == pytest.approx(0.5 * 10 ** (-6 / 10), rel=0.05)
    assert np.delete(powers, place).sum() < 0.05 * powers[place]


def test_thirds_of_octaves_hold_all_the_power_of_noise_each_its_width():
    [powers] = third_octaves(frame_spectra(white_noise(1, 2, 2**18, rms=0.1, seed=0)), 16000)
    assert powers.sum() == pytest.approx(0.01 * (1 - 50 / 8000), rel=0.02)
    widths = np.array([min(high, 8000) - low for low, high in bands(16000)]) / 8000
    np.testing.assert_allclose(powers[6:], 0.01 * widths[6:], rtol=0.1)


def test_thirds_of_octaves_of_silence_are_zero():
    assert (third_octaves(frame_spectra(torch.zeros(2, 1, 4096)), 16000) == 0).all()


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_floor_of_noise_is_the_tenth_quantile_of_its_frames(rate):
    """The power of n samples of noise is spread as χ² / n. Bursts over three quarters of the time change little."""
    noise = white_noise(8, 1, 65536, rms=0.001, seed=0)
    samples = round(0.02 * rate)
    expected = -60 + 10 * np.log10(chi2.ppf(0.1, samples) / samples)
    np.testing.assert_allclose(noise_floor(noise, rate).mean(), expected, atol=0.1)
    loud = noise.clone()
    loud[..., : 65536 * 3 // 4] += sine(0.01, 65536 * 3 // 4)[0, 0]
    np.testing.assert_allclose(noise_floor(loud, rate), -60, atol=1)


def test_the_noise_floor_by_hand():
    """Uses ten frames at 0, -10, … -90 dB: the tenth quantile lies 0.9 steps above the lowest."""
    levels = 10 ** (-torch.arange(10.0).flip(0) / 2)
    clip = levels.repeat_interleave(320)[None, None]
    clip = torch.cat([clip, torch.ones(1, 1, 319)], dim=2)  # less than a frame is left out
    assert noise_floor(clip, 16000) == pytest.approx([-81], abs=1e-4)
    one_sided = torch.cat([clip, torch.zeros_like(clip)], dim=1)
    assert noise_floor(one_sided, 16000) == pytest.approx([-81 - 3.0103], abs=1e-3)


def test_the_floor_of_silence_is_least_and_a_clip_may_be_shorter_than_a_frame():
    assert noise_floor(torch.zeros(2, 1, 4096), 16000) == pytest.approx([-100, -100])
    assert noise_floor(torch.full((1, 1, 100), 0.1), 16000) == pytest.approx([-20], abs=1e-4)
