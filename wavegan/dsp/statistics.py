"""Measures the mean and deviation of spectra over a corpus, bin by bin."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


@torch.no_grad()
def means_and_deviations(
    batches: Iterable[Tensor],
    spectrogram: Callable[[Tensor], Tensor],
    least_deviation: float,
    *,
    groups: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Measures each bin over all clips, channels and frames, in one pass and in float64.

    batches: clips (N, C, T). spectrogram: clips to (N, C', bins, frames). groups: how many of the C' channels, one
    after the other, share their statistics; all do unless it is given. Returns two float32 tensors (groups · bins,) on
    the CPU; no deviation is below least_deviation, lest a bin that never varies be divided by zero.
    """
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for clips in batches:
        values = spectrogram(clips).to("cpu", torch.float64)  # not every accelerator has float64
        count += values.shape[0] * values.shape[3]
        total = total + values.sum((0, 3))
        squares = squares + values.square().sum((0, 3))
    assert count, "a corpus holds at least one clip"
    parts = [[group.mean(0) / count for group in sums.split(groups or len(sums))] for sums in (total, squares)]
    means, squares = (torch.cat(part) for part in parts)
    deviations = (squares - means.square()).clamp(min=least_deviation**2).sqrt()
    return means.float(), deviations.float()
