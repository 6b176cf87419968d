"""New clips from a trained generator: the same clip for the same seed and number, however many are made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wavegan.models import latents
from wavegan.seeding import derive

CLIPS_BETWEEN = 7  # of a walk, from one latent to the next


@dataclass(frozen=True)
class Model:
    """A generator and what one must know to use it.

    name and step say which training it comes from; label_names are those of its corpus. precision: "fp32", or
    "bf16" for products that are several times faster on some machines and leave a noise in the clips.
    """

    generator: nn.Module
    latent: str
    latent_dim: int
    clip_samples: int
    channels: int
    sample_rate: int
    name: str
    step: int
    label_names: tuple[str, ...]
    precision: str = "fp32"

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device


def numbered_latents(model: Model, numbers: Sequence[int], *, seed: int = 0, truncation: float = 1.0) -> Tensor:
    """Latents (N, latent_dim) of the clips with these numbers, each drawn by itself, times truncation.

    Drawn on the CPU, so they are the same on every device. A truncation below 1 stays nearer to the centre of
    the latents, where clips are more typical and vary less.
    """
    rows = [_latent(model, derive(seed, number, "latent")) for number in numbers]
    return torch.cat(rows) * truncation


def generate(
    model: Model, count: int, *, seed: int = 0, truncation: float = 1.0, batch_size: int = 64, first: int = 0
) -> Iterator[Tensor]:
    """Clips number `first` to `first + count - 1` of a seed in CPU batches (N, channels, clip_samples)."""
    for start in range(first, first + count, batch_size):
        numbers = range(start, min(start + batch_size, first + count))
        yield synthesize(model, numbered_latents(model, numbers, seed=seed, truncation=truncation))


def interpolate(
    model: Model,
    stations: int,
    *,
    clips_between: int = CLIPS_BETWEEN,
    seed: int = 0,
    truncation: float = 1.0,
    batch_size: int = 64,
) -> Iterator[Tensor]:
    """Batches as `generate`, of a walk through the latents of clips 0, 1, … `stations - 1`.

    Uniform latents are joined by straight lines; normal ones by arcs, along which their length stays likely.
    """
    corners = numbered_latents(model, range(stations), seed=seed, truncation=truncation)
    walk = torch.lerp if model.latent == "uniform" else spherical_interpolation
    shares = torch.arange(clips_between + 1)[:, None] / (clips_between + 1)
    legs = [walk(here[None], there[None], shares) for here, there in zip(corners, corners[1:], strict=False)]
    for z in torch.cat([*legs, corners[-1:]]).split(batch_size):
        yield synthesize(model, z)


@torch.inference_mode()
def synthesize(model: Model, z: Tensor) -> Tensor:
    """The clips (N, channels, clip_samples) of latents (N, latent_dim), in fp32, on the CPU."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.precision == "bf16"):
        return model.generator(z.to(model.device)).float().cpu()


def spherical_interpolation(here: Tensor, there: Tensor, share: Tensor) -> Tensor:
    """The point `share` (M, 1) of the way from here to there (1, K) along the arc (Shoemake 1985)."""
    cosine = torch.cosine_similarity(here, there, dim=-1).clamp(-1 + 1e-6, 1 - 1e-6)[:, None]
    angle = torch.arccos(cosine)
    return (torch.sin((1 - share) * angle) * here + torch.sin(share * angle) * there) / torch.sin(angle)


def _latent(model: Model, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return latents.draw(model.latent, 1, model.latent_dim, generator=generator)
