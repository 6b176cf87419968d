"""Strided convolutions, their adjoints and their weight gradients, each in the form that is fastest for its shape.

Every layer of a network of waveforms comes down to these three: a transposed convolution is the adjoint of a
strided one, and nearest upsampling with its convolution is one with weights added up (`folded_nearest`).
Activations are (N, T, C) here, channels last, and weights (C', k, C); a convolution starts `pad` samples before
each of its T / stride places and reads zeros beyond both ends.

Few places: what each place sees is laid side by side and the whole is one matrix product; its adjoint is one too,
whose results are added up where they overlap. The deep layers have large weights and little else, and libraries
of convolutions leave most of a machine idle there. Many places: time is cut into blocks of `stride` samples, a
view with channels last, and the convolution is one with stride 1 from stride · C channels. It needs no copy, and
its adjoint is a convolution of the same kind. An accelerator has kernels for such convolutions that no layer is too
small for, but they want 16 channels: of a layer with fewer several places are made as one.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.nn.grad import conv2d_weight

# By benchmarks/convolutions.py: the places up to which matrix products win, and the channels of a block that a
# convolution needs at least to be fast. Kinds of device that are not listed have no such limit.
FEW_PLACES = {"cpu": 32}
FEW_PLACES_TO_CORRELATE = {"cpu": 64}
LEAST_BLOCK_CHANNELS = {"cuda": 16}


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """(N, T, C) and (C', k, C) to (N, T / stride, C')."""
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (x, weight, bias)):
        return Convolve.apply(x, weight, bias, stride, pad)
    places = x.shape[1] // stride
    if places <= FEW_PLACES.get(x.device.type, 0):
        y = F.linear(_unfold(x, weight.shape[1], stride, pad), weight.flatten(1), bias)
        return y.view(len(x), places, -1)
    group = _places_together(x.device, stride * x.shape[2], places)
    weight, bias = _widened(weight, stride, group), None if bias is None else bias.repeat(group)
    blocks = _convolve_blocks(_cut(x, stride * group), _block_weight(weight, stride * group, pad), bias)
    return blocks.view(len(x), places, -1)


def adjoint(d: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """The gradient (N, T, C) of `convolve`'s input from that of its output, (N, T / stride, C'); bias: (C,)."""
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (d, weight, bias)):
        return Adjoint.apply(d, weight, bias, stride, pad)
    if d.shape[1] <= FEW_PLACES.get(d.device.type, 0):
        columns = d.flatten(0, 1) @ weight.flatten(1)
        return _fold(columns.view(*d.shape[:2], *weight.shape[1:]), bias, stride, pad)
    group = _places_together(d.device, stride * weight.shape[2], d.shape[1])
    blocks = _block_weight(_widened(weight, stride, group), stride * group, pad)
    bias = None if bias is None else bias.repeat(stride * group)
    image = F.conv_transpose2d(_as_image(_cut(d, group)), _as_image(blocks), bias, padding=(0, blocks.shape[1] // 2))
    return _from_image(image).view(len(d), d.shape[1] * stride, -1)


def correlate(x: Tensor, d: Tensor, kernel_size: int, stride: int, pad: int) -> Tensor:
    """The gradient (C', k, C) of `convolve`'s weight from its input and the gradient of its output."""
    if d.shape[1] <= FEW_PLACES_TO_CORRELATE.get(d.device.type, 0):
        # The transposed copy is cheap beside the product, which would be slow without it in bf16.
        product = d.flatten(0, 1).t().contiguous() @ _unfold(x, kernel_size, stride, pad)
        return product.view(d.shape[2], kernel_size, -1)
    group = _places_together(d.device, stride * x.shape[2], d.shape[1])
    wide_size, wide_stride = kernel_size + stride * (group - 1), stride * group
    taps, lead = _taps(wide_size, wide_stride, pad)
    size = (d.shape[2] * group, x.shape[2] * wide_stride, 1, taps)
    image, made = _as_image(_cut(x, wide_stride)), _as_image(_cut(d, group))
    gradient = conv2d_weight(image, size, made, padding=(0, taps // 2))  # pyright: ignore[reportArgumentType]
    wide = _from_image(gradient).view(size[0], taps * wide_stride, -1)[:, lead : lead + wide_size]
    return _narrowed(wide, kernel_size, stride, group)


def folded_nearest(weight: Tensor, stride: int) -> Tensor:
    """The weight (stride · C', taps, C), centred, of the convolution that upsamples by repetition and convolves.

    weight: (C', k, C), centred. Taps that fall on copies of one sample are added up: of 25 products 7 are left.
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


def _places_together(device: torch.device, block_channels: int, places: int) -> int:
    """How many places are made as one, so that a block has the channels that this device's kernels want."""
    group = LEAST_BLOCK_CHANNELS.get(device.type, 0) // block_channels
    return math.gcd(places, 1 << group.bit_length() - 1) if group else 1


def _widened(weight: Tensor, stride: int, group: int) -> Tensor:
    """The weight (group · C', k + stride · (group - 1), C) of the convolution that makes `group` places as one."""
    if group == 1:
        return weight
    return torch.cat([F.pad(weight, (0, 0, stride * place, stride * (group - 1 - place))) for place in range(group)])


def _narrowed(wide: Tensor, kernel_size: int, stride: int, group: int) -> Tensor:
    """The gradient (C', k, C) of a weight from that of its `_widened` form."""
    if group == 1:
        return wide
    parts = wide.view(group, -1, *wide.shape[1:]).unbind()
    parts = [part[:, stride * place : stride * place + kernel_size] for place, part in enumerate(parts)]
    return torch.stack(parts).sum(0)


def _unfold(x: Tensor, kernel_size: int, stride: int, pad: int) -> Tensor:
    """What each place sees, as rows: (N, T, C) to (N · T / stride, k · C)."""
    examples, samples, channels = x.shape
    padded = F.pad(x, (0, 0, pad, max(kernel_size - stride - pad, 0))).contiguous()  # a pad of nothing copies nothing
    size = (examples, samples // stride, kernel_size * channels)
    return padded.as_strided(size, (padded.stride(0), stride * channels, 1)).reshape(-1, size[2])


def _fold(columns: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """The adjoint of `_unfold`: (N, places, k, C) to (N, places · stride, C), overlaps added up, and a bias."""
    examples, places, kernel_size, channels = columns.shape
    samples = places * stride
    x = columns.new_zeros(examples, samples + kernel_size, channels)
    if bias is not None:
        x += bias
    for tap in range(kernel_size):
        x[:, tap : tap + samples : stride] += columns[:, :, tap]
    return x[:, pad : pad + samples].contiguous()


def _cut(x: Tensor, stride: int) -> Tensor:
    """(N, T, C) as blocks (N, T / stride, stride · C), a view."""
    return x.view(len(x), x.shape[1] // stride, -1)


def _block_weight(weight: Tensor, stride: int, pad: int) -> Tensor:
    """(C', k, C) as a convolution of blocks, centred: (C', taps, stride · C)."""
    taps, lead = _taps(weight.shape[1], stride, pad)
    padded = F.pad(weight, (0, 0, lead, taps * stride - lead - weight.shape[1]))
    return padded.view(len(weight), taps, -1)


def _taps(kernel_size: int, stride: int, pad: int) -> tuple[int, int]:
    """Blocks that a kernel touches, made odd so that it is centred, and the samples of them before its first."""
    half = max(math.ceil(pad / stride), math.ceil((kernel_size - pad) / stride) - 1)
    return 2 * half + 1, stride * half - pad


def _convolve_blocks(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _from_image(F.conv2d(_as_image(x), _as_image(weight), bias, padding=(0, weight.shape[1] // 2)))


def _as_image(x: Tensor) -> Tensor:
    """(N, T, C) as a picture of one line with its channels last in memory: a view (N, C, 1, T)."""
    return x.transpose(1, 2).unsqueeze(2)


def _from_image(x: Tensor) -> Tensor:
    return x.squeeze(2).transpose(1, 2).contiguous()


class Convolve(Function):
    """`convolve`; with Adjoint and Correlate it is closed under differentiation, any number of times."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride, pad):
        ctx.save_for_backward(x, weight)
        ctx.steps = stride, pad
        return convolve(x.contiguous(), weight, bias, stride, pad)

    @staticmethod
    def backward(ctx, d):
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias, *_ = ctx.needs_input_grad
        return (
            Adjoint.apply(d, weight, None, *ctx.steps) if for_x else None,
            Correlate.apply(x, d, weight.shape[1], *ctx.steps) if for_weight else None,
            d.sum((0, 1)) if for_bias else None,
            None,
            None,
        )


class Adjoint(Function):
    """`adjoint`: ⟨g, adjoint(d, w)⟩ = ⟨convolve(g, w), d⟩."""

    @staticmethod
    def forward(ctx, d, weight, bias, stride, pad):
        ctx.save_for_backward(d, weight)
        ctx.steps = stride, pad
        return adjoint(d.contiguous(), weight, bias, stride, pad)

    @staticmethod
    def backward(ctx, g):
        d, weight = ctx.saved_tensors
        for_d, for_weight, for_bias, *_ = ctx.needs_input_grad
        return (
            Convolve.apply(g, weight, None, *ctx.steps) if for_d else None,
            Correlate.apply(g, d, weight.shape[1], *ctx.steps) if for_weight else None,
            g.sum((0, 1)) if for_bias else None,
            None,
            None,
        )


class Correlate(Function):
    """`correlate`: ⟨g, correlate(x, d)⟩ = ⟨convolve(x, g), d⟩."""

    @staticmethod
    def forward(ctx, x, d, kernel_size, stride, pad):
        ctx.save_for_backward(x, d)
        ctx.steps = stride, pad
        return correlate(x.contiguous(), d.contiguous(), kernel_size, stride, pad)

    @staticmethod
    def backward(ctx, g):
        x, d = ctx.saved_tensors
        for_x, for_d, *_ = ctx.needs_input_grad
        return (
            Adjoint.apply(d, g, None, *ctx.steps) if for_x else None,
            Convolve.apply(x, g, None, *ctx.steps) if for_d else None,
            None,
            None,
            None,
        )
