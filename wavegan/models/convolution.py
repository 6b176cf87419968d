"""Strided convolutions, their adjoints and their weight gradients, each in the form that is fastest for its shape.

Every layer of a network of waveforms comes down to these three: a transposed convolution is the adjoint of a
strided one, and nearest upsampling with its convolution is one with weights added up (`folded_nearest`).
Activations are (N, T, C) here, channels last, and weights (C', k, C); a convolution starts `pad` samples before
each of its T / stride places and reads zeros beyond both ends.

Few places: what each place sees is laid side by side and the whole is one matrix product; its adjoint is one too,
whose results are added up where they overlap. The deep layers have large weights and little else, and libraries
of convolutions leave most of a machine idle there. Many places: time is cut into blocks of `stride` samples, a
view with channels last, and the convolution is one with stride 1 from stride · C channels. It needs no copy, and
its adjoint is a convolution of the same kind.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.nn.grad import conv2d_weight

# Where matrix products begin to win, by benchmarks/convolutions.py.
FEW_PLACES = 32
FEW_PLACES_TO_CORRELATE = 64


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """(N, T, C) and (C', k, C) to (N, T / stride, C')."""
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (x, weight, bias)):
        return Convolve.apply(x, weight, bias, stride, pad)
    places = x.shape[1] // stride
    if places <= FEW_PLACES:
        y = F.linear(_unfold(x, weight.shape[1], stride, pad), weight.flatten(1), bias)
        return y.view(len(x), places, -1)
    return _convolve_blocks(_cut(x, stride), _block_weight(weight, stride, pad), bias)


def adjoint(d: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """The gradient (N, T, C) of `convolve`'s input from that of its output, (N, T / stride, C'); bias: (C,)."""
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (d, weight, bias)):
        return Adjoint.apply(d, weight, bias, stride, pad)
    if d.shape[1] <= FEW_PLACES:
        columns = d.flatten(0, 1) @ weight.flatten(1)
        return _fold(columns.view(*d.shape[:2], *weight.shape[1:]), bias, stride, pad)
    blocks = _block_weight(weight, stride, pad)
    bias = None if bias is None else bias.repeat(stride)
    image = F.conv_transpose2d(_as_image(d), _as_image(blocks), bias, padding=(0, blocks.shape[1] // 2))
    return _from_image(image).view(len(d), d.shape[1] * stride, -1)


def correlate(x: Tensor, d: Tensor, kernel_size: int, stride: int, pad: int) -> Tensor:
    """The gradient (C', k, C) of `convolve`'s weight from its input and the gradient of its output."""
    if d.shape[1] <= FEW_PLACES_TO_CORRELATE:
        # The transposed copy is cheap beside the product, which would be slow without it in bf16.
        product = d.flatten(0, 1).t().contiguous() @ _unfold(x, kernel_size, stride, pad)
        return product.view(d.shape[2], kernel_size, -1)
    taps, lead = _taps(kernel_size, stride, pad)
    size = (d.shape[2], x.shape[2] * stride, 1, taps)
    image = _as_image(_cut(x, stride))
    gradient = conv2d_weight(image, size, _as_image(d), padding=(0, taps // 2))  # pyright: ignore[reportArgumentType]
    blocks = _from_image(gradient)
    return blocks.view(d.shape[2], taps * stride, -1)[:, lead : lead + kernel_size]


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
