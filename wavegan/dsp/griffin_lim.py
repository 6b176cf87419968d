"""Finds clips for magnitudes whose phases are lost."""

import torch
from torch import Tensor

from wavegan.dsp.stft import inverse_stft, stft


@torch.no_grad()
def griffin_lim(magnitude: Tensor, iterations: int, *, window: int, hop: int) -> Tensor:
    """Makes clips (..., frames · hop) in [-1, 1] with about these magnitudes (Griffin & Lim 1984, section 3).

    magnitude: (..., window / 2 + 1, frames), as `stft(clips).abs()`. The phase is zero at first. Each iteration then
    replaces it by the phase of the clips so far.
    """
    clips = inverse_stft(magnitude.to(magnitude.dtype.to_complex()), window=window, hop=hop).clamp(-1, 1)
    for _ in range(iterations):
        phase = stft(clips, window=window, hop=hop).angle()
        clips = inverse_stft(torch.polar(magnitude, phase), clips, window=window, hop=hop).clamp(-1, 1)
    return clips
