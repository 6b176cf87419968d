"""Computes strided convolutions, their adjoints and their weight gradients, in the fastest form for each shape.

Every layer of a network of waveforms needs only these three. A transposed convolution is the adjoint of a strided
one. Nearest upsampling followed by a convolution is one convolution with some weights added up (`folded_nearest`).
Activations are (N, T, C) here, channels last, and weights (C', k, C). The output has T / stride positions, called
places; the kernel of each starts `pad` samples before it, and samples beyond both ends are zeros.

With few places, the receptive fields of all places become the rows of a matrix, and the convolution is one matrix
product. Its adjoint is a matrix product too, whose results are added up where they overlap. The deep layers have
large weights and few places, and libraries of convolutions leave most of a machine idle there.

With many places, time is cut into blocks of `stride` samples, a view with channels last. The convolution then has
stride 1 and stride · C input channels. It needs no copy, and its adjoint is a convolution of the same kind. The
kernels of an accelerator are fast for such convolutions of any size, if they have at least 16 channels. If a layer
has fewer, several neighbouring places are computed as one place with more channels.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight

from wavegan.models.differentiable import Convolve, ConvTranspose, WeightGradient, needs_gradient

# Measured by benchmarks/convolutions.py: matrix products are faster up to so many places, and a convolution needs at
# least so many channels in a block to be fast. Kinds of device that are not listed have no such limit.
FEW_PLACES = {"cpu": 32}
FEW_PLACES_FOR_WEIGHT_GRADIENT = {"cpu": 64}
LEAST_BLOCK_CHANNELS = {"cuda": 16}


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Convolves x (N, T, C) with a weight (C', k, C) into (N, T / stride, C')."""
    if needs_gradient(x, weight, bias):
        return Convolve.apply(x, weight, bias, _Strided(weight.shape[1], stride, pad))
    places = x.shape[1] // stride
    if _are_few(places, x.device):
        y = F.linear(_unfold(x, weight.shape[1], stride, pad), weight.flatten(1), bias)
        return y.view(x.shape[0], places, -1)
    group = _places_together(x.device, stride * x.shape[2], places)
    weight, bias = _widened(weight, stride, group), None if bias is None else bias.repeat(group)
    blocks = _convolve_blocks(_cut(x, stride * group), _block_weight(weight, stride * group, pad), bias)
    return blocks.view(x.shape[0], places, -1)


