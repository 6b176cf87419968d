"""Trains of pulses as spectra: a source whose harmonics hold together, as those of a voice or a string do."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.frames import real_transform

LOWEST = 2.0  # cycles a window; at 16 kHz and 512 samples 62 Hz
OCTAVES = 4.0
BAND = 0.4  # of the band: harmonics up to there are in every pulse with a like part
LEAST_HEIGHT = -40.0  # a natural logarithm; numbers near the least that there are make arithmetic slow


class Pulses(nn.Module):
    """Pitches (N, frames) to spectra (N, 1, frames, bins, 2) with a mean square of 2 in a bin, as those of the hiss.

    A pitch is any number; 0 is the middle of four octaves. A pulse train is exp(κ (cos φ - 1)), whose harmonic at the
    frequency F has a level that falls as exp(-F² / 2 B²) for κ = (B / pitch)², the same for every pitch: so it is
    divided out, and all harmonics are alike. Within a frame the pitch stays; the phase in its middle is the sum of all
    cycles so far. The gradient moves the pitch of a frame, not the phase that it leaves to later ones, by which each
    frame would be pushed about by all that follow. A source of pulses or sines and a filter are Wang, Takaki and
    Yamagishi's (2019, neural source-filter) and Engel et al.'s (2020, DDSP).
    """

    whitening: Tensor

    def __init__(self, window: int, hop: int):
        super().__init__()
        self.window, self.hop = window, hop
        places = torch.arange(window // 2 + 1) / (BAND * window / 2)
        self.register_buffer("whitening", (places.square() / 2).exp()[:, None] * (2 / window), persistent=False)

    def forward(self, pitches: Tensor) -> Tensor:
        cycles = LOWEST / self.window * torch.exp2(OCTAVES * torch.sigmoid(pitches))  # a sample
        times = torch.arange(self.window, device=cycles.device) - self.window / 2
        phases = self._middles(cycles.detach())[..., None] + cycles[..., None] * times
        sharpness, gain = self._shape(cycles.detach())
        height = sharpness[..., None] * ((2 * math.pi * phases).cos() - 1)
        pulses = gain[..., None] * height.clamp(min=LEAST_HEIGHT).exp()
        return (real_transform(pulses) * self.whitening).unsqueeze(1)

    def _middles(self, cycles: Tensor) -> Tensor:
        """Phases (N, frames) in the middle of the frames, in cycles below 1."""
        steps = (cycles[:, 1:] + cycles[:, :-1]) * (self.hop / 2)
        return F.pad(steps, (1, 0)).double().cumsum(1).remainder(1).to(cycles)

    def _shape(self, cycles: Tensor) -> tuple[Tensor, Tensor]:
        """κ, and the height that gives each bin its mean square: one of 1 gives a harmonic 2 · pitch / (√2π B)."""
        band = BAND / 2
        height = math.sqrt(2 * math.pi) * band / (2 * cycles)
        return (band / cycles).square(), height * (2 * cycles * self.window).sqrt()
