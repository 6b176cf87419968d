"""Features that need no trained network: log-mel statistics. And the noise that every generator should beat."""

import numpy as np
import torch
from torch import Tensor

from wavegan.dsp.mel import BANDS, RANGE_DECIBELS, log_mel

# The least deviation to divide by: 1 dB, about the smallest step in level that can be heard. Without it a band in
# which all real clips agree (above a low-pass, say) would outweigh all the others.
LEAST_DEVIATION_DECIBELS = 1.0
IDENTITY = f"log-mel statistics 1: mean and deviation of {BANDS} bands, {RANGE_DECIBELS:g} dB below the peak"


def log_mel_statistics(clips: Tensor, sample_rate: int, *, batch: int = 64) -> np.ndarray:
    """Mean and standard deviation over time of 64 log-mel bands, in dB, of the channels' mean power.

    clips: (N, C, T) in [-1, 1]. Returns (N, 128) float64, the 64 means first; NaN where samples are not finite.
    """
    return torch.cat([_statistics(part, sample_rate) for part in clips.split(batch)]).cpu().numpy()


@torch.no_grad()
def _statistics(clips: Tensor, sample_rate: int) -> Tensor:
    level = log_mel(clips, sample_rate).double()  # (N, 64, frames)
    return torch.cat([level.mean(dim=2), level.std(dim=2, correction=0)], dim=1)  # (N, 128)


def standardize(features: np.ndarray, reference: np.ndarray, least: float = LEAST_DEVIATION_DECIBELS) -> np.ndarray:
    """Features less the reference's mean, in units of its standard deviation, or of `least` where that is smaller."""
    return (features - reference.mean(axis=0)) / reference.std(axis=0).clip(min=least)


def white_noise(count: int, channels: int, samples: int, *, rms: float, seed: int) -> Tensor:
    """Gaussian noise at a level, the floor that every generator should beat: (count, channels, samples)."""
    noise = torch.randn(count, channels, samples, generator=torch.Generator().manual_seed(seed))
    return (rms * noise).clamp(-1, 1)
