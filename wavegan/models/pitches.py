"""Hears the pitches of clips, and draws such pitches for clips that are made."""

import logging
import math
import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.librosa_door import librosa
from wavegan.models.pulses import BEND_UNITS, HIGHEST, LOWEST, MOST_MOVED

logger = logging.getLogger(__name__)

NOTE = r"[A-Ga-g][#b♯♭]?-?\d"  # how people write one
NOTE_OF_LABEL = re.compile(rf"(?<![^\W\d_]){NOTE}(?!\d)")
OWN = (math.log2(3), math.log2(8))  # of clips whose pitches are not known; 94 to 250 Hz
QUANTILES = 65
LAG_UNITS = 3  # within which its changes are measured; 0.1 s
LAG_FRAMES = 2 * LAG_UNITS  # of those in which pitches are looked for
FEW_FRAMES, FEW_CLIPS, FEW_OF_LABEL = 6, 20, 3  # with a pitch
SAID_BY_LABELS = 0.8  # of the variance of pitches, at most so much is left within labels that tell pitches; words: 0.96
MISHEARD = 4.0  # times the median distance from a label's median pitch, beyond which none is believed
REACH = 2.5  # times the bend
WITHIN, NORMAL_WITHIN = 0.8, 1.2816  # so many of normal numbers are smaller than so many standard deviations


