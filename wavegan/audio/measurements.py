"""Measures an item's sound while it is decoded: its level, offset and clipping, and whether its channels agree."""

import numpy as np

MEASUREMENTS = np.dtype(
    [
        ("file_rate", "i4"),  # Hz, before conversion
        ("file_channels", "i2"),  # before conversion
        ("peak", "f4"),  # of the converted sound before it is scaled; from its mean, where the mean is subtracted
        ("offset", "f4"),  # mean of the converted sound: the channel with the largest
        ("clipped", "f4"),  # share of the file's samples that lie on a flat top at full scale
        ("correlation", "f4"),  # the lowest of any two channels, before they are mixed; NaN with one that has sound
        ("lead", "f4"),  # seconds before the sound comes within 40 dB of its peak
    ]
)
FLAT_LEVEL = 0.98  # full scale of 8-bit sound and of sound that was clipped a little below 1
LEAST_POWER = 1e-12  # of a channel that has sound; less is the rounding of a mean that was subtracted
CANCELLED = 10 ** (-40 / 10)  # a mix with a smaller share of its loudest channel's power is only a residue


class FileMeter:
    """Measures the blocks of a file, (frames, channels) float32, as they are in the file."""

    def __init__(self) -> None:
        self.samples = self.flat = self.frames = 0
        self.sums = np.zeros(1)  # of each channel
        self.products = np.zeros((1, 1))  # of the channels with each other, summed

    def add(self, block: np.ndarray) -> None:
        """Measures the next block."""
        self.samples += block.size
        self.frames += len(block)
        if len(block) and max(block.max(), -block.min()) >= FLAT_LEVEL:
            self.flat += int((np.diff(block, axis=0) == 0)[np.abs(block[1:]) >= FLAT_LEVEL].sum())
        if block.shape[1] > 1:
            exact = block.astype(np.float64)
            self.sums = self.sums + exact.sum(0)
            self.products = self.products + exact.T @ exact

    @property
    def clipped(self) -> float:
        """Returns the share of the samples that lie on a flat top at full scale."""
        return self.flat / max(self.samples, 1)

    @property
    def correlation(self) -> float:
        """Returns the lowest correlation of two channels, from -1 to 1; NaN if fewer than two have sound."""
        covariances = self._covariances
        powers = np.diag(covariances)
        heard = np.flatnonzero(powers > LEAST_POWER)
        if len(heard) < 2:
            return float("nan")
        loud = covariances[np.ix_(heard, heard)]
        return float(np.clip(loud / np.sqrt(np.outer(powers[heard], powers[heard])), -1, 1).min())

    @property
    def cancels(self) -> bool:
        """Says whether the channels cancel each other when they are mixed."""
        covariances = self._covariances
        loudest = float(np.diag(covariances).max())
        return loudest > LEAST_POWER and float(covariances.mean()) < CANCELLED * loudest  # the mean is that of the mix

    @property
    def _covariances(self) -> np.ndarray:
        frames = max(self.frames, 1)
        return self.products / frames - np.outer(self.sums, self.sums) / frames**2


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
