"""Compares mel bands with librosa's, and checks how tones, silence and channels show."""

import numpy as np
import pytest
import torch

from wavegan.dsp.mel import band_at, log_mel, mel_filters, mel_spectrogram, window_samples

RATES = (4000, 8000, 11025, 16000, 22050, 44100, 48000)


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("sample_rate", "settings"), [(16000, {}), (8000, {"bands": 40, "window": 512, "hop": 100})])
def test_mel_and_log_mel_equal_librosa(sample_rate, settings):
    import librosa

    clips = noise(2, 1, 4096) * torch.linspace(1, 0, 4096) ** 8  # decays far below the floor
    fft_samples = settings.get("window", 1024)
    power = librosa.feature.melspectrogram(
        y=clips.numpy(),
        sr=sample_rate,
        n_fft=fft_samples,
        hop_length=settings.get("hop", fft_samples // 4),
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


@pytest.mark.parametrize(("sample_rate", "window", "bands"), [(16000, 1024, 64), (22050, 512, 40), (44100, 2048, 128)])
@pytest.mark.parametrize("has_unit_area", [True, False])
def test_the_filters_equal_librosas_and_are_built_once(sample_rate, window, bands, has_unit_area):
    import librosa

    norm = "slaney" if has_unit_area else None
    expected = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=bands, fmax=sample_rate // 2, norm=norm)
    with torch.inference_mode(), torch.device("meta"):
        filters = mel_filters(sample_rate, window, bands, has_unit_area=has_unit_area)
    np.testing.assert_allclose(filters.numpy(), expected.T, rtol=0, atol=5e-5 * expected.max())
    assert mel_filters(sample_rate, window, bands, has_unit_area=has_unit_area) is filters
    assert not filters.is_inference()


def test_a_gradient_passes_the_filters_after_an_evaluation():
    with torch.inference_mode():
        mel_spectrogram(noise(1, 1, 1024), 22050, bands=20)
    clips = noise(1, 1, 1024).requires_grad_()
    mel_spectrogram(clips, 22050, bands=20).sum().backward()
    assert clips.grad is not None and clips.grad.any()
