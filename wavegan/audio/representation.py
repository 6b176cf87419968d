"""What the networks see of a clip: the waveform itself, or a log spectrogram as SpecGAN's authors have it."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from wavegan.audio.spectral import BINS, HOP_SAMPLES, griffin_lim, stft

LEAST_MAGNITUDE = 1e-6
LEAST_DEVIATION = 1e-3  # of a log magnitude: a hundredth of a decibel, for bins that never vary
ITERATIONS = 16


class Representation(Protocol):
    """A way to show clips (N, C, T) in [-1, 1] to the networks, and to make clips of what they give."""

    name: str

    def encode(self, clips: Tensor) -> Tensor:
        """Clips (N, C, T) as the networks see them, in [-1, 1], on the same device."""
        ...

    def decode(self, x: Tensor) -> Tensor:
        """Clips (N, C, T) in [-1, 1] of what the networks see or make, on the same device."""
        ...

    def shape(self, clip_samples: int, channels: int) -> tuple[int, ...]:
        """What the networks see of one clip. Raises ValueError for a clip length that does not fit."""
        ...

    def state(self) -> dict[str, Any]:
        """Its name, and what else it must keep: plain values and tensors on the CPU."""
        ...


class Waveform:
    """The clips themselves, (C, T)."""

    name = "waveform"

    def encode(self, clips: Tensor) -> Tensor:
        """The same clips."""
        return clips

    def decode(self, x: Tensor) -> Tensor:
        """The same clips, cut to [-1, 1]."""
        return x.clamp(-1, 1)

    def shape(self, clip_samples: int, channels: int) -> tuple[int, ...]:
        """(channels, clip_samples)."""
        return channels, clip_samples

    def state(self) -> dict[str, Any]:
        """Its name."""
        return {"name": self.name}


class LogSpectrogram:
    """Log magnitudes (C, 128 bins, frames), a frame for every 128 samples (Donahue et al. 2018, section 3.4).

    means, deviations: (128,), of each bin's log magnitude over the training data. A value of 1 or -1 is
    clip_deviations deviations from the mean, and what is further off is cut. The bin at half the sample rate is left
    out. iterations: how often the phase is improved on the way back.
    """

    name = "log_spectrogram"

    def __init__(
        self, means: Tensor, deviations: Tensor, *, clip_deviations: float = 3.0, iterations: int = ITERATIONS
    ):
        self.means, self.deviations = means, deviations
        self.clip_deviations = clip_deviations
        self.iterations = iterations
        self._there: dict[torch.device, tuple[Tensor, Tensor]] = {}

    @classmethod
    def of(cls, batches: Iterable[Tensor], *, clip_deviations: float = 3.0, iterations: int = ITERATIONS) -> Self:
        """With the statistics of clips, which come in batches (N, C, T) and are passed over once."""
        count = 0
        total, squares = torch.zeros(2, BINS - 1, dtype=torch.float64)
        for clips in batches:
            levels = _levels(clips).to("cpu", torch.float64)  # not every accelerator has float64
            count += levels.numel() // len(total)
            total += levels.sum((0, 1, 3))
            squares += levels.square().sum((0, 1, 3))
        assert count, "a corpus holds at least one clip"
        means = total / count
        deviations = (squares / count - means.square()).clamp(min=LEAST_DEVIATION**2).sqrt()
        return cls(means.float(), deviations.float(), clip_deviations=clip_deviations, iterations=iterations)

    @classmethod
    def restored(
        cls, state: Mapping[str, Any], *, clip_deviations: float | None = None, iterations: int | None = None
    ) -> Self:
        """As its `state` was, but for what is given."""
        return cls(
            state["means"],
            state["deviations"],
            clip_deviations=state["clip_deviations"] if clip_deviations is None else clip_deviations,
            iterations=state["iterations"] if iterations is None else iterations,
        )

    def encode(self, clips: Tensor) -> Tensor:
        """Clips (N, C, T) to (N, C, 128, T / 128) in [-1, 1]."""
        means, scales = self._means_and_scales(clips.device)
        return ((_levels(clips) - means) / scales).clamp(-1, 1)

    def decode(self, x: Tensor) -> Tensor:
        """(N, C, 128, frames) to clips (N, C, frames · 128) in [-1, 1], with no sound in the bin that was left out."""
        means, scales = self._means_and_scales(x.device)
        magnitude = ((x.to(means.dtype) * scales + means).exp() - LEAST_MAGNITUDE).clamp(min=0)
        return griffin_lim(F.pad(magnitude, (0, 0, 0, 1)), self.iterations)

    def shape(self, clip_samples: int, channels: int) -> tuple[int, ...]:
        """(channels, 128, clip_samples / 128)."""
        if clip_samples < HOP_SAMPLES or clip_samples % HOP_SAMPLES:
            nearest = max(1, round(clip_samples / HOP_SAMPLES)) * HOP_SAMPLES
            raise ValueError(
                f"clip_samples is {clip_samples}; a log spectrogram has a frame for every {HOP_SAMPLES} samples, "
                f"so it must be a multiple of that; try {nearest}"
            )
        return channels, BINS - 1, clip_samples // HOP_SAMPLES

    def state(self) -> dict[str, Any]:
        """Its name, statistics and settings."""
        return {
            "name": self.name,
            "means": self.means,
            "deviations": self.deviations,
            "clip_deviations": self.clip_deviations,
            "iterations": self.iterations,
        }

    def _means_and_scales(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """(128, 1) each: the value that is shown as 0, and what lies between it and the one that is shown as 1."""
        if device not in self._there:  # once, as a copy makes an accelerator wait
            scales = self.clip_deviations * self.deviations
            self._there[device] = self.means[:, None].to(device), scales[:, None].to(device)
        return self._there[device]


def _levels(clips: Tensor) -> Tensor:
    """Log magnitudes (N, C, 128, frames)."""
    return (stft(clips)[..., :-1, :].abs() + LEAST_MAGNITUDE).log()
