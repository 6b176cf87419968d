"""Defines the block of the modern generator, which the mapped latent modulates."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.models.conv1d import Convolution

KERNEL_SIZE = 5


class ModulatedBlock(nn.Module):
    """Adds two convolutions to its input (N, dim, T), modulated by the mapped latent and by one noise.

    The mapped latent is (N, mapped, T), or (N, mapped, 1) where it is the same everywhere. The noise (N, 1, T) is
    one number for each place: all that differs between two hits of one latent, but for a drawn pitch (N, 1, T).
    """

    def __init__(self, dim: int, mapped: int, *, knows_pitch: bool = False):
        super().__init__()
        self.first, self.last = (Convolution(dim, dim, KERNEL_SIZE) for _ in range(2))
        self.modulation = nn.Linear(mapped, 2 * dim)
        self.gain = nn.Parameter(torch.full((dim, 1), 0.1))
        self.pitch_gain = nn.Parameter(0.3 * torch.randn(dim, 1)) if knows_pitch else None

    def begin_empty(self) -> None:
        """Makes it add nothing at the start."""
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor, pitch: Tensor | None = None) -> Tensor:
        h = self.first(F.leaky_relu(x, 0.2))
        h = h + self.gain.to(h.dtype) * noise.to(h.dtype)
        if self.pitch_gain is not None and pitch is not None:
            h = h + self.pitch_gain.to(h.dtype) * pitch.to(h.dtype)
        scale, shift = self.modulation(w.transpose(1, 2)).transpose(1, 2).chunk(2, dim=1)
        return x + self.last(F.leaky_relu(h * (1 + scale) + shift, 0.2))
