"""Tests views of a clip: against librosa above the floor, tones and silence by hand, and gradients at every level."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from wavegan.dsp.mel import mel_filters
from wavegan.dsp.spectral_views import floor_tone
from wavegan.dsp.views import VIEWS, ComplexSpectrum, LogMagnitude, LogMel, LowRate, Period, View, Waveform

RATE = 16000
FLOOR = 1e-4  # -80 dB
SETTINGS = {
    "log_magnitude": {"window": 64, "hop": 16},
    "log_mel": {"sample_rate": RATE, "window": 256, "hop": 64, "bands": 12},
    "complex": {"window": 64, "hop": 20},
}
SPECTRAL = sorted(SETTINGS)


def view_of(name: str, **settings) -> View:
    return VIEWS[name](**{**SETTINGS.get(name, {}), **settings})


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sine(frequency: float, amplitude: float = 1.0, samples: int = 4096) -> Tensor:
    """Returns (1, 1, samples) in float64."""
    return (
        amplitude * torch.sin(2 * math.pi * frequency / RATE * torch.arange(samples, dtype=torch.float64))[None, None]
    )


def by_librosa(clips: Tensor, window: int, hop: int) -> np.ndarray:
    """Returns complex (N, C, window / 2, ceil(T / hop)), full scale 1; each frame is centred on its hop's middle."""
    import librosa

    frames = math.ceil(clips.shape[-1] / hop)
    before = (window - hop) // 2
    padded = np.zeros((*clips.shape[:-1], frames * hop + window))
    padded[..., before : before + clips.shape[-1]] = clips.numpy()
    bins = librosa.stft(padded, n_fft=window, hop_length=hop, center=False, dtype=np.complex128)
    return bins[..., : window // 2, :frames] / (np.hanning(window + 1)[:-1].sum() / 2)


def test_the_table_names_every_view():
    spectral = {"log_magnitude": LogMagnitude, "log_mel": LogMel, "complex": ComplexSpectrum}
    assert {"waveform": Waveform, "low_rate": LowRate, "period": Period, **spectral} == VIEWS
    assert {name for name, view in VIEWS.items() if view.needs_statistics} == {*SPECTRAL, "low_rate", "period"}


def test_the_waveform_is_the_clip_itself():
    clips, view = normal(2, 3, 50), Waveform()
    view.measure([clips])
    assert view(clips) is clips and view.shape(3, 50) == (3, 50) and not view.state_dict()


@pytest.mark.parametrize(("window", "hop", "samples"), [(64, 16, 320), (64, 32, 333), (128, 20, 40), (62, 7, 1)])
def test_log_magnitudes_equal_librosas_above_the_floor(window, hop, samples):
    clips = normal(2, 3, samples) / 4
    values = LogMagnitude(window, hop, floor_db=-120)(clips)
    expected = np.abs(by_librosa(clips, window, hop))
    assert values.shape == expected.shape == (2, 3, window // 2, math.ceil(samples / hop))
    is_above = expected > 1e-4  # 40 dB above the floor, where values are within 0.06 dB
    assert is_above.mean() > 0.9
    np.testing.assert_allclose(values.numpy()[is_above], np.log(expected)[is_above], rtol=0, atol=0.06 / 8.68)


@pytest.mark.parametrize(("window", "hop", "samples", "bands"), [(512, 128, 1280, 40), (256, 100, 555, 12)])
def test_log_mel_equals_librosas_above_the_floor(window, hop, samples, bands):
    import librosa

    clips = normal(2, 2, samples) / 4
    filters = librosa.filters.mel(sr=RATE, n_fft=window, n_mels=bands, norm=None, dtype=np.float64)[:, :-1]
    expected = np.log(filters @ np.abs(by_librosa(clips, window, hop)) ** 2) / 2
    values = LogMel(RATE, window, hop, bands=bands, floor_db=-120)(clips)
    assert values.shape == expected.shape == (2, 2, bands, math.ceil(samples / hop))
    np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("power", [0.3, 0.5, 1.0])
def test_compressed_spectra_equal_librosas_above_the_floor(power):
    """Measures phases at the middle of a frame of 64: those at its start, turned by π in every other bin."""
    clips = normal(2, 3, 210) / 4
    bins = by_librosa(clips, 64, 20) * (-1.0) ** np.arange(32)[:, None]
    expected = np.abs(bins) ** power * np.exp(1j * np.angle(bins))
    values = ComplexSpectrum(64, 20, power=power, floor_db=-120)(clips)
    assert values.shape == (2, 6, 32, 11)
    np.testing.assert_allclose(values[:, :3].numpy(), expected.real, rtol=0, atol=1e-4)
    np.testing.assert_allclose(values[:, 3:].numpy(), expected.imag, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize(("channels", "samples"), [(1, 1), (2, 64), (1, 65), (3, 1000)])
def test_shape_tells_the_shape(name, channels, samples):
    view = view_of(name)
    assert view(torch.zeros(2, channels, samples)).shape[1:] == view.shape(channels, samples)


@pytest.mark.parametrize("floor_db", [-20, -80, -120])
@pytest.mark.parametrize("name", ["log_magnitude", "log_mel"])
def test_silence_gives_the_floor(name, floor_db):
    values = view_of(name, floor_db=floor_db)(torch.zeros(1, 1, 500))
    torch.testing.assert_close(values, torch.full_like(values, floor_db / 20 * math.log(10)), rtol=1e-5, atol=1e-5)


def test_silence_and_a_tone_in_compressed_parts():
    """A Hann window shows a tone of 0.5 as 0.25 in the bins beside its own, here with the same sign."""
    view = view_of("complex")
    assert (view(torch.zeros(1, 2, 500)) == 0).all()
    real, imaginary = view(sine(10 * RATE / 64, 0.5))[0, :, :, 50]
    magnitude = (real**2 + imaginary**2).sqrt()
    assert magnitude[10].item() == pytest.approx(0.5**0.3, rel=1e-5)
    assert magnitude[[9, 11]].tolist() == pytest.approx([0.25**0.3] * 2, rel=1e-3)
    assert magnitude[12:].max() < 0.01
    for part in (real, imaginary):
        assert part[9].sign() == part[10].sign() == part[11].sign()


def test_a_full_scale_tone_stays_in_its_bin_at_zero_decibels():
    values = LogMagnitude(64, 16)(sine(10 * RATE / 64))[0, 0, :, 100]
    assert values[10].item() == pytest.approx(0, abs=2e-4)
    assert values[[9, 11]].tolist() == pytest.approx([math.log(0.5)] * 2, abs=1e-3)
    rest = torch.cat([values[:9], values[12:]])
    torch.testing.assert_close(rest, torch.full_like(rest, math.log(FLOOR)), rtol=0, atol=0.01)


def test_a_full_scale_tone_has_zero_to_two_decibels_in_its_mel_band():
    import librosa

    centres = librosa.mel_frequencies(n_mels=42, fmin=0, fmax=RATE / 2)[1:-1]
    view = LogMel(RATE, 1024, 256, bands=40)
    for band in range(2, 40):
        values = view(sine(centres[band]))[0, 0, :, 8] / math.log(10) * 20
        assert values.argmax() == band and -0.5 < values[band] < 1.9, (band, values[band])


@pytest.mark.parametrize(("window", "rate", "bands"), [(256, 16000, 100), (128, 44100, 24), (1024, 16000, 400)])
def test_more_bands_than_the_window_can_tell_apart_are_refused(window, rate, bands):
    with pytest.raises(ValueError, match=f"bands is {bands}; .* window of {window} .* try bands=") as caught:
        LogMel(rate, window, 16, bands=bands)
    remedy = int(str(caught.value).split("bands=")[1].split()[0])
    assert LogMel(rate, window, 16, bands=remedy).shape(1, 160) == (1, remedy, 10) and remedy > bands / 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 63}, "window is 63; .* even .*; try 62"),
        ({"window": 2}, "window is 2; .*; try 4"),
        ({"hop": 33}, "hop is 33; .* half of the window of 64; try 16"),
        ({"hop": 0}, "hop is 0; .*; try 16"),
        ({"floor_db": -121}, "floor_db is -121; .* -120 to -20; try -80"),
        ({"floor_db": -3}, "floor_db is -3; .* -120 to -20; try -80"),
        ({"power": 0}, "power is 0; .*; try 0.3"),
        ({"power": 1.1}, "power is 1.1; .*; try 0.3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ComplexSpectrum(**{"window": 64, "hop": 16, **settings})


@pytest.mark.parametrize("name", SPECTRAL)
def test_measured_values_have_mean_zero_and_deviation_one(name):
    """Measures batches of unequal size and two channels.

    Where a bin never rises above the floor its deviation is less.
    """
    view, clips = view_of(name), (normal(30, 2, 640) * torch.logspace(0, -3, 30)[:, None, None] / 4).float()
    raw = view(clips).double()
    view.measure(iter(clips.split([7, 20, 3])))
    torch.testing.assert_close(view.means.double(), raw.mean((0, 1, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(view.deviations.double(), raw.std((0, 1, 3), correction=0), rtol=1e-4, atol=1e-5)
    x = view(clips)
    assert x.dtype == view.means.dtype == view.deviations.dtype == torch.float32
    torch.testing.assert_close(x.mean((0, 1, 3)), torch.zeros(x.shape[2]), rtol=0, atol=1e-3)
    torch.testing.assert_close(x.std((0, 1, 3), correction=0), torch.ones(x.shape[2]), rtol=1e-3, atol=0)
    assert view.state_dict().keys() == {"means", "deviations"}
    again = view_of(name)
    again.load_state_dict(view.state_dict())
    assert torch.equal(again(clips), x)


@pytest.mark.parametrize(("name", "least"), [("log_magnitude", 0.3), ("log_mel", 0.3), ("complex", 1e-4**0.3)])
def test_a_corpus_of_silence_divides_by_the_least_deviation(name, least):
    view = view_of(name)
    view.measure([torch.zeros(3, 1, 400)])
    assert not isinstance(view, Waveform | LowRate | Period)
    assert view.deviations.tolist() == pytest.approx([least] * len(view.deviations))
    assert view(torch.zeros(1, 1, 400)).abs().max() < 1e-4 and view(sine(440)).abs().max() < 100
    with pytest.raises(AssertionError, match="at least one clip"):
        view.measure([])


SOUNDS = {
    "silence": torch.zeros(1, 1, 400, dtype=torch.float64),
    "1e-4": sine(700, 1e-4, 400),
    "1e-2": sine(700, 1e-2, 400),
    "full scale": sine(700, 1.0, 400),
    "square": sine(701, 1.0, 400).sign(),
    "constant": torch.ones(1, 1, 400, dtype=torch.float64),
    "noise": normal(1, 1, 400).clamp(-1, 1),
    "click": torch.nn.functional.one_hot(torch.tensor([[200]]), 400).double(),
}


def slopes(view: View, clips: Tensor) -> Tensor:
    """Returns the gradient of every value by every sample, (values, samples)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = torch.autograd.functional.jacobian(view, clips)
    return torch.as_tensor(values).reshape(-1, clips.shape[-1])


def steepest(view: View) -> Tensor:
    """Returns the bounds that the docstrings state, for deviations of 1: a number, or one for each band."""
    if isinstance(view, ComplexSpectrum):
        return torch.tensor(4 * FLOOR ** (view.power - 1) / view.window)
    assert isinstance(view, LogMagnitude | LogMel)
    widths = view.filters.sum(1).sqrt() if isinstance(view, LogMel) else torch.tensor(1.0)
    return 4 * widths / (math.sqrt(2) * FLOOR * view.window)


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("name", SPECTRAL)
def test_values_and_gradients_are_bounded_and_no_gradient_vanishes(name, sound):
    """Checks that for silence the steepest gradient of every row reaches a certain share of the bound.

    Every value depends on some sample, and every sample changes some value.
    """
    view, clips = view_of(name), SOUNDS[sound]
    values, slope = view(clips), slopes(view, clips)
    if name == "complex":
        assert values.abs().max() <= 2**0.3
    else:
        widest = view.filters.sum(1).max().sqrt().item() if isinstance(view, LogMel) else 1
        assert math.log(FLOOR) - 0.35 < values.min() and values.max() < math.log(2 * widest + 1.3 * FLOOR)
    by_row = slope.abs().view(*values.shape[1:], -1).amax((0, 2, 3))
    assert (by_row <= steepest(view) * 1.0001).all()
    if sound == "silence":
        assert (by_row > {"log_magnitude": 0.6, "log_mel": 0.45, "complex": 0.9}[name] * steepest(view)).all()
    hears = slope.view(*values.shape[1:], -1).abs().amax(-1)  # (C', rows, frames)
    if name == "complex":
        hears = hears.unflatten(0, (2, -1)).amax(0)  # the imaginary part of bin 0 is 0
    assert hears.min() > 1e-3 and slope.abs().amax(0).min() > 1e-3


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("name", SPECTRAL)
def test_a_discriminators_gradient_reaches_every_sample_in_float32(name, sound):
    view, clips = view_of(name), SOUNDS[sound].float().requires_grad_()
    values = view(clips)
    values.backward(normal(*values.shape, seed=1).float())
    assert clips.grad is not None and clips.grad.isfinite().all() and (clips.grad != 0).all()
    exact = SOUNDS[sound].clone().requires_grad_()
    view(exact).backward(normal(*values.shape, seed=1))
    assert exact.grad is not None
    error = (clips.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert error < 1e-2, error


def test_for_silence_the_gradient_is_spread_over_the_frame():
    """Splits the middle half of a frame of 512 into 8 parts: each gets 2 % to 25 % of the gradient's energy.

    Were all phases equal, one sample would get all of it.
    """
    view = LogMagnitude(512, 256)
    clips = torch.zeros(1, 1, 256, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(view(clips).sum(), clips)
    energy = slope.square().view(8, 32).sum(1) / slope.square().sum()
    assert energy.min() > 0.02 and energy.max() < 0.25, energy
    tone = torch.view_as_complex(floor_tone(torch.ones(256)))
    wave = torch.fft.irfft(torch.nn.functional.pad(tone, (0, 1)), 512)
    assert wave.abs().max() / wave.square().mean().sqrt() < 2.5  # a click would have 16
    assert wave[128:384].square().sum() / wave.square().sum() > 0.9


@pytest.mark.parametrize("sound", ["silence", "1e-4", "noise"])
@pytest.mark.parametrize("name", SPECTRAL)
def test_gradcheck(name, sound):
    """Uses a floor of -20 dB, so that steps of finite differences are small beside it."""
    view = view_of(name, floor_db=-20)
    clips = SOUNDS[sound][..., :70].clone().requires_grad_()
    assert torch.autograd.gradcheck(view, (clips,), eps=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", SPECTRAL)
def test_float32_whatever_autocast_says(name):
    view, clips = view_of(name), sine(700, 0.1).float()
    plain = view(clips)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(view(clips), plain)
        assert view(clips.bfloat16()).dtype == view(clips.half()).dtype == torch.float32
        measured = view_of(name)
        measured.measure([clips])
    view.measure([clips])
    assert all(torch.equal(value, measured.state_dict()[key]) for key, value in view.state_dict().items())
    view = view_of(name)
    assert plain.dtype == torch.float32 and view(clips.double()).dtype == torch.float64
    torch.testing.assert_close(plain.double(), view(clips.double()), rtol=0, atol=0.02)


@pytest.mark.parametrize("name", SPECTRAL)
def test_channels_and_clips_stand_alone(name):
    view, clips = view_of(name), normal(3, 2, 333) / 4
    both = view(clips)
    alone = view(clips[1:2, 1:])
    torch.testing.assert_close(both[1:2, 1::2] if name == "complex" else both[1:2, 1:], alone, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # the compiler's own
@pytest.mark.parametrize("name", SPECTRAL)
def test_a_view_compiles(name):
    view, clips = view_of(name), (normal(2, 1, 400) / 4).float()
    compiled = torch.compile(view, backend="aot_eager", dynamic=False)
    torch.testing.assert_close(compiled(clips), view(clips))


def test_the_tone_of_log_mel_has_half_of_the_floors_power_in_its_loudest_band():
    view = LogMel(RATE, 1024, 256, bands=64)
    filters = mel_filters(RATE, 1024, 64, has_unit_area=False)[:-1].t()
    power = filters @ view.tone.square().sum(1) / FLOOR**2
    assert power.max().item() == pytest.approx(0.5, rel=1e-4) and power.min() > 0.3


class TestLowRate:
    """Tests the view that takes one sample in `factor` of the lowest part of the band."""

    def test_low_tones_stay_and_high_ones_go(self):
        time = torch.arange(4096) / 16000
        low, high = (torch.sin(2 * math.pi * frequency * time)[None, None] for frequency in (300, 3000))
        view = LowRate(8)
        assert view.shape(1, 4096) == (1, 512) == tuple(view(low).shape[1:])
        torch.testing.assert_close(view(low)[..., 16:-16], low[..., ::8][..., 16:-16], rtol=0, atol=2e-2)
        assert view(high)[..., 16:-16].abs().max() < 2e-2

    @pytest.mark.parametrize("samples", [1, 100, 129, 4096])
    def test_any_length(self, samples):
        view = LowRate(4)
        assert view(torch.zeros(2, 3, samples)).shape == (2, *view.shape(3, samples))

    def test_it_is_scaled_by_the_deviation_of_all_clips(self):
        view, noise = LowRate(8), torch.randn(20, 2, 4096, generator=torch.Generator().manual_seed(0))
        view.measure(iter([0.1 * noise[:10], 0.1 * noise[10:]]))
        assert view(0.1 * noise).std().item() == pytest.approx(1, rel=1e-2)
        assert list(view.state_dict()) == ["deviation"]


@pytest.mark.parametrize("samples", [1, 12, 13])
def test_a_period_lies_in_a_column(samples):
    view, clips = Period(4), normal(2, 3, samples)
    seen = view(clips)
    assert seen.shape[1:] == view.shape(3, samples) == (3, 4, math.ceil(samples / 4))
    assert torch.equal(seen.transpose(2, 3).flatten(2)[..., :samples], clips)
    assert (seen.transpose(2, 3).flatten(2)[..., samples:] == 0).all()
    view.measure([10 * normal(50, 1, 64)])
    torch.testing.assert_close(view(clips), seen / 10, rtol=0.05, atol=0)


@pytest.mark.parametrize("name", SPECTRAL)
def test_a_coordinate_is_a_last_channel_that_rises_with_the_rows(name):
    clips = normal(2, 3, 300)
    plain, told = view_of(name), view_of(name, coordinate=True)
    for view in (plain, told):
        view.measure([clips])
    seen = told(clips)
    assert seen.shape[1:] == told.shape(3, 300)
    assert torch.equal(seen[:, :-1], plain(clips))
    places = torch.linspace(-1, 1, seen.shape[2], dtype=seen.dtype)
    assert (seen[:, -1] == places[:, None]).all()


def test_powers_beside_logarithms_are_further_channels_with_statistics_of_their_own():
    clips = normal(6, 2, 640).float()
    both, logs = LogMagnitude(64, 16, power_beside=0.3), LogMagnitude(64, 16)
    for view in (both, logs):
        view.measure([clips])
    seen = both(clips)
    assert seen.shape[1:] == both.shape(2, 640) == (4, 32, 40)
    torch.testing.assert_close(seen[:, ::2], logs(clips), rtol=1e-4, atol=1e-4)
    magnitudes = (logs(clips) * logs.deviations[:, None] + logs.means[:, None]).exp() ** 0.3
    expected = (magnitudes - magnitudes.mean((0, 1, 3))[:, None]) / magnitudes.std((0, 1, 3), correction=0)[:, None]
    torch.testing.assert_close(seen[:, 1::2], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("settings", [{}, {"power_beside": 0.3, "residual_beside": True, "coordinate": True}])
@pytest.mark.parametrize(("channels", "further"), [(1, 0), (2, 1), (3, 2)])
def test_differences_are_further_channels_with_statistics_of_their_own(channels, further, settings):
    clips = normal(6, channels, 640).float() * torch.tensor([1, 0.9, 1.1])[:channels, None]
    plain, both = (
        LogMagnitude(64, 16, channels=channels, differences_beside=beside, **settings) for beside in (False, True)
    )
    for view in (plain, both):
        view.measure([clips])
    seen, without = both(clips), plain(clips)
    maps = both.maps
    assert seen.shape[1:] == both.shape(channels, 640) and seen.shape[1] == without.shape[1] + maps * further
    torch.testing.assert_close(seen[:, : maps * channels], without[:, : maps * channels], rtol=1e-4, atol=1e-4)
    for place in range(maps if further else 0):
        values = seen[:, maps * channels + place : maps * (channels + further) : maps]
        torch.testing.assert_close(values.mean((0, 1, 3)), torch.zeros(32), rtol=0, atol=1e-3)
        torch.testing.assert_close(values.std((0, 1, 3), correction=0), torch.ones(32), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["log_magnitude", "log_mel"])
def test_the_difference_of_stereo_is_half_of_left_minus_right(name):
    """Channels in phase and in opposite phase look alike without it."""
    left = sine(700, 0.5).float()
    view, alone = view_of(name, channels=2, differences_beside=True), view_of(name)
    for sign, side in ((1, torch.zeros_like(left)), (-1, left)):
        seen = view(torch.cat([left, sign * left], dim=1))
        torch.testing.assert_close(seen[:, 0], alone(left)[:, 0])
        torch.testing.assert_close(seen[:, 2], alone(side)[:, 0], rtol=1e-4, atol=1e-4)
