"""Estimates the pitches of sound, by the autocorrelation of its frames."""

import torch
from torch import Tensor

MOST_CYCLES = 32  # a window; at 16 kHz and 512 samples 1 kHz
LEAST_CYCLES = 2
CLEAR = 0.8  # of the power of a frame is periodic
SOFTEST = 1e-3  # of the power of the loudest frame
FINER = 4  # lags a sample: a few are too coarse for high harmonics
FIRST = 0.9  # as high as the highest peak: of a period's multiples the shortest counts


def clear_pitches(frames: Tensor) -> Tensor:
    """Returns the pitches (count,) of those frames (…, frames, window) that are loud and clearly periodic.

    Pitches are in cycles a window, from 2 to 32. A frame is loud beside the others along the axis before the last.
    """
    window = frames.shape[-1]
    hann = torch.hann_window(window, device=frames.device)
    frames = (frames - frames.mean(-1, keepdim=True)) * hann
    power = frames.square().sum(-1)
    shortest, longest = (FINER * window // cycles for cycles in (MOST_CYCLES, LEAST_CYCLES))
    lags = slice(shortest - 1, longest + 2)
    similarity = _autocorrelation(frames)[..., lags] / _autocorrelation(hann)[lags] * hann.square().sum()
    similarity = similarity / power[..., None].clamp(min=torch.finfo(frames.dtype).tiny)
    inner = similarity[..., 1:-1]
    is_peak = (inner >= similarity[..., :-2]) & (inner >= similarity[..., 2:])
    highest = torch.where(is_peak, inner, 0).amax(-1, keepdim=True)
    lag = (is_peak & (inner >= FIRST * highest)).int().argmax(-1) + shortest
    is_clear = (highest[..., 0] > CLEAR) & (power > SOFTEST * power.amax(-1, keepdim=True))
    return FINER * window / lag[is_clear]


def _autocorrelation(frames: Tensor) -> Tensor:
    samples = 2 * frames.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(frames, samples).abs().square(), FINER * samples) * FINER
