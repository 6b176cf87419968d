"""Predicts the frames of a spectrum, each from the two before it: what is not predicted shows how unsteady a sound is.

Where a partial is steady, little is left. Levels in dB hardly show that. A noise 17 dB below a partial moves the
partial's level by 1 dB, which is little; but it leaves 20 dB more than a noise 37 dB below. The unpredictability
measure of MPEG-1 audio (ISO/IEC 11172-3, psychoacoustic model 2) tells tones from noise in this way.
"""

import torch.nn.functional as F
from torch import Tensor

from wavegan.dsp.frames import parted

SOFTER = 0.1  # the share of a frame's magnitude below which the frame before it predicts little


def power_of(spectra: Tensor) -> Tensor:
    """Computes squared magnitudes (...) of spectra (..., 2), real and imaginary parts."""
    real, imaginary = parted(spectra)
    return real * real + imaginary * imaginary  # a sum over an axis of two is several times slower


def residual_power(spectra: Tensor, floor: float) -> Tensor:
    """Computes squared magnitudes of what is not predicted of spectra (N, C, frames, bins, 2): (N, C, frames, bins).

    Silence precedes the first frame. A steady sine turns as much from X' to X as from X'' to X', and keeps its
    magnitude. So with the floor f and s = SOFTER the residual is

        X - X'² conj(X'') / √((|X'|² + f²) (|X''|² + (s |X'|)² + f²)).

    s makes little of an X'' that is much softer than X', as before a hit: no slope exceeds 1 / s. It leaves a steady
    sine a residual of s² / 2, -46 dB.
    """
    (now_real, real), (now_imaginary, imaginary) = ((part, F.pad(part, (0, 0, 2, 0))) for part in parted(spectra))
    power, square = real * real + imaginary * imaginary, floor * floor
    (real, real_before), (imaginary, imaginary_before), (power, power_before) = (
        (part[:, :, 1:-1], part[:, :, :-2]) for part in (real, imaginary, power)
    )
    scale = ((power + square) * (power_before + SOFTER**2 * power + square)).rsqrt()
    real, imaginary = (real * real - imaginary * imaginary) * scale, 2 * real * imaginary * scale
    real_off = now_real - real * real_before - imaginary * imaginary_before
    imaginary_off = now_imaginary - imaginary * real_before + real * imaginary_before
    return real_off * real_off + imaginary_off * imaginary_off
