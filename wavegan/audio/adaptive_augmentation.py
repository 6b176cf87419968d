"""Changes of clips whose probability follows how surely a discriminator tells real clips from generated ones.

A discriminator that has learned few clips by heart teaches the generator nothing. Changed clips it cannot learn by
heart; but what changes them may leak into what is generated, unless it can be undone in distribution: the changes must
form a group and leave a clip alone often enough (Karras et al. 2020, "Training generative adversarial networks with
limited data", arXiv:2006.06676, section 2.2). All changes here are filters by circular convolution, which commute and
have inverses, so one pass to the spectrum and back makes all of them. Each is made with probability p, and of each the
draws have a characteristic function that is nowhere negative (even chances, the whole circle, normal numbers), so that
of no property of the clips less than 1 - p is left in the mean: with p at most 0.8, all of them can be seen.
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
MEMORY_CLIPS = 256  # in which the running mean of the certainty forgets a half
NEPER = math.log(10) / 20  # of a decibel


class Adaptive(nn.Module):
    """Changes polarity, phase, place, level and colour of clips, each as often as the discriminator is too sure.

    Polarity: turned with even chances. Phase: that of all frequencies turned by one angle. Place: moved by a normal
    number of shift_ms milliseconds; what leaves at one end comes in at the other. Level: a normal number of gain_db
    decibels. Equaliser: a smooth curve over the frequency with a standard deviation of equalizer_db decibels. All
    channels of a clip are changed alike.

    probability: that of each change, at the start; it moves by 1 within ramp_clips clips, up while the certainty is
    above the target and down while it is below, between 0 and 0.8; ramp_clips of 0 keeps it. The certainty is the mean
    sign of D(real) - D(fake) over pairs, 0 where the discriminator guesses and 1 where it is right of every pair. It is
    what the paper's heuristic r_t, the mean sign of D(real), is where the discriminator classifies pairs, as that of a
    relativistic objective does (Jolicoeur-Martineau 2018); a constant added to all scores does not move it, so it
    holds for every objective.
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
        """Clips (N, C, T), changed; in float32 or float64."""
        self.clips_per_update = len(clips) * distributed.world_size()
        with torch.autocast(clips.device.type, enabled=False):
            clips = precise(clips)
            return Filter.apply(clips, self.responses(len(clips), clips)[:, None])

    def responses(self, count: int, like: Tensor) -> Tensor:
        """Draws what the spectra of so many clips are multiplied by, (N, T // 2 + 1) complex."""

        def draw(rows: int) -> Tensor:
            uniform, normal = like.new_empty(rows, 2 + len(CHANGES)), like.new_empty(rows, 2 + CURVES)
            return torch.cat([uniform.uniform_(), normal.normal_()], dim=1)

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
        """Nothing depends on the step."""

    def statistics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The mean sign of D(real) - D(fake), and the probability with which these clips were changed."""
        return {"certainty": (real - fake).float().sign().mean(), "augmented": self.probability.clone()}

    def after_update(self, stats: Mapping[str, Tensor]) -> None:
        """Moves the probability towards where the certainty is the target."""
        if self.ramp_clips:
            certainty, share = stats["certainty"].to(self.certainty), 1 - 0.5 ** (self.clips_per_update / MEMORY_CLIPS)
            self.certainty.lerp_(certainty, share)
            move = (self.certainty - self.target).sign() * (self.clips_per_update / self.ramp_clips)
            self.probability.add_(move).clamp_(0.0, settings.MOST_CHANGE_PROBABILITY)


@lru_cache(maxsize=4)
def _angles_and_curves(
    samples: int, sample_rate: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """By how much a delay of one sample turns each bin, (1, bins), and curves (CURVES, bins) of a common power of 1.

    The curves are cosines over an axis of frequency that is nearly logarithmic: one bends the spectrum once, the next
    one twice. At both ends of the spectrum the angles are 0.
    """
    bins = torch.arange(samples // 2 + 1, dtype=torch.float64)
    angles = 2 * math.pi * bins / samples
    if samples % 2 == 0:
        angles[-1] = 0.0
    place = (1 + bins * (sample_rate / samples / CORNER_HERTZ)).log()
    numbers = torch.arange(1, CURVES + 1, dtype=torch.float64)
    curves = (math.pi * numbers[:, None] * place / place[-1]).cos() * math.sqrt(2 / CURVES)
    return angles[None].to(device, dtype), curves.to(device, dtype)


class Filter(Function):
    """Circular convolution: the spectra of clips (N, C, T) times responses (N, 1, T // 2 + 1), which are constants.

    The derivative is the same with conjugate responses; autograd's own way through the transforms takes twice the time.
    """

    @staticmethod
    def forward(ctx, clips, responses):
        ctx.save_for_backward(responses)
        return torch.fft.irfft(torch.fft.rfft(clips) * responses, clips.shape[-1])

    @staticmethod
    def backward(ctx, d):
        (responses,) = ctx.saved_tensors
        return Filter.apply(d, responses.conj()), None
