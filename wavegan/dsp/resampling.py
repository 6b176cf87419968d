"""Changes the sample rate of sound that comes in blocks."""

from collections.abc import Iterator

import numpy as np
import soxr


def resampled(blocks: Iterator[np.ndarray], rate: int, new_rate: int, channels: int) -> Iterator[np.ndarray]:
    """Yields the blocks' sound at the new rate (soxr, HQ), the same blocks where both rates are equal.

    blocks: float32 (frames, channels). The results are too, of other lengths.

    >>> second = iter([np.zeros((22050, 1), np.float32), np.zeros((22050, 1), np.float32)])
    >>> sum(len(block) for block in resampled(second, 44100, 16000, 1))
    16000
    """
    if rate == new_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, new_rate, channels, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)
