"""Spectra of sound, the way back from their magnitudes, and the one door to torchaudio."""

import math
import sys
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

FRAME_SAMPLES = 256  # of the transform that `inverse_stft` inverts
HOP_SAMPLES = 128
BINS = FRAME_SAMPLES // 2 + 1
BANDS = 64
RANGE_DECIBELS = 80.0
LEAST_POWER = 1e-10  # -100 dB, below the noise of 16-bit sound: the level of digital silence


def window_samples(sample_rate: int) -> int:
    """Length of the analysis window: the largest power of two within 64 ms, at least 256 samples.

    It spans at least 32 ms above 8 kHz, so an FFT bin there is at most 31 Hz wide and the narrowest of 64 mel
    bands 72 Hz: none is empty. Below, bands narrow to sample_rate / 65, where 256 samples keep them filled.
    Even 4,096 samples at 48 kHz give nine frames.
    """
    return max(256, 2 ** math.floor(math.log2(0.064 * sample_rate)))


def mel_spectrogram(
    clips: Tensor,
    sample_rate: int,
    *,
    bands: int = BANDS,
    fft_samples: int | None = None,
    hop_samples: int | None = None,
) -> Tensor:
    """Power in mel bands, equal to librosa's with zero padding at the ends.

    clips: (N, C, T) or (N, T). Returns (..., bands, frames) with T // hop_samples + 1 frames; the window is
    `window_samples` and the hop a quarter of it unless given.
    """
    fft_samples = fft_samples or window_samples(sample_rate)
    transform = _torchaudio().transforms.MelSpectrogram(
        sample_rate,
        n_fft=fft_samples,
        hop_length=hop_samples or fft_samples // 4,
        n_mels=bands,
        norm="slaney",
        mel_scale="slaney",
        pad_mode="constant",
    )
    return transform.to(clips)(clips)


def log_mel(
    clips: Tensor,
    sample_rate: int,
    *,
    bands: int = BANDS,
    fft_samples: int | None = None,
    hop_samples: int | None = None,
) -> Tensor:
    """The channels' mean power in mel bands, in dB, floored at each clip's own peak - 80 dB.

    clips: (N, C, T). Returns (N, bands, frames), see `mel_spectrogram`; silence is -100 dB throughout.
    """
    power = mel_spectrogram(clips, sample_rate, bands=bands, fft_samples=fft_samples, hop_samples=hop_samples)
    level = 10 * power.mean(dim=1).clamp(min=LEAST_POWER).log10()
    return level.maximum(level.amax(dim=(1, 2), keepdim=True) - RANGE_DECIBELS)


def power_spectrum(clips: Tensor, fft_samples: int) -> Tensor:
    """The channels' mean power per FFT bin and frame, under Hann windows that overlap by three quarters.

    clips: (N, C, T), T at least fft_samples. Returns (N, fft_samples / 2 + 1, frames): no frame reaches beyond the
    clip, and a sine of amplitude 1 in the middle of a bin has 1 there, 0 dBFS.
    """
    window = torch.hann_window(fft_samples, dtype=clips.dtype, device=clips.device)
    flat = clips.flatten(0, 1)
    hop = max(1, fft_samples // 4)
    bins = torch.stft(flat, fft_samples, hop, window=window, center=False, return_complex=True)
    power = (2 * bins.abs() / window.sum()).square()
    return power.unflatten(0, clips.shape[:2]).mean(dim=1)


def stft(clips: Tensor) -> Tensor:
    """Complex spectra (..., 129 bins, frames) under Hann windows of 256 samples, one each 128 samples from sample 0.

    clips: (..., T), taken as silent after their end, so that T samples give T / 128 frames, rounded up.
    """
    return _centred_stft(F.pad(clips, (0, -clips.shape[-1] % HOP_SAMPLES)))[..., 1:]


def inverse_stft(spectrum: Tensor, estimate: Tensor | None = None) -> Tensor:
    """The clips (..., frames · 128) whose `stft` comes nearest to a spectrum (Griffin & Lim 1984, eq. 6).

    spectrum: (..., 129, frames), of clips perhaps, but perhaps of none. The first 128 samples lie in the rising half
    of a single window, by which a division would raise every error a thousandfold. So a frame is added that would
    begin 128 samples before the clip, as it would be in an `estimate` of the clips, silent where none is given:
    without one, clips fade in over these samples.
    """
    before = torch.zeros_like(spectrum[..., :1])
    if estimate is not None:
        before = _centred_stft(estimate[..., :HOP_SAMPLES])[..., :1]
    return _inverse_centred_stft(torch.cat([before, spectrum], dim=-1))


@torch.no_grad()
def griffin_lim(magnitude: Tensor, iterations: int) -> Tensor:
    """Clips (..., frames · 128) in [-1, 1] whose spectra have about these magnitudes (Griffin & Lim 1984, section 3).

    magnitude: (..., 129, frames), as `stft(clips).abs()`. The phase is zero at first and then, so many times, that of
    the clips so far.
    """
    clips = inverse_stft(magnitude.to(magnitude.dtype.to_complex())).clamp(-1, 1)
    for _ in range(iterations):
        clips = inverse_stft(torch.polar(magnitude, stft(clips).angle()), clips).clamp(-1, 1)
    return clips


def band_at(frequency: float, sample_rate: int, bands: int = BANDS) -> float:
    """Where a frequency in Hz lies among mel bands: 0 is the centre of the lowest, bands - 1 of the highest."""
    return _mel(frequency) / _mel(sample_rate / 2) * (bands + 1) - 1


def _mel(frequency: float) -> float:
    """Slaney's mel scale: linear below 1 kHz, 27 steps for each factor of 6.4 above."""
    if frequency < 1000:
        return frequency * 15 / 1000
    return 15 + 27 * math.log(frequency / 1000) / math.log(6.4)


def _centred_stft(clips: Tensor) -> Tensor:
    """(..., T) to (..., 129, T / 128 + 1): one frame that begins 128 samples before the clip, then those of `stft`."""
    window = torch.hann_window(FRAME_SAMPLES, dtype=clips.dtype, device=clips.device)
    bins = torch.stft(
        clips.reshape(-1, clips.shape[-1]),
        FRAME_SAMPLES,
        HOP_SAMPLES,
        window=window,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return bins.view(*clips.shape[:-1], *bins.shape[1:])


def _inverse_centred_stft(spectrum: Tensor) -> Tensor:
    window = torch.hann_window(FRAME_SAMPLES, dtype=spectrum.real.dtype, device=spectrum.device)
    samples = (spectrum.shape[-1] - 1) * HOP_SAMPLES
    flat = spectrum.reshape(-1, *spectrum.shape[-2:])
    clips = torch.istft(flat, FRAME_SAMPLES, HOP_SAMPLES, window=window, center=True, length=samples)
    return clips.view(*spectrum.shape[:-2], samples)


def _torchaudio() -> ModuleType:
    """The torchaudio package, also where its compiled part does not fit the installed torch."""
    try:
        import torchaudio
    except (OSError, RuntimeError):
        # The transforms are plain Python and need nothing of what failed to load.
        stub = ModuleType("torchaudio._extension")
        stub.__dict__.update(
            _IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=lambda call: call
        )
        sys.modules[stub.__name__] = stub
        import torchaudio
    return torchaudio
