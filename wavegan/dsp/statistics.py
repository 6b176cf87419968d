"""Measures the mean and deviation of spectra over a corpus, bin by bin."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


@torch.no_grad()
def means_and_deviations(
    batches: Iterable[Tensor], spectrogram: Callable[[Tensor], Tensor], least_deviation: float
) -> tuple[Tensor, Tensor]:
    """Measures each bin over all clips, channels and frames, in one pass and in float64.

    batches: clips (N, C, T). spectrogram: clips to (N, C', bins, frames). Returns two float32 tensors (bins,) on the
    CPU; no deviation is below least_deviation, lest a bin that never varies be divided by zero.
    """
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for clips in batches:
        values = spectrogram(clips).to("cpu", torch.float64)  # not every accelerator has float64
        count += values.numel() // values.shape[2]
        total = total + values.sum((0, 1, 3))
        squares = squares + values.square().sum((0, 1, 3))
    assert count, "a corpus holds at least one clip"
    means = total / count
    deviations = (squares / count - means.square()).clamp(min=least_deviation**2).sqrt()
    return means.float(), deviations.float()
