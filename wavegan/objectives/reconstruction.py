"""Measures how far a copy is from its original, and a posterior from its prior: scalars that are means over a batch."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from wavegan.dsp.stft import centred_spectra, full_scale, full_scale_noise

WINDOWS_SAMPLES = (512, 1024, 2048)
HOPS_PER_WINDOW = 4
LEAST_POWER = 1e-10  # -100 dBFS: below the noise of 16-bit sound, yet the logarithm's slope stays bounded
LEAST_RMS = 1e-2  # -40 dBFS: else a silent clip, of which any copy is many times as loud, would outweigh all others


def l1(x: Tensor, y: Tensor) -> Tensor:
    """Computes the mean absolute difference of x and y, which have the same shape."""
    return (x - y).abs().mean()


def multi_resolution_stft(x: Tensor, y: Tensor) -> Tensor:
    """Computes the distance of magnitude spectrograms, the mean over three windows (Yamamoto et al. 2020, section 2.2).

    x: the originals, y: their copies, waveforms (N, C, T), T at least 1025. For each window it adds up two terms: the
    spectral convergence, which is the norm of the difference as a share of the original's, and the mean absolute
    difference of the magnitudes' natural logarithms. Each clip has its own norms, so a batch may be split over
    processes. Phases do not count. Magnitudes are floored smoothly at -100 dBFS and the original's norm at that of
    noise of -40 dBFS, so that gradients are finite for silence. Raises ValueError for shorter clips.
    """
    if x.shape[-1] <= max(WINDOWS_SAMPLES) // 2:
        raise ValueError(
            f"clips have {x.shape[-1]} samples; multi_resolution_stft compares windows of {max(WINDOWS_SAMPLES)} and "
            f"needs more than half of that; make clips longer or choose l1"
        )
    return torch.stack([_spectral_distance(x, y, window_samples) for window_samples in WINDOWS_SAMPLES]).mean()


def _spectral_distance(x: Tensor, y: Tensor, window_samples: int) -> Tensor:
    original, copied = magnitudes(x, window_samples), magnitudes(y, window_samples)
    noise = LEAST_RMS * full_scale_noise(window_samples) / full_scale(window_samples)
    floor = noise * math.sqrt(original[0].numel())
    convergence = (original - copied).flatten(1).norm(dim=1) / original.flatten(1).norm(dim=1).clamp(min=floor)
    return convergence.mean() + (original.log() - copied.log()).abs().mean()


def magnitudes(x: Tensor, window_samples: int) -> Tensor:
    """Computes magnitudes (N, C, bins, frames) of waveforms (N, C, T); a sine of amplitude 1 has 1, 0 dBFS.

    Frames are centred on every quarter of a window, with silence beyond both ends. So the first sample, where drums
    begin, stands in the middle of a frame. Magnitudes are at least 1e-5, and smooth there.
    """
    bins = centred_spectra(x, window=window_samples, hop=window_samples // HOPS_PER_WINDOW)
    parts = torch.view_as_real(bins / full_scale(window_samples))
    return (parts.square().sum(-1) + LEAST_POWER).sqrt()


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Computes the divergence of N(mean, exp(log_variance)) from N(0, 1) in nats (Kingma & Welling 2014, appendix B).

    mean, log_variance: (N, latent_dim). It is summed over the latent and averaged over the batch.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()


RECONSTRUCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "multi_resolution_stft": multi_resolution_stft,
}
