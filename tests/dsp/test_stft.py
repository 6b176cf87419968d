"""Compares spectra and their inverse with scipy, NumPy and loops."""

import numpy as np
import pytest
import torch

from wavegan.dsp.stft import centred_spectra, full_scale, full_scale_noise, inverse_stft, power_spectrum, stft


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def sines(amplitudes: list[float], bins: list[float], samples: int = 4096, fft_samples: int = 512) -> torch.Tensor:
    """Returns one sine for each channel, at so many bins of the transform: (1, C, samples)."""
    phase = 2 * torch.pi * torch.tensor(bins)[:, None] / fft_samples * torch.arange(samples)
    return (torch.tensor(amplitudes)[:, None] * torch.sin(phase))[None]


@pytest.mark.parametrize(("samples", "fft_samples"), [(4096, 2048), (5000, 512), (256, 256), (10, 2)])
def test_power_spectrum_equals_scipys_transform(samples, fft_samples):
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    clips = noise(3, 2, samples)
    hop = max(1, fft_samples // 4)
    transform = ShortTimeFFT(hann(fft_samples, sym=False), hop, fs=1, scale_to="magnitude")
    frames = (samples - fft_samples) // hop + 1
    whole = transform.lower_border_end[1], transform.lower_border_end[1] + frames  # those within the clip
    bins = transform.stft(clips.numpy().astype(np.float64), p0=whole[0], p1=whole[1])
    ours = power_spectrum(clips, fft_samples).numpy()
    assert ours.shape == (3, fft_samples // 2 + 1, frames)
    np.testing.assert_allclose(ours, ((2 * np.abs(bins)) ** 2).mean(axis=1), rtol=1e-3, atol=1e-9)


def test_a_sine_in_the_middle_of_a_bin_has_its_squared_amplitude_there_and_a_quarter_beside_it():
    power = power_spectrum(sines([0.5], [40]), 512)
    expected = torch.zeros(257)
    expected[[39, 40, 41]] = 0.25 * torch.tensor([0.25, 1, 0.25])
    torch.testing.assert_close(power[0], expected[:, None].expand(-1, power.shape[2]), rtol=0, atol=1e-5)


def test_power_spectrum_averages_the_channels_power():
    power = power_spectrum(sines([0.5, 1.0], [40, 80]), 512)[0, :, 3]
    torch.testing.assert_close(power[[40, 80]], torch.tensor([0.125, 0.5]), rtol=1e-4, atol=0)
    opposite = sines([0.5, -0.5], [40, 40])  # their sum would be silence
    torch.testing.assert_close(power_spectrum(opposite, 512), power_spectrum(opposite[:, :1], 512))


def test_no_frame_reaches_beyond_the_clip():
    """A clip of ones shows no edge: every frame is the same."""
    power = power_spectrum(torch.ones(1, 1, 4096), 512)
    torch.testing.assert_close(power, power[..., :1].expand_as(power), rtol=0, atol=1e-6)
    assert (power_spectrum(torch.zeros(1, 1, 4096), 512) == 0).all()


HANN = np.sin(np.pi * np.arange(256) / 256) ** 2  # periodic: 0 at its first sample only


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("samples", "frames"), [(16384, 128), (4096, 32), (1000, 8), (129, 2), (100, 1)])
def test_the_transform_equals_numpys_frame_by_frame(samples, frames):
    """Frames begin at samples 0, 128, 256 …; beyond the end there is silence."""
    clips = doubles(2, 1, samples)
    padded = np.pad(clips.numpy(), ((0, 0), (0, 0), (0, 400)))
    each = [np.fft.rfft(HANN * padded[..., 128 * frame : 128 * frame + 256]) for frame in range(frames)]
    computed = stft(clips, window=256, hop=128).numpy()
    assert computed.shape == (2, 1, 129, frames)
    np.testing.assert_allclose(computed, np.stack(each, axis=-1), rtol=0, atol=1e-10)


def test_the_way_back_is_the_least_squares_one():
    """Inverts a spectrum that no clip has, as windowed frames added up over the squared windows.

    The frame before the clip takes part too.
    """
    spectrum = torch.complex(doubles(129, 3), doubles(129, 3, seed=1))
    estimate = doubles(384, seed=2)
    frames = [np.concatenate([np.zeros(128), estimate[:128].numpy()]) * HANN]
    frames += [np.fft.irfft(spectrum[:, frame].numpy(), 256) for frame in range(3)]
    total, weight = np.zeros(640), np.zeros(640)
    for place, frame in enumerate(frames):
        total[128 * place : 128 * place + 256] += HANN * frame
        weight[128 * place : 128 * place + 256] += HANN**2
    computed = inverse_stft(spectrum, estimate, window=256, hop=128)
    assert computed.shape == (384,)
    np.testing.assert_allclose(computed.numpy(), (total / np.maximum(weight, 1e-9))[128:512], rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(16384,), (3, 2, 4096), (2, 1, 128)], ids=str)
