"""Makes spectra of pulse trains, a source whose harmonics hold together as those of a voice or a string do."""

import logging
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.frames import real_transform
from wavegan.dsp.librosa_door import librosa

logger = logging.getLogger(__name__)

UNIT_HOPS = 4  # hops that a unit holds at least; at 16 kHz, window 512 or 256 and hop 128 it is 512 samples, 32 ms
LOWEST, HIGHEST = 2.0, 32.0  # cycles a unit; 62 and 1,000 Hz
STEADY_REACH = 4  # frames on each side, over which what a network says of a steady pitch is averaged
COMMON = (0.05, 0.95)  # quantiles of the pitches of a sound
ROOM = 0.5  # octaves that a pitch may lie beyond them
FEW = 200  # pitches, from which no range is measured
MOST_MOVED = 0.2  # octaves, by which a network moves a drawn pitch
OWN = (math.log2(3), math.log2(8))  # of clips whose pitches are not known; 94 to 250 Hz
QUANTILES = 65
BEND_UNITS = 12  # over which a drawn pitch is smooth, and what a network says of it; 0.38 s
LAG_UNITS = 3  # within which its changes are measured; 0.1 s
LAG_FRAMES = 2 * LAG_UNITS  # of those in which pitches are looked for
FEW_FRAMES, FEW_CLIPS = 6, 20  # with a pitch
WITHIN, NORMAL_WITHIN = 0.8, 1.2816  # so many of normal numbers are smaller than so many standard deviations
BAND = 0.4  # B as a share of the band
LEAST_HEIGHT = -40.0  # as a natural logarithm; denormal numbers make arithmetic slow


class Frequencies(nn.Module):
    """Turns pitches of any shape, any numbers, into cycles a sample; 0 is the middle of the range.

    The range, `bounds`, is the logarithms to base 2 of the lowest and the highest pitch in cycles a unit: four
    octaves, or those that `measure` sets. Where pitches are `drawn` (the same shape, as such logarithms), the numbers
    only move those.
    """

    bounds: Tensor

    def __init__(self, unit: int, is_measured: bool = False):
        super().__init__()
        self.unit = unit
        self.register_buffer("bounds", torch.tensor([LOWEST, HIGHEST]).log2(), persistent=is_measured)

    def forward(self, pitches: Tensor, drawn: Tensor | None = None) -> Tensor:
        low, high = self.bounds
        if drawn is not None:
            return torch.exp2((drawn + MOST_MOVED * torch.tanh(pitches)).clamp(low, high)) / self.unit
        return torch.exp2(low + (high - low) * torch.sigmoid(pitches)) / self.unit

    def measure(self, pitches: Tensor) -> None:
        """Sets the range to where nine of ten of these pitches lie, in cycles a unit, and half an octave beyond.

        NaN is no pitch. The range stays as it is if there are fewer than two hundred.
        """
        pitches = pitches[pitches.isfinite()]
        if len(pitches) >= FEW:
            low, high = pitches.log2().quantile(torch.tensor(COMMON, device=pitches.device))
            widest = math.log2(LOWEST), math.log2(HIGHEST)
            self.bounds.copy_(torch.stack([low - ROOM, high + ROOM]).clamp(*widest))


