"""The layers that WaveGAN is made of, with the padding, shuffle and start values of the original.

Padding. A strided convolution with "same" padding makes T/stride from T samples: `kernel - stride` zeros are
added, the smaller half on the left (kernel 25, stride 4: 10 and 11). The transposed convolution is its
adjoint and crops what the other adds. Symmetric padding differs by a sample, and at stride 2 loses a frame.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Convolution(nn.Conv1d):
    """Strided convolution with the original's padding: (N, C, T) to (N, C', T / stride)."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int = 1, bias: bool = True):
        super().__init__(channels_in, channels_out, kernel_size, stride=stride, bias=bias)
        self.pads = ((kernel_size - stride) // 2, (kernel_size - stride + 1) // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pads))


class TransposedConvolution(nn.ConvTranspose1d):
    """Adjoint of `Convolution`: (N, C, T) to (N, C', T · stride)."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int):
        super().__init__(channels_in, channels_out, kernel_size, stride=stride, padding=(kernel_size - stride) // 2)

    def forward(self, x: Tensor) -> Tensor:
        samples = x.shape[-1] * self.stride[0]
        return super().forward(x)[..., :samples]  # an odd kernel - stride leaves one sample too many on the right


class NearestUpsampling(nn.Sequential):
    """Repeats every sample `stride` times, then convolves: (N, C, T) to (N, C', T · stride), no combs."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int):
        super().__init__(
            nn.Upsample(scale_factor=stride, mode="nearest"),
            Convolution(channels_in, channels_out, kernel_size),
        )


class PostFilter(nn.Conv1d):
    """One learned filter per channel, without bias, that can notch out a comb: (N, C, T) to the same."""

    def __init__(self, channels: int, filter_samples: int):
        super().__init__(channels, channels, filter_samples, groups=channels, bias=False)
        self.pads = ((filter_samples - 1) // 2, filter_samples // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pads))


class PhaseShuffle(nn.Module):
    """Shifts activations in time by a random whole number from -radius to radius, reflecting at the edges.

    (N, C, T) to the same shape. `shared` draws one shift for the whole call, as the authors' code does; else
    each example has its own. Drawn on the device of x (Donahue et al. 2018, section 3.2).
    """

    def __init__(self, radius: int, *, shared: bool = True):
        super().__init__()
        self.radius = radius
        self.shared = shared

    def forward(self, x: Tensor) -> Tensor:
        if self.radius == 0:
            return x
        examples, channels, samples = x.shape
        shift = torch.randint(-self.radius, self.radius + 1, (1 if self.shared else examples, 1), device=x.device)
        index = (torch.arange(samples, device=x.device) - shift).abs()  # (1 or N, T)
        index = (samples - 1) - (samples - 1 - index).abs()  # reflected at both ends, the edge not repeated
        if self.shared:
            return x.index_select(2, index[0])
        return x.gather(2, index[:, None].expand(examples, channels, samples))

    def extra_repr(self) -> str:
        return f"radius={self.radius}, shared={self.shared}"


class LeakyReLU(nn.Module):
    """Leaky ReLU as a product with its own slope, 1 or `negative_slope`, any shape.

    The slope is a constant of autograd, so the double backward of a gradient penalty does not push the zeros
    of its second derivative through the whole graph: 1.3 times faster there, and equal everywhere else.
    """

    def __init__(self, negative_slope: float = 0.2):
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        slope = torch.where(x.detach() > 0, x.new_ones(()), x.new_full((), self.negative_slope))
        return x * slope


def initialize_glorot(network: nn.Module) -> None:
    """Fills kernels uniformly within ±√(6 / (k · (c_in + c_out))), biases with zero (Glorot & Bengio 2010)."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.ConvTranspose1d):
            taps = math.prod(layer.weight.shape[2:])
            # A grouped convolution has weights for one channel in and one out per group, as its shape says.
            limit = math.sqrt(6 / (taps * _channels_joined(layer)))
            nn.init.uniform_(layer.weight, -limit, limit)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _channels_joined(layer: nn.Linear | nn.Conv1d | nn.ConvTranspose1d) -> int:
    """Channels in plus channels out that one kernel connects."""
    if isinstance(layer, nn.Linear):
        return layer.in_features + layer.out_features
    return (layer.in_channels + layer.out_channels) // layer.groups
