"""Makes new clips with a trained generator; a seed and a number give the same clip, however many are made."""

import hashlib
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.audio.label_mixes import label_mix
from wavegan.models.inputs import Input
from wavegan.models.statistics_since import says_nothing
from wavegan.seeding import derive

BATCH_SIZE = 64  # unless told otherwise
SILENT_PEAK = 0.01  # below it a clip is not made louder
CLIPS_BETWEEN = 7  # of a walk, from one latent to the next


@dataclass(frozen=True)
class Model:
    """Holds a generator and all that one must know to use it.

    name and step say which training it comes from; label_names are those of its corpus, and label_counts how often
    each was drawn there, as shares of the sum; without any, all as often. precision: "fp32", or "bf16", whose products
    are several times faster on some machines but leave noise in the clips. source_clips: for a translator only; returns
    the clips (N, C, T) with these numbers, which the translator takes in place of latents. pitch: of all sounds, in Hz,
    of a generator whose pitch is fixed; None where each has its own.
    """

    generator: nn.Module
    clip_samples: int
    channels: int
    sample_rate: int
    name: str
    step: int
    label_names: tuple[str, ...]
    label_counts: tuple[int, ...] = ()
    precision: str = "fp32"
    source_clips: Callable[[Sequence[int]], Tensor] | None = None
    pitch: float | None = None

    @property
    def labels(self) -> int:
        """Returns how many labels the generator knows: none or all of label_names."""
        return self.generator.labels  # type: ignore[return-value]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Returns the inputs that the generator takes, the latent first; empty for a translator."""
        return self.generator.inputs  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        """Returns the device that holds the generator."""
        return next(self.generator.parameters()).device

    @cached_property
    def weights_hash(self) -> str:
        """Returns the hash of the generator's weights, by which sounds and folders name their model."""
        return weights_hash(self.generator)


def weights_hash(network: nn.Module) -> str:
    """Returns a short hash of a network's weights; statistics that an older model lacks do not change it."""
    digest = hashlib.blake2b(digest_size=12)
    for name, values in network.state_dict().items():
        if says_nothing(name, values):
            continue
        digest.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def numbered_latents(model: Model, numbers: Sequence[int], *, seed: int = 0, truncation: float = 1.0) -> Tensor:
    """Draws the latents (N, latent_dim) of the clips with these numbers and multiplies them by truncation.

    Each is drawn by itself on the CPU, so it is the same on every device. A truncation below 1 stays nearer to the
    centre of the latents, where clips are more typical and vary less.
    """
    return _numbered(model.inputs[0], numbers, seed, "latent") * truncation


def numbered_noise(model: Model, numbers: Sequence[int], *, seed: int = 0) -> list[Tensor]:
    """Draws the noise inputs (N, …) of the clips with these numbers, in the generator's order and without the latent.

    Like a latent, each is drawn by itself on the CPU, so clip k is the same whatever clips are made beside it.
    """
    return [_numbered(declared, numbers, seed, f"noise {place}") for place, declared in enumerate(model.inputs[1:])]


def numbered_labels(model: Model, numbers: Sequence[int], *, seed: int = 0, only: Sequence[str] = ()) -> Tensor | None:
    """Returns rows of label weights (N, labels) for the clips with these numbers; None if the generator knows none.

    The labels in `only`, or mixes of them, see `label_mix`, take turns; if it is empty, each clip draws its own label.
    """
    if not model.labels:
        return None
    if only:
        rows = torch.stack([label_row(model, label_mix(model, text)) for text in only])
        return rows[[clip_number % len(only) for clip_number in numbers]]
    ends = list(accumulate(model.label_counts or [1] * model.labels))
    chosen = [bisect(ends, derive(seed, clip_number, "label") % ends[-1]) for clip_number in numbers]
    return F.one_hot(torch.tensor(chosen), model.labels).float()


def label_row(model: Model, mix: Mapping[str, float]) -> Tensor:
    """Returns the label weights (labels,) of shares by label."""
    return torch.tensor([mix.get(name, 0.0) for name in model.label_names])


def generate(
    model: Model,
    count: int,
    *,
    seed: int = 0,
    truncation: float = 1.0,
    labels: Sequence[str] = (),
    batch_size: int = BATCH_SIZE,
    first: int = 0,
    limits: bool = True,
) -> Iterator[Tensor]:
    """Yields clips number `first` to `first + count - 1` of a seed in CPU batches (N, channels, clip_samples).

    labels: names, see `numbered_labels`. limits: see `synthesize`. A translator translates its source clips with these
    numbers.
    """
    for start in range(first, first + count, batch_size):
        numbers = range(start, min(start + batch_size, first + count))
        if model.source_clips:
            yield synthesize(model, model.source_clips(numbers), limits=limits)
            continue
        z = numbered_latents(model, numbers, seed=seed, truncation=truncation)
        label_rows = numbered_labels(model, numbers, seed=seed, only=labels)
        yield synthesize(model, z, label_rows, numbered_noise(model, numbers, seed=seed), limits=limits)


