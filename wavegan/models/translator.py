"""Defines a network that maps sound to sound, for clips of any length that is a multiple of 16 samples."""

import math

import torch
from torch import Tensor, nn

from wavegan import settings
from wavegan.dsp.representation import Waveform
from wavegan.models.activations import LeakyReLU
from wavegan.models.conv1d import Convolution, NearestUpsampling, initialize_glorot
from wavegan.models.inputs import Input
from wavegan.models.lengths import Lengths

STRIDES = (4, 4)
START_GATE = -2.0  # its sigmoid is 0.12


class Translator(nn.Module):
    """Maps waveforms (N, channels, T) in [-1, 1] to others of the same shape and range; T is a multiple of 16.

    Two strided convolutions reduce T samples to T / 16 positions, residual blocks follow, and two upsamplings lead
    back, as in the translators of Zhu et al. 2017 (arXiv:1703.10593, appendix 7.2). Three differences suit sound.

    The output is (1 - g) · x + g · y sample by sample. The network computes the gate g in [0, 1] and the new sound y in
    [-1, 1]. It starts with g near 0.12, so near the identity: it does not have to learn to copy a waveform before it
    can change it, and the sound that both sources share passes unchanged. Unlike a sum x + y, the mixture is always in
    range, and it can remove a sound without computing its negative.

    There is no normalisation. Statistics over a clip would remove its level and a part of its decay. The output at one
    position would then depend on all others, so also on how a long sound is cut into windows. Instead the residual
    blocks start as the identity, which keeps the level for any number of them (Zhang et al. 2019, arXiv:1901.09321).

    Upsampling repeats samples, which causes no comb artefacts.
    """

    lengths = Lengths(multiple=math.prod(STRIDES))
    gives = "waveform"
    inputs: tuple[Input, ...] = ()
    labels = 0

    def __init__(
        self,
        clip_samples: int = 16384,
        channels: int = 1,
        *,
        dim: settings.Dim = 16,
        kernel_size: settings.KernelSize = 25,
        blocks: settings.Blocks = 4,
    ):
        super().__init__()
        self.lengths.require(clip_samples, "a translator")
        self.output = Waveform()
        widths = [dim * 2**level for level in range(len(STRIDES) + 1)]  # d, 2d, 4d
        down: list[nn.Module] = [Convolution(channels, dim, kernel_size), LeakyReLU()]
        up: list[nn.Module] = []
        for level, stride in enumerate(STRIDES):
            outer, inner = widths[level : level + 2]
            down += [Convolution(outer, inner, kernel_size, stride=stride), LeakyReLU()]
            up = [NearestUpsampling(inner, outer, kernel_size, stride=stride), LeakyReLU(), *up]
        self.layers = nn.Sequential(
            *down,
            *(ResidualBlock(widths[-1], kernel_size) for _ in range(blocks)),
            *up,
        )
        self.last = Convolution(dim, 2 * channels, kernel_size)
        initialize_glorot(self)
        for layer in self.layers:
            if isinstance(layer, ResidualBlock):
                nn.init.zeros_(layer.last.weight)
        nn.init.constant_(self.last.bias[:channels], START_GATE)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % self.lengths.multiple:
            raise ValueError(
                f"clips have {x.shape[-1]} samples; a translator takes {self.lengths}; cut or pad them to one"
            )
        # Sound is mixed in its own type: bf16 would round the samples to 8 bits.
        gate, y = self.last(self.layers(x)).to(x.dtype).chunk(2, dim=1)  # (N, channels, T) each
        return torch.lerp(x, y.tanh(), gate.sigmoid())


class ResidualBlock(nn.Module):
    """Adds the output of two convolutions to their input (N, C, T)."""

    def __init__(self, channels: int, kernel_size: int):
        super().__init__()
        self.first = Convolution(channels, channels, kernel_size)
        self.activation = LeakyReLU()
        self.last = Convolution(channels, channels, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.activation(self.first(x)))
