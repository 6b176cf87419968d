"""Makes the networks of a recipe; the keys of a section are the keyword arguments of its network."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from torch import nn

from wavegan.audio.augmentation import AUGMENTATIONS
from wavegan.dsp.views import VIEWS
from wavegan.methods.adversary import Adversary
from wavegan.models.catalogue import DISCRIMINATORS, GENERATORS
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES, geometric
from wavegan.recipe import Recipe
from wavegan.recipe.kinds import arguments
from wavegan.seeding import seed_torch


def make(table: Mapping[str, Callable[..., Any]], settings: Any, *positional: Any, **keywords: Any) -> Any:
    """Makes what a section asks for: its kind in the table, with the keys that are the kind's arguments."""
    kind = table[settings.name]
    from_settings = {key: getattr(settings, key) for key in arguments(kind) if hasattr(settings, key)}
    return kind(*positional, **keywords, **from_settings)


def _of_sound(table: Mapping[str, Callable[..., Any]], settings: Any, data: Any) -> Any:
    """Makes what a section asks for; kinds that take the sample rate or the channels get those in `data`."""
    taken = signature(table[settings.name]).parameters
    return make(table, settings, **{key: getattr(data, key) for key in ("sample_rate", "channels") if key in taken})


def generator(
    recipe: Recipe, on: torch.device, kinds: Mapping[str, Callable[..., nn.Module]] = GENERATORS
) -> nn.Module:
    """Makes a generator with fresh weights; it has no labels as long as generator.labels is auto.

    kinds: the classes to choose from, by the name in the recipe.
    """
    settings = recipe.generator
    if getattr(settings, "labels", 0) == "auto":
        settings = settings.model_copy(update={"labels": 0})
    return make(kinds, settings, recipe.data.clip_samples, recipe.data.channels).to(on)


def encoder(recipe: Recipe, of: nn.Module, on: torch.device) -> nn.Module:
    """Makes the network that gives a mean and a log variance for every latent number of a generator."""
    (latent_dim,) = of.inputs[0].shape  # type: ignore[index]
    return make(DISCRIMINATORS, recipe.encoder, _clip_shape(recipe, of), outputs=2 * latent_dim).to(on)


def adversaries(recipe: Recipe, against: nn.Module, on: torch.device) -> dict[str, Adversary]:
    """Makes the recipe's adversaries of a generator, by name."""
    return {name: _adversary(recipe, settings, against, on) for name, settings in recipe.discriminators.items()}


def measured_parts(network: nn.Module) -> list[Any]:
    """Lists the parts of a network whose buffers are statistics of the sound that it learns from."""
    return [part for part in network.modules() if getattr(part, "needs_statistics", False)]


@contextmanager
def start_weights(seed: int) -> Iterator[None]:
    """Gives networks start weights that follow from the seed alone, while the context is entered.

    Afterwards torch's random generators are as before.
    """
    with torch.random.fork_rng([]):  # networks are made on the CPU
        seed_torch(seed, 0, "start weights")
        yield


def _adversary(recipe: Recipe, settings: Any, against: nn.Module, on: torch.device) -> Adversary:
    method, data = recipe.method, recipe.data
    view, shape = None, _clip_shape(recipe, against)
    if getattr(settings, "view", None):
        view = _of_sound(VIEWS, settings.view, data).to(on)
        shape = view.shape(data.channels, data.clip_samples)
    augment = settings.augment or method.augment
    penalty_weight, penalty_every = (
        getattr(method if getattr(settings, key) is None else settings, key)
        for key in ("penalty_weight", "penalty_every")
    )
    return Adversary(
        make(DISCRIMINATORS, settings, shape, labels=against.labels).to(on),
        objective=OBJECTIVES[settings.objective or method.objective].smoothed(method.label_smoothing),
        penalty=PENALTIES.get(settings.penalty or method.penalty),
        penalty_weight=penalty_weight,
        penalty_every=penalty_every,
        penalty_share=geometric(method.penalty_floor, recipe.training.steps) if method.penalty_floor < 1 else None,
        weight=settings.weight,
        weight_clip=method.weight_clip,
        view=view,
        augment=_of_sound(AUGMENTATIONS, augment, data).to(on) if augment else None,
    )


def _clip_shape(recipe: Recipe, of: nn.Module) -> tuple[int, ...]:
    """Gives the shape of what a generator makes for one clip."""
    return of.output.shape(recipe.data.channels, recipe.data.clip_samples)  # type: ignore[union-attr, operator]
