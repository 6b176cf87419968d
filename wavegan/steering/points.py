"""Describes a sound by all that its generator takes, a point, and moves from point to point."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wavegan import generation
from wavegan.errors import UserError
from wavegan.generation import Model
from wavegan.models.inputs import Input
from wavegan.seeding import derive
from wavegan.steering.directions import steered
from wavegan.steering.page_numbers import page_noise

Draw = tuple[int, int, float]  # seed, number, weight
PAGE_DRAW = -1  # the number of a draw that a page of the instrument has made


@dataclass(frozen=True)
class Point:
    """Holds what a generator takes for one sound.

    latent: all numbers of it, those of long sounds and of parts, too. labels: weights (labels,), None for a
    generator that knows none. noise: the noise inputs are the sum of those of each seed and number, times its
    weight. offset: (mapped,), what is added to the mapped latent, see `directions`; None for nothing. made_by: the
    model that it is a point of, see `maker`.
    """

    latent: Tensor
    labels: Tensor | None
    noise: tuple[Draw, ...]
    offset: Tensor | None = None
    made_by: str = ""


def maker(model: Model) -> str:
    """Returns how a model is named in its points: another run of the same recipe has other weights."""
    weights = zlib.crc32(next(model.generator.parameters()).detach().float().cpu().numpy().tobytes())
    return f"{model.name} at step {model.step:,} (weights {weights:08x})"


def numbered_point(
    model: Model,
    number: int,
    *,
    seed: int = 0,
    truncation: float = 1.0,
    labels: Sequence[str] = (),
    offset: Tensor | None = None,
) -> Point:
    """Returns the point of a clip that `generation.generate` makes of the same arguments."""
    rows = generation.numbered_labels(model, [number], seed=seed, only=labels)
    latent = generation.numbered_latents(model, [number], seed=seed, truncation=truncation)[0]
    return Point(latent, None if rows is None else rows[0], ((seed, number, 1.0),), offset, maker(model))


def checked(model: Model, point: Point) -> Point:
    """Returns a point of this model; raises UserError for that of another one."""
    if point.made_by not in ("", maker(model)):
        rule = f"the model is {maker(model)}, and its latents mean something else"
        raise UserError(f"the point is one of {point.made_by}", rule, "pass the clip or its file instead of the point")
    if point.latent.shape != model.inputs[0].shape:
        rule = f"that of a sound of {model.clip_samples / model.sample_rate:.2f} s has {model.inputs[0].shape[0]:,}"
        remedy = "pass the point of a sound of that length"
        raise UserError(f"the point's latent has {len(point.latent):,} numbers", rule, remedy)
    return point


def clip_of(model: Model, point: Point) -> Tensor:
    """Generates the clip (channels, clip_samples) of a point, by itself, so that it is always the same."""
    labels = None if point.labels is None else point.labels[None]
    moved = steered(model, None if point.offset is None else point.offset[None])
    return generation.synthesize(moved, point.latent[None], labels, noise_inputs(model, point))[0]


def noise_inputs(model: Model, point: Point) -> list[Tensor]:
    """Returns the noise inputs of a point, (1, …) each."""
    draws = [[weight * part for part in _numbered(model, seed, number)] for seed, number, weight in point.noise]
    return [torch.stack(parts).sum(0) for parts in zip(*draws, strict=True)]


def vary(model: Model, point: Point, count: int, *, amount: float = 0.3, seed: int = 0) -> list[Point]:
    """Returns neighbours of a point: its latent turned by `amount` of the way to that of a fresh sound.

    amount: above 0, where nothing changes, up to 1, another sound of the same labels. A normal latent keeps its length,
    so that clips stay as typical as the first one. All else stays. Raises UserError for other amounts.
    """
    refuse_amount(amount)
    declared = model.inputs[0]
    fresh = [
        declared.draw(1, generator=torch.Generator().manual_seed(derive(seed, number, "vary")))[0]
        for number in range(count)
    ]
    return [replace(point, latent=mixed(declared, point.latent, latent, amount, keeps_length=True)) for latent in fresh]


def morph(model: Model, first: Point, last: Point, steps: int) -> list[Point]:
    """Returns `steps` points from the first to the last one, both included, all of whose parts are mixed.

    Raises UserError for fewer than 2 steps.
    """
    refuse_steps(steps)
    return [_between(model, first, last, step / (steps - 1)) for step in range(steps)]


def _between(model: Model, first: Point, last: Point, share: float) -> Point:
    labels = None if first.labels is None or last.labels is None else first.labels.lerp(last.labels, share)
    # The power of two independent noises stays if the squares of their shares add up to 1.
    turned = (math.cos(share * math.pi / 2), math.sin(share * math.pi / 2)) if 0 < share < 1 else (1 - share, share)
    weights: dict[tuple[int, int], float] = {}
    for point, part, plain in zip((first, last), turned, (1 - share, share), strict=True):
        for seed, number, weight in point.noise:
            is_shared = (seed, number) in _draws(first) & _draws(last)
            weights[seed, number] = weights.get((seed, number), 0.0) + weight * (plain if is_shared else part)
    noise = tuple((*draw, weight) for draw, weight in weights.items() if weight)
    latent = mixed(model.inputs[0], first.latent, last.latent, share)
    return Point(latent, labels, noise, _lerped(first.offset, last.offset, share), first.made_by)


def _lerped(first: Tensor | None, last: Tensor | None, share: float) -> Tensor | None:
    """Mixes offsets, of which None is zero."""
    if first is None or last is None:
        offset = last if first is None else first
        return None if offset is None else offset * (share if first is None else 1 - share)
    return first.lerp(last, share)


def _draws(point: Point) -> set[tuple[int, int]]:
    return {(seed, number) for seed, number, _ in point.noise}


def _numbered(model: Model, seed: int, number: int) -> list[Tensor]:
    return page_noise(model, seed) if number == PAGE_DRAW else generation.numbered_noise(model, [number], seed=seed)


def refuse_amount(amount: float) -> None:
    """Raises UserError unless an amount of variation is above 0 and at most 1."""
    if not 0 < amount <= 1:
        raise UserError(f"`amount` is {amount:g}", "it must be above 0 and at most 1", "try `amount=0.3`")


def refuse_steps(steps: int) -> None:
    """Raises UserError for fewer than the two steps that a morph needs."""
    if steps < 2:
        raise UserError(f"`steps` is {steps}", "a morph has both ends, so 2 or more", "try `steps=8`")


def mixed(declared: Input, here: Tensor, there: Tensor, share: float, *, keeps_length: bool = False) -> Tensor:
    """Returns the numbers at `share` of the way: along an arc if they are normal, along a line if they are uniform.

    keeps_length: brings `there` to the length of `here` first, where both are normal.
    """
    if declared.distribution == "uniform":
        return here.lerp(there, share)
    start, end = here.flatten()[None], there.flatten()[None]
    if keeps_length:
        end = end * (start.norm() / end.norm().clamp(min=1e-9))
    return generation.spherical_interpolation(start, end, torch.tensor([[share]])).view_as(here)