def test_the_way_back_gives_the_clip_again(shape):
    clips = doubles(*shape)
    spectrum = stft(clips, window=256, hop=128)
    torch.testing.assert_close(inverse_stft(spectrum, clips, window=256, hop=128), clips, rtol=0, atol=1e-12)
    computed = inverse_stft(spectrum, window=256, hop=128)
    torch.testing.assert_close(computed[..., 128:], clips[..., 128:], rtol=0, atol=1e-12)
    rising = torch.from_numpy(HANN[:128] ** 2 / (HANN[:128] ** 2 + HANN[128:] ** 2))
    torch.testing.assert_close(computed[..., :128], rising * clips[..., :128], rtol=0, atol=1e-12)
    for _ in range(400):
        computed = inverse_stft(spectrum, computed, window=256, hop=128)
    torch.testing.assert_close(computed[..., 32:], clips[..., 32:], rtol=0, atol=0.02)


@pytest.mark.parametrize(("window", "hop"), [(64, 16), (64, 32), (100, 30), (512, 128)])
def test_the_way_back_for_other_windows_and_hops(window, hop):
    """The inverse is exact with the frames before the clip; without them it fades over the first window."""
    clips = doubles(2, 12 * hop)
    spectrum = stft(clips, window=window, hop=hop)
    assert spectrum.shape == (2, window // 2 + 1, 12)
    again = inverse_stft(spectrum, clips, window=window, hop=hop)
    torch.testing.assert_close(again, clips, rtol=0, atol=1e-12)
    faded = inverse_stft(spectrum, window=window, hop=hop)
    torch.testing.assert_close(faded[..., window:], clips[..., window:], rtol=0, atol=1e-12)
    assert (faded[..., :window].abs() <= clips[..., :window].abs() + 1e-12).all()


@pytest.mark.parametrize(("window", "hop", "samples"), [(256, 64, 1000), (64, 40, 333), (512, 128, 100)])
def test_centred_spectra_equal_librosas(window, hop, samples):
    import librosa

    clips = doubles(2, 3, samples)
    padded = torch.nn.functional.pad(clips, (window // 2, window // 2)).numpy()
    expected = librosa.stft(padded, n_fft=window, hop_length=hop, center=False, dtype=np.complex128)
    computed = centred_spectra(clips, window=window, hop=hop).numpy()
    assert computed.shape[-1] == samples // hop + 1
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("window", [64, 1024])
def test_what_full_scale_has(window):
    seconds = torch.arange(window, dtype=torch.float64) / window
    sine = torch.sin(2 * torch.pi * 10 * seconds)
    assert centred_spectra(sine, window=window, hop=window // 2)[10, 1].abs().item() == pytest.approx(window / 4)
    assert full_scale(window) == window / 4
    power = stft(doubles(400, window), window=window, hop=window)[:, 2:-2].abs().square().mean().item()
    assert full_scale_noise(window) ** 2 == pytest.approx(power, rel=0.03)
