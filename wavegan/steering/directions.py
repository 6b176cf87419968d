"""Finds how to change what all sounds of a generator have in common, such as their brightness, without labels by hand.

A direction is a row for each label that is added to the mapped latent, from which every block takes its style (Karras
et al. 2019, StyleGAN). It is the mean gradient of a descriptor of sound, taken through the generator. Whether other
sounds follow it is measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from wavegan import generation, progress
from wavegan.errors import UserError
from wavegan.generation import Model
from wavegan.models.inverse_stft import Generator
from wavegan.steering.descriptors import DESCRIPTORS

SUREST = 0.8  # the least correlation of amount and descriptor of a direction that is offered
SOUNDS = 200  # whose gradients are averaged, or more where there are many labels
SOUNDS_A_LABEL = 6
FIRST_HELD_OUT, HELD_OUT = 10_000, 60  # numbers of the sounds by which a direction is measured
AMOUNTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
BATCH_SIZE = 20
LEAST = 1e-10


@dataclass(frozen=True)
class Direction:
    """Holds a direction: what it changes, and its rows (labels, mapped), or (1, mapped) of a model without labels.

    An amount of 1 adds the row of a clip's label, -1 takes it away; it is as long as a mapped latent usually lies from
    the mean of its label. correlation: of the amount with the change of the descriptor, over other sounds than those
    that gave the gradient.
    """

    name: str
    rows: Tensor
    correlation: float

    @property
    def is_sure(self) -> bool:
        """Says whether sounds follow so surely that the direction is offered."""
        return self.correlation >= SUREST


def _fit(model: Model) -> Generator:
    """Returns the generator; raises UserError for one that has no mapped latent."""
    if isinstance(model.generator, Generator):
        return model.generator
    raise UserError(
        f"{model.name} is no inverse_stft generator",
        "only these have directions",
        "train one, e.g. wavegan train drums_modern",
    )


def find_directions(model: Model) -> list[Direction]:
    """Returns a direction for each of DESCRIPTORS, the surest first.

    Far from a sound its gradient is another. So a direction is the sum of the mean gradient at the sounds and of that
    at sounds which are moved along it. Takes a minute for clips of a second, more where there are many labels. Raises
    UserError for a generator other than inverse_stft.
    """
    near = _mean_gradients(model)
    far = _mean_gradients(model, along=near)
    rows = {name: _of_length(part.norm(dim=1, keepdim=True), part + far[name]) for name, part in near.items()}
    directions = [
        Direction(name, part, _correlation(model, DESCRIPTORS[name].measure, part)) for name, part in rows.items()
    ]
    return sorted(directions, key=lambda direction: -direction.correlation)


@dataclass(frozen=True)
class Moves:
    """Holds amounts by the names of directions, and the sum of these: rows as a direction's, None without amounts."""

    amounts: Mapping[str, float]
    rows: Tensor | None


NO_MOVES = Moves({}, None)


def moves_along(directions: Sequence[Direction], amounts: Mapping[str, float]) -> Moves:
    """Returns the sum of directions by name, each times its amount."""
    rows = [amounts[direction.name] * direction.rows for direction in directions if direction.name in amounts]
    return Moves(amounts, torch.stack(rows).sum(0) if rows else None)


def label_offset(rows: Tensor, labels: Tensor | None) -> Tensor:
    """Returns what is added to mapped latents, (N, mapped), for weights of labels (N, labels).

    The sum of a clip does not depend on its batch, so it is the same to the last bit in every batch.
    """
    return rows if labels is None or len(rows) == 1 else (labels.to(rows)[:, :, None] * rows).sum(1)


class Steered(nn.Module):
    """Makes the clips of a generator with an offset of the mapped latent, (N or 1, mapped) for weights of labels."""

    def __init__(self, generator: Generator, offset_of: Callable[[Tensor | None], Tensor]):
        super().__init__()
        self.generator, self.offset_of = generator, offset_of
        self.inputs, self.labels, self.output = generator.inputs, generator.labels, generator.output
        self.peaks_are_one = generator.peaks_are_one

    def forward(self, z: Tensor, labels: Tensor | None = None, *noise: Tensor) -> Tensor:
        return self.generator(z, labels, *noise, offset=self.offset_of(labels).to(z.device))


def steered(model: Model, rows: Tensor | None) -> Model:
    """Returns a model with an offset: the rows of `Moves`, or that of one sound, (1, mapped). None: the same model."""
    if rows is None:
        return model
    return replace(model, generator=Steered(_fit(model), lambda labels: label_offset(rows, labels)))


