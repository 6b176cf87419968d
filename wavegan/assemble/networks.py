"""The networks of a recipe: every architecture with what it is made from."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from wavegan.models import mlp, specgan, wavegan
from wavegan.models.translator import Translator
from wavegan.recipe import Recipe
from wavegan.seeding import seed_torch


class Architecture(NamedTuple):
    """Makes the networks of a recipe.

    generator: from latents, or from clips for a translator. discriminator(recipe, outputs): from clips, with more
    outputs than one an encoder.
    """

    generator: Callable[[Recipe], nn.Module]
    discriminator: Callable[[Recipe, int], nn.Module]


def networks(recipe: Recipe) -> dict[str, nn.Module]:
    """The networks of a recipe's method by name, with their start weights, which follow from training.seed alone."""
    made_from = ARCHITECTURES[recipe.model.name]
    with torch.random.fork_rng([]):  # they are made on the CPU
        seed_torch(recipe.training.seed, 0, "start weights")
        return NETWORKS[recipe.method.name](recipe, made_from)


def _gan(recipe: Recipe, made_from: Architecture) -> dict[str, nn.Module]:
    return {"generator": made_from.generator(recipe), "discriminator": made_from.discriminator(recipe, 1)}


def _vae(recipe: Recipe, made_from: Architecture) -> dict[str, nn.Module]:
    """A mean and a logarithm of the variance for every latent number."""
    encoder = made_from.discriminator(recipe, 2 * recipe.model.latent_dim)
    return {"generator": made_from.generator(recipe), "encoder": encoder}


def _translation(recipe: Recipe, made_from: Architecture) -> dict[str, nn.Module]:
    return {
        "a_to_b": made_from.generator(recipe),
        "b_to_a": made_from.generator(recipe),
        "discriminator_a": made_from.discriminator(recipe, 1),
        "discriminator_b": made_from.discriminator(recipe, 1),
    }


def _wavegan_generator(recipe: Recipe) -> nn.Module:
    model = recipe.model
    return wavegan.Generator(
        model.clip_samples,
        recipe.data.channels,
        dim=model.dim,
        kernel_size=model.kernel_size,
        latent_dim=model.latent_dim,
        batch_norm=model.batch_norm,
        upsample=model.upsample,
        post_filter=model.post_filter,
        classes=model.classes,
    )


def _wavegan_discriminator(recipe: Recipe, outputs: int) -> nn.Module:
    model = recipe.model
    return wavegan.Discriminator(
        model.clip_samples,
        recipe.data.channels,
        dim=model.dim,
        kernel_size=model.kernel_size,
        batch_norm=model.discriminator_batch_norm,
        shuffle_radius=model.phase_shuffle.radius if outputs == 1 else 0,  # an encoder is to see a clip as it is
        shuffle_shared=model.phase_shuffle.shared,
        dropout=model.dropout,
        classes=model.classes,
        outputs=outputs,
    )


def _specgan_generator(recipe: Recipe) -> nn.Module:
    model = recipe.model
    return specgan.Generator(
        model.clip_samples // specgan.HOP_SAMPLES,
        recipe.data.channels,
        dim=model.dim,
        kernel_size=model.kernel_size,
        latent_dim=model.latent_dim,
        batch_norm=model.batch_norm,
        upsample=model.upsample,
        classes=model.classes,
    )


def _specgan_discriminator(recipe: Recipe, outputs: int) -> nn.Module:
    model = recipe.model
    return specgan.Discriminator(
        model.clip_samples // specgan.HOP_SAMPLES,
        recipe.data.channels,
        dim=model.dim,
        kernel_size=model.kernel_size,
        batch_norm=model.discriminator_batch_norm,
        dropout=model.dropout,
        classes=model.classes,
        outputs=outputs,
    )


def _mlp_generator(recipe: Recipe) -> nn.Module:
    model, channels = recipe.model, recipe.data.channels
    return mlp.Generator(
        model.clip_samples, channels, dim=model.dim, latent_dim=model.latent_dim, classes=model.classes
    )


def _mlp_discriminator(recipe: Recipe, outputs: int) -> nn.Module:
    model, channels = recipe.model, recipe.data.channels
    return mlp.Discriminator(
        model.clip_samples, channels, dim=model.dim, dropout=model.dropout, classes=model.classes, outputs=outputs
    )


def _translator(recipe: Recipe) -> nn.Module:
    model = recipe.model
    return Translator(recipe.data.channels, dim=model.dim, kernel_size=model.kernel_size, blocks=model.blocks)


ARCHITECTURES = {
    "wavegan": Architecture(_wavegan_generator, _wavegan_discriminator),
    "specgan": Architecture(_specgan_generator, _specgan_discriminator),
    "mlp": Architecture(_mlp_generator, _mlp_discriminator),
    "translator": Architecture(_translator, _wavegan_discriminator),
}
NETWORKS = {"gan": _gan, "vae": _vae, "translation": _translation}