class DrawnPitches(nn.Module):
    """Turns normal numbers (N, 1 + frames + span - 1) into pitches (N, frames), as those of a sound are spread.

    The first number says a clip's own pitch, by quantiles: `own` and, where rows of label weights (N, labels) say so,
    `of_labels`, how many octaves those of each label lie above. So the pitch of a mix of labels lies between theirs.
    Where a pitch is `fixed`, all clips have that. The other numbers, averaged over 12 units with a taper, let it glide:
    within 3 units by a standard deviation of `bend` octaves. Pitches are logarithms to base 2 of cycles a unit. The
    gradient of a GAN finds a frequency only from nearby; left to it, the pitch of a voice went up and down by octaves.
    """

    fixed: float | None = None
    own: Tensor
    of_labels: Tensor
    bend: Tensor
    kernel: Tensor

    def __init__(self, frames: int, unit: int, hop: int, labels: int = 0):
        super().__init__()
        span = BEND_UNITS * unit // hop
        self.count = frames + span
        self.register_buffer("own", torch.linspace(*OWN, QUANTILES))
        self.register_buffer("of_labels", torch.zeros(labels, QUANTILES))
        self.register_buffer("bend", torch.tensor(0.1))
        taper = torch.hann_window(span + 2)[1:-1]
        lag = LAG_UNITS * unit // hop
        change = F.pad(taper, (lag, 0)) - F.pad(taper, (0, lag))
        self.register_buffer("kernel", taper / change.norm(), persistent=False)

    def forward(self, numbers: Tensor, labels: Tensor | None = None) -> Tensor:
        quantiles = self.own.expand(numbers.shape[0], -1)
        if labels is not None:
            quantiles = quantiles + labels.to(quantiles.dtype) @ self.of_labels
        places = (0.5 + 0.5 * torch.erf(numbers[:, :1] / math.sqrt(2))) * (QUANTILES - 1)  # of normal numbers, even
        before = places.floor().clamp(max=QUANTILES - 2)
        low, high = (quantiles.gather(1, before.long() + step) for step in (0, 1))
        own = low + (places - before) * (high - low) if self.fixed is None else self.fixed
        return own + self.bend * F.conv1d(numbers[:, None, 1:], self.kernel[None, None])[:, 0]

    @property
    def labels_tell(self) -> bool:
        """Returns whether labels have pitches of their own, as notes have."""
        return bool(self.of_labels.any())

    @property
    def reach(self) -> Tensor:
        """Returns by how many octaves a network may move a pitch: little where pitches hardly glide, as of notes."""
        return (REACH * self.bend).clamp(max=MOST_MOVED)

    def measure(self, pitches: list[Tensor], labels: list[int]) -> list[int]:
        """Sets all from the pitches of each clip's frames, see `pitches_of`, and the clips' labels.

        Where too few clips have a pitch, all stays as it is, and a line says so. Labels have quantiles of their own if
        at least a fifth of the variance of pitches lies between labels: where they are notes nearly all does, where
        they are instruments, of which each has its range, a third. Returns those labels of which too few clips have a
        pitch, whose clips then have the pitches of all.
        """
        logs, of_clips = [], []
        for clip, label in zip(pitches, labels, strict=True):
            if clip.isfinite().sum() >= FEW_FRAMES:
                logs.append(clip.log2())
                of_clips.append(label)
        needed = min(FEW_CLIPS, -(-len(pitches) // 2))
        if len(logs) < needed:
            logger.warning(
                f"generator.drawn_pitch is true, and of {len(pitches)} clips {len(logs)} have a pitch, where "
                f"{needed} are needed; pitches are drawn as those of a voice; leave it out for sound without a pitch"
            )
            return []
        medians = torch.stack([clip.nanmedian() for clip in logs])
        self.own.copy_(_quantiles(medians))
        changes = torch.cat([clip[LAG_FRAMES:] - clip[:-LAG_FRAMES] for clip in logs]).abs()
        if changes.isfinite().any():
            self.bend.copy_(changes.nanquantile(WITHIN) / NORMAL_WITHIN)
        return self._measure_labels(medians, torch.tensor(of_clips, device=medians.device))

    def _measure_labels(self, medians: Tensor, labels: Tensor) -> list[int]:
        """Sets the quantiles of labels from the pitches (clips,) and the labels of clips; returns as `measure`."""
        of_labels = [medians[labels == label] for label in range(len(self.of_labels))]
        by_label = {label: _believed(own) for label, own in enumerate(of_labels) if len(own) >= FEW_OF_LABEL}
        if not by_label:
            return []
        squares = sum((own - own.mean()).square().sum() for own in by_label.values())
        together = torch.cat(list(by_label.values()))
        if squares / (len(together) - len(by_label)) > SAID_BY_LABELS * together.var():
            return []
        for label, own in by_label.items():
            self.of_labels[label] = _quantiles(own) - self.own
        return [label for label in range(len(of_labels)) if label not in by_label]

    def _load_from_state_dict(self, state_dict, prefix, *others) -> None:
        """Takes zeros for labels that a model of an earlier version lacks."""
        state_dict.setdefault(f"{prefix}of_labels", torch.zeros_like(self.of_labels))
        super()._load_from_state_dict(state_dict, prefix, *others)


def _believed(pitches: Tensor) -> Tensor:
    """Returns the pitches (clips,) of a label without the far ones, as pYIN errs by an octave now and then."""
    middle = pitches.median()
    reach = MISHEARD * (pitches - middle).abs().median()
    return pitches.clamp(middle - reach, middle + reach)


def _quantiles(pitches: Tensor) -> Tensor:
    """Returns the quantiles (QUANTILES,) of pitches, without the hundredth at each end."""
    return pitches.quantile(torch.linspace(0.01, 0.99, QUANTILES).to(pitches))


def pitches_of(clips: Tensor, unit: int, lowest: float = LOWEST, highest: float = HIGHEST) -> list[Tensor]:
    """Returns for each of the clips (N, T) the pitches (frames,), in cycles a unit; NaN where a frame has none.

    lowest: at least 1, highest: of those that are looked for; of a pitch above, a half or a third may be heard.

    pYIN (Mauch and Dixon 2014) hears them, in frames of two units, one every half of a unit, in steps of half a
    semitone. Glides are finer, so each pitch is moved to where the frame's autocorrelation is highest,
    see `_peaks`.
    """
    frames = {"sr": unit, "frame_length": 2 * unit, "hop_length": unit // 2}  # so that a Hz is a cycle a unit
    steps = {"resolution": 0.5, "max_transition_rate": 1}  # semitones, and octaves a frame
    pitches, _is_voiced, _ = librosa().pyin(clips.cpu().numpy(), fmin=lowest, fmax=highest, **frames, **steps)
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