def interpolate(
    model: Model,
    keyframes: int,
    *,
    clips_between: int = CLIPS_BETWEEN,
    seed: int = 0,
    truncation: float = 1.0,
    labels: Sequence[str] = (),
    batch_size: int = BATCH_SIZE,
) -> Iterator[Tensor]:
    """Yields batches, as `generate` does, of a walk through the latents of clips 0, 1, … `keyframes - 1`.

    Straight lines join uniform latents. Arcs join normal ones, as along an arc their length stays likely. If the
    generator knows labels, they are mixed on the way. With several `labels`, only the labels change: the latent stays
    that of clip 0. Noise inputs are those of clip 0 all the way.
    """
    numbers = range(keyframes)
    keeps_latent = len(labels) > 1
    key_latents = numbered_latents(
        model, [0] * keyframes if keeps_latent else numbers, seed=seed, truncation=truncation
    )
    key_labels = numbered_labels(model, numbers, seed=seed, only=labels)
    noise = numbered_noise(model, [0], seed=seed)
    yield from _walk(model, key_latents, key_labels, noise, clips_between, batch_size, is_straight=keeps_latent)


def interpolate_seeds(
    model: Model,
    seeds: Sequence[int],
    *,
    clips_between: int = CLIPS_BETWEEN,
    truncation: float = 1.0,
    labels: Sequence[str] = (),
) -> Iterator[Tensor]:
    """Yields batches, as `interpolate` does, of a walk from clip 0 of one seed to clip 0 of the next.

    The labels in `labels` take turns; if it is empty, each of these clips has its own. Noise inputs are those of the
    first seed all the way.
    """
    key_latents = torch.cat([numbered_latents(model, [0], seed=seed, truncation=truncation) for seed in seeds])
    rows = [
        numbered_labels(model, [0], seed=seed, only=labels and [labels[place % len(labels)]])
        for place, seed in enumerate(seeds)
    ]
    key_labels = torch.cat([row for row in rows if row is not None]) if model.labels else None
    noise = numbered_noise(model, [0], seed=seeds[0])
    yield from _walk(model, key_latents, key_labels, noise, clips_between, BATCH_SIZE)


def _walk(
    model: Model,
    key_latents: Tensor,
    key_labels: Tensor | None,
    noise: Sequence[Tensor],
    clips_between: int,
    batch_size: int,
    *,
    is_straight: bool = False,
) -> Iterator[Tensor]:
    walk = torch.lerp if model.inputs[0].distribution == "uniform" or is_straight else spherical_interpolation
    shares = torch.arange(clips_between + 1)[:, None] / (clips_between + 1)
    z = _walked(key_latents, walk, shares).split(batch_size)
    mixed = [None] * len(z) if key_labels is None else _walked(key_labels, torch.lerp, shares).split(batch_size)
    for latents, mixed_labels in zip(z, mixed, strict=True):
        repeated = [drawn.expand(len(latents), *drawn.shape[1:]) for drawn in noise]
        yield synthesize(model, latents, mixed_labels, repeated)


@torch.inference_mode()
def synthesize(
    model: Model, z: Tensor, labels: Tensor | None = None, noise: Sequence[Tensor] = (), *, limits: bool = True
) -> Tensor:
    """Generates the clips (N, channels, clip_samples) of latents (N, latent_dim), label rows and noise.

    Returns float32 on the CPU. limits: makes a clip that exceeds full scale softer as a whole, to a peak of 1, because
    a file would cut its peaks. If all clips that the generator learned from had a peak of 1, silence apart, the
    generated ones get it too. For a translator, z holds clips.
    """
    return clips_of(model, z, labels, noise, limits=limits).cpu()


def clips_of(
    model: Model, z: Tensor, labels: Tensor | None = None, noise: Sequence[Tensor] = (), *, limits: bool = True
) -> Tensor:
    """Does what `synthesize` does, on the model's device and differentiably."""
    inputs = [part.to(model.device) for part in (z, *noise)]
    labels = None if labels is None else labels.to(model.device)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.precision == "bf16"):
        output = model.generator(inputs[0], labels, *inputs[1:]) if model.inputs else model.generator(*inputs)
    clips = model.generator.output.decode(output.float())  # type: ignore[union-attr, operator]
    return within_full_scale(clips, peaks_are_one(model)) if limits else clips


def peaks_are_one(model: Model) -> bool:
    """Says whether all clips that the generator learned from had a peak of 1, silence apart."""
    return bool(getattr(model.generator, "peaks_are_one", False))


def within_full_scale(clips: Tensor, peaks_are_one: bool) -> Tensor:
    """Makes clips (N, C, T) that exceed full scale softer, each as a whole, or gives all but silence a peak of 1."""
    peaks = clips.abs().amax(dim=(1, 2), keepdim=True)
    return clips / (torch.where(peaks > SILENT_PEAK, peaks, 1) if peaks_are_one else peaks.clamp(min=1))


def spherical_interpolation(here: Tensor, there: Tensor, share: Tensor) -> Tensor:
    """Returns the point at `share` (M, 1) of the way from here to there (1, K) along the arc (Shoemake 1985)."""
    cosine = torch.cosine_similarity(here, there, dim=-1).clamp(-1 + 1e-6, 1 - 1e-6)[:, None]
    angle = torch.arccos(cosine)
    return (torch.sin((1 - share) * angle) * here + torch.sin(share * angle) * there) / torch.sin(angle)


def _walked(key_latents: Tensor, walk: Callable[[Tensor, Tensor, Tensor], Tensor], shares: Tensor) -> Tensor:
    legs = [walk(here[None], there[None], shares) for here, there in zip(key_latents, key_latents[1:], strict=False)]
    return torch.cat([*legs, key_latents[-1:]])


def _numbered(declared: Input, numbers: Sequence[int], seed: int, purpose: str) -> Tensor:
    rows = [
        declared.draw(1, generator=torch.Generator().manual_seed(derive(seed, clip_number, purpose)))
        for clip_number in numbers
    ]
    return torch.cat(rows)
