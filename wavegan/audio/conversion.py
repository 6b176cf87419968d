"""Converts sound that comes in blocks to another sample rate and number of channels."""

from collections.abc import Iterator

import numpy as np

from wavegan.dsp.resampling import resampled
from wavegan.errors import DataError


def converted(
    blocks: Iterator[np.ndarray], from_rate: int, from_channels: int, to_rate: int, to_channels: int
) -> Iterator[np.ndarray]:
    """Yields the blocks' sound, float32 (frames, channels), at another rate and with other channels.

    Several channels become one by their mean; one becomes several by repetition. Raises DataError for channels that
    cannot become `to_channels`, and if no frame remains at the new rate.
    """
    if to_channels > 1 and from_channels not in (1, to_channels):
        raise DataError(
            f"has {from_channels} channels where data.channels is {to_channels}; only mono files are spread to "
            f"several; set data.channels to 1 or {from_channels}"
        )
    return _converted(blocks, from_rate, to_rate, to_channels)


def _converted(blocks: Iterator[np.ndarray], from_rate: int, to_rate: int, channels: int) -> Iterator[np.ndarray]:
    frames = 0
    for block in resampled((_mixed(block, channels) for block in blocks), from_rate, to_rate, channels):
        frames += len(block)
        yield block
    if frames == 0:
        raise DataError(f"is empty: it holds no samples at {to_rate} Hz")


def _mixed(block: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1:
        return block.mean(axis=1, keepdims=True)
    return np.repeat(block, channels // block.shape[1], axis=1)
