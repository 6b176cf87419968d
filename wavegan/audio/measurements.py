"""Measures an item's sound while it is decoded: its level, offset and clipping, and whether its channels agree."""

import numpy as np

MEASUREMENTS = np.dtype(
    [
        ("file_rate", "i4"),  # Hz, before conversion
        ("file_channels", "i2"),  # before conversion
        ("peak", "f4"),  # of the converted sound, before it is scaled
        ("offset", "f4"),  # mean of the converted sound: the channel with the largest
        ("clipped", "f4"),  # share of the file's samples that lie on a flat top at full scale
        ("correlation", "f4"),  # of the first two channels, before they are mixed; NaN for mono
        ("lead", "f4"),  # seconds before the sound comes within 40 dB of its peak
    ]
)
FLAT_LEVEL = 0.98  # full scale of 8-bit sound and of sound that was clipped a little below 1
CANCELLED = 10 ** (-40 / 10)  # a mix with a smaller share of its loudest channel's power is only a residue


class FileMeter:
    """Measures the blocks of a file, (frames, channels) float32, as they are in the file."""

    def __init__(self) -> None:
        self.samples = self.flat = 0
        self.products = np.zeros((2, 2))  # of the first two channels with each other, summed
        self.loudest = self.mixed = 0.0  # summed squares: of the loudest channel, of the mean of all

    def add(self, block: np.ndarray) -> None:
        """Measures the next block."""
        self.samples += block.size
        if len(block) and max(block.max(), -block.min()) >= FLAT_LEVEL:
            self.flat += int((np.diff(block, axis=0) == 0)[np.abs(block[1:]) >= FLAT_LEVEL].sum())
        if block.shape[1] > 1:
            first = block[:, :2]
            self.products += first.T @ first
            self.loudest += float(np.square(block).sum(0).max())
            self.mixed += float(np.square(block.mean(1)).sum())

    @property
    def clipped(self) -> float:
        """Returns the share of the samples that lie on a flat top at full scale."""
        return self.flat / max(self.samples, 1)

    @property
    def correlation(self) -> float:
        """Returns the correlation of the first two channels, from -1 to 1; NaN for mono or a silent channel."""
        power = self.products[0, 0] * self.products[1, 1]
        return float(self.products[0, 1] / power**0.5) if power > 0 else float("nan")

    @property
    def cancels(self) -> bool:
        """Says whether the channels cancel each other when they are mixed."""
        return self.loudest > 0 and self.mixed < CANCELLED * self.loudest


class LevelMeter:
    """Measures the blocks of converted sound, (frames, channels) float32."""

    def __init__(self, channels: int) -> None:
        self.frames = 0
        self.total = np.zeros(channels)
        self.lowest, self.highest = np.full(channels, np.inf), np.full(channels, -np.inf)

    def add(self, block: np.ndarray) -> None:
        """Measures the next block."""
        if not len(block):
            return
        self.frames += len(block)
        self.total += block.sum(0, dtype=np.float64)
        self.lowest = np.minimum(self.lowest, block.min(0))
        self.highest = np.maximum(self.highest, block.max(0))

    @property
    def mean(self) -> np.ndarray:
        """Returns the mean of each channel, (channels,): its offset from zero."""
        return self.total / max(self.frames, 1)

    def peak(self, offset: np.ndarray | float = 0.0) -> float:
        """Returns the largest distance of a sample from `offset`."""
        return float(np.maximum(self.highest - offset, offset - self.lowest).max()) if self.frames else 0.0
