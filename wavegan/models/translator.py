"""A network from sound to sound, for clips of any length."""

import math

import torch
from torch import Tensor, nn

from wavegan import settings
from wavegan.dsp.representation import Waveform
from wavegan.models.inputs import Input
from wavegan.models.layers import Convolution, LeakyReLU, NearestUpsampling, initialize_glorot
from wavegan.models.lengths import Lengths

STRIDES = (4, 4)
START_GATE = -2.0  # a share of 0.12


class Translator(nn.Module):
    """Waveforms (N, channels, T) in [-1, 1] to others of the same shape and range; T a multiple of 16.

    Two strided convolutions down to T / 16 places, residual blocks there, two upsamplings back, as the translators of
    Zhu et al. 2017 (arXiv:1703.10593, appendix 7.2), with three differences that sound asks for.

    The output is (1 - g) · x + g · y sample by sample, with a gate g in [0, 1] and a new sound y in [-1, 1], both
    made by the network. It starts with g = 0.12, so near the identity: a waveform does not have to be learnt anew,
    sample by sample, before anything can be changed, and what both sources have in common passes unspoilt. Unlike a
    sum x + y the mixture is within range by itself, and can take a sound away without having to know its negative.

    No normalisation. Statistics over a clip would take its level and a part of its decay away, and would make the
    output at one place depend on all others, so on how a long sound is cut into windows. In its stead the residual
    blocks start as the identity, which keeps the level whatever their number (Zhang et al. 2019, arXiv:1901.09321).

    Upsampling is by repetition, which makes no combs.
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
        # Sound is mixed in its own type: bf16 would round what passes to 8 bits.
        gate, y = self.last(self.layers(x)).to(x.dtype).chunk(2, dim=1)  # (N, channels, T) each
        return torch.lerp(x, y.tanh(), gate.sigmoid())


class ResidualBlock(nn.Module):
    """Adds to (N, C, T) what two convolutions make of it."""

    def __init__(self, channels: int, kernel_size: int):
        super().__init__()
        self.first = Convolution(channels, channels, kernel_size)
        self.activation = LeakyReLU()
        self.last = Convolution(channels, channels, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.activation(self.first(x)))
