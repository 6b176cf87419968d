"""Converts clips to the form that a generator outputs and back: the waveform itself, or SpecGAN's log spectrogram."""

from collections.abc import Iterable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.griffin_lim import griffin_lim
from wavegan.dsp.statistics import means_and_deviations
from wavegan.dsp.stft import stft

LEAST_MAGNITUDE = 1e-6
LEAST_DEVIATION = 1e-3  # of a log magnitude: a hundredth of a decibel, for bins that never vary


class Representation(Protocol):
    """Converts clips (N, C, T) in [-1, 1] to the form that the networks work on, and back."""

    name: str
    needs_statistics: bool

    def encode(self, clips: Tensor) -> Tensor:
        """Turns clips (N, C, T) into the form of a generator's output, in [-1, 1], on the same device."""
        ...

    def decode(self, x: Tensor) -> Tensor:
        """Turns a generator's output into clips (N, C, T), which may exceed ±1, on the same device."""
        ...

    def shape(self, channels: int, clip_samples: int) -> tuple[int, ...]:
        """Returns the shape of one encoded clip. Raises ValueError for a clip length that does not fit."""
        ...

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Measures the statistics of clips (N, C, T), if it needs any."""
        ...


class Waveform(nn.Module):
    """Keeps clips as they are, (C, T)."""

    name = "waveform"
    needs_statistics = False

    def encode(self, clips: Tensor) -> Tensor:
        """Returns the same clips."""
        return clips

    def decode(self, x: Tensor) -> Tensor:
        """Returns the same clips."""
        return x

    def shape(self, channels: int, clip_samples: int) -> tuple[int, ...]:
        """Returns (channels, clip_samples)."""
        return channels, clip_samples

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Does nothing."""


class LogSpectrogram(nn.Module):
    """Shows log magnitudes (C, window / 2 bins, frames), a frame every hop samples (Donahue et al. 2018, section 3.4).

    A value of 1 or -1 lies clip_deviations deviations from the bin's mean over the training data; values further off
    are clipped. `means` and `deviations` (bins,) are buffers, which `measure` sets. The bin at half the sample rate is
    left out. iterations: Griffin-Lim steps of `decode`, each of which improves the phase. Raises ValueError for a hop
    of more than half a window.
    """

    name = "log_spectrogram"
    needs_statistics = True
    means: Tensor
    deviations: Tensor

    def __init__(self, *, window: int = 256, hop: int = 128, clip_deviations: float = 3.0, iterations: int = 16):
        super().__init__()
        if not 0 < hop <= window // 2:
            raise ValueError(
                f"hop is {hop}; it must be between 1 and half of the window of {window}; try {window // 2}"
            )
        self.window, self.hop = window, hop
        self.clip_deviations, self.iterations = clip_deviations, iterations
        self.register_buffer("means", torch.zeros(window // 2, dtype=torch.float32))
        self.register_buffer("deviations", torch.ones(window // 2, dtype=torch.float32))

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Sets the statistics to those of clips, which come in batches (N, C, T) and are passed over once."""
        means, deviations = means_and_deviations(batches, self._log_magnitudes, LEAST_DEVIATION)
        self.means.copy_(means)
        self.deviations.copy_(deviations)

    def encode(self, clips: Tensor) -> Tensor:
        """Turns clips (N, C, T) into (N, C, bins, T / hop) in [-1, 1]."""
        means, scales = self._means_and_scales(clips)
        return ((self._log_magnitudes(clips) - means) / scales).clamp(-1, 1)

    def decode(self, x: Tensor) -> Tensor:
        """Turns (N, C, bins, frames) into clips (N, C, frames · hop), without sound in the bin that was left out."""
        means, scales = self._means_and_scales(x)
        magnitude = ((x.to(means.dtype) * scales + means).exp() - LEAST_MAGNITUDE).clamp(min=0)
        return griffin_lim(F.pad(magnitude, (0, 0, 0, 1)), self.iterations, window=self.window, hop=self.hop)

    def shape(self, channels: int, clip_samples: int) -> tuple[int, ...]:
        """Returns (channels, bins, clip_samples / hop). Raises ValueError where hop does not divide the clip."""
        if clip_samples < self.hop or clip_samples % self.hop:
            nearest = max(1, round(clip_samples / self.hop)) * self.hop
            raise ValueError(
                f"clip_samples is {clip_samples}; a log spectrogram has a frame for every {self.hop} samples, "
                f"so it must be a multiple of that; try {nearest}"
            )
        return channels, len(self.means), clip_samples // self.hop

    def _log_magnitudes(self, clips: Tensor) -> Tensor:
        """Transforms (N, C, T) to (N, C, bins, frames)."""
        return (stft(clips, window=self.window, hop=self.hop)[..., :-1, :].abs() + LEAST_MAGNITUDE).log()

    def _means_and_scales(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the values that are shown as 0, and their distances to those shown as 1: (bins, 1) each."""
        means, deviations = self.means.to(like.device), self.deviations.to(like.device)
        return means[:, None], self.clip_deviations * deviations[:, None]