def with_offsets(model: Model, offsets: Tensor) -> Model:
    """Returns a model with an offset of the mapped latent for each clip, (N, mapped), differentiably."""
    return replace(model, generator=Steered(_fit(model), lambda _: offsets))


def _mean_gradients(model: Model, along: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Returns each descriptor's mean gradient by the mapped latent, (labels or 1, mapped), at a usual length.

    It is taken at the sounds themselves. If there are directions by name to go along, it is taken at sounds moved along
    the descriptor's own, those of each label by all AMOUNTS in turn.
    """
    generator, count = _fit(model), max(SOUNDS, SOUNDS_A_LABEL * model.labels)
    sums = {name: torch.zeros(max(1, model.labels), generator.mapped) for name in DESCRIPTORS}
    batches = [range(start, min(start + BATCH_SIZE, count)) for start in range(0, count, BATCH_SIZE)]
    mapped = []
    for numbers in progress.track(batches, len(batches), "batches", "directions"):
        latents, labels, noise = _drawn(model, numbers)
        for names in [[name] for name in DESCRIPTORS] if along else [[*DESCRIPTORS]]:  # of the same sounds
            offset = torch.zeros(len(numbers), generator.mapped)
            if along:
                offset += _turns(numbers, model.labels)[:, None] * label_offset(along[names[0]], labels)
            clips = generation.clips_of(with_offsets(model, offset.requires_grad_()), latents, labels, noise).mean(1)
            for name in names:
                [gradient] = torch.autograd.grad(DESCRIPTORS[name].smooth(clips).sum(), offset, retain_graph=True)
                sums[name] += gradient.sum(0) if labels is None else labels.t() @ gradient
        mapped.append(_mapped(generator, latents, labels))
    reach = _spread(torch.cat(mapped), _drawn(model, range(count))[1])
    return {name: _of_length(reach, part) for name, part in sums.items()}


def _turns(numbers: Sequence[int], labels: int) -> Tensor:
    """Returns an amount for each sound, (N,): the sounds of each label, which take turns, have all AMOUNTS in turn."""
    return torch.tensor([AMOUNTS[number // max(1, labels) % len(AMOUNTS)] for number in numbers])


def _of_length(length: Tensor, rows: Tensor) -> Tensor:
    return length * rows / rows.norm(dim=1, keepdim=True).clamp(min=LEAST)


@torch.no_grad()
def _mapped(generator: Generator, latents: Tensor, labels: Tensor | None) -> Tensor:
    device = generator.head.weight.device
    return generator.mapped_latents(latents.to(device), labels if labels is None else labels.to(device)).cpu()


def _spread(mapped: Tensor, labels: Tensor | None) -> Tensor:
    """Returns the usual distance of mapped latents (N, mapped) from their mean, or that of their label."""
    weights = torch.ones(len(mapped), 1) if labels is None else labels
    means = weights.t() @ mapped / weights.sum(0)[:, None]
    return (mapped - weights @ means).square().sum(1).mean().sqrt()


def _correlation(model: Model, measure: Callable[[np.ndarray, int], float], rows: Tensor) -> float:
    """Returns the correlation of the amount of a direction with the change of a descriptor, over held-out sounds."""
    values = []
    for amount in AMOUNTS:
        moved = steered(model, amount * rows)
        for start in range(FIRST_HELD_OUT, FIRST_HELD_OUT + HELD_OUT, BATCH_SIZE):
            latents, labels, noise = _drawn(model, range(start, start + BATCH_SIZE))
            clips = generation.synthesize(moved, latents, labels, noise).mean(1).numpy()
            values += [measure(clip, model.sample_rate) for clip in clips]
    table = np.array(values).reshape(len(AMOUNTS), HELD_OUT)
    changes = table - table.mean(axis=0)
    if changes.std() < LEAST:
        return 0.0
    return float(np.corrcoef(np.repeat(AMOUNTS, HELD_OUT), changes.ravel())[0, 1])


def _drawn(model: Model, numbers: Sequence[int]) -> tuple[Tensor, Tensor | None, list[Tensor]]:
    """Returns latents, labels that take turns, and noise of the sounds with these numbers."""
    names = model.label_names if model.labels else ()
    return (
        generation.numbered_latents(model, numbers),
        generation.numbered_labels(model, numbers, only=names),
        generation.numbered_noise(model, numbers),
    )
