"""Defines the layers of networks of spectrograms: strided convolutions of images, their adjoints and stages.

Activations are (N, H, W, C) here and weights (C', k, k, C): with channels last in memory the libraries are fastest. The
modules take and return (N, C, H, W). Padding is the original's, in both directions as in `conv1d.py`: a kernel of 5 × 5
with stride 2 reads one zero before the image and two after it. If the stride does not divide an image's size, zeros are
added at the end, so that H becomes H / stride rounded up. A stride is one number, or two for height and width.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from wavegan.models.activations import LeakyReLU, slope_times
from wavegan.models.convolution import folded_nearest
from wavegan.models.differentiable import Convolve, ConvTranspose, WeightGradient, needs_gradient
from wavegan.models.heads import cast_for_autocast

Stride = int | tuple[int, int]

# Where torch's own second derivatives are as fast as `differentiable`'s. On a GPU they took most of a penalty's time.
TORCH_IS_FAST = {"cpu"}


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Stride) -> Tensor:
    """Convolves x (N, H, W, C) with a weight (C', k, k, C) into (N, H / stride, W / stride, C'), sizes rounded up."""
    if _differentiates(x, weight, bias):
        return Convolve.apply(x, weight, bias, _Strided(weight.shape[1], stride, (x.shape[1], x.shape[2])))
    if (zeros := _even_padding(x, weight.shape[1], stride)) is not None:
        return _from_image(F.conv2d(_as_image(x), _as_image(weight), bias, stride, padding=zeros))
    return _from_image(F.conv2d(_as_image(_padded(x, weight.shape[1], stride)), _as_image(weight), bias, stride))


def conv_transpose(
    d: Tensor, weight: Tensor, bias: Tensor | None, stride: Stride, size: tuple[int, int] | None = None
) -> Tensor:
    """Returns the gradient (N, H, W, C) of `convolve`'s input from that of its output.

    d: the output's gradient, (N, H / stride, W / stride, C'). size: (H, W), by default the output's times the stride.
    """
    down, across = _pair(stride)
    height, width = size or (d.shape[1] * down, d.shape[2] * across)
    if _differentiates(d, weight, bias):
        return ConvTranspose.apply(d, weight, bias, _Strided(weight.shape[1], stride, (height, width)))
    before = pads(weight.shape[1], down)[0], pads(weight.shape[1], across)[0]
    x = F.conv_transpose2d(_as_image(d), _as_image(weight), bias, stride, padding=before)
    return _from_image(x[:, :, :height, :width])  # cuts off the gradient of the padding at the other end


def weight_gradient(x: Tensor, d: Tensor, kernel_size: int, stride: Stride) -> Tensor:
    """Returns the gradient (C', k, k, C) of `convolve`'s weight from its input and the gradient of its output."""
    if _differentiates(x, d):
        return WeightGradient.apply(x, d, _Strided(kernel_size, stride, (x.shape[1], x.shape[2])))
    size = (d.shape[3], x.shape[3], kernel_size, kernel_size)
    zeros = _even_padding(x, kernel_size, stride)
    image = _as_image(_padded(x, kernel_size, stride) if zeros is None else x)
    gradient = conv2d_weight(image, size, _as_image(d), stride, zeros or 0)  # pyright: ignore[reportArgumentType]
    return _from_image(gradient)


@dataclass(frozen=True)
class _Strided:
    """Holds the sizes of one convolution of images of one size, as `differentiable.Operations`."""

    kernel_size: int
    stride: Stride
    size: tuple[int, int]  # height and width of the image

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolve(x, weight, bias, self.stride)

    def conv_transpose(self, d: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv_transpose(d, weight, bias, self.stride, self.size)

    def weight_gradient(self, x: Tensor, d: Tensor) -> Tensor:
        return weight_gradient(x, d, self.kernel_size, self.stride)


def pads(kernel_size: int, stride: int) -> tuple[int, int]:
    """Counts the zeros before and after an image in one direction, if the stride divides its size."""
    return (kernel_size - stride) // 2, (kernel_size - stride + 1) // 2


class _Kernels2d(nn.Module):
    """Holds the kernels of any convolution: (N, C, H, W) in and out, channels last in memory.

    `weight` is (C', k, k, C). C counts the channels on the image's side: the input of a strided convolution, the output
    of a transposed one.
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
        """Views the weight as torch.nn.Conv2d or torch.nn.ConvTranspose2d stores it, (C', C, k, k)."""
        return self.weight.movedim(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.cast_parameters()
        return self.compute(x.movedim(1, -1).to(weight.dtype).contiguous(), weight, bias).movedim(-1, 1)

    def cast_parameters(self) -> tuple[Tensor, Tensor]:
        """Returns weight and bias in the type in which the layer computes: autocast's, or their own."""
        return cast_for_autocast(self.weight), cast_for_autocast(self.bias)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Maps (N, H, W, C) to (N, H', W', C'); all three arguments have one type."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.channels_in}, {self.channels_out}, kernel_size={self.kernel_size}, stride={self.stride}"


class Convolution2d(_Kernels2d):
    """Convolves with the original's padding: (N, C, H, W) to (N, C', H / stride, W / stride), sizes rounded up."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: Stride = 1):
        super().__init__(channels_out, channels_in, channels_in, channels_out, kernel_size, stride)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve(x, weight, bias, self.stride)


class TransposedConvolution2d(_Kernels2d):
    """Computes the adjoint of `Convolution2d`: (N, C, H, W) to (N, C', H · stride, W · stride)."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int):
        super().__init__(channels_in, channels_out, channels_in, channels_out, kernel_size, stride)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return conv_transpose(x, weight, bias, self.stride)


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
    """Computes a convolution of images (N, H, W, C) and leaky ReLU, as `piecewise_linear.ConvolutionStage`."""

    weight: Tensor  # (C', k, k, C)
    bias: Tensor  # (C',)
    stride: Stride
    negative_slope: float

    @classmethod
    def of(cls, layer: Convolution2d, activation: LeakyReLU) -> Self:
        """Makes the stage of these two layers."""
        return cls(*layer.cast_parameters(), layer.stride, activation.negative_slope)

    def __call__(self, x: Tensor) -> Tensor:
        """Returns y (N, H / stride, W / stride, C') for x (N, H, W, C), sizes rounded up."""
        return F.leaky_relu_(convolve(x, self.weight, self.bias, self.stride), self.negative_slope)

    def tangent(self, t: Tensor, y: Tensor) -> Tensor:
        """Returns the derivative of y in the direction t of x; t and y may hold only the last rows of a pass."""
        return slope_times(convolve(t, self.weight, None, self.stride), y, self.negative_slope)

    def activation_gradient(self, d: Tensor, y: Tensor) -> Tensor:
        """Returns the gradient of the affine map's output from the gradient of y."""
        return slope_times(d, y, self.negative_slope)

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        """Returns the gradient of x from that of the affine map's output; of x only the shape is read."""
        return conv_transpose(d, self.weight, None, self.stride, (x.shape[1], x.shape[2]))

    def parameter_gradients(self, x: Tensor, d: Tensor, bias_rows: int) -> tuple[Tensor, Tensor]:
        """Returns the gradients of weight and bias; that of the bias sums only the first `bias_rows` rows."""
        return weight_gradient(x, d, self.weight.shape[1], self.stride), d[:bias_rows].sum((0, 1, 2))


def convolution_stages(blocks: nn.Sequential) -> list[Convolution2dStage]:
    """Returns the stages of layers in which convolutions and leaky ReLUs alternate."""
    layers, stages = list(blocks), []
    for convolution, activation in zip(layers[::2], layers[1::2], strict=True):
        assert isinstance(convolution, Convolution2d) and isinstance(activation, LeakyReLU), "they take turns"
        stages.append(Convolution2dStage.of(convolution, activation))
    return stages


def _differentiates(x: Tensor, *others: Tensor | None) -> bool:
    """Says whether derivatives are made here, by `differentiable`, and not by torch."""
    return x.device.type not in TORCH_IS_FAST and needs_gradient(x, *others)


def _folded_nearest_2d(weight: Tensor, stride: int) -> Tensor:
    """Applies `folded_nearest` in both directions: (C', k, k, C) to (stride² · C', taps, taps, C), height first."""
    outer, kernel_size, _, inner = weight.shape
    across = folded_nearest(weight.flatten(0, 1), stride)  # (stride · C' · k, taps, C)
    taps = across.shape[1]
    both = folded_nearest(
        across.view(stride * outer, kernel_size, taps * inner), stride
    )  # (stride² · C', taps, taps · C)
    return both.view(stride * stride * outer, taps, taps, inner)


def _even_padding(x: Tensor, kernel_size: int, stride: Stride) -> tuple[int, int] | None:
    """Returns the zeros at each end, by direction, or None if the two ends differ; equal ends need no padded copy."""
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
    """Views (N, H, W, C) as (N, C, H, W), with its channels last in memory."""
    return x.movedim(-1, 1)


def _from_image(x: Tensor) -> Tensor:
    return x.movedim(1, -1).contiguous()
