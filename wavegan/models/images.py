"""The layers of networks of spectrograms: strided convolutions of images, their adjoints, and the stage of a critic.

Activations are (N, H, W, C) here and weights (C', k, k, C), channels last in memory as the libraries like them best;
the modules take and give (N, C, H, W). Padding is the original's, in both directions as in `layers.py`: 5 × 5 with
stride 2 reads one zero before the image and two after it. An image that the stride does not divide is filled up with
zeros at its end, so that H becomes H / stride rounded up. A stride is one number, or two for height and width.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from wavegan.models.convolution import folded_nearest
from wavegan.models.dense import as_computed
from wavegan.models.layers import LeakyReLU, slope_times

Stride = int | tuple[int, int]


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Stride) -> Tensor:
    """(N, H, W, C) and (C', k, k, C) to (N, H / stride, W / stride, C'), sizes rounded up."""
    if (zeros := _even_padding(x, weight.shape[1], stride)) is not None:
        return _from_image(F.conv2d(_as_image(x), _as_image(weight), bias, stride, padding=zeros))
    return _from_image(F.conv2d(_as_image(_padded(x, weight.shape[1], stride)), _as_image(weight), bias, stride))


def adjoint(
    d: Tensor, weight: Tensor, bias: Tensor | None, stride: Stride, size: tuple[int, int] | None = None
) -> Tensor:
    """The gradient (N, H, W, C) of `convolve`'s input from that of its output, (N, H / stride, W / stride, C').

    size: (H, W), the output's times the stride unless given.
    """
    down, across = _pair(stride)
    height, width = size or (d.shape[1] * down, d.shape[2] * across)
    before = pads(weight.shape[1], down)[0], pads(weight.shape[1], across)[0]
    x = F.conv_transpose2d(_as_image(d), _as_image(weight), bias, stride, padding=before)
    return _from_image(x[:, :, :height, :width])  # what falls on the padding at the other end is cut off


def correlate(x: Tensor, d: Tensor, kernel_size: int, stride: Stride) -> Tensor:
    """The gradient (C', k, k, C) of `convolve`'s weight from its input and the gradient of its output."""
    size = (d.shape[3], x.shape[3], kernel_size, kernel_size)
    image = _as_image(_padded(x, kernel_size, stride))
    return _from_image(conv2d_weight(image, size, _as_image(d), stride))  # pyright: ignore[reportArgumentType]


def pads(kernel_size: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an image that the stride divides, in one direction."""
    return (kernel_size - stride) // 2, (kernel_size - stride + 1) // 2


class _Kernels2d(nn.Module):
    """A convolution of whatever kind: (N, C, H, W) in and out, channels last in memory.

    `weight` is (C', k, k, C) with C the channels on the image's side of a strided or transposed one.
    """

    def __init__(self, outer: int, inner: int, channels_in: int, channels_out: int, kernel_size: int, stride: Stride):
        super().__init__()
        self.channels_in, self.channels_out = channels_in, channels_out
        self.kernel_size, self.stride = kernel_size, stride
        self.weight = nn.Parameter(torch.empty(outer, kernel_size, kernel_size, inner))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        limit = math.sqrt(6 / (kernel_size**2 * (channels_in + channels_out)))  # Glorot & Bengio 2010
        nn.init.uniform_(self.weight, -limit, limit)

    @property
    def kernel(self) -> Tensor:
        """The weight as torch.nn.Conv2d has it, (C', C, k, k), or ConvTranspose2d, (C, C', k, k); a view."""
        return self.weight.movedim(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.parameters_as_computed()
        return self.compute(x.movedim(1, -1).to(weight.dtype).contiguous(), weight, bias).movedim(-1, 1)

    def parameters_as_computed(self) -> tuple[Tensor, Tensor]:
        """Weight and bias in the type in which the layer computes: autocast's, or their own."""
        return as_computed(self.weight), as_computed(self.bias)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(N, H, W, C) to (N, H', W', C'), with all three in one type."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.channels_in}, {self.channels_out}, kernel_size={self.kernel_size}, stride={self.stride}"


class Convolution2d(_Kernels2d):
    """Strided convolution with the original's padding: (N, C, H, W) to (N, C', H / stride, W / stride), rounded up."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: Stride = 1):
        super().__init__(channels_out, channels_in, channels_in, channels_out, kernel_size, stride)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve(x, weight, bias, self.stride)


class TransposedConvolution2d(_Kernels2d):
    """Adjoint of `Convolution2d`: (N, C, H, W) to (N, C', H · stride, W · stride)."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int):
        super().__init__(channels_in, channels_out, channels_in, channels_out, kernel_size, stride)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return adjoint(x, weight, bias, self.stride)


class NearestUpsampling2d(_Kernels2d):
    """Repeats every pixel `stride` times each way, then convolves: (N, C, H, W) to (N, C', H · stride, W · stride)."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int):
        super().__init__(channels_out, channels_in, channels_in, channels_out, kernel_size, stride)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        stride, (examples, height, width, _) = self.stride, x.shape
        assert isinstance(stride, int), "pixels are repeated as often in both directions"
        blocks = convolve(x, _folded_nearest_2d(weight, stride), bias.repeat(stride**2), 1)
        blocks = blocks.view(examples, height, width, stride, stride, -1).transpose(2, 3)
        return blocks.reshape(examples, height * stride, width * stride, -1)


@dataclass(frozen=True)
class Convolution2dStage:
    """Convolution of images and leaky ReLU, as `piecewise_linear.ConvolutionStage`; activations (N, H, W, C)."""

    weight: Tensor  # (C', k, k, C)
    bias: Tensor  # (C',)
    stride: Stride
    negative_slope: float

    @classmethod
    def of(cls, layer: Convolution2d, activation: LeakyReLU) -> Self:
        """The stage of these two layers."""
        return cls(*layer.parameters_as_computed(), layer.stride, activation.negative_slope)

    def __call__(self, x: Tensor) -> Tensor:
        """y (N, H / stride, W / stride, C') of x (N, H, W, C), sizes rounded up."""
        return F.leaky_relu_(convolve(x, self.weight, self.bias, self.stride), self.negative_slope)

    def along(self, t: Tensor, y: Tensor) -> Tensor:
        """How y moves when x moves along t; both may be the last rows of a pass only."""
        return slope_times(convolve(t, self.weight, None, self.stride), y, self.negative_slope)

    def before_activation(self, d: Tensor, y: Tensor) -> Tensor:
        """The gradient of the affine map's output, from that of y."""
        return slope_times(d, y, self.negative_slope)

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        """The gradient of x, of which only the shape counts, from that of the affine map's output."""
        return adjoint(d, self.weight, None, self.stride, (x.shape[1], x.shape[2]))

    def parameter_gradients(self, x: Tensor, d: Tensor, biased: int) -> tuple[Tensor, Tensor]:
        """Those of weight and bias; the bias hears the first `biased` rows only."""
        return correlate(x, d, self.weight.shape[1], self.stride), d[:biased].sum((0, 1, 2))


def convolution_stages(blocks: nn.Sequential) -> list[Convolution2dStage]:
    """Takes layers apart that are convolutions and leaky ReLUs in turn."""
    layers, stages = list(blocks), []
    for convolution, activation in zip(layers[::2], layers[1::2], strict=True):
        assert isinstance(convolution, Convolution2d) and isinstance(activation, LeakyReLU), "they take turns"
        stages.append(Convolution2dStage.of(convolution, activation))
    return stages


def _folded_nearest_2d(weight: Tensor, stride: int) -> Tensor:
    """`folded_nearest` in both directions: (C', k, k, C) to (stride · stride · C', taps, taps, C), height first."""
    outer, kernel_size, _, inner = weight.shape
    across = folded_nearest(weight.flatten(0, 1), stride)  # (stride · C' · k, taps, C)
    taps = across.shape[1]
    both = folded_nearest(
        across.view(stride * outer, kernel_size, taps * inner), stride
    )  # (stride² · C', taps, taps · C)
    return both.view(stride * stride * outer, taps, taps, inner)


def _even_padding(x: Tensor, kernel_size: int, stride: Stride) -> tuple[int, int] | None:
    """How many zeros both ends have in each direction, which costs no copy; None where the ends differ."""
    both = []
    for size, step in zip(x.shape[1:3], _pair(stride), strict=True):
        before, after = pads(kernel_size, step)
        if before != after + -size % step:
            return None
        both.append(before)
    return both[0], both[1]


def _padded(x: Tensor, kernel_size: int, stride: Stride) -> Tensor:
    widths = []
    for size, step in zip(x.shape[1:3], _pair(stride), strict=True):
        before, after = pads(kernel_size, step)
        widths.append((before, after + -size % step))
    (top, bottom), (left, right) = widths
    return F.pad(x, (0, 0, left, right, top, bottom))


def _pair(stride: Stride) -> tuple[int, int]:
    return (stride, stride) if isinstance(stride, int) else stride


def _as_image(x: Tensor) -> Tensor:
    """(N, H, W, C) as (N, C, H, W), a view with its channels last in memory."""
    return x.movedim(-1, 1)


def _from_image(x: Tensor) -> Tensor:
    return x.movedim(1, -1).contiguous()
