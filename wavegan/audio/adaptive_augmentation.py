"""Augments clips with a probability that follows how surely a discriminator tells real clips from generated ones.

A discriminator that has memorised a small set of clips gives the generator no useful gradient. It cannot memorise
clips that change every time. But an augmentation may leak into the generated clips, unless it can be undone in
distribution: the changes must form a group and leave a clip unchanged often enough (Karras et al. 2020, "Training
generative adversarial networks with limited data", arXiv:2006.06676, section 2.2).

All changes here are filters by circular convolution. They commute and have inverses, so one pass to the spectrum and
back applies all of them. Each is applied with probability p. Its random draws (even chances, the whole circle, normal
numbers) have a characteristic function that is nowhere negative. So at least 1 - p of every property of the clips
remains in the mean: with p at most 0.8, the discriminator can see all of them.
"""

import math
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.autograd import Function

from wavegan import distributed, settings
from wavegan.dsp.frames import precise

CHANGES = ("polarity", "phase", "place", "level", "equalizer")
CURVES = 4
CORNER_HERTZ = 300.0  # above it the curves of the equaliser are even in octaves, below in hertz
MEMORY_CLIPS = 256  # after so many clips, older ones have half of the weight in the running mean of the certainty
NEPER = math.log(10) / 20  # nepers in a decibel


class Adaptive(nn.Module):
    """Changes polarity, phase, place, level and colour of clips, more often while the discriminator is too sure.

    Polarity: inverted with even chances. Phase: one angle is added at all frequencies. Place: shifted in a circle.
    Level: multiplied by a gain. Colour: filtered by a smooth curve over the frequency. The last three are normal
    numbers with standard deviations of shift_ms milliseconds, gain_db and equalizer_db decibels. All channels of a clip
    are changed alike.

    probability: of each change, at the start. It moves by 1 within ramp_clips clips: up while the certainty is above
    the target, down while it is below, always between 0 and 0.8. ramp_clips of 0 keeps it constant.

    The certainty is the mean sign of D(real) - D(fake) over pairs: 0 if the discriminator guesses, 1 if it is right
    about every pair. It replaces the paper's heuristic r_t, the mean sign of D(real), for a discriminator that
    classifies pairs, as in a relativistic objective (Jolicoeur-Martineau 2018). A constant added to all scores does
    not change it, so it works for every objective.
    """

    probability: Tensor
    certainty: Tensor

    def __init__(
        self,
        sample_rate: int,
        *,
        probability: settings.ChangeProbability = 0.0,
        target: settings.TargetCertainty = 0.6,
        ramp_clips: settings.RampClips = 100_000,
        shift_ms: settings.ShiftMilliseconds = 4.0,
        gain_db: settings.GainDecibels = 2.0,
        equalizer_db: settings.EqualizerDecibels = 3.0,
    ):
        super().__init__()
        self.sample_rate, self.target, self.ramp_clips = sample_rate, target, ramp_clips
        self.shift_samples = shift_ms * sample_rate / 1000
        self.gain, self.equalizer = gain_db * NEPER, equalizer_db * NEPER
        self.clips_per_update = 0
        # Tensors, so that a recorded graph reads them afresh at each replay.
        self.register_buffer("probability", torch.tensor(float(probability)))
        self.register_buffer("certainty", torch.tensor(0.0))

    def forward(self, clips: Tensor) -> Tensor:
        """Changes clips (N, C, T) and returns them in float32 or float64."""
        self.clips_per_update = distributed.whole_rows(len(clips))
        with torch.autocast(clips.device.type, enabled=False):
            clips = precise(clips)
            return Filter.apply(clips, self.responses(len(clips), clips)[:, None])

    def responses(self, count: int, like: Tensor) -> Tensor:
        """Draws a frequency response for each of `count` clips, (count, T // 2 + 1) complex; `like`: clips (…, T)."""

        def draw(rows: int) -> Tensor:
            of = {"dtype": like.dtype, "device": like.device}
            return torch.cat([torch.rand(rows, 2 + len(CHANGES), **of), torch.randn(rows, 2 + CURVES, **of)], dim=1)

        drawn = distributed.rank_rows(draw, count)
        chances, turns, normal = drawn.split([len(CHANGES), 2, 2 + CURVES], dim=1)
        polarity, phase, place, level, colour = (chances < self.probability).to(drawn.dtype).split(1, dim=1)
        angles, curves = _angles_and_curves(like.shape[-1], self.sample_rate, like.dtype, like.device)
        inner = angles.sign()  # 0 at both ends of the spectrum, which hold real numbers
        turned = math.pi * polarity * (turns[:, :1] < 0.5) + 2 * math.pi * phase * turns[:, 1:] * inner
        turned = torch.addcmul(turned, self.shift_samples * place * normal[:, :1], angles, value=-1)
        louder = self.gain * level * normal[:, 1:2] + (self.equalizer * colour * normal[:, 2:]) @ curves
        return torch.polar(louder.exp(), turned)

    def advance(self, step: int) -> None:
        """Does nothing: no setting depends on the step."""

    def statistics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Returns the mean sign of D(real) - D(fake), and the probability with which these clips were changed."""
        return {"certainty": (real - fake).float().sign().mean(), "augmented": self.probability.clone()}

    def after_update(self, stats: Mapping[str, Tensor]) -> None:
        """Raises the probability if the certainty is above the target, and lowers it if it is below."""
        if self.ramp_clips:
            certainty, share = stats["certainty"].to(self.certainty), 1 - 0.5 ** (self.clips_per_update / MEMORY_CLIPS)
            self.certainty.lerp_(certainty, share)
            move = (self.certainty - self.target).sign() * (self.clips_per_update / self.ramp_clips)
            self.probability.add_(move).clamp_(0.0, settings.MOST_CHANGE_PROBABILITY)


@lru_cache(maxsize=4)
def _angles_and_curves(
    samples: int, sample_rate: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Returns the phase lag of each bin for a delay of one sample, (1, bins), and curves (CURVES, bins).

    The curves are cosines over a nearly logarithmic axis of frequency: curve k goes through k half periods. Together
    they have a mean power of 1. The angles are 0 at 0 Hz and at half the sample rate, where spectra are real.
    """
    bins = torch.arange(samples // 2 + 1, dtype=torch.float64)
    angles = 2 * math.pi * bins / samples
    if samples % 2 == 0:
        angles[-1] = 0.0
    place = (1 + bins * (sample_rate / samples / CORNER_HERTZ)).log()
    numbers = torch.arange(1, CURVES + 1, dtype=torch.float64)
    curves = (math.pi * numbers[:, None] * place / place[-1]).cos() * math.sqrt(2 / CURVES)
    return angles[None].to(dtype).to(device), curves.to(dtype).to(device)  # MPS has no float64


class Filter(Function):
    """Computes a circular convolution: multiplies the spectra of clips (N, C, T) by responses (N, 1, T // 2 + 1).

    The responses are constants. The derivative is the same operation with conjugate responses; autograd's own way
    through the transforms takes twice the time.
    """

    @staticmethod
    def forward(ctx, clips, responses):
        ctx.save_for_backward(responses)
        return torch.fft.irfft(torch.fft.rfft(clips) * responses, clips.shape[-1])

    @staticmethod
    def backward(ctx, d):
        (responses,) = ctx.saved_tensors
        return Filter.apply(d, responses.conj()), None
