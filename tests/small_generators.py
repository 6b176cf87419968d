"""Makes small generators of spectra, and clips from inputs that a seed draws."""

from typing import Any

import torch

from wavegan.models.inverse_stft import Generator


def small(clip_samples: int = 4096, channels: int = 1, **settings: Any) -> Generator:
    torch.manual_seed(0)
    return Generator(clip_samples, channels, **{"dim": 8, "latent_dim": 4, **settings})


def drawn(generator: Generator, count: int = 2, seed: int = 0) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return [declared.draw(count, generator=source) for declared in generator.inputs]


def clips_of(generator: Generator, inputs: list[torch.Tensor], labels: torch.Tensor | None = None) -> torch.Tensor:
    return generator(inputs[0], labels, *inputs[1:])


def long_part(generator: Generator, inputs: list[torch.Tensor]) -> torch.Tensor:
    """What the long frames add to clips."""
    assert generator.long_frames
    clips, bias = clips_of(generator, inputs), generator.long_frames.gate.bias
    with torch.no_grad():
        opened = bias.clone()
        bias.fill_(-100)
        short = clips_of(generator, inputs)
        bias.copy_(opened)
    return clips - short
