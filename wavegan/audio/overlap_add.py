"""Applies a function of fixed windows to sound of any length."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


@torch.no_grad()
def overlap_add(
    process: Callable[[Tensor], Tensor],
    sound: Tensor,
    window_samples: int,
    *,
    batch_size: int = 8,
    watch: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Tensor:
    """Applies `process` to overlapping windows of a sound (C, T); returns the same shape, type and device.

    process maps windows (N, C, window_samples), N at most batch_size, to the same shape. The hop is half a window; the
    last windows are padded with silence. Where two windows overlap, one fades into the other by weights that add up to
    1. The first half of the first window and the last half of the last one are not weighted:

        window 0   ------------\\
        window 1         /------------\\
        window 2                /------------

    The fade is a raised cosine. It gives the edges of a window the least weight, because a network sees nothing beyond
    them. watch(indices) yields the indices of the batches one by one, so a caller can show progress. At most two
    batches are in memory besides the sound and the result. Raises ValueError if window_samples is not a positive even
    number.
    """
    if window_samples < 2 or window_samples % 2:
        raise ValueError(f"window_samples is {window_samples}; halves overlap, so it must be even; add one sample")
    hop = window_samples // 2
    windows = max(1, math.ceil(sound.shape[1] / hop) - 1)
    rise = torch.sin(math.pi / 2 * (torch.arange(hop, dtype=torch.float64) + 0.5) / hop).square().to(sound)
    result, fading = torch.empty_like(sound), None
    for batch in watch(range(math.ceil(windows / batch_size))):
        first, last = batch * batch_size, min(windows, (batch + 1) * batch_size)
        heads, tails = _processed(process, sound, first, last, hop).chunk(2, dim=2)  # (N, C, hop) each
        before = torch.cat([heads[:1] if fading is None else fading, tails[:-1]])
        _write(result, torch.lerp(before, heads, rise), first * hop)
        fading = tails[-1:]
    assert fading is not None, "watch gave no batch"
    _write(result, fading, windows * hop)
    return result


def _processed(process: Callable[[Tensor], Tensor], sound: Tensor, first: int, last: int, hop: int) -> Tensor:
    """Applies `process` to the windows from `first` up to, not including, `last`: (N, C, 2 · hop)."""
    part = sound[:, first * hop : (last + 1) * hop]
    part = torch.nn.functional.pad(part, (0, (last + 1 - first) * hop - part.shape[1]))
    windows = part.unfold(1, 2 * hop, hop).transpose(0, 1).contiguous()
    outputs = process(windows)
    assert outputs.shape == windows.shape, f"process made {tuple(outputs.shape)} of {tuple(windows.shape)}"
    return outputs.to(sound)


def _write(result: Tensor, parts: Tensor, start: int) -> None:
    """Writes parts (N, C, hop) one after the other into (C, T) from start; drops samples beyond the end."""
    line = parts.transpose(0, 1).flatten(1)[:, : max(0, result.shape[1] - start)]
    result[:, start : start + line.shape[1]] = line
