"""Makes spectra of pulse trains, a source whose harmonics hold together as those of a voice or a string do."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.frames import real_transform

UNIT_HOPS = 4  # hops that a unit holds at least; at 16 kHz, window 512 or 256 and hop 128 it is 512 samples, 32 ms
LOWEST, HIGHEST = 2.0, 32.0  # cycles a unit; 62 and 1,000 Hz
LOWEST_NOTE, HIGHEST_NOTE = 1.04, 128.0  # 32.5 Hz, C1 has 32.7; and 4 kHz, C8 has 4,186. A voice has none of these
STEADY_REACH = 4  # frames on each side, over which what a network says of a steady pitch is averaged
COMMON = (0.05, 0.95)  # quantiles of the pitches of a sound
ROOM = 0.5  # octaves that a pitch may lie beyond them
FEW = 200  # pitches, from which no range is measured
MOST_MOVED = 0.2  # octaves, by which a network moves a drawn pitch at most
BEND_UNITS = 12  # over which a drawn pitch is smooth, and what a network says of it; 0.38 s
BAND = 0.4  # B as a share of the band
LEAST_HEIGHT = -40.0  # as a natural logarithm; denormal numbers make arithmetic slow


class Frequencies(nn.Module):
    """Turns pitches of any shape, any numbers, into cycles a sample; 0 is the middle of the range.

    The range, `bounds`, is the logarithms to base 2 of the lowest and the highest pitch in cycles a unit: of the
    `bounds` given, or what `measure` sets. Where pitches are `drawn` (the same shape, as such logarithms), the numbers
    only move those, by `reach` octaves. If they are_centred the moves of each row have a mean of 0, so that it keeps
    its pitch: no discriminator hears that all sounds are a little flat.
    """

    bounds: Tensor

    def __init__(
        self,
        unit: int,
        is_measured: bool = False,
        bounds: tuple[float, float] = (LOWEST, HIGHEST),
        *,
        are_centred: bool = False,
    ):
        super().__init__()
        self.unit, self.are_centred = unit, are_centred
        self.register_buffer("bounds", torch.tensor(bounds).log2(), persistent=is_measured)

    def forward(self, pitches: Tensor, drawn: Tensor | None = None, reach: Tensor | float = MOST_MOVED) -> Tensor:
        low, high = self.bounds
        if drawn is not None:
            moves = reach * torch.tanh(pitches)
            if self.are_centred:
                moves = moves - moves.mean(dim=-1, keepdim=True)
            return torch.exp2((drawn + moves).clamp(low, high)) / self.unit
        return torch.exp2(low + (high - low) * torch.sigmoid(pitches)) / self.unit

    @property
    def limits(self) -> tuple[float, float]:
        """Returns the lowest and the highest pitch of the range, in cycles a unit."""
        low, high = (2**self.bounds).tolist()
        return low, high

    def measure(self, pitches: Tensor) -> None:
        """Sets the range to where nine of ten of these pitches lie, in cycles a unit, and half an octave beyond.

        NaN is no pitch. The range stays as it is if there are fewer than two hundred.
        """
        pitches = pitches[pitches.isfinite()]
        if len(pitches) >= FEW:
            low, high = pitches.log2().quantile(torch.tensor(COMMON, device=pitches.device))
            widest = math.log2(LOWEST), math.log2(HIGHEST)
            self.bounds.copy_(torch.stack([low - ROOM, high + ROOM]).clamp(*widest))


def pitch_unit(window: int, hop: int) -> int:
    """Returns the unit, in samples, in which pitches are told: a window, or four hops where that is longer."""
    return max(window, UNIT_HOPS * hop)


class Pulses(nn.Module):
    """Turns pitches (N, frames) into spectra (N, 1, frames, bins, 2), as loud as hiss: a mean square of 2 in a bin.

    A pitch is any number, see `Frequencies`. It is averaged over `span` frames, nine if is_steady; if is_drawn twelve
    units, but no more than `edge` samples on each side, if there is an edge. If is_steady the range of pitches can be
    measured; if they are_notes it is wider, up to pitches of four samples. A pulse train is exp(κ (cos φ - 1)). For κ =
    (B / pitch)² the level of its harmonic at the frequency F falls as exp(-F² / 2 B²), whatever the pitch. Dividing by
    that makes all harmonics equally loud. The pitch is constant within a frame; the phase in the middle of a frame is
    the sum of all cycles so far. The gradient reaches a pitch through its own frame alone: through the phases of all
    later frames it would be noise. A source and a filter: Wang, Takaki and Yamagishi (2019, neural source-filter),
    Engel et al. (2020, DDSP).
    """

    whitening: Tensor

    def __init__(
        self,
        window: int,
        hop: int,
        *,
        is_steady: bool = False,
        is_drawn: bool = False,
        edge: int = 0,
        are_notes: bool = False,
    ):
        super().__init__()
        self.window, self.hop, self.is_steady = window, hop, is_steady
        drawn_reach = BEND_UNITS * pitch_unit(window, hop) // (2 * hop)
        if edge:
            drawn_reach = min(drawn_reach, edge // hop)
        self.span = 1 + 2 * (drawn_reach if is_drawn else STEADY_REACH if is_steady else 0)
        unit = pitch_unit(window, hop)
        bounds = (LOWEST_NOTE, min(HIGHEST_NOTE, unit / 4)) if are_notes else (LOWEST, HIGHEST)
        are_centred = are_notes and not edge  # a part of a sound without an end has the pitch of the whole
        self.frequencies = Frequencies(unit, is_measured=is_steady, bounds=bounds, are_centred=are_centred)
        places = torch.arange(window // 2 + 1) / (BAND * window / 2)
        self.register_buffer("whitening", (places.square() / 2).exp()[:, None] * (2 / window), persistent=False)

    def forward(self, pitches: Tensor, drawn: Tensor | None = None, reach: Tensor | float = MOST_MOVED) -> Tensor:
        if self.span > 1:
            pitches = F.avg_pool1d(pitches, self.span, stride=1, padding=self.span // 2, count_include_pad=False)
        cycles = self.frequencies(pitches, drawn, reach)
        times = torch.arange(self.window, device=cycles.device) - self.window / 2
        phases = self._middles(cycles.detach())[..., None] + cycles[..., None] * times
        sharpness, gain = self._shape(cycles.detach())
        height = -2 * sharpness[..., None] * (math.pi * phases).sin().square()  # cos φ - 1 would cancel
        pulses = gain[..., None] * height.clamp(min=LEAST_HEIGHT).exp()
        return (real_transform(pulses) * self.whitening).unsqueeze(1)

    def _middles(self, cycles: Tensor) -> Tensor:
        """Computes the phases (N, frames) in the middle of the frames, in cycles below 1."""
        steps = (cycles[:, 1:] + cycles[:, :-1]) * (self.hop / 2)
        fractions = F.pad(steps.remainder(1), (1, 0))  # whole cycles would cost float32 its digits
        if torch.compiler.is_exporting():  # adds up in float64, as torch does on a CPU by itself
            return fractions.double().cumsum(1).float().remainder(1)
        return fractions.cumsum(1).remainder(1)

    def _shape(self, cycles: Tensor) -> tuple[Tensor, Tensor]:
        """Computes κ and the height of a pulse; a height of 1 gives each harmonic 2 · pitch / (√2π B)."""
        band = BAND / 2
        height = math.sqrt(2 * math.pi) * band / (2 * cycles)
        return (band / cycles).square(), height * (2 * cycles * self.window).sqrt()
