"""Defines the generator of loops: sounds without an end, because all that they are made of repeats."""

import math

import torch
from torch import Tensor

from wavegan.models.inputs import Input
from wavegan.models.inverse_stft import Generator
from wavegan.models.stages import STRIDES, loop_stops

GUARD = 2  # times the longest window, what is made before and after the loop


class LoopingGenerator(Generator):
    """Makes loops, whose end goes on at their start: an unbounded generator without pulses, after `loop_after`.

    Its network knows no places, so from what repeats it makes a sound that repeats. It takes latents and noise of one
    period again and again; the latents go around in a circle, and all bins ring whole cycles in a period. It makes
    more than a period and cuts off both ends.
    """

    loop_samples = 0

    def loop_after(self, samples: int) -> None:
        """Lets its sound repeat after so many samples, a multiple of `loop_step`; see also `samples_around`."""
        self.loop_samples = samples
        for frames in self.sets_of_frames:
            frames.repeat_after(samples // frames.hop)
        self.stops = loop_stops(self.period)
        latents = self.latent_dim * self.stops + self.local_latents * (self.period // STRIDES[0])
        self.inputs = (
            Input("normal", (latents,)),
            *(Input("normal", (1, self.period // stage.stride)) for stage in self.stages),
            Input("normal", (self.channels, samples)),
        )

    def forward(self, z: Tensor, labels: Tensor | None = None, *noise: Tensor, offset: Tensor | None = None) -> Tensor:
        stops = self.latent_dim * self.stops
        local = repeated(z[:, stops:].unflatten(1, (self.period // STRIDES[0], -1)), self.local_parts, dim=1)
        lengths = [*(stage.length for stage in self.stages), (self.frames - 1) * self.hop + self.window]
        rows = (repeated(row, length) for row, length in zip(noise, lengths, strict=True))
        clips = super().forward(torch.cat([z[:, :stops], local.flatten(1)], 1), labels, *rows, offset=offset)
        start = (self.clip_samples - self.loop_samples) // 2
        return clips[..., start : start + self.loop_samples]


def loop_step(generator: Generator) -> int:
    """Returns the samples of which a loop's length must be a multiple: those of the longest hop of its network."""
    return math.lcm(STRIDES[0] * generator.hop, *(frames.hop for frames in generator.sets_of_frames))


def samples_around(generator: Generator, samples: int) -> int:
    """Returns how many samples a looping generator must make for a loop of so many."""
    return samples + 2 * GUARD * max(frames.window for frames in generator.sets_of_frames)


def repeated(x: Tensor, length: int, dim: int = -1) -> Tensor:
    """Repeats a tensor along an axis until it has this length.

    >>> repeated(torch.tensor([1, 2, 3]), 5)
    tensor([1, 2, 3, 1, 2])
    """
    return x.index_select(dim, torch.arange(length, device=x.device) % x.shape[dim])
