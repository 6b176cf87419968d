"""The one door to torchaudio: against librosa, by invariants, and where its compiled part does not load."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from wavegan.audio.spectral import band_at, log_mel, mel_spectrogram, power_spectrum, window_samples

RATES = (4000, 8000, 11025, 16000, 22050, 44100, 48000)


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("sample_rate", "settings"), [(16000, {}), (8000, {"bands": 40, "fft_samples": 512, "hop_samples": 100})]
)
def test_mel_and_log_mel_equal_librosa(sample_rate, settings):
    import librosa

    clips = noise(2, 1, 4096) * torch.linspace(1, 0, 4096) ** 8  # decays far below the floor
    fft_samples = settings.get("fft_samples", 1024)
    power = librosa.feature.melspectrogram(
        y=clips.numpy(),
        sr=sample_rate,
        n_fft=fft_samples,
        hop_length=settings.get("hop_samples", fft_samples // 4),
        n_mels=settings.get("bands", 64),
        pad_mode="constant",
    )
    ours = mel_spectrogram(clips, sample_rate, **settings).numpy()
    assert ours.shape == power.shape
    np.testing.assert_allclose(ours, power, rtol=1e-4, atol=1e-4 * power.max() * 1e-6)
    level = [librosa.power_to_db(clip[0], amin=1e-10, top_db=80) for clip in power]
    np.testing.assert_allclose(log_mel(clips, sample_rate, **settings).numpy(), level, atol=1e-2)


def test_band_at_equals_librosa_band_centres():
    import librosa

    centres = librosa.mel_frequencies(n_mels=66, fmin=0, fmax=8000)[1:-1]
    np.testing.assert_allclose([band_at(centre, 16000) for centre in centres], np.arange(64), atol=1e-4)


@pytest.mark.parametrize("frequency", [300, 1000, 3000, 6500])
def test_a_tone_is_loudest_in_its_band(frequency):
    seconds = torch.arange(16384) / 16000
    level = log_mel(torch.sin(2 * torch.pi * frequency * seconds)[None, None], 16000)
    assert abs(int(level[0, :, 32].argmax()) - band_at(frequency, 16000)) <= 1


@pytest.mark.parametrize("sample_rate", RATES)
def test_every_rate_and_length_fills_every_band(sample_rate):
    assert window_samples(sample_rate) == 256 or 0.032 < window_samples(sample_rate) / sample_rate <= 0.064
    for samples in (4096, 65536):  # torchaudio warns of an empty band, and warnings are errors here
        power = mel_spectrogram(noise(1, 2, samples), sample_rate)
        assert power.shape == (1, 2, 64, samples // (window_samples(sample_rate) // 4) + 1)
        assert (power.mean(dim=-1) > 0).all()


def test_silence_is_one_finite_level():
    assert (log_mel(torch.zeros(2, 1, 4096), 16000) == -100).all()


def test_the_floor_follows_each_clips_own_peak():
    clips = noise(1, 1, 8192)
    clips[..., 4096:] = 0
    both = log_mel(torch.cat([clips, clips / 10]), 16000)
    torch.testing.assert_close(both[1], both[0] - 20, rtol=0, atol=1e-3)
    torch.testing.assert_close(both.amax(dim=(1, 2)) - both.amin(dim=(1, 2)), torch.tensor([80.0, 80.0]))


def test_channels_are_averaged_as_power():
    left = noise(1, 1, 4096)
    opposite = torch.cat([left, -left], dim=1)  # their sum would be silence
    torch.testing.assert_close(log_mel(opposite, 16000), log_mel(left, 16000))


@pytest.mark.parametrize("fault", ["OSError", "RuntimeError"])
def test_torchaudio_opens_although_its_compiled_part_fails(fault):
    program = f"""
        import sys

        class Broken:
            def find_spec(self, name, path, target=None):
                if name == "torchaudio._extension":
                    raise {fault}("its CUDA is not ours")

        sys.meta_path.insert(0, Broken())
        import torch
        from wavegan.audio.spectral import mel_spectrogram
        assert "torchaudio" not in sys.modules, "importing the room must be cheap"
        assert mel_spectrogram(torch.ones(1, 1, 4096), 16000).isfinite().all()
        assert not hasattr(sys.modules["torchaudio._extension"], "__file__"), "the stub was not needed"
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def sines(amplitudes: list[float], bins: list[float], samples: int = 4096, fft_samples: int = 512) -> torch.Tensor:
    """One sine for each channel, at so many bins of the transform: (1, C, samples)."""
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
