"""Defines the convolutions of waveforms of WaveGAN, with the padding and start values of the original.

A strided convolution with "same" padding maps T samples to T / stride. It adds `kernel - stride` zeros, the smaller
half on the left (kernel 25, stride 4: 10 and 11). The transposed convolution is its adjoint and crops as much.
Symmetric padding would differ by a sample, and at stride 2 it would lose a frame.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.models.convolution import conv_transpose, convolve, folded_nearest
from wavegan.models.heads import ScoreLayer, cast_for_autocast


class _Kernels(nn.Module):
    """Holds the kernels of any convolution: (N, C, T) in and out, channels last in memory.

    `weight` is (C', k, C). C counts the channels on the waveform's side: the input of a strided convolution, the output
    of a transposed one. `kernel` is the same weight with the axes of torch.nn.
    """

    def __init__(self, shape: tuple[int, int, int], channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.channels_in, self.channels_out = channels_in, channels_out
        self.kernel_size, self.stride = shape[1], stride
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(channels_out))
        initialize_glorot(self)

    @property
    def kernel(self) -> Tensor:
        """Views the weight as torch.nn.Conv1d or torch.nn.ConvTranspose1d stores it, (C', C, k)."""
        return self.weight.transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.cast_parameters()
        return self.compute(x.transpose(1, 2).to(weight.dtype).contiguous(), weight, bias).transpose(1, 2)

    def cast_parameters(self) -> tuple[Tensor, Tensor]:
        """Returns weight and bias in the type in which the layer computes: autocast's, or their own."""
        return cast_for_autocast(self.weight), cast_for_autocast(self.bias)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Maps (N, T, C) to (N, T', C'); all three arguments have one type."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.channels_in}, {self.channels_out}, kernel_size={self.kernel_size}, stride={self.stride}"


class Convolution(_Kernels):
    """Convolves with a stride and the original's padding: (N, C, T) to (N, C', T / stride)."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int = 1):
        super().__init__((channels_out, kernel_size, channels_in), channels_in, channels_out, stride)
        self.pads = ((kernel_size - stride) // 2, (kernel_size - stride + 1) // 2)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve(x, weight, bias, self.stride, self.pads[0])


class TransposedConvolution(_Kernels):
    """Computes the adjoint of `Convolution`: (N, C, T) to (N, C', T · stride)."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int):
        super().__init__((channels_in, kernel_size, channels_out), channels_in, channels_out, stride)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return conv_transpose(x, weight, bias, self.stride, (self.kernel_size - self.stride) // 2)


class NearestUpsampling(_Kernels):
    """Repeats every sample `stride` times, then convolves: (N, C, T) to (N, C', T · stride), without comb artefacts."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int):
        super().__init__((channels_out, kernel_size, channels_in), channels_in, channels_out, stride)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        folded = folded_nearest(weight, self.stride)
        blocks = convolve(x, folded, bias.repeat(self.stride), 1, folded.shape[1] // 2)
        return blocks.view(x.shape[0], -1, self.channels_out)


class PostFilter(nn.Conv1d):
    """Applies one learned filter per channel, without bias, which can notch out a comb: (N, C, T) to the same."""

    def __init__(self, channels: int, filter_samples: int):
        super().__init__(channels, channels, filter_samples, groups=channels, bias=False)
        self.pads = ((filter_samples - 1) // 2, filter_samples // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pads))


def initialize_glorot(network: nn.Module) -> None:
    """Fills kernels uniformly within ±√(6 / (k · (c_in + c_out))), biases with zero (Glorot & Bengio 2010)."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | PostFilter | _Kernels):
            limit = math.sqrt(6 / _numbers_joined(layer))
            nn.init.uniform_(layer.weight, -limit, limit)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialize_uniform(network: nn.Module) -> None:
    """Fills weights and biases uniformly within ±1 / √(numbers that one output adds up), as torch.nn's layers do."""
    for layer in network.modules():
        if isinstance(weight := getattr(layer, "weight", None), nn.Parameter):
            limit = weight[0].numel() ** -0.5
            for parameter in layer.parameters(recurse=False):
                nn.init.uniform_(parameter, -limit, limit)


def _numbers_joined(layer: "nn.Linear | PostFilter | _Kernels") -> int:
    """Counts the channels in plus the channels out that one kernel connects, times its length."""
    if isinstance(layer, ScoreLayer):
        return layer.in_features + 1  # each row of weights gives one number
    if isinstance(layer, nn.Linear):
        return layer.in_features + layer.out_features
    if isinstance(layer, PostFilter):
        return 2 * layer.kernel_size[0]  # connects one channel with one
    return (layer.channels_in + layer.channels_out) * layer.kernel_size
