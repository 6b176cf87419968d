"""Defines views, the forms in which a discriminator sees clips: differentiable functions of (N, C, T) in [-1, 1]."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan import settings
from wavegan.dsp.frames import framed, precise
from wavegan.dsp.spectral_views import ComplexSpectrum, LogMagnitude, LogMel
from wavegan.dsp.statistics import means_and_deviations

LEAST_DEVIATION = 1e-4  # of a waveform, -80 dBFS
LOW_RATE_BLOCK = 16


class Waveform(nn.Module):
    """Shows the clips themselves, (N, C, T)."""

    gives = "waveform"
    needs_statistics = False

    def forward(self, clips: Tensor) -> Tensor:
        return clips

    def shape(self, channels: int, clip_samples: int) -> tuple[int, ...]:
        """Returns (channels, clip_samples)."""
        return channels, clip_samples

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Does nothing: the waveform needs no statistics."""


class _Scaled(nn.Module):
    """Holds the parts that views of samples share: it divides values by the deviation of those of all clips."""

    needs_statistics = True
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("deviation", torch.ones(()))

    def forward(self, clips: Tensor) -> Tensor:
        with torch.autocast(clips.device.type, enabled=False):
            clips = precise(clips)
            return self._values(clips) / self.deviation.to(clips.dtype)

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Sets the deviation to that of clips, which come in batches (N, C, T) and are passed over once."""
        _, deviations = means_and_deviations(
            batches, lambda clips: self._values(clips).flatten(2).unsqueeze(2), LEAST_DEVIATION
        )
        self.deviation.copy_(deviations[0])

    def _values(self, clips: Tensor) -> Tensor:
        """Computes the values (N, C, …) of clips (N, C, T), not yet scaled."""
        raise NotImplementedError


class LowRate(_Scaled):
    """Shows the lowest 1 / factor of the band at 1 / factor of the sample rate: (N, C, ceil(T / factor)).

    So a small network sees the phases of low partials, which spectra hardly show. The filter is a windowed sinc of
    16 · factor samples. Values are divided by the deviation of those of all clips, which `measure` sets.
    """

    gives = "waveform"
    filter: Tensor

    def __init__(self, factor: settings.Factor = 8):
        super().__init__()
        self.factor = factor
        block, reach = LOW_RATE_BLOCK * factor, 8 * factor
        # One product maps a block of samples and both its neighbours to the samples that stand for the block.
        distance = torch.arange(-block, 2 * block)[:, None] - torch.arange(LOW_RATE_BLOCK) * factor
        window = (0.5 + 0.5 * torch.cos(math.pi * distance / reach)) * (distance.abs() < reach)
        self.register_buffer("filter", torch.sinc(distance / factor) * window / factor, persistent=False)

    def shape(self, channels: int, clip_samples: int) -> tuple[int, ...]:
        """Returns (channels, ceil(clip_samples / factor)); any length will do."""
        return channels, -(-clip_samples // self.factor)

    def _values(self, clips: Tensor) -> Tensor:
        samples, block = clips.shape[-1], LOW_RATE_BLOCK * self.factor
        padded = F.pad(clips, (block, block + -samples % block))
        low = framed(padded, window=3 * block, hop=block) @ self.filter.to(clips.dtype)
        return low.flatten(-2)[..., : -(-samples // self.factor)]


class Period(_Scaled):
    """Shows the clip as an image: every column is the next `period` samples, (N, C, period, ceil(T / period)).

    So a row holds one sample in `period`, and a discriminator of spectra compares neighbours in both directions (Kong
    et al. 2020, HiFi-GAN). Silence fills the last column. Values are divided by the deviation of those of all clips,
    which `measure` sets.
    """

    gives = "spectrum"

    def __init__(self, period: settings.Period = 8):
        super().__init__()
        self.period = period

    def shape(self, channels: int, clip_samples: int) -> tuple[int, ...]:
        """Returns (channels, period, ceil(clip_samples / period)); any length will do."""
        return channels, self.period, -(-clip_samples // self.period)

    def _values(self, clips: Tensor) -> Tensor:
        padded = F.pad(clips, (0, -clips.shape[-1] % self.period))
        return padded.unflatten(-1, (-1, self.period)).transpose(-2, -1)


View = Waveform | LowRate | Period | LogMagnitude | LogMel | ComplexSpectrum
"""Turns clips into the form that a discriminator sees; has `shape`, `measure` and `needs_statistics`."""

VIEWS: dict[str, type[View]] = {
    "waveform": Waveform,
    "low_rate": LowRate,
    "period": Period,
    "log_magnitude": LogMagnitude,
    "log_mel": LogMel,
    "complex": ComplexSpectrum,
}
