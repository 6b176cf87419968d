"""Makes the training of a recipe: its method, its optimisers and what is tuned to this machine."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from wavegan.assemble import networks
from wavegan.assemble.heard_drift import measure_drift
from wavegan.assemble.heard_pitches import measure_pitches
from wavegan.assemble.training_clips import measured_clips
from wavegan.audio.windows import Windows
from wavegan.methods.base import Batch, Method
from wavegan.methods.gan import GAN
from wavegan.methods.translation import Translation
from wavegan.methods.vae import VAE
from wavegan.models import inverse_stft
from wavegan.models.without_memory import WithoutMemory
from wavegan.objectives.reconstruction import RECONSTRUCTIONS
from wavegan.recipe import Recipe
from wavegan.recipe.optimizers import AdamSettings, AdamWSettings, MuonSettings, RMSPropSettings, SGDSettings
from wavegan.training.acceleration import settle_acceleration
from wavegan.training.loop import Training
from wavegan.training.muon import Muon
from wavegan.training.precision import chosen_precision
from wavegan.training.threads import settle_threads, threads_kept


def method(recipe: Recipe, on: torch.device, clips: Windows | None = None) -> Method:
    """Returns the recipe's method with start weights that follow from training.seed alone.

    clips: the sound whose statistics scale the spectra; None if they will be restored or do not matter.
    """
    with networks.start_weights(recipe.training.seed):
        new_method = METHODS[recipe.method.name](recipe, on)
    if clips:
        for spectra in filter(lambda part: part.needs_statistics, _spectra(new_method)):
            spectra.measure(batch.to(on) for batch in measured_clips(clips))
        for network in new_method.networks.values():
            if isinstance(network, inverse_stft.Generator) and network.needs_pitches:
                measure_pitches(network, clips, recipe.data.sample_rate, on)
            if isinstance(network, inverse_stft.Generator) and network.drift is not None and isinstance(clips, Windows):
                measure_drift(network, clips, recipe.data.sample_rate, on)
    return new_method


def _spectra(method: Method) -> list[Any]:
    """Lists the modules that know statistics of the sound: parts of generators, and views of adversaries."""
    views = [adversary.view for adversary in getattr(method, "adversaries", {}).values() if adversary.view]
    return [*(part for network in method.networks.values() for part in networks.measured_parts(network)), *views]


def training(recipe: Recipe, on: torch.device, clips: Windows | None = None) -> Training:
    """Makes a training at step 0, see `method`; `autotune` later decides what is left to the machine."""
    new_method, settings = method(recipe, on, clips), recipe.training
    return Training(
        new_method,
        {name: optimizer(recipe, name, network) for name, network in new_method.networks.items()},
        on,
        seed=settings.seed,
        precision=settings.precision,
        ema=settings.ema,
        ema_half_life=settings.ema_half_life and settings.ema_half_life / settings.batch_size,
        gradient_clip=settings.gradient_clip,
        decay_steps=None if settings.lr_decay == "none" else settings.steps,
        decay=settings.lr_decay,
        lr_floor=settings.lr_floor,
    )


def autotune(recipe: Recipe, training: Training, batch: Batch) -> list[str]:
    """Decides by short measurements on a batch what the recipe leaves to the machine, and sets it in `training`.

    Returns lines that say what was decided.
    """
    lines = [adversary.remark(name) for name, adversary in getattr(training.method, "adversaries", {}).items()]
    if training.precision == "auto":
        with threads_kept():
            torch.set_num_threads(1)  # of several, one may wait for a core that another program holds
            training.precision, reason = chosen_precision(training.method, batch, training.seed)
        lines.append(f"training.precision auto: {reason}")
    lines.append(settle_threads(training, batch, recipe.training.threads))
    lines += settle_acceleration(training, batch, recipe.training.compile, recipe.training.steps)
    return [line for line in lines if line]


def _gan(recipe: Recipe, on: torch.device) -> Method:
    settings, generator = recipe.method, networks.generator(recipe, on)
    adversaries = networks.adversaries(recipe, generator, on)
    return GAN(
        generator, adversaries, discriminator_steps=settings.discriminator_steps, reuses_fakes=settings.reuse_generated
    )


def _vae(recipe: Recipe, on: torch.device) -> Method:
    with WithoutMemory():  # the encoder draws its weights first, as it always did
        like = networks.generator(recipe, torch.device("meta"))
    settings = recipe.method
    return VAE(
        networks.encoder(recipe, like, on),
        networks.generator(recipe, on),
        reconstruction=RECONSTRUCTIONS[settings.reconstruction],
        kl_weight=settings.kl_weight,
        kl_warmup_steps=settings.kl_warmup_steps,
    )


def _translation(recipe: Recipe, on: torch.device) -> Method:
    a_to_b, b_to_a = networks.generator(recipe, on), networks.generator(recipe, on)
    return Translation(
        a_to_b,
        b_to_a,
        networks.adversaries(recipe, b_to_a, on),
        networks.adversaries(recipe, a_to_b, on),
        cycle_weight=recipe.method.cycle_weight,
        identity_weight=recipe.method.identity_weight,
        discriminator_steps=recipe.method.discriminator_steps,
    )


METHODS: Mapping[str, Callable[[Recipe, torch.device], Method]] = {
    "gan": _gan,
    "vae": _vae,
    "translation": _translation,
}


def optimizer(recipe: Recipe, name: str, network: nn.Module) -> Optimizer:
    """Returns the optimiser of a network.

    Every network that is no discriminator has the settings of the generator.
    """
    kind, _, own_name = name.partition(".")
    settings = recipe.optimizers.generator
    if kind.startswith("discriminators"):
        settings = recipe.discriminators[own_name].optimizer or recipe.optimizers.discriminator
    make, arguments = OPTIMIZERS[settings.name]
    device = next(network.parameters()).device
    return make(network.parameters(), lr=settings.lr, **arguments(settings, device.type != "mps"))


def _adam(settings: AdamSettings, fused: bool) -> dict[str, Any]:
    return {"betas": settings.betas, "eps": settings.eps, "fused": fused}


def _adamw(settings: AdamWSettings, fused: bool) -> dict[str, Any]:
    return {**_adam(settings, fused), "weight_decay": settings.weight_decay}


def _muon(settings: MuonSettings, fused: bool) -> dict[str, Any]:
    return {**_adam(settings, fused), "momentum": settings.momentum}


def _rmsprop(settings: RMSPropSettings, fused: bool) -> dict[str, Any]:
    return {"alpha": settings.decay, "momentum": settings.momentum, "eps": settings.eps, "foreach": True}


def _sgd(settings: SGDSettings, fused: bool) -> dict[str, Any]:
    return {"momentum": settings.momentum, "weight_decay": settings.weight_decay, "fused": fused}


OPTIMIZERS: Mapping[str, tuple[Callable[..., Optimizer], Callable[[Any, bool], dict[str, Any]]]] = {
    "adam": (torch.optim.Adam, _adam),
    "adamw": (torch.optim.AdamW, _adamw),
    "muon": (Muon, _muon),
    "rmsprop": (torch.optim.RMSprop, _rmsprop),
    "sgd": (torch.optim.SGD, _sgd),
}
