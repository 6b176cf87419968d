"""Makes small generators with lively weights, as models whose pages the tests open."""

from typing import Any

import torch
from torch import nn

from wavegan.generation import Model
from wavegan.models.inverse_stft import Generator

RATE = 16000


def lively_model(
    *, clip_samples: int = 4000, channels: int = 1, names: tuple[str, ...] = (), is_loud: bool = False, **settings: Any
) -> Model:
    """Makes a model whose every weight counts: a new generator's blocks would add nothing."""
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"dim": 6, "latent_dim": 5, "labels": len(names), "window": 128, "hop": 32} | settings
    generator = Generator(clip_samples, channels, **chosen).eval()
    limit = 2 * (5 * generator.dim) ** -0.5
    for name, values in generator.named_parameters():
        if ".last." in name:
            nn.init.uniform_(values, -limit, limit)
    for frames in (generator, generator.long_frames):
        if frames:
            frames.start_levels.uniform_(-5, -3)
            frames.bounds.uniform_(-2, -1)
    generator.peaks_are_one.fill_(is_loud)
    if generator.pulses and generator.pulses.is_steady:
        generator.pulses.frequencies.measure(torch.linspace(3, 9, 200))
    if generator.drawn_pitches:
        generator.drawn_pitches.of_labels.uniform_(-0.2, 0.2)
        generator.drawn_pitches.bend.fill_(0.03)
    return Model(generator, clip_samples, channels, RATE, "lively", 1200, names)
