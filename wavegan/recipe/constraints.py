"""What is wrong with a recipe though each value by itself is right: the keys that take part, and one sentence."""

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Any, NamedTuple

from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.recipe.parsing import shown
from wavegan.recipe.schema import CLIP_SAMPLES, Recipe


class Clash(NamedTuple):
    """keys: those whose values do not go together, the one to be named first; text: value, rule, remedy."""

    keys: tuple[str, ...]
    text: str


# What fits what: the models of a method, and the representation that a model is made for.
METHODS_OF_MODEL = {
    "wavegan": ("gan", "vae"),
    "specgan": ("gan", "vae"),
    "mlp": ("gan", "vae"),
    "translator": ("translation",),
}
REPRESENTATION_OF_MODEL = {"specgan": "log_spectrogram"}  # a waveform for all others
LONGEST_SQUARE_KERNEL = 9

_GAME = ("method.name", ("gan", "translation"))
_VAE = ("method.name", ("vae",))
_TRANSLATION = ("method.name", ("translation",))
_OPTIMIZER_KEYS = {
    "betas": ("adam", "adamw"),
    "decay": ("rmsprop",),
    "momentum": ("rmsprop", "sgd"),
    "weight_decay": ("adamw", "sgd"),
    "eps": ("adam", "adamw", "rmsprop"),
}
# Keys of which something else makes no use: by key, what decides, and for which of its values they count.
COUNTS_FOR: dict[str, tuple[str, tuple[str, ...]]] = {
    "data.source_b": _TRANSLATION,
    "data.test_b": _TRANSLATION,
    "representation.clip_deviations": ("representation.name", ("log_spectrogram",)),
    "representation.griffin_lim_iterations": ("representation.name", ("log_spectrogram",)),
    "model.blocks": ("model.name", ("translator",)),
    "model.post_filter": ("model.name", ("wavegan",)),
    "model.batch_norm": ("model.name", ("wavegan", "specgan")),
    "model.discriminator_batch_norm": ("model.name", ("wavegan", "specgan", "translator")),
    "method.objective": _GAME,
    "method.weight_clip": _GAME,
    "method.label_smoothing": _GAME,
    "method.instance_noise": _GAME,
    "method.reconstruction": _VAE,
    "method.kl_weight": _VAE,
    "method.kl_warmup_steps": _VAE,
    "method.cycle_weight": _TRANSLATION,
    "method.identity_weight": _TRANSLATION,
    **{
        f"optimizers.{network}.{key}": (f"optimizers.{network}.name", names)
        for network in ("generator", "discriminator")
        for key, names in _OPTIMIZER_KEYS.items()
    },
}


def clashes(recipe: Recipe) -> Iterator[Clash]:
    """All that does not go together."""
    yield from _sound(recipe)
    yield from _unused(recipe)
    yield from _networks(recipe)
    if recipe.method.name != "vae":
        yield from _game(recipe)
    yield from _training(recipe)


def listed(values: Iterable, conjunction: str = "or") -> str:
    """a, b or c"""
    *first, last = map(shown, values)
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def _sound(recipe: Recipe) -> Iterator[Clash]:
    data = recipe.data
    if not data.source:
        rule = "a recipe must say what to learn from"
        yield Clash(("data.source", "data"), f"data.source is missing; {rule}; add source: FOLDER below data:")
    if recipe.method.name == "translation" and data.source_b is None:
        rule = "a translation needs sound to translate to; add source_b: FOLDER below data:"
        yield Clash(("data.source_b", "method.name"), f"data.source_b is missing; {rule}")
    if recipe.method.name == "translation" and data.source_b and (data.test is None) != (data.test_b is None):
        one, other = ("data.test", "data.test_b") if data.test_b is None else ("data.test_b", "data.test")
        rule = f"the two sources are parted in the same way; name {other} too, or set {one}: null"
        yield Clash((one, other), f"{one} is {shown(value_at(recipe, one))}, and {other} is null; {rule}")


def _unused(recipe: Recipe) -> Iterator[Clash]:
    for key, (decider, names) in COUNTS_FOR.items():
        value, chosen = value_at(recipe, key), value_at(recipe, decider)
        if chosen not in names and value != value_at(Recipe(), key):
            rule = f"{decider} is {shown(chosen)}, which makes no use of it"
            remedy = f"leave it out, or take {decider}: {listed(names)}"
            yield Clash((key, decider), f"{key} is {shown(value)}; {rule}; {remedy}")


