"""Sums spectra in mel bands on Slaney's scale, which is linear below 1 kHz and logarithmic above."""

import math
from functools import cache

import torch
from torch import Tensor

from wavegan.dsp.stft import centred_spectra
from wavegan.dsp.torchaudio_door import torchaudio

BANDS = 64
RANGE_DECIBELS = 80.0
LEAST_POWER = 1e-10  # -100 dB, below the noise of 16-bit sound: the level of digital silence


def window_samples(sample_rate: int) -> int:
    """Chooses the analysis window's length: the largest power of two within 64 ms, at least 256 samples.

    It spans at least 32 ms above 8 kHz, so an FFT bin there is at most 31 Hz wide and the narrowest of 64 mel
    bands 72 Hz: none is empty. Below, bands narrow to sample_rate / 65, where 256 samples keep them filled.
    Even 4,096 samples at 48 kHz give nine frames.

    >>> [window_samples(sample_rate) for sample_rate in (2000, 16000, 44100)]
    [256, 1024, 2048]
    """
    return max(256, 2 ** math.floor(math.log2(0.064 * sample_rate)))


@cache
def mel_filters(
    sample_rate: int,
    window: int,
    bands: int,
    *,
    has_unit_area: bool = True,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Returns triangular filters (window / 2 + 1 bins, bands) for the power of FFT bins, equal to librosa's.

    Each triangle has area 1 over frequency in Hz, or else 1 at its peak. Do not write into the result: the next caller
    gets the same tensor. device: the CPU unless given.
    """
    with torch.inference_mode(False), torch.device("cpu"):  # autograd may use the tensor later
        filters = torchaudio().functional.melscale_fbanks(
            window // 2 + 1,
            0.0,
            float(sample_rate // 2),
            bands,
            sample_rate,
            norm="slaney" if has_unit_area else None,
            mel_scale="slaney",
        )
        return filters.to(device=device, dtype=dtype)


def mel_spectrogram(
    clips: Tensor,
    sample_rate: int,
    *,
    bands: int = BANDS,
    window: int | None = None,
    hop: int | None = None,
) -> Tensor:
    """Sums up power in mel bands, equal to librosa's with zero padding at the ends.

    clips: (N, C, T) or (N, T). Returns (..., bands, frames) with T // hop + 1 frames; the window is
    `window_samples` and the hop a quarter of it unless given.
    """
    window = window or window_samples(sample_rate)
    power = centred_spectra(clips, window=window, hop=hop or window // 4).abs().square()
    filters = mel_filters(sample_rate, window, bands, device=clips.device, dtype=clips.dtype)
    return (power.transpose(-1, -2) @ filters).transpose(-1, -2)


def log_mel(
    clips: Tensor,
    sample_rate: int,
    *,
    bands: int = BANDS,
    window: int | None = None,
    hop: int | None = None,
) -> Tensor:
    """Gives the channels' mean power in mel bands, in dB, floored at each clip's own peak - 80 dB.

    clips: (N, C, T). Returns (N, bands, frames), see `mel_spectrogram`; silence is -100 dB throughout.
    """
    power = mel_spectrogram(clips, sample_rate, bands=bands, window=window, hop=hop)
    level = 10 * power.mean(dim=1).clamp(min=LEAST_POWER).log10()
    return level.maximum(level.amax(dim=(1, 2), keepdim=True) - RANGE_DECIBELS)


def band_at(frequency: float, sample_rate: int) -> float:
    """Places a frequency in Hz among mel bands: 0 is the centre of the lowest, BANDS - 1 of the highest."""
    return mel_scale(frequency) / mel_scale(sample_rate / 2) * (BANDS + 1) - 1


def mel_scale(frequency: float) -> float:
    """Places a frequency in Hz on Slaney's mel scale: linear below 1 kHz, 27 steps for each factor of 6.4 above."""
    if frequency < 1000:
        return frequency * 15 / 1000
    return 15 + 27 * math.log(frequency / 1000) / math.log(6.4)
