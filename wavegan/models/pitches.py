"""Hears the pitches of clips, and draws such pitches for clips that are made."""

import logging
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.librosa_door import librosa
from wavegan.models.pulses import BEND_UNITS, HIGHEST, LOWEST

logger = logging.getLogger(__name__)

OWN = (math.log2(3), math.log2(8))  # of clips whose pitches are not known; 94 to 250 Hz
QUANTILES = 65
LAG_UNITS = 3  # within which its changes are measured; 0.1 s
LAG_FRAMES = 2 * LAG_UNITS  # of those in which pitches are looked for
FEW_FRAMES, FEW_CLIPS = 6, 20  # with a pitch
WITHIN, NORMAL_WITHIN = 0.8, 1.2816  # so many of normal numbers are smaller than so many standard deviations


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
