"""Chooses the plain step that `wavegan bench` times beside a recipe's own.

It says why there is none, which settings a plain step takes over, and what it leaves out.
"""

from wavegan.bench.baseline_timing import BaselineSettings
from wavegan.recipe import Recipe


def plain_obstacle(recipe: Recipe) -> str:
    """Says why no plain step does the same work as the recipe's; empty if one does."""
    judges, method, optimizers = list(recipe.discriminators.values()), recipe.method, recipe.optimizers
    asked = {
        "generator.name": (recipe.generator.name, "wavegan"),
        "the number of discriminators": (len(judges), 1),
        "the discriminator": (judges[0].name, "wavegan"),
        "generator.labels": (getattr(recipe.generator, "labels", 0), 0),
        "the objective": (judges[0].objective or method.objective, "wasserstein"),
        "the penalty": (judges[0].penalty or method.penalty, "gradient_penalty"),
        "optimizers.generator.name": (optimizers.generator.name, "adam"),
        "the discriminator's optimizer": ((judges[0].optimizer or optimizers.discriminator).name, "adam"),
    }
    mismatches = (f"{key} is {value}, and its is {needed}" for key, (value, needed) in asked.items() if value != needed)
    return next(mismatches, "")


def plain_settings(recipe: Recipe) -> BaselineSettings:
    """Gives the settings that the plain step takes over from a recipe for which `plain_obstacle` is empty."""
    generator, (judge,) = recipe.generator, recipe.discriminators.values()
    optimizers = recipe.optimizers.generator, judge.optimizer or recipe.optimizers.discriminator
    return BaselineSettings(
        clip_samples=recipe.data.clip_samples,
        channels=recipe.data.channels,
        dims=(generator.dim, judge.dim),
        kernel_sizes=(generator.kernel_size, judge.kernel_size),
        latent_dim=generator.latent_dim,
        latent=generator.latent,
        nearest=generator.upsample == "nearest",
        shuffle_radius=judge.phase_shuffle.radius,
        shuffle_shared=judge.phase_shuffle.shared,
        penalty_weight=recipe.method.penalty_weight if judge.penalty_weight is None else judge.penalty_weight,
        discriminator_steps=recipe.method.discriminator_steps,
        batch_size=recipe.training.batch_size,
        rates=(optimizers[0].lr, optimizers[1].lr),
        betas=(optimizers[0].betas, optimizers[1].betas),
    )


def plain_omissions(recipe: Recipe) -> list[str]:
    """Lists, as sentences, what a recipe asks for and the plain step leaves out, which makes the plain step faster."""
    ((name, judge),) = recipe.discriminators.items()
    asked = {
        "generator.batch_norm": recipe.generator.batch_norm,
        f"discriminators.{name}.batch_norm": judge.batch_norm,
        "generator.post_filter": recipe.generator.post_filter,
        "training.gradient_clip": recipe.training.gradient_clip is not None,
        "method.weight_clip": recipe.method.weight_clip is not None,
        "method.augment": recipe.method.augment or judge.augment,
        f"discriminators.{name}.dropout": judge.dropout,
    }
    return [f"the plain step leaves out {key}" for key, is_asked in asked.items() if is_asked]