def _networks(recipe: Recipe) -> Iterator[Clash]:
    model, method = recipe.model, recipe.method
    if model.clip_samples not in CLIP_SAMPLES:
        near = min(CLIP_SAMPLES, key=lambda length: abs(length - model.clip_samples))
        rule = f"{shown(model.clip_samples)}; WaveGAN makes {listed(CLIP_SAMPLES)}"
        duration = f"{near / recipe.data.sample_rate:.3g} s at {recipe.data.sample_rate / 1000:g} kHz"
        yield Clash(("model.clip_samples",), f"model.clip_samples is {rule}; try {near} ({duration})")
    if method.name not in METHODS_OF_MODEL[model.name]:
        fitting = [name for name, methods in METHODS_OF_MODEL.items() if method.name in methods]
        rule = f"method.name: {method.name} is for {listed(fitting)}"
        yield Clash(("model.name", "method.name"), f"model.name is {model.name}; {rule}; try {fitting[0]}")
    needed = REPRESENTATION_OF_MODEL.get(model.name, "waveform")
    if recipe.representation.name != needed:
        rule = f"model.name: {model.name} works on the representation {needed}"
        keys = ("representation.name", "model.name")
        yield Clash(keys, f"representation.name is {recipe.representation.name}; {rule}; try {needed}")
    if model.name == "specgan" and model.kernel_size > LONGEST_SQUARE_KERNEL:
        rule = f"a SpecGAN's kernels are square and at most {LONGEST_SQUARE_KERNEL} wide"
        yield Clash(("model.kernel_size", "model.name"), f"model.kernel_size is {model.kernel_size}; {rule}; try 5")
    if model.name != "specgan" and model.kernel_size < 5:
        rule = "it must be at least 5 where clips are waveforms"
        yield Clash(("model.kernel_size", "model.name"), f"model.kernel_size is {model.kernel_size}; {rule}; try 25")
    if method.name == "vae" and model.latent != "normal":
        rule = "a VAE's latents follow a normal distribution"
        yield Clash(("model.latent", "method.name"), f"model.latent is {model.latent}; {rule}; try normal")
    if method.name == "translation" and model.classes:
        rule = "a translation goes by its two sources and knows no labels"
        yield Clash(("model.classes", "method.name"), f"model.classes is {model.classes}; {rule}; try 0")
    if method.reconstruction != "l1" and recipe.representation.name != "waveform" and method.name == "vae":
        rule = "it is a distance of waveforms, and representation.name is log_spectrogram"
        keys = ("method.reconstruction", "representation.name")
        yield Clash(keys, f"method.reconstruction is {method.reconstruction}; {rule}; try l1")


def _game(recipe: Recipe) -> Iterator[Clash]:
    """Objectives with penalties and bounds: what cannot work, however long it trains."""
    model, method = recipe.model, recipe.method
    objective = OBJECTIVES[method.objective]
    penalised = method.penalty != "none" and method.penalty_weight > 0
    penalty_keys = ("method.penalty", "method.penalty_weight")
    if model.discriminator_batch_norm and penalised:
        rule = f"it mixes the clips of a batch, but method.penalty: {method.penalty} needs each clip's own gradient"
        keys = ("model.discriminator_batch_norm", *penalty_keys)
        yield Clash(keys, f"model.discriminator_batch_norm is true; {rule}; try false")
    if method.weight_clip is not None and objective.is_bounded:
        rule = f"clipping keeps a Wasserstein distance finite, and method.objective: {method.objective} is so by itself"
        keys = ("method.weight_clip", "method.objective")
        yield Clash(keys, f"method.weight_clip is {shown(method.weight_clip)}; {rule}; try null")
    elif method.weight_clip is not None and penalised:
        rule = f"method.penalty: {method.penalty} bounds the discriminator already, and the two work against each other"
        keys = ("method.weight_clip", *penalty_keys)
        yield Clash(keys, f"method.weight_clip is {shown(method.weight_clip)}; {rule}; try method.penalty: none")
    if not objective.is_bounded and not penalised and method.weight_clip is None:
        rule = "its discriminator's scores grow without end unless a penalty or method.weight_clip bounds its slope"
        keys = ("method.objective", *penalty_keys, "method.weight_clip")
        remedy = "try method.penalty: gradient_penalty with a weight of 10"
        yield Clash(keys, f"method.objective is {method.objective}; {rule}; {remedy}")
    if method.label_smoothing and not objective.is_smoothable:
        smoothable = [name for name, one in OBJECTIVES.items() if one.is_smoothable]
        rule = f"method.objective: {method.objective} has no target to smooth, as {listed(smoothable, 'and')} have"
        keys = ("method.label_smoothing", "method.objective")
        yield Clash(keys, f"method.label_smoothing is {shown(method.label_smoothing)}; {rule}; try 0")


def _training(recipe: Recipe) -> Iterator[Clash]:
    data, training = recipe.data, recipe.training
    if recipe.evaluation.every and data.test is None and not data.holdout:
        rule = "an evaluation needs sound that is held out, and data.holdout is 0"
        keys = ("evaluation.every", "data.holdout", "data.test")
        yield Clash(keys, f"evaluation.every is {shown(recipe.evaluation.every)}; {rule}; try data.holdout: 0.1")
    if training.lr_decay == "linear" and training.steps < 2:
        rule = f"that needs at least 2 steps, and training.steps is {training.steps}"
        yield Clash(("training.lr_decay", "training.steps"), f"training.lr_decay is linear; {rule}; try none")


def value_at(recipe: Recipe, key: str) -> Any:
    """The value of a key with dots."""
    return reduce(getattr, key.split("."), recipe)
