"""Turns the output of a generator's last layer into spectra, with a gradient by hand."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from wavegan.dsp.frames import joined

LEAST_SLOPE = 0.25
LOUDNESS_GAIN = 4.0
BROAD = 9  # bins, more than the four that a steady partial reaches
MAPS = 3  # of every bin: level, real part, imaginary part; and a share of each source


def map_count(bins: int, sources: int) -> int:
    """Counts what the head says of a frame of one channel: its loudness, and the maps of every bin."""
    return 1 + (MAPS + sources) * bins


class Spectra(Function):
    """Makes spectra of what the head says, with a gradient by hand: torch's own reads and writes several times as much.

    A bin has maps l (level), r, i and for each source a share h, and all bins of a frame share v (loudness). With the
    start level s, the bin's bound B and the spectra n of the sources (hiss, for example),

        m = exp(B - softplus(B - l - s - 4 v)),  a = m / √(1 + r² + i² + Σ h²),
        spectrum = a ((r + i j) · turn + Σ h n).

    Without the root r, i and h grow into the hundreds in a long training, and the bound bounds nothing. The gradient is
    exact but for one thing: where it asks for less level, the bound's slope counts as LEAST_SLOPE at least.

    turn is a steady sine, or a source that r + i j filters; its real and imaginary parts are (2, …). Call it as
    Spectra.apply(maps, room, levels, turn, *sources) with room and levels of `levels_below`.
    """

    @staticmethod
    def forward(ctx, maps, room, levels, turn, *sources):
        real, imaginary, *shares = parts = maps[..., 1:].chunk(MAPS + len(sources), dim=-1)[1:]
        squares = 1 + real * real
        for part in parts[1:]:
            squares.addcmul_(part, part)
        shrink = squares.rsqrt_()
        amplitude = levels.exp().mul_(shrink)
        cosine, sine = turn
        spectra = joined(real * cosine - imaginary * sine, real * sine + imaginary * cosine)
        for share, source in zip(shares, sources, strict=True):
            spectra.addcmul_(share[..., None], source)
        spectra.mul_(amplitude[..., None])
        ctx.save_for_backward(maps, amplitude, shrink, room, turn, *sources)
        return spectra

    @staticmethod
    @once_differentiable
    def backward(ctx, d):
        maps, amplitude, shrink, room, turn, *sources = ctx.saved_tensors
        cosine, sine = turn
        parts = maps[..., 1:].chunk(MAPS + len(sources), dim=-1)[1:]
        d_real, d_imaginary = d.unbind(-1)
        by_part = [d_real * cosine + d_imaginary * sine, d_imaginary * cosine - d_real * sine]
        by_part += [d_real * source[..., 0] + d_imaginary * source[..., 1] for source in sources]
        # That of a times a, which both the level and the root have a part in.
        by_amplitude = sum(slope * part for slope, part in zip(by_part, parts, strict=True)) * amplitude
        gradient = torch.empty_like(maps)
        by_level, *by_parts = gradient[..., 1:].chunk(MAPS + len(sources), dim=-1)
        # Towards less level the bound's slope never vanishes, or a bin beyond it would stay there.
        slope = room.sigmoid()
        slope = torch.where(by_amplitude > 0, slope.clamp(min=LEAST_SLOPE), slope)
        torch.mul(by_amplitude, slope, out=by_level)
        gradient[..., :1] = LOUDNESS_GAIN * by_level.sum(-1, keepdim=True)
        by_root = by_amplitude * shrink * shrink
        for own, slope, part in zip(by_parts, by_part, parts, strict=True):
            torch.sub(slope * amplitude, by_root * part, out=own)
        by_turn = None
        if ctx.needs_input_grad[3]:
            real, imaginary = parts[:2]
            by_cosine, by_sine = d_real * real + d_imaginary * imaginary, d_imaginary * real - d_real * imaginary
            by_turn = (torch.stack([by_cosine, by_sine]) * amplitude).sum_to_size(turn.shape)
        by_sources = [
            (d * (amplitude * share)[..., None]).sum_to_size(source.shape) if is_needed else None
            for share, source, is_needed in zip(parts[2:], sources, ctx.needs_input_grad[4:], strict=True)
        ]
        return gradient, None, None, by_turn, *by_sources


@torch.no_grad()
def levels_below(maps: Tensor, start_levels: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
    """Computes how far below its bound the maps ask each level to be, and the levels, which stay below the bounds.

    Both are (N, channels, frames, bins); levels are natural logarithms of magnitudes.
    """
    level = maps[..., 1 : 1 + bounds.shape[-1]]
    room = (bounds - start_levels)[:, None] - level - LOUDNESS_GAIN * maps[..., :1]
    return room, bounds[:, None] - F.softplus(room)


@torch.no_grad()
def hiss_factors(levels: Tensor) -> Tensor:
    """Computes by what the hiss of each bin is multiplied, (N, channels, frames, bins), so that no peak raises it.

    A factor is 1 at most. It is less where the bin's level is above the mean level, in dB, of the BROAD bins around it.
    Its own slope is left out of the gradient.
    """
    around = F.avg_pool1d(levels.flatten(0, 2), BROAD, stride=1, padding=BROAD // 2, count_include_pad=False)
    return (around.view_as(levels) - levels).clamp_(max=0).exp_()