class DrawnPitches(nn.Module):
    """Turns normal numbers (N, 1 + frames + span - 1) into pitches (N, frames), as those of a sound are spread.

    The first number says a clip's own pitch, by the quantiles `own`. The others, averaged over 12 units with a taper,
    let it glide: within 3 units by a standard deviation of `bend` octaves. Pitches are logarithms to base 2 of cycles
    a unit. The gradient of a GAN finds a frequency only from nearby; left to it, the pitch of a voice went up and
    down by octaves.
    """

    own: Tensor
    bend: Tensor
    kernel: Tensor

    def __init__(self, frames: int, unit: int, hop: int):
        super().__init__()
        span = BEND_UNITS * unit // hop
        self.count = frames + span
        self.register_buffer("own", torch.linspace(*OWN, QUANTILES))
        self.register_buffer("bend", torch.tensor(0.1))
        taper = torch.hann_window(span + 2)[1:-1]
        lag = LAG_UNITS * unit // hop
        change = F.pad(taper, (lag, 0)) - F.pad(taper, (0, lag))
        self.register_buffer("kernel", taper / change.norm(), persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        places = (0.5 + 0.5 * torch.erf(numbers[:, :1] / math.sqrt(2))) * (QUANTILES - 1)  # of normal numbers, even
        before = places.floor().clamp(max=QUANTILES - 2)
        low, high = self.own[before.long()], self.own[before.long() + 1]
        own = low + (places - before) * (high - low)
        return own + self.bend * F.conv1d(numbers[:, None, 1:], self.kernel[None, None])[:, 0]

    def measure(self, pitches: list[Tensor]) -> None:
        """Sets both from the pitches of each clip's frames, see `pitches_of`.

        Where too few clips have a pitch, both stay as they are, and a line says so.
        """
        logs = [clip.log2() for clip in pitches if clip.isfinite().sum() >= FEW_FRAMES]
        if len(logs) < FEW_CLIPS:
            logger.warning(
                f"generator.drawn_pitch is true, and of {len(pitches)} clips {len(logs)} have a pitch, where "
                f"{FEW_CLIPS} are needed; pitches are drawn as of a voice; leave it out for sound that is none"
            )
            return
        medians = torch.stack([clip.nanmedian() for clip in logs])
        self.own.copy_(medians.quantile(torch.linspace(0.01, 0.99, QUANTILES).to(medians)))
        changes = torch.cat([clip[LAG_FRAMES:] - clip[:-LAG_FRAMES] for clip in logs]).abs()
        if changes.isfinite().any():
            self.bend.copy_(changes.nanquantile(WITHIN) / NORMAL_WITHIN)


def pitch_unit(window: int, hop: int) -> int:
    """Returns the unit, in samples, in which pitches are told: a window, or four hops where that is longer."""
    return max(window, UNIT_HOPS * hop)


def pitches_of(clips: Tensor, unit: int) -> list[Tensor]:
    """Returns for each of the clips (N, T) the pitches (frames,), in cycles a unit; NaN where a frame has none.

    pYIN (Mauch and Dixon 2014) hears them, in frames of two units, one every half of a unit, in steps of half a
    semitone. Glides are finer, so each pitch is moved to where the frame's autocorrelation is highest,
    see `_peaks`.
    """
    frames = {"sr": unit, "frame_length": 2 * unit, "hop_length": unit // 2}  # so that a Hz is a cycle a unit
    steps = {"resolution": 0.5, "max_transition_rate": 1}  # semitones, and octaves a frame
    pitches, _is_voiced, _ = librosa().pyin(clips.cpu().numpy(), fmin=LOWEST, fmax=HIGHEST, **frames, **steps)
    return list(_peaks(clips, torch.from_numpy(pitches).to(clips), unit))


def _peaks(clips: Tensor, pitches: Tensor, unit: int) -> Tensor:
    """Returns pitches (N, frames) moved by up to a semitone to the next peak of the frame's autocorrelation.

    That is divided by the autocorrelation of its taper, as Boersma (1993) does; a parabola through the highest lag and
    its neighbours has the peak. A pitch stays where no lag is so near. Frames beyond the ends are less exact.
    """
    frames = F.pad(clips, (unit, unit)).unfold(1, 2 * unit, unit // 2)
    taper = torch.hann_window(2 * unit, device=clips.device)
    tapered = (frames - frames.mean(-1, keepdim=True)) * taper
    correlations = _autocorrelations(tapered)[..., :unit] / _autocorrelations(taper)[:unit]
    lags, places = unit / pitches[..., None], torch.arange(unit, device=clips.device)
    is_near = (places / lags).log2().abs() < 1 / 12
    highest = correlations.where(is_near, -math.inf).argmax(-1, keepdim=True).clamp(1, unit - 2)
    before, at, after = (correlations.gather(-1, highest + step)[..., 0] for step in (-1, 0, 1))
    offsets = ((before - after) / (2 * (before - 2 * at + after))).nan_to_num(0).clamp(-0.5, 0.5)
    return torch.where(is_near.any(-1), unit / (highest[..., 0] + offsets), pitches)


def _autocorrelations(frames: Tensor) -> Tensor:
    """Returns for each frame (..., samples) the product with itself, summed, at each lag."""
    samples = frames.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(frames, 2 * samples).abs().square())[..., :samples]


class Pulses(nn.Module):
    """Turns pitches (N, frames) into spectra (N, 1, frames, bins, 2), as loud as hiss: a mean square of 2 in a bin.

    A pitch is any number, see `Frequencies`. It is averaged over `span` frames, nine if is_steady; if is_drawn twelve
    units, but no more than `edge` samples on each side, if there is an edge. If is_steady the range of pitches can be
    measured. A pulse train is exp(κ (cos φ - 1)). For κ = (B / pitch)² the level of its
    harmonic at the frequency F falls as exp(-F² / 2 B²), whatever the pitch. Dividing by that makes all harmonics
    equally loud. The pitch is constant within a frame; the phase in the middle of a frame is the sum of all cycles so
    far. The gradient reaches a pitch through its own frame alone: through the phases of all later frames it would be
    noise. A source and a filter: Wang, Takaki and Yamagishi (2019, neural source-filter), Engel et al. (2020, DDSP).
    """

    whitening: Tensor

    def __init__(self, window: int, hop: int, *, is_steady: bool = False, is_drawn: bool = False, edge: int = 0):
        super().__init__()
        self.window, self.hop, self.is_steady = window, hop, is_steady
        drawn_reach = BEND_UNITS * pitch_unit(window, hop) // (2 * hop)
        if edge:
            drawn_reach = min(drawn_reach, edge // hop)
        self.span = 1 + 2 * (drawn_reach if is_drawn else STEADY_REACH if is_steady else 0)
        self.frequencies = Frequencies(pitch_unit(window, hop), is_measured=is_steady)
        places = torch.arange(window // 2 + 1) / (BAND * window / 2)
        self.register_buffer("whitening", (places.square() / 2).exp()[:, None] * (2 / window), persistent=False)

    def forward(self, pitches: Tensor, drawn: Tensor | None = None) -> Tensor:
        if self.span > 1:
            pitches = F.avg_pool1d(pitches, self.span, stride=1, padding=self.span // 2, count_include_pad=False)
        cycles = self.frequencies(pitches, drawn)
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
