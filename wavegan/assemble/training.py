"""The training of a recipe: its method, optimisers and what is settled on this machine."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from wavegan.assemble.networks import networks
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch, Method
from wavegan.methods.gan import GAN
from wavegan.methods.translation import Translation
from wavegan.methods.vae import VAE
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.objectives.reconstruction import RECONSTRUCTIONS
from wavegan.recipe import Recipe
from wavegan.recipe.schema import Optimizer as OptimizerSettings
from wavegan.training.acceleration import settle_compilation, settle_graphs
from wavegan.training.loop import Training
from wavegan.training.precision import faster_precision


def training(recipe: Recipe, on: torch.device) -> Training:
    """A training at step 0; what is left to the machine waits for `autotune`."""
    made = {name: network.to(on) for name, network in networks(recipe).items()}
    return Training(
        METHODS[recipe.method.name](recipe, made),
        {name: _optimizer(recipe, name, network) for name, network in made.items()},
        on,
        seed=recipe.training.seed,
        precision=recipe.training.precision,
        ema=recipe.training.ema,
        gradient_clip=recipe.training.gradient_clip,
        decay_steps=recipe.training.steps if recipe.training.lr_decay == "linear" else None,
    )


def autotune(recipe: Recipe, made: Training, batch: Batch) -> list[str]:
    """Decides by short measurements on a batch what the recipe leaves to the machine; lines that tell of it."""
    adversaries = getattr(made.method, "adversaries", {}).values()
    lines = sorted({one.remark for one in adversaries})
    if made.precision == "auto":
        made.precision = faster_precision(made.method, batch)
        lines.append(f"training.precision auto: {made.precision} is the faster one on this {made.device.type}")
    lines.append(settle_compilation(made, batch, recipe.training.compile))
    if recipe.training.compile is not False:
        lines.append(settle_graphs(made, batch))
    return [line for line in lines if line]


def _gan(recipe: Recipe, made: dict[str, nn.Module]) -> Method:
    return GAN(
        made["generator"],
        _adversary(recipe, made["discriminator"]),
        discriminator_steps=recipe.method.discriminator_steps,
        latent=recipe.model.latent,
        latent_dim=recipe.model.latent_dim,
    )


def _vae(recipe: Recipe, made: dict[str, nn.Module]) -> Method:
    return VAE(
        made["encoder"],
        made["generator"],
        reconstruction=RECONSTRUCTIONS[recipe.method.reconstruction],
        kl_weight=recipe.method.kl_weight,
        kl_warmup_steps=recipe.method.kl_warmup_steps,
        latent_dim=recipe.model.latent_dim,
    )


def _translation(recipe: Recipe, made: dict[str, nn.Module]) -> Method:
    return Translation(
        made["a_to_b"],
        made["b_to_a"],
        _adversary(recipe, made["discriminator_a"]),
        _adversary(recipe, made["discriminator_b"]),
        cycle_weight=recipe.method.cycle_weight,
        identity_weight=recipe.method.identity_weight,
        discriminator_steps=recipe.method.discriminator_steps,
    )


METHODS: Mapping[str, Callable[[Recipe, dict[str, nn.Module]], Method]] = {
    "gan": _gan,
    "vae": _vae,
    "translation": _translation,
}


def _adversary(recipe: Recipe, discriminator: nn.Module) -> Adversary:
    method = recipe.method
    return Adversary(
        discriminator,
        objective=OBJECTIVES[method.objective].smoothed(method.label_smoothing),
        penalty=PENALTIES.get(method.penalty),
        penalty_weight=method.penalty_weight,
        weight_clip=method.weight_clip,
        instance_noise=method.instance_noise,
        instance_noise_steps=method.instance_noise_steps,
    )


def _optimizer(recipe: Recipe, name: str, network: nn.Module) -> Optimizer:
    """That of a network: every one that is no discriminator learns as the generator does."""
    is_discriminator = name.startswith("discriminator")
    one = recipe.optimizers.discriminator if is_discriminator else recipe.optimizers.generator
    make, settings = OPTIMIZERS[one.name]
    device = next(network.parameters()).device
    return make(network.parameters(), lr=one.lr, **settings(one, device.type != "mps"))


def _adam(one: OptimizerSettings, fused: bool) -> dict[str, Any]:
    return {"betas": one.betas, "eps": one.eps, "fused": fused}


def _adamw(one: OptimizerSettings, fused: bool) -> dict[str, Any]:
    return {**_adam(one, fused), "weight_decay": one.weight_decay}


def _rmsprop(one: OptimizerSettings, fused: bool) -> dict[str, Any]:
    return {"alpha": one.decay, "momentum": one.momentum, "eps": one.eps, "foreach": True}


def _sgd(one: OptimizerSettings, fused: bool) -> dict[str, Any]:
    return {"momentum": one.momentum, "weight_decay": one.weight_decay, "fused": fused}


OPTIMIZERS: Mapping[str, tuple[Callable[..., Optimizer], Callable[[OptimizerSettings, bool], dict[str, Any]]]] = {
    "adam": (torch.optim.Adam, _adam),
    "adamw": (torch.optim.AdamW, _adamw),
    "rmsprop": (torch.optim.RMSprop, _rmsprop),
    "sgd": (torch.optim.SGD, _sgd),
}
