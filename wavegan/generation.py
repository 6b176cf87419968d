"""New clips from a trained generator: the same clip for the same seed and number, however many are made."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.models.inputs import Input
from wavegan.seeding import derive

SILENT_PEAK = 0.01  # below it a clip is not made louder
CLIPS_BETWEEN = 7  # of a walk, from one latent to the next


@dataclass(frozen=True)
class Model:
    """A generator and what one must know to use it.

    name and step say which training it comes from; label_names are those of its corpus. precision: "fp32", or "bf16"
    for products that are several times faster on some machines and leave a noise in the clips. source_clips: of a
    translator, the clips (N, C, T) by number that it is given in place of latents.
    """

    generator: nn.Module
    clip_samples: int
    channels: int
    sample_rate: int
    name: str
    step: int
    label_names: tuple[str, ...]
    precision: str = "fp32"
    source_clips: Callable[[Sequence[int]], Tensor] | None = None

    @property
    def labels(self) -> int:
        """How many labels the generator knows, none or all of label_names."""
        return self.generator.labels  # type: ignore[return-value]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the generator takes, the latent first."""
        return self.generator.inputs  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device


def numbered_latents(model: Model, numbers: Sequence[int], *, seed: int = 0, truncation: float = 1.0) -> Tensor:
    """Latents (N, latent_dim) of the clips with these numbers, each drawn by itself, times truncation.

    Drawn on the CPU, so they are the same on every device. A truncation below 1 stays nearer to the centre of
    the latents, where clips are more typical and vary less.
    """
    return _numbered(model.inputs[0], numbers, seed, "latent") * truncation


def numbered_noise(model: Model, numbers: Sequence[int], *, seed: int = 0) -> list[Tensor]:
    """The noise inputs (N, …) of the clips with these numbers, beside the latent, in the generator's order.

    Like a latent, each is drawn by itself on the CPU, so clip k is the same whatever is made beside it.
    """
    return [_numbered(declared, numbers, seed, f"noise {place}") for place, declared in enumerate(model.inputs[1:])]


def numbered_labels(model: Model, numbers: Sequence[int], *, seed: int = 0, only: Sequence[str] = ()) -> Tensor | None:
    """Rows (N, labels) of the labels of the clips with these numbers; None where the generator knows none.

    Those of `only` take turns; where it is empty, each clip draws its own from all.
    """
    if not model.labels:
        return None
    if only:
        chosen = [model.label_names.index(only[number % len(only)]) for number in numbers]
    else:
        chosen = [derive(seed, number, "label") % model.labels for number in numbers]
    return F.one_hot(torch.tensor(chosen), model.labels).float()


def generate(
    model: Model,
    count: int,
    *,
    seed: int = 0,
    truncation: float = 1.0,
    labels: Sequence[str] = (),
    batch_size: int = 64,
    first: int = 0,
    limits: bool = True,
) -> Iterator[Tensor]:
    """Clips number `first` to `first + count - 1` of a seed in CPU batches (N, channels, clip_samples).

    labels: names, see `numbered_labels`. limits: see `synthesize`. A translator's clips are those that it is shown,
    translated.
    """
    for start in range(first, first + count, batch_size):
        numbers = range(start, min(start + batch_size, first + count))
        if model.source_clips:
            yield synthesize(model, model.source_clips(numbers), limits=limits)
            continue
        z = numbered_latents(model, numbers, seed=seed, truncation=truncation)
        marks = numbered_labels(model, numbers, seed=seed, only=labels)
        yield synthesize(model, z, marks, numbered_noise(model, numbers, seed=seed), limits=limits)


def interpolate(
    model: Model,
    stations: int,
    *,
    clips_between: int = CLIPS_BETWEEN,
    seed: int = 0,
    truncation: float = 1.0,
    labels: Sequence[str] = (),
    batch_size: int = 64,
) -> Iterator[Tensor]:
    """Batches as `generate`, of a walk through the latents of clips 0, 1, … `stations - 1`.

    Uniform latents are joined by straight lines; normal ones by arcs, along which their length stays likely. Where the
    generator knows labels they are mixed on the way. Between several `labels` only they change: the latent stays that
    of clip 0. Noise inputs are those of clip 0 all the way.
    """
    numbers = range(stations)
    stays = len(labels) > 1
    corners = numbered_latents(model, [0] * stations if stays else numbers, seed=seed, truncation=truncation)
    marks = numbered_labels(model, numbers, seed=seed, only=labels)
    walk = torch.lerp if model.inputs[0].distribution == "uniform" or stays else spherical_interpolation
    shares = torch.arange(clips_between + 1)[:, None] / (clips_between + 1)
    z = _walked(corners, walk, shares).split(batch_size)
    mixed = [None] * len(z) if marks is None else _walked(marks, torch.lerp, shares).split(batch_size)
    noise = numbered_noise(model, [0], seed=seed)
    for part, its_labels in zip(z, mixed, strict=True):
        yield synthesize(model, part, its_labels, [drawn.expand(len(part), *drawn.shape[1:]) for drawn in noise])


@torch.inference_mode()
def synthesize(
    model: Model, z: Tensor, labels: Tensor | None = None, noise: Sequence[Tensor] = (), *, limits: bool = True
) -> Tensor:
    """The clips (N, channels, clip_samples) of latents (N, latent_dim), label rows and noise, in fp32, on the CPU.

    limits: a clip that exceeds full scale is made softer as a whole, to a peak of 1, where a file would cut its peaks;
    all clips have that peak where all that the generator learned from had it, silence apart. Of a translator, z are
    clips as well.
    """
    there = [part.to(model.device) for part in (z, *noise)]
    labels = None if labels is None else labels.to(model.device)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.precision == "bf16"):
        output = model.generator(there[0], labels, *there[1:]) if model.inputs else model.generator(*there)
    clips = model.generator.output.decode(output.float()).cpu()  # type: ignore[union-attr, operator]
    if not limits:
        return clips
    peaks = clips.abs().amax(dim=(1, 2), keepdim=True)
    if getattr(model.generator, "peaks_are_one", False):
        return clips / torch.where(peaks > SILENT_PEAK, peaks, 1)
    return clips / peaks.clamp(min=1)


def spherical_interpolation(here: Tensor, there: Tensor, share: Tensor) -> Tensor:
    """The point `share` (M, 1) of the way from here to there (1, K) along the arc (Shoemake 1985)."""
    cosine = torch.cosine_similarity(here, there, dim=-1).clamp(-1 + 1e-6, 1 - 1e-6)[:, None]
    angle = torch.arccos(cosine)
    return (torch.sin((1 - share) * angle) * here + torch.sin(share * angle) * there) / torch.sin(angle)


def _walked(corners: Tensor, walk: Callable[[Tensor, Tensor, Tensor], Tensor], shares: Tensor) -> Tensor:
    legs = [walk(here[None], there[None], shares) for here, there in zip(corners, corners[1:], strict=False)]
    return torch.cat([*legs, corners[-1:]])


def _numbered(declared: Input, numbers: Sequence[int], seed: int, purpose: str) -> Tensor:
    rows = [
        declared.draw(1, generator=torch.Generator().manual_seed(derive(seed, number, purpose))) for number in numbers
    ]
    return torch.cat(rows)
