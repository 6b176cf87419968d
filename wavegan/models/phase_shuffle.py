"""Computes phase shuffle, random shifts in time between a discriminator's layers, and its adjoint.

On a CPU whole rows of channels are copied. On other devices a shift is one lookup of each number, which a compiler can
fuse with the operations before and after it.
"""

import torch
from torch import Tensor, nn
from torch.autograd import Function

from wavegan import distributed


class PhaseShuffle(nn.Module):
    """Shifts activations in time by a random whole number from -radius to radius, reflecting at the edges.

    It maps (N, C, T) to the same shape (Donahue et al. 2018, section 3.2). With `shared` it draws one shift for the
    whole call, as the authors' code does; otherwise each example has its own. It draws on the device of x.
    """

    def __init__(self, radius: int, *, shared: bool = True):
        super().__init__()
        self.radius = radius
        self.shared = shared

    def forward(self, x: Tensor) -> Tensor:
        if self.radius == 0:
            return x
        shifted = Shift.apply(x.transpose(1, 2).contiguous(), self.draw(1, len(x), x.device), self.radius)
        return shifted.transpose(1, 2)

    def draw(self, batches: int, examples: int, device: torch.device) -> Tensor:
        """Draws the shifts (batches · examples,) of some batches, for each batch independently."""

        def shifts(rows: int) -> Tensor:
            return torch.randint(-self.radius, self.radius + 1, (rows, batches), device=device)

        drawn = shifts(1) if self.shared else distributed.rank_rows(shifts, examples)
        return drawn.t().expand(batches, examples).flatten().int()

    def extra_repr(self) -> str:
        return f"radius={self.radius}, shared={self.shared}"


def shift(x: Tensor, shifts: Tensor, radius: int) -> Tensor:
    """Moves each example of x (N, T, C) right by its own shift, at most `radius` samples, reflected at both ends."""
    if x.device.type != "cpu":
        return shift_by_index(x, shifts)
    starts, places = _rows_and_places(x)
    rows = starts - shifts[:, None] + places
    for edge in (slice(radius), slice(-radius, None)):
        rows[:, edge] = starts + _sources(places[edge], shifts, len(places))
    return x.flatten(0, 1).index_select(0, rows.flatten()).view(x.shape)


def unshift(d: Tensor, shifts: Tensor, radius: int) -> Tensor:
    """Computes the adjoint of `shift`: every sample receives the sum of the gradients of its copies."""
    if d.device.type != "cpu":
        return unshift_by_index(d, shifts)
    # `shift` is y[p] = x[r(p - s)], where s is the example's shift and r reflects at both ends. So the gradient of x[q]
    # is the sum of d[p] over all places p with r(p - s) = q. Far from the ends only p = q + s is such a place, and the
    # result is d moved left by s.
    starts, places = _rows_and_places(d)  # (N, 1), (T,)
    rows = (starts + shifts[:, None] + places).clamp_(0, len(d) * len(places) - 1)  # (N, T)
    moved = d.flatten(0, 1).index_select(0, rows.flatten()).view(d.shape)  # (N, T, C)
    # Near the start, at q ≤ radius, p = s - q is another such place, since r(-q) = q, and a place below 0 is none. Both
    # are at most 2 · radius. So these places are compared with q, and d is multiplied by a matrix of zeros and ones.
    # The end is the mirror image.
    first, last = slice(radius + 1), slice(-radius - 1, None)
    for edge, takers in ((first, slice(2 * radius + 1)), (last, slice(-2 * radius - 1, None))):
        sources = _sources(places[takers], shifts, len(places))  # r(p - s): (N, 2 · radius + 1)
        is_copy = sources[:, None] == places[edge, None]  # (N, radius + 1, 2 · radius + 1)
        moved[:, edge] = is_copy.to(d.dtype) @ d[:, takers]  # (N, radius + 1, C)
    return moved


def shift_by_index(x: Tensor, shifts: Tensor) -> Tensor:
    """Computes `shift` as one lookup of each number."""
    places = torch.arange(x.shape[1], device=x.device)
    return _taken(x, _sources(places, shifts, x.shape[1]))


def unshift_by_index(d: Tensor, shifts: Tensor) -> Tensor:
    """Computes `unshift` as a sum: the shifted samples, those reflected at the start and those reflected at the end."""
    last, places, shifts = d.shape[1] - 1, torch.arange(d.shape[1], device=d.device), shifts[:, None]
    total = torch.zeros_like(d)
    for takers, is_taken in (
        (places + shifts, places >= 0),
        (shifts - places, places > 0),
        (2 * last - places + shifts, places < last),
    ):
        is_taken = is_taken & (takers >= 0) & (takers <= last)
        total = total + torch.where(is_taken[..., None], _taken(d, takers.clamp(0, last)), 0)
    return total


def _taken(x: Tensor, places: Tensor) -> Tensor:
    """Returns the samples (N, P, C) of x (N, T, C) at some places (N, P) of each example."""
    return x[torch.arange(len(x), device=x.device)[:, None], places]


def _rows_and_places(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the first row of each example, (N, 1), in x (N, T, C) as N · T rows, and the numbers 0 to T - 1."""
    places = torch.arange(x.shape[1], device=x.device, dtype=torch.int32)
    return torch.arange(len(x), device=x.device, dtype=torch.int32)[:, None] * x.shape[1], places


def _sources(places: Tensor, shifts: Tensor, samples: int) -> Tensor:
    """Returns the places (N, places) from which the samples at some places of each shifted example come."""
    index = (places - shifts[:, None]).abs()
    return (samples - 1) - (samples - 1 - index).abs()  # reflected at both ends, the edge not repeated


class Shift(Function):
    """Makes `shift` differentiable; the gradient of its input is `unshift` of that of its output."""

    @staticmethod
    def forward(ctx, x, shifts, radius):
        ctx.save_for_backward(shifts)
        ctx.radius = radius
        return shift(x, shifts, radius)

    @staticmethod
    def backward(ctx, d):
        (shifts,) = ctx.saved_tensors
        return Unshift.apply(d, shifts, ctx.radius), None, None


class Unshift(Function):
    """Makes `unshift` differentiable; the gradient of its input is `shift` of that of its output."""

    @staticmethod
    def forward(ctx, d, shifts, radius):
        ctx.save_for_backward(shifts)
        ctx.radius = radius
        return unshift(d.contiguous(), shifts, radius)

    @staticmethod
    def backward(ctx, g):
        (shifts,) = ctx.saved_tensors
        return Shift.apply(g.contiguous(), shifts, ctx.radius), None, None
