"""The head of a generator of spectra: what it says of each bin as a complex number, with a gradient by hand."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

LEAST_SLOPE = 0.25
LOUDNESS_GAIN = 4.0
MAPS = 4  # of every bin: level, real part, imaginary part, hiss


class Spectra(Function):
    """What the head says as spectra, with a gradient by hand: torch's own writes and reads several times as much.

    A bin has maps l (level), r, i and h (hiss), and all bins of a frame share v (loudness). With the start level s,
    the bin's bound B and the noise n,

        m = exp(B - softplus(B - l - s - 4 v)),  a = m / √(1 + r² + i² + h²),  spectrum = a ((r + i j) · turn + h · n).

    Without the root r, i and h grow into the hundreds in a long training, and the bound bounds nothing. The gradient is
    exact but for one thing: where it asks for less level, the bound's slope counts as LEAST_SLOPE at least.
    """

    @staticmethod
    def forward(ctx, maps, start_levels, bounds, turn, hiss):
        loudness, (level, real, imaginary, share) = maps[..., :1], maps[..., 1:].chunk(MAPS, dim=-1)
        room = (bounds - start_levels)[:, None] - level - LOUDNESS_GAIN * loudness
        shrink = (1 + real * real + imaginary * imaginary + share * share).rsqrt_()
        amplitude = (bounds[:, None] - F.softplus(room)).exp_().mul_(shrink)
        cosine, sine = turn
        spectra = torch.empty(*level.shape, 2, dtype=maps.dtype, device=maps.device)
        noise = amplitude * share
        spectra[..., 0] = amplitude * (real * cosine - imaginary * sine) + noise * hiss[..., 0]
        spectra[..., 1] = amplitude * (real * sine + imaginary * cosine) + noise * hiss[..., 1]
        ctx.save_for_backward(maps, amplitude, shrink, room, turn, hiss)
        return spectra

    @staticmethod
    @once_differentiable
    def backward(ctx, d):
        maps, amplitude, shrink, room, (cosine, sine), hiss = ctx.saved_tensors
        parts = maps[..., 1:].chunk(MAPS, dim=-1)[1:]
        d_real, d_imaginary = d.unbind(-1)
        by_part = (
            d_real * cosine + d_imaginary * sine,
            d_imaginary * cosine - d_real * sine,
            d_real * hiss[..., 0] + d_imaginary * hiss[..., 1],
        )
        # That of a times a, which both the level and the root have a part in.
        by_amplitude = sum(slope * part for slope, part in zip(by_part, parts, strict=True)) * amplitude
        gradient = torch.empty_like(maps)
        by_level, *by_parts = gradient[..., 1:].chunk(MAPS, dim=-1)
        slope = (
            room.sigmoid()
        )  # of the bound; towards less level it never vanishes, or a bin beyond it would stay there
        slope = torch.where(by_amplitude > 0, slope.clamp(min=LEAST_SLOPE), slope)
        torch.mul(by_amplitude, slope, out=by_level)
        gradient[..., :1] = LOUDNESS_GAIN * by_level.sum(-1, keepdim=True)
        by_root = by_amplitude * shrink * shrink
        for own, slope, part in zip(by_parts, by_part, parts, strict=True):
            torch.sub(slope * amplitude, by_root * part, out=own)
        return gradient, None, None, None, None


def channel_mix(channels: int) -> Tensor:
    """Returns the orthonormal matrix (maps, channels) from channels to their mean and differences.

    It is the cosine transform, of two channels mid and side.
    """
    places = (torch.arange(channels) + 0.5) * math.pi / channels
    rows = torch.outer(torch.arange(channels), places).cos() * math.sqrt(2 / channels)
    rows[0] /= math.sqrt(2)
    return rows
