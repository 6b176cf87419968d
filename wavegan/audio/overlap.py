"""Sound of any length through a function of fixed windows."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


@torch.no_grad()
def overlapped(
    process: Callable[[Tensor], Tensor],
    sound: Tensor,
    window_samples: int,
    *,
    batch_size: int = 8,
    watch: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Tensor:
    """What process makes of a sound (C, T), of the same shape, type and device.

    process maps windows (N, C, window_samples), N at most batch_size, to the same shape. Windows start every half
    of their length; the last ones are filled up with silence. Where two overlap, one fades into the other by weights
    that add up to 1; the first half of the first window and the end of the last stand as they are:

        window 0   ------------\\
        window 1         /------------\\
        window 2                /------------

    The fade is a raised cosine: it trusts a window least at its edges, where a network sees nothing beyond.
    watch(numbers) gives the numbers of the batches one by one, so a caller can show progress. Two batches at
    most are held besides the sound and the result. Raises ValueError for windows that have no halves.
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
    """What process makes of the windows from first to before last, (N, C, 2 · hop)."""
    part = sound[:, first * hop : (last + 1) * hop]
    part = torch.nn.functional.pad(part, (0, (last + 1 - first) * hop - part.shape[1]))
    windows = part.unfold(1, 2 * hop, hop).transpose(0, 1).contiguous()
    made = process(windows)
    assert made.shape == windows.shape, f"process made {tuple(made.shape)} of {tuple(windows.shape)}"
    return made.to(sound)


def _write(result: Tensor, parts: Tensor, start: int) -> None:
    """Puts parts (N, C, hop) one after the other into (C, T) from start, and leaves out what is beyond the end."""
    line = parts.transpose(0, 1).flatten(1)[:, : max(0, result.shape[1] - start)]
    result[:, start : start + line.shape[1]] = line
