"""Makes spectra of pulse trains, a source whose harmonics hold together as those of a voice or a string do."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.frames import real_transform

LOWEST = 2.0  # cycles a window; at 16 kHz and 512 samples 62 Hz
OCTAVES = 4.0
BAND = 0.4  # B as a share of the band
LEAST_HEIGHT = -40.0  # as a natural logarithm; denormal numbers make arithmetic slow


class Frequencies(nn.Module):
    """Turns pitches of any shape, any numbers, into cycles a sample; 0 is the middle of four octaves."""

    def __init__(self, window: int):
        super().__init__()
        self.lowest = LOWEST / window

    def forward(self, pitches: Tensor) -> Tensor:
        return self.lowest * torch.exp2(OCTAVES * torch.sigmoid(pitches))


class Pulses(nn.Module):
    """Turns pitches (N, frames) into spectra (N, 1, frames, bins, 2), as loud as hiss: a mean square of 2 in a bin.

    A pitch is any number; 0 is the middle of four octaves. A pulse train is exp(κ (cos φ - 1)). For κ = (B / pitch)²
    the level of its harmonic at the frequency F falls as exp(-F² / 2 B²), whatever the pitch. Dividing by that makes
    all harmonics equally loud. The pitch is constant within a frame; the phase in the middle of a frame is the sum of
    all cycles so far. The gradient reaches a pitch through its own frame alone: through the phases of all later frames
    it would be noise. A source and a filter: Wang, Takaki and Yamagishi (2019, neural source-filter), Engel et al.
    (2020, DDSP).
    """

    whitening: Tensor

    def __init__(self, window: int, hop: int):
        super().__init__()
        self.window, self.hop = window, hop
        self.frequencies = Frequencies(window)
        places = torch.arange(window // 2 + 1) / (BAND * window / 2)
        self.register_buffer("whitening", (places.square() / 2).exp()[:, None] * (2 / window), persistent=False)

    def forward(self, pitches: Tensor) -> Tensor:
        cycles = self.frequencies(pitches)
        times = torch.arange(self.window, device=cycles.device) - self.window / 2
        phases = self._middles(cycles.detach())[..., None] + cycles[..., None] * times
        sharpness, gain = self._shape(cycles.detach())
        height = -2 * sharpness[..., None] * (math.pi * phases).sin().square()  # cos φ - 1 would cancel
        pulses = gain[..., None] * height.clamp(min=LEAST_HEIGHT).exp()
        return (real_transform(pulses) * self.whitening).unsqueeze(1)

    def _middles(self, cycles: Tensor) -> Tensor:
        """Computes the phases (N, frames) in the middle of the frames, in cycles below 1."""
        steps = (cycles[:, 1:] + cycles[:, :-1]) * (self.hop / 2)
        fractions = F.pad(steps.remainder(1), (1, 0))  # whole cycles would cost float32 its digits
        if torch.compiler.is_exporting():  # adds up in float64, as torch does on a CPU by itself
            return fractions.double().cumsum(1).float().remainder(1)
        return fractions.cumsum(1).remainder(1)

    def _shape(self, cycles: Tensor) -> tuple[Tensor, Tensor]:
        """Computes κ and the height of a pulse; a height of 1 gives each harmonic 2 · pitch / (√2π B)."""
        band = BAND / 2
        height = math.sqrt(2 * math.pi) * band / (2 * cycles)
        return (band / cycles).square(), height * (2 * cycles * self.window).sqrt()
