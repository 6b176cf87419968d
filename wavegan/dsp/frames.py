"""Cuts sound into frames and computes their real Fourier transforms, with gradients as fast as the transforms.

torch's own gradient of `rfft` goes through the whole complex transform, and a sum over an axis of two numbers is slow.
Here spectra are real numbers, (..., bins, 2): real and imaginary parts.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def precise(clips: Tensor) -> Tensor:
    """Returns clips in float32, float64 as it is: bf16 keeps 8 significant bits, and a floor of -80 dB needs 14."""
    return clips.float() if clips.dtype in (torch.bfloat16, torch.float16) else clips


def framed(x: Tensor, *, window: int, hop: int) -> Tensor:
    """Cuts sound (..., T) into the frames (..., count, window) that fit into it, one every hop samples.

    >>> framed(torch.arange(6), window=4, hop=2)
    tensor([[0, 1, 2, 3],
            [2, 3, 4, 5]])
    """
    if window % hop or x.shape[-1] % hop:
        return x.unfold(-1, window, hop)
    pieces = x.unflatten(-1, (-1, hop))
    count, parts = pieces.shape[-2] - window // hop + 1, window // hop
    return torch.cat([pieces[..., lag : lag + count, :] for lag in range(parts)], dim=-1)  # faster than unfold


def overlap_added(frames: Tensor, *, hop: int) -> Tensor:
    """Adds up frames (..., count, window) that begin every hop samples: (..., T) with T = (count - 1) · hop + window.

    hop divides window.

    >>> overlap_added(torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1]]), hop=2)
    tensor([1, 1, 2, 2, 1, 1])
    """
    parts = frames.shape[-1] // hop
    pieces = frames.unflatten(-1, (parts, hop)).unbind(-2)
    shifted = (F.pad(piece, (0, 0, lag, parts - 1 - lag)) for lag, piece in enumerate(pieces))
    return functools.reduce(torch.add, shifted).flatten(-2)


def real_transform(frames: Tensor) -> Tensor:
    """Transforms real frames (..., window), window even, to real and imaginary parts (..., window / 2 + 1 bins, 2).

    An export knows no complex numbers; there it is one product with cosines and sines, and so is the inverse.
    """
    if torch.compiler.is_exporting():
        return (frames @ basis(frames.shape[-1]).to(frames)).unflatten(-1, (-1, 2))
    return _RealTransform.apply(frames)


def inverse_real_transform(pairs: Tensor) -> Tensor:
    """Transforms real and imaginary parts (..., window / 2 + 1 bins, 2) back to frames (..., window).

    The imaginary parts of the first and the last bin count for nothing, as a real frame has none.
    """
    if torch.compiler.is_exporting():
        return pairs.flatten(-2) @ inverse_basis(2 * pairs.shape[-2] - 2).to(pairs)
    return _InverseTransform.apply(pairs)


def joined(real: Tensor, imaginary: Tensor) -> Tensor:
    """Joins real and imaginary parts (...) to pairs (..., 2); on a CPU this is ten times as fast as torch.stack."""
    if torch.compiler.is_exporting():
        return torch.stack([real, imaginary], dim=-1)  # an export would scatter every number to its place
    pairs = torch.empty(*real.shape, 2, dtype=real.dtype, device=real.device)
    pairs[..., 0], pairs[..., 1] = real, imaginary
    return pairs


def parted(pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Returns real and imaginary parts (...) of pairs (..., 2), the opposite of `joined`, also for gradients."""
    return _Parting.apply(pairs)


def basis(window: int) -> Tensor:
    """Returns the matrix (window, bins · 2) of `real_transform`, in float64."""
    angles = 2 * math.pi / window * torch.outer(torch.arange(window), torch.arange(window // 2 + 1)).double()
    return torch.stack([angles.cos(), -angles.sin()], dim=-1).flatten(1)


def inverse_basis(window: int) -> Tensor:
    """Returns the matrix (bins · 2, window) of `inverse_real_transform`, in float64."""
    weight = torch.full((window // 2 + 1,), 2 / window, dtype=torch.float64)
    weight[[0, -1]] /= 2
    return weight.repeat_interleave(2)[:, None] * basis(window).t()


class _Parting(Function):
    @staticmethod
    def forward(ctx, pairs):
        return pairs[..., 0].contiguous(), pairs[..., 1].contiguous()

    @staticmethod
    def backward(ctx, d_real, d_imaginary):
        return joined(d_real, d_imaginary)


class _RealTransform(Function):
    @staticmethod
    def forward(ctx, frames):
        ctx.window = frames.shape[-1]
        return torch.view_as_real(torch.fft.rfft(frames))

    @staticmethod
    @once_differentiable
    def backward(ctx, d):
        # A bin moves sample n by Re · cos - Im · sin; irfft counts all but the first and the last bin twice.
        spectrum = d * (ctx.window / 2)
        spectrum[..., 0, :] *= 2
        spectrum[..., -1, :] *= 2
        return torch.fft.irfft(torch.view_as_complex(spectrum.contiguous()), ctx.window)


class _InverseTransform(Function):
    @staticmethod
    def forward(ctx, pairs):
        return torch.fft.irfft(torch.view_as_complex(pairs.contiguous()))

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        spectrum = torch.view_as_real(torch.fft.rfft(g)) * (2 / g.shape[-1])
        spectrum[..., 0, :] *= 0.5
        spectrum[..., -1, :] *= 0.5
        return spectrum
