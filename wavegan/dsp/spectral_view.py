"""Defines the common parts of spectral views: differentiable spectra of a clip, as a discriminator sees them.

A spectral view has a frame for every hop of a clip, centred on the middle of that hop, with silence beyond both ends:
ceil(T / hop) frames. So lengths that are multiples of the hop give the numbers of frames that strides divide, and the
first and the last sample lie half a hop from the middle of a frame, where the window is still near its peak.
With T // hop + 1 frames on the multiples of the hop, the last sample may lie a whole hop from it.

Spectra are divided by what a sine of amplitude 1 has in the middle of a bin, so that levels are in dB relative to full
scale. The bin at half the sample rate is left out, so that window / 2 bins remain. Everything is computed in float32
also under autocast, as bf16 has 8 bits and a floor of -80 dB needs 14; float64 stays float64.

The floor is soft: nothing is clamped, so gradients pass at every level. f is the floor's magnitude, 10^(floor_db / 20).
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.channels import channel_mix
from wavegan.dsp.frames import framed, precise, real_transform
from wavegan.dsp.statistics import means_and_deviations
from wavegan.dsp.stft import full_scale

LOWEST_FLOOR = -120.0  # below it the rounding of float32 beside a full-scale sine is louder than the floor
HIGHEST_FLOOR = -20.0


class SpectralView(nn.Module):
    """Holds the parts that spectral views share: frames, the floor's magnitude, statistics of each row (bin or band).

    `means` and `deviations` (rows,) are buffers: 0 and 1 until `measure` sets them. With `coordinate` the last channel
    is each row's place, from -1 to 1: convolutions alone do not know how high they are. differences_beside: clips of
    several `channels` have their differences as further channels, with statistics of their own; of stereo half of left
    minus right (side). Without them the magnitudes of two channels are the same in phase and in opposite phase.
    Steinmetz et al. (2021, arXiv:2010.10291) compare sums and differences of stereo.
    """

    gives = "spectrum"
    needs_statistics = True
    means: Tensor
    deviations: Tensor
    subtract: Tensor

    def __init__(
        self,
        window: int,
        hop: int,
        rows: int,
        floor_db: float,
        least_deviation: float,
        *,
        coordinate: bool,
        maps: int = 1,
        channels: int = 1,
        differences_beside: bool = False,
    ):
        super().__init__()
        if window < 4 or window % 2:
            raise ValueError(
                f"window is {window}; it must be even and 4 samples or more; try {max(4, window // 2 * 2)}"
            )
        if not 0 < hop <= window // 2:  # else samples between two frames would have no gradient
            raise ValueError(
                f"hop is {hop}; it must be between 1 and half of the window of {window}; try {window // 4}"
            )
        if not LOWEST_FLOOR <= floor_db <= HIGHEST_FLOOR:
            raise ValueError(f"floor_db is {floor_db}; it must be from {LOWEST_FLOOR:g} to {HIGHEST_FLOOR:g}; try -80")
        self.window, self.hop = window, hop
        self.floor = 10 ** (floor_db / 20)
        self.least_deviation, self.maps, self.coordinate = least_deviation, maps, coordinate
        self.differences = channels - 1 if differences_beside else 0
        self.groups = [channels, self.differences] if self.differences else None
        self.rows, statistics = rows, (1 + (self.differences > 0)) * maps * rows
        self.register_buffer("means", torch.zeros(statistics))
        self.register_buffer("deviations", torch.ones(statistics))
        self.register_buffer("subtract", channel_mix(channels)[1:] / channels**0.5, persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        values = self._precise_values(clips)
        means, deviations = (self._of_channels(buffer.to(values.dtype)) for buffer in (self.means, self.deviations))
        values = (values - means) / deviations  # (N, C', maps · rows, frames)
        values = values if self.maps == 1 else values.unflatten(2, (self.maps, -1)).flatten(1, 2)
        return torch.cat([values, _places(values)], dim=1) if self.coordinate else values

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Sets the statistics to those of clips, which come in batches (N, C, T) and are passed over once."""
        means, deviations = means_and_deviations(
            batches, self._precise_values, self.least_deviation, groups=self.groups
        )
        self.means.copy_(means)
        self.deviations.copy_(deviations)

    def shape(self, channels: int, clip_samples: int) -> tuple[int, ...]:
        """Returns (maps · channels, rows, frames), the shape of one clip's view; any length will do.

        Differences are further channels, and a coordinate is one more.
        """
        return self.maps * (channels + self.differences) + self.coordinate, self.rows, -(-clip_samples // self.hop)

    def _of_channels(self, statistics: Tensor) -> Tensor:
        """Spreads statistics over the channels that share them: (C', maps · rows, 1), or (maps · rows, 1) for all."""
        if not self.groups:
            return statistics[:, None]
        of_channels, of_differences = statistics.view(2, 1, -1, 1)
        return torch.cat([of_channels.expand(self.groups[0], -1, 1), of_differences.expand(self.groups[1], -1, 1)])

    def _precise_values(self, clips: Tensor) -> Tensor:
        """Computes `_values` in float32, or in float64 if the clips are, and puts rows before frames."""
        with torch.autocast(clips.device.type, enabled=False):
            clips = precise(clips)
            if self.differences:
                clips = torch.cat([clips, self.subtract.to(clips.dtype) @ clips], dim=1)
            return self._values(clips).transpose(-2, -1)

    def _values(self, clips: Tensor) -> Tensor:
        """Transforms (N, C, T) to (N, C', frames, rows), not yet centred and scaled."""
        raise NotImplementedError

    def _spectra(self, clips: Tensor) -> Tensor:
        """Transforms (N, C, T) to real and imaginary parts (N, C, frames, window / 2 bins, 2); full scale is 1."""
        samples = clips.shape[-1]
        before = (self.window - self.hop) // 2
        end = (-(-samples // self.hop) - 1) * self.hop + self.window - before  # of the last frame
        frames = framed(F.pad(clips, (before, end - samples)), window=self.window, hop=self.hop)
        hann = torch.hann_window(self.window, dtype=clips.dtype, device=clips.device) / full_scale(self.window)
        return real_transform(frames * hann)[..., :-1, :]


def _places(values: Tensor) -> Tensor:
    """Returns the place of each row of values (N, C, rows, frames), from -1 to 1: (N, 1, rows, frames)."""
    places = torch.linspace(-1, 1, values.shape[2], dtype=values.dtype, device=values.device)
    return places[:, None].expand(len(values), 1, -1, values.shape[3])
