"""Computes short-time Fourier transforms under Hann windows, and their inverse. Window and hop are in samples."""

import torch
import torch.nn.functional as F
from torch import Tensor


def full_scale(window: int) -> float:
    """Returns the magnitude of a sine of amplitude 1 in the middle of a bin; spectra divided by it are in dBFS.

    It is half of the window's sum, as a sine has half of its amplitude at its negative frequency. A Hann window sums up
    to half of its length.
    """
    return window / 4


def full_scale_noise(window: int) -> float:
    """Returns the root mean square magnitude of white noise with an RMS of 1: √Σw² = √(3 · window / 8)."""
    return (3 * window / 8) ** 0.5


def spectra(clips: Tensor, *, window: int, hop: int, before: int = 0, after: int = 0) -> Tensor:
    """Transforms every frame that fits into the clips, which are silent for some samples before and after.

    clips: (..., T). Returns complex (..., window / 2 + 1 bins, frames), not normalised: frame k begins at sample
    k · hop - before.
    """
    hann = torch.hann_window(window, dtype=clips.dtype, device=clips.device)
    flat = F.pad(clips.reshape(-1, clips.shape[-1]), (before, after))
    bins = torch.stft(flat, window, hop, window=hann, center=False, return_complex=True)
    return bins.view(*clips.shape[:-1], *bins.shape[1:])


def centred_spectra(clips: Tensor, *, window: int, hop: int) -> Tensor:
    """Transforms frames that are centred on samples 0, hop, 2 · hop …, with silence beyond both ends of the clips.

    clips: (..., T). Returns complex (..., window / 2 + 1 bins, T // hop + 1 frames), as librosa's with zero padding.
    """
    return spectra(clips, window=window, hop=hop, before=window // 2, after=window // 2)


def power_spectrum(clips: Tensor, window: int) -> Tensor:
    """Averages the channels' power per FFT bin and frame, with a hop of a quarter of the window.

    clips: (N, C, T), T at least window. Returns (N, window / 2 + 1, frames): no frame reaches beyond the clip, and a
    sine of amplitude 1 in the middle of a bin has 1 there, 0 dBFS.
    """
    bins = spectra(clips, window=window, hop=max(1, window // 4))
    return (bins.abs() / full_scale(window)).square().mean(dim=1)


def stft(clips: Tensor, *, window: int, hop: int) -> Tensor:
    """Transforms frames that begin at samples 0, hop, 2 · hop …; `inverse_stft` inverts it.

    clips: (..., T), taken as silent after their end, so that T samples give T / hop frames, rounded up. Returns
    complex (..., window / 2 + 1 bins, frames).
    """
    return spectra(clips, window=window, hop=hop, after=-clips.shape[-1] % hop + window - hop)


def inverse_stft(spectrum: Tensor, estimate: Tensor | None = None, *, window: int, hop: int) -> Tensor:
    """Gives the clips (..., frames · hop) whose `stft` comes nearest to a spectrum (Griffin & Lim 1984, eq. 6).

    spectrum: (..., window / 2 + 1, frames); it need not be the `stft` of any clips. hop: at most half of the window.
    Only the rising halves of a few windows reach the first samples: a division by them would raise every error a
    thousandfold. So frames that begin before the clip are added, taken from an `estimate` of the clips. Without an
    estimate they are silent, and clips fade in over these samples.
    """
    assert 2 * hop <= window, "windows overlap by half or more"
    lead = -(-window // hop) - 1  # frames that begin before the clip and reach into it
    before = torch.zeros_like(spectrum[..., :1]).expand(*spectrum.shape[:-1], lead)
    if estimate is not None:
        start = spectra(estimate[..., : lead * hop], window=window, hop=hop, before=lead * hop, after=window)
        before = start[..., :lead]
    frames = torch.cat([before, spectrum], dim=-1)
    flat = frames.reshape(-1, *frames.shape[-2:])
    hann = torch.hann_window(window, dtype=frames.real.dtype, device=frames.device)
    # istft begins in the middle of the first frame, which lies so many samples before the clip.
    excess = lead * hop - window // 2
    samples = spectrum.shape[-1] * hop
    clips = torch.istft(flat, window, hop, window=hann, center=True, length=excess + samples)[..., excess:]
    return clips.reshape(*spectrum.shape[:-2], samples)
