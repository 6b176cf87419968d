"""Says which frames each block of the modern generator makes: twice as many from block to block, until there are all.

The blocks of a clip that begins and ends make its frames and no others. A sound without a beginning and an end has no
first frame: each block makes as many frames more on both sides of the clip as the blocks behind it hear, and none knows
where the clip begins. So a network that has learned short clips makes sounds of any length (Lin et al. 2022,
InfinityGAN).
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

START_FRAMES = 16  # about as many, from which a clip's others are interpolated
STRIDES = (8, 4, 2, 1, 1)  # of the blocks of a sound without an end, in hops
REACH = 4  # frames on either side that a block hears: two convolutions over five frames
LARGEST_MATRIX = 4096  # frames
STOP_HOPS = 512  # from one latent of a long sound to the next; 4.1 s at 16 kHz and a hop of 128


class Stage(NamedTuple):
    """Says how a block gets its frames: features are interpolated to `size` frames, and `length` from `begin` are kept.

    stride: of the frames, in hops. margin: how many of them lie before the clip, and as many after it.
    """

    size: int
    begin: int
    length: int
    stride: int
    margin: int

    def of(self, x: Tensor) -> Tensor:
        """Returns the block's frames (N, C, length) of the features before it, (N, C, T)."""
        return stretched(x, self.size)[..., self.begin : self.begin + self.length]

    def seen(self, row: Tensor, first: "Stage") -> Tensor:
        """Returns the block's frames of a row (N, C, T) with one of each hop; first: the first block's stage.

        Without margins the row is of the clip, else of the first block's frames.
        """
        if not self.margin:
            return stretched(row, self.length)
        begin = first.margin * first.stride // self.stride - self.margin
        return stretched(row, row.shape[-1] // self.stride)[..., begin : begin + self.length]

    def within(self, x: Tensor) -> Tensor:
        """Returns those of its features (N, C, length) that lie in the clip."""
        return x[..., self.margin : self.length - self.margin]


def whole_stages(frames: int) -> list[Stage]:
    """Lists the stages of a clip that begins and ends."""
    doublings = max(0, round(math.log2(frames / START_FRAMES)))
    strides = [*(2**left for left in range(doublings, -1, -1)), 1]
    return [Stage(-(-frames // stride), 0, -(-frames // stride), stride, 0) for stride in strides]


def unbounded_stages(frames: int) -> list[Stage]:
    """Lists the stages of a clip out of a sound without an end."""
    margins = [REACH]
    for stride, after in pairwise(STRIDES[::-1]):
        doubled = -(-margins[0] // 2) + 1  # one more, as frames are interpolated between two
        margins.insert(0, REACH + (margins[0] if stride == after else doubled))
    lengths = [
        -(-frames // STRIDES[0]) * STRIDES[0] // stride + 2 * margin
        for stride, margin in zip(STRIDES, margins, strict=True)
    ]
    stages = [Stage(lengths[0], 0, lengths[0], STRIDES[0], margins[0])]
    for length, stride, margin in zip(lengths[1:], STRIDES[1:], margins[1:], strict=True):
        before = stages[-1]
        times = before.stride // stride
        stages.append(Stage(times * before.length, times * before.margin - margin, length, stride, margin))
    return stages


def way_stops(hops: int) -> int:
    """Returns how many latents a sound of so many hops has: one up to STOP_HOPS, else one at each of these."""
    return 1 if hops <= STOP_HOPS else 1 + -(-hops // STOP_HOPS)


def loop_stops(hops: int) -> int:
    """Returns how many latents a loop of so many hops has: about one for each STOP_HOPS."""
    return max(1, round(hops / STOP_HOPS))


def latents_on_the_way(stops: Tensor, first: Stage, drift: Tensor, period: int = 0) -> Tensor:
    """Computes the latents (N, places, D) of the first block's places, of those at the stops (N, S, D).

    Between two stops a latent goes along an arc. Independent latents are nearly orthogonal, so it stays about as long.
    drift: (N,), from 0, all are the first latent, to 1, each stop is reached; between them all lie at this part of a
    right angle from the first one. period: hops, after which the way is back at its first stop, as that of a loop is; 0
    for a way that ends.
    """
    count = stops.shape[1]
    hops = (torch.arange(first.length, device=stops.device) - first.margin) * first.stride
    at = hops % period * (count / period) if period else (hops / STOP_HOPS).clamp(0, count - 1)
    before = at.floor().long().clamp(max=count - 1 if period else count - 2)
    angles = (at - before) * (math.pi / 2)
    here, there = (F.one_hot(stop % count, count) for stop in (before, before + 1))
    shares = angles.cos()[:, None] * here + angles.sin()[:, None] * there
    away = drift.to(shares)[:, None, None] * (math.pi / 2)
    shares = away.sin() * shares + away.cos() * F.one_hot(torch.zeros_like(before), count)
    return shares / shares.norm(dim=-1, keepdim=True) @ stops


def stretched(x: Tensor, size: int) -> Tensor:
    """Interpolates (N, C, T) linearly to (N, C, size), as `F.interpolate` does; the same x if that is its size.

    It is a product with a matrix, unless that were too large: F.interpolate gives each place one thread of a GPU, which
    loops over clips and channels.
    """
    if x.shape[-1] == size:
        return x
    if max(size, x.shape[-1]) > LARGEST_MATRIX:
        return F.interpolate(x, size=size, mode="linear")
    unit = torch.eye(x.shape[-1], dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    weights = F.interpolate(unit[None], size=size, mode="linear")[0].t().to(x.dtype)
    return (weights @ x.transpose(1, 2)).transpose(1, 2)
