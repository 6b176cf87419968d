"""Spectra against librosa, scipy and loops, the way back from magnitudes, and torchaudio where a part does not load."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from wavegan.audio.spectral import (
    band_at,
    griffin_lim,
    inverse_stft,
    log_mel,
    mel_spectrogram,
    power_spectrum,
    stft,
    window_samples,
)

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


HANN = np.sin(np.pi * np.arange(256) / 256) ** 2  # periodic: 0 at its first sample only


def doubles(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("samples", "frames"), [(16384, 128), (4096, 32), (1000, 8), (129, 2), (100, 1)])
def test_the_transform_equals_numpys_frame_by_frame(samples, frames):
    """Frames begin at samples 0, 128, 256 …; beyond the end there is silence."""
    clips = doubles(2, 1, samples)
    padded = np.pad(clips.numpy(), ((0, 0), (0, 0), (0, 400)))
    each = [np.fft.rfft(HANN * padded[..., 128 * frame : 128 * frame + 256]) for frame in range(frames)]
    found = stft(clips).numpy()
    assert found.shape == (2, 1, 129, frames)
    np.testing.assert_allclose(found, np.stack(each, axis=-1), rtol=0, atol=1e-10)


def test_the_way_back_is_the_least_squares_one():
    """Of a spectrum that no clip has: windowed frames added up over the squared windows, also of the frame before."""
    spectrum = torch.complex(doubles(129, 3), doubles(129, 3, seed=1))
    estimate = doubles(384, seed=2)
    frames = [np.concatenate([np.zeros(128), estimate[:128].numpy()]) * HANN]
    frames += [np.fft.irfft(spectrum[:, frame].numpy(), 256) for frame in range(3)]
    total, weight = np.zeros(640), np.zeros(640)
    for place, frame in enumerate(frames):
        total[128 * place : 128 * place + 256] += HANN * frame
        weight[128 * place : 128 * place + 256] += HANN**2
    found = inverse_stft(spectrum, estimate)
    assert found.shape == (384,)
    np.testing.assert_allclose(found.numpy(), (total / np.maximum(weight, 1e-9))[128:512], rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(16384,), (3, 2, 4096), (2, 1, 128)], ids=str)
def test_the_way_back_gives_the_clip_again(shape):
    clips = doubles(*shape)
    spectrum = stft(clips)
    torch.testing.assert_close(inverse_stft(spectrum, clips), clips, rtol=0, atol=1e-12)
    found = inverse_stft(spectrum)
    torch.testing.assert_close(found[..., 128:], clips[..., 128:], rtol=0, atol=1e-12)
    rising = torch.from_numpy(HANN[:128] ** 2 / (HANN[:128] ** 2 + HANN[128:] ** 2))
    torch.testing.assert_close(found[..., :128], rising * clips[..., :128], rtol=0, atol=1e-12)
    for _ in range(400):
        found = inverse_stft(spectrum, found)
    torch.testing.assert_close(found[..., 32:], clips[..., 32:], rtol=0, atol=0.02)


def hits(samples: int = 8192) -> torch.Tensor:
    """(4, 1, samples): a sinking tone, a click with a tail of noise, a struck chord, and noise; all from sample 0."""
    time = torch.arange(samples) / 16000
    sinking = torch.sin(2 * torch.pi * (50 * time + 8 * (1 - torch.exp(-30 * time)))) * torch.exp(-8 * time)
    chord = sum(torch.sin(2 * torch.pi * pitch * time) for pitch in (220, 277, 330)) * torch.exp(-3 * time) / 3
    tail = noise(1, samples)[0] * torch.exp(-40 * time)
    sounds = torch.stack([sinking, tail, torch.as_tensor(chord), noise(2, samples)[1]])[:, None]
    return 0.9 * sounds / sounds.abs().amax(dim=2, keepdim=True)


def spectral_error(clips: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Per example: the norm of what the magnitudes lack, as a share of theirs."""
    return (stft(clips).abs() - magnitude).flatten(1).norm(dim=1) / magnitude.flatten(1).norm(dim=1)


def test_more_iterations_come_nearer_to_the_magnitudes():
    """As a share of the whole, on average: 0.8 by zero phase, 0.12 by 16 iterations, 0.08 by 64."""
    magnitude = stft(hits()).abs()
    errors = [spectral_error(griffin_lim(magnitude, count), magnitude).mean().item() for count in (0, 1, 4, 16, 64)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.5 and errors[3] < 0.15 and errors[4] < 0.09


def energy(clips: torch.Tensor, start: int, samples: int) -> torch.Tensor:
    return clips[..., start : start + samples].square().sum(dim=(1, 2))


def test_an_attack_survives_and_nothing_blows_up_beside_it():
    """Of the energy of an attack at sample 0, 0.2 to 0.9 is kept in its first 8 ms and 0.1 to 0.5 in the first 4.

    Were the start left to fade, these 4 ms would keep a hundredth. A later attack keeps its energy within a third and
    has silence before it.
    """
    clips = hits()
    made = griffin_lim(stft(clips).abs(), 16)
    kept = energy(made, 0, 128) / energy(clips, 0, 128)
    assert made.shape == clips.shape and made.abs().max() <= 1
    assert kept.min() > 0.2 and kept.max() < 1.2
    assert (energy(made, 0, 64) / energy(clips, 0, 64)).min() > 0.07
    late = torch.nn.functional.pad(clips, (1024, 0))
    made = griffin_lim(stft(late).abs(), 16)
    kept = energy(made, 1024, 128) / energy(late, 1024, 128)
    assert kept.min() > 0.75 and kept.max() < 1.4
    assert made[..., :768].abs().max() < 0.01


def test_silence_and_zero_phase():
    assert (griffin_lim(torch.zeros(2, 1, 129, 4), 16) == 0).all()
    magnitude = stft(noise(1, 512)).abs()
    torch.testing.assert_close(griffin_lim(magnitude, 0), inverse_stft(magnitude + 0j).clamp(-1, 1))


def test_what_is_made_of_one_clip_does_not_depend_on_the_others():
    magnitude = stft(hits(2048).view(2, 2, 2048)).abs()
    torch.testing.assert_close(griffin_lim(magnitude, 8)[1, :1], griffin_lim(magnitude[1, :1], 8), rtol=0, atol=1e-4)