def conv_transpose(d: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Returns the gradient (N, T, C) of `convolve`'s input from that of its output.

    d: the output's gradient, (N, T / stride, C'). bias: (C,), added to the result.
    """
    if needs_gradient(d, weight, bias):
        return ConvTranspose.apply(d, weight, bias, _Strided(weight.shape[1], stride, pad))
    if _are_few(d.shape[1], d.device):
        columns = d.flatten(0, 1) @ weight.flatten(1)
        return _fold(columns.view(*d.shape[:2], *weight.shape[1:]), bias, stride, pad)
    group = _places_together(d.device, stride * weight.shape[2], d.shape[1])
    blocks = _block_weight(_widened(weight, stride, group), stride * group, pad)
    bias = None if bias is None else bias.repeat(stride * group)
    image = F.conv_transpose2d(_as_image(_cut(d, group)), _as_image(blocks), bias, padding=(0, blocks.shape[1] // 2))
    return _from_image(image).view(d.shape[0], d.shape[1] * stride, -1)


def weight_gradient(x: Tensor, d: Tensor, kernel_size: int, stride: int, pad: int) -> Tensor:
    """Returns the gradient (C', k, C) of `convolve`'s weight from its input and the gradient of its output."""
    if needs_gradient(x, d):
        return WeightGradient.apply(x, d, _Strided(kernel_size, stride, pad))
    if d.shape[1] <= FEW_PLACES_FOR_WEIGHT_GRADIENT.get(d.device.type, 0):
        # The transposed copy is cheap beside the product, which would be slow without it in bf16.
        product = d.flatten(0, 1).t().contiguous() @ _unfold(x, kernel_size, stride, pad)
        return product.view(d.shape[2], kernel_size, -1)
    group = _places_together(d.device, stride * x.shape[2], d.shape[1])
    wide_size, wide_stride = kernel_size + stride * (group - 1), stride * group
    taps, lead = _taps(wide_size, wide_stride, pad)
    size = (d.shape[2] * group, x.shape[2] * wide_stride, 1, taps)
    image, d_image = _as_image(_cut(x, wide_stride)), _as_image(_cut(d, group))
    gradient = conv2d_weight(image, size, d_image, padding=(0, taps // 2))  # pyright: ignore[reportArgumentType]
    wide = _from_image(gradient).view(size[0], taps * wide_stride, -1)[:, lead : lead + wide_size]
    return _narrowed(wide, kernel_size, stride, group)


def folded_nearest(weight: Tensor, stride: int) -> Tensor:
    """Returns the centred weight (stride · C', taps, C) of one convolution that upsamples by repetition and convolves.

    weight: (C', k, C), centred. Taps that fall on copies of one sample are added up: with k = 25 and stride 4, 25 taps
    become 7.
    """
    pad = (weight.shape[1] - 1) // 2
    half = math.ceil(max(pad, weight.shape[1] - 1 - pad) / stride)
    taps = 2 * half + 1
    rows = []
    for place in range(stride):
        lead = stride * half - pad + place
        padded = F.pad(weight, (0, 0, lead, taps * stride - lead - weight.shape[1]))
        rows.append(padded.view(len(weight), taps, stride, -1).sum(2))
    return torch.cat(rows)


def _are_few(places: int, device: torch.device) -> bool:
    """Says whether matrix products are faster; an export writes convolutions, which its reader computes in its way."""
    return places <= FEW_PLACES.get(device.type, 0) and not torch.compiler.is_exporting()


def _places_together(device: torch.device, block_channels: int, places: int) -> int:
    """Counts the places to compute as one, so that a block has enough channels for this device's kernels."""
    group = LEAST_BLOCK_CHANNELS.get(device.type, 0) // block_channels
    return math.gcd(places, 1 << group.bit_length() - 1) if group else 1


def _widened(weight: Tensor, stride: int, group: int) -> Tensor:
    """Returns the weight (group · C', k + stride · (group - 1), C) that computes `group` places as one."""
    if group == 1:
        return weight
    return torch.cat([F.pad(weight, (0, 0, stride * place, stride * (group - 1 - place))) for place in range(group)])


def _narrowed(wide: Tensor, kernel_size: int, stride: int, group: int) -> Tensor:
    """Returns the gradient (C', k, C) of a weight from that of its `_widened` form."""
    if group == 1:
        return wide
    parts = wide.view(group, -1, *wide.shape[1:]).unbind()
    parts = [part[:, stride * place : stride * place + kernel_size] for place, part in enumerate(parts)]
    return torch.stack(parts).sum(0)


def _unfold(x: Tensor, kernel_size: int, stride: int, pad: int) -> Tensor:
    """Copies the receptive field of each place into a row: (N, T, C) to (N · T / stride, k · C)."""
    examples, samples, channels = x.shape
    padded = F.pad(x, (0, 0, pad, max(kernel_size - stride - pad, 0))).contiguous()  # without padding nothing is copied
    size = (examples, samples // stride, kernel_size * channels)
    return padded.as_strided(size, (padded.stride(0), stride * channels, 1)).reshape(-1, size[2])


def _fold(columns: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Computes the adjoint of `_unfold`, plus a bias: (N, places, k, C) to (N, places · stride, C).

    Values that overlap are added up.
    """
    examples, places, kernel_size, channels = columns.shape
    samples = places * stride
    x = columns.new_zeros(examples, samples + kernel_size, channels)
    if bias is not None:
        x += bias
    for tap in range(kernel_size):
        x[:, tap : tap + samples : stride] += columns[:, :, tap]
    return x[:, pad : pad + samples].contiguous()


def _cut(x: Tensor, stride: int) -> Tensor:
    """Views (N, T, C) as blocks (N, T / stride, stride · C)."""
    return x.view(x.shape[0], x.shape[1] // stride, -1)


def _block_weight(weight: Tensor, stride: int, pad: int) -> Tensor:
    """Turns a weight (C', k, C) into that of a centred convolution of blocks, (C', taps, stride · C)."""
    taps, lead = _taps(weight.shape[1], stride, pad)
    padded = F.pad(weight, (0, 0, lead, taps * stride - lead - weight.shape[1]))
    return padded.view(len(weight), taps, -1)


def _taps(kernel_size: int, stride: int, pad: int) -> tuple[int, int]:
    """Counts the blocks that a kernel covers, made odd to centre it, and the samples in them before its first tap."""
    half = max(math.ceil(pad / stride), math.ceil((kernel_size - pad) / stride) - 1)
    return 2 * half + 1, stride * half - pad


def _convolve_blocks(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _from_image(F.conv2d(_as_image(x), _as_image(weight), bias, padding=(0, weight.shape[1] // 2)))


def _as_image(x: Tensor) -> Tensor:
    """Views (N, T, C) as an image of one row, (N, C, 1, T), with its channels last in memory."""
    return x.transpose(1, 2).unsqueeze(2)


def _from_image(x: Tensor) -> Tensor:
    return x.squeeze(2).transpose(1, 2).contiguous()


@dataclass(frozen=True)
class _Strided:
    """Holds the sizes of one convolution, as `differentiable.Operations`."""

    kernel_size: int
    stride: int
    pad: int

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolve(x, weight, bias, self.stride, self.pad)

    def conv_transpose(self, d: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv_transpose(d, weight, bias, self.stride, self.pad)

    def weight_gradient(self, x: Tensor, d: Tensor) -> Tensor:
        return weight_gradient(x, d, self.kernel_size, self.stride, self.pad)
