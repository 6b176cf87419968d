"""Measures on the sound where the bins of a generator's frames begin, how loud they may be, and where they ring."""

import torch
from torch import Tensor

from wavegan.dsp.prediction import power_of
from wavegan.models.spectral_frames import SpectralFrames

HEADROOM = 0.5  # of a bin above the loudest it ever is, as a natural logarithm
SOFTEST = 1e-5  # magnitude below which nothing is measured, -100 dB


class LevelMeter:
    """Measures start levels, bounds and tuning of bins on the spectra of clips, which come in batches.

    A start level is the squared mean of a bin's root magnitudes, so that neither silence nor hits alone decide. A bin
    may be as loud as it ever is in the clips, and half a neper (4.3 dB) more: beyond that it would have no gradient
    back. A tuned bin advances from frame to frame by the phase of Σ Xₜ₊₁ X̄ₜ over all frames: of all steady advances
    this one predicts the sound's bin best, so a partial of a fixed pitch is a number that stays the same. The bins next
    to a partial hear it, too, and ring with it.
    """

    def __init__(self, frames: SpectralFrames):
        self.frames, self.count = frames, 0
        self.total, self.loudest = torch.zeros(()), torch.zeros(())
        self.products = torch.zeros((), dtype=torch.complex128)

    def add(self, mixed: Tensor) -> None:
        """Takes in sound (N, channels, T)."""
        spectra = self.frames.analysed(mixed)
        magnitudes = power_of(spectra).sqrt()
        if self.frames.advances is not None:
            whole = torch.view_as_complex(spectra[:, :, self.frames.whole_frames])
            self.products = self.products + (whole[:, :, 1:] * whole[:, :, :-1].conj()).sum((0, 1, 2)).cpu()
        self.count, self.total = self.count + len(mixed), self.total + magnitudes.sqrt().mean(2).sum(0)
        self.loudest = torch.maximum(self.loudest.to(magnitudes), magnitudes.amax((0, 2)))

    def set(self) -> None:
        """Sets what it measured."""
        self.frames.start_levels.copy_((self.total / self.count).square().clamp(min=SOFTEST).log())
        self.frames.bounds.copy_(self.loudest.clamp(min=SOFTEST).log() + HEADROOM)
        if self.frames.advances is not None:
            inner, centres = self.products[1:-1], self.frames.advances[1:-1].cpu()
            self.frames.advances[1:-1] = torch.where(inner == 0, centres, inner.angle()).float()
