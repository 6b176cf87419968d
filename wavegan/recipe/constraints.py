"""Finds the conflicts in a recipe: values that are valid one by one but do not go together."""

from collections.abc import Iterator
from functools import reduce
from typing import Any

from wavegan.models.catalogue import DISCRIMINATORS, GENERATORS
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.recipe.conflict import Conflict, judges, listed
from wavegan.recipe.kinds import arguments
from wavegan.recipe.network_constraints import network_conflicts
from wavegan.recipe.schema import Recipe
from wavegan.recipe.yaml_text import format_value


def conflicts(recipe: Recipe) -> Iterator[Conflict]:
    """Yields all conflicts in a recipe."""
    yield from _sound(recipe)
    yield from _generator(recipe)
    yield from _method(recipe)
    yield from _sight(recipe)
    yield from _augmentations(recipe)
    yield from network_conflicts(recipe)
    for name, _ in judges(recipe):
        yield from _Game(recipe, name).conflicts()
    yield from _training(recipe)


def _sound(recipe: Recipe) -> Iterator[Conflict]:
    data, translates = recipe.data, recipe.method.name == "translation"
    if not data.source:
        rule = "a recipe must say what to learn from"
        yield Conflict(("data.source",), f"data.source is missing; {rule}; add source: FOLDER below data:")
    if translates and data.source_b is None:
        rule = "a translation needs sound to translate to; add source_b: FOLDER below data:"
        yield Conflict(("data.source_b", "method.name"), f"data.source_b is missing; {rule}")
    if translates and data.source_b and (data.test is None) != (data.test_b is None):
        key, null_key = ("data.test", "data.test_b") if data.test_b is None else ("data.test_b", "data.test")
        rule = f"both sources must be split in the same way; name {null_key} too, or set {key}: null"
        yield Conflict(
            (key, null_key), f"{key} is {format_value(_value_at(recipe, key))}, and {null_key} is null; {rule}"
        )
    if data.channel is not None and data.channels > 1:
        rule = f"it takes one channel of each file, so the {data.channels} of data.channels would all be the same"
        keys = ("data.channel", "data.channels")
        yield Conflict(keys, f"data.channel is {data.channel}; {rule}; leave it out, or try data.channels: 1")
    if data.holdout_ends and data.windows == "first":
        rule = "data.windows is first, so clips are starts of files, and ends sound otherwise"
        keys = ("data.holdout_ends", "data.windows")
        yield Conflict(keys, f"data.holdout_ends is true; {rule}; try data.windows: random, or leave it out")
    for key in ("data.source_b", "data.test_b"):
        if not translates and (value := _value_at(recipe, key)):
            rule = f"method.name is {recipe.method.name}, and only a translation has a second source"
            yield Conflict((key, "method.name"), f"{key} is {format_value(value)}; {rule}; leave it out")


def _generator(recipe: Recipe) -> Iterator[Conflict]:
    generator = recipe.generator
    if generator.name != "inverse_stft":
        return
    for key in ("steady_pitch", "drawn_pitch", "filtered_pulses"):
        if getattr(generator, key) and not generator.pulses:
            keys, rule = (f"generator.{key}", "generator.pulses"), "generator.pulses is false, so there is no pitch"
            yield Conflict(keys, f"generator.{key} is true; {rule}; try generator.pulses: true")
    if not (generator.glottal_pulses or generator.drawn_pitch):
        keys, rule = ("generator.glottal_pulses", "generator.drawn_pitch"), "only pulses of drawn pitches swell"
        yield Conflict(keys, f"generator.glottal_pulses is false; {rule}; leave it out")
    if generator.filtered_pulses and generator.tuned_bins and not generator.long_frames:
        keys, rule = ("generator.tuned_bins", "generator.filtered_pulses"), "there are no steady sines to tune"
        yield Conflict(keys, f"generator.tuned_bins and filtered_pulses are true; {rule}; leave out one")
    if generator.steady_pitch and generator.drawn_pitch:
        keys = ("generator.drawn_pitch", "generator.steady_pitch")
        yield Conflict(keys, "generator.drawn_pitch and steady_pitch are true; a drawn pitch is steady; leave out one")


def _method(recipe: Recipe) -> Iterator[Conflict]:
    """Yields the conflicts between the method and the networks."""
    generator, method = recipe.generator, recipe.method
    fitting = [name for name, kind in GENERATORS.items() if _translates(kind) == (method.name == "translation")]
    if generator.name not in fitting:
        rule = f"method.name: {method.name} is for {listed(fitting)}"
        keys = ("generator.name", "method.name")
        yield Conflict(keys, f"generator.name is {generator.name}; {rule}; try {fitting[0]}")
    if method.name == "vae":
        yield from _autoencoder(recipe)
        return
    if recipe.encoder:
        rule = f"method.name is {method.name}, and only a VAE has an encoder"
        yield Conflict(("encoder", "method.name"), f"encoder is {recipe.encoder.name}; {rule}; leave it out")
    if not recipe.discriminators:
        rule = f"method.name: {method.name} needs one or more; write discriminators: {{waveform: {{name: wavegan}}}}"
        yield Conflict(("discriminators", "discriminators.*", "method.name"), f"discriminators is empty; {rule}")


def _autoencoder(recipe: Recipe) -> Iterator[Conflict]:
    """Yields the conflicts of a VAE.

    Its encoder must see the generator's output, its latents must be normal, and it has no discriminators. Of the
    reconstructions, only l1 works on something other than waveforms.
    """
    generator, encoder, gives = recipe.generator, recipe.encoder, GENERATORS[recipe.generator.name].gives
    fitting = next(name for name, kind in DISCRIMINATORS.items() if kind.sees == gives)
    if getattr(generator, "latent", "normal") != "normal":
        rule = "a VAE's latents follow a normal distribution"
        keys = ("generator.latent", "method.name")
        yield Conflict(keys, f"generator.latent is {generator.latent}; {rule}; try normal")
    if encoder is None:
        rule = f"a VAE needs one; write encoder: {{name: {fitting}}}"
        yield Conflict(("encoder", "method.name", "generator.name"), f"encoder is missing; {rule}")
    elif DISCRIMINATORS[encoder.name].sees != gives:
        rule = f"it does not see the {_words(gives)} that generator.name: {generator.name} gives"
        keys = ("encoder.name", "generator.name", "method.name")
        yield Conflict(keys, f"encoder.name is {encoder.name}; {rule}; try {fitting}")
    if recipe.discriminators:
        names = listed(recipe.discriminators, "and")
        rule = "a VAE has none; write discriminators: null"
        yield Conflict(("discriminators", "method.name"), f"discriminators holds {names}; {rule}")
    if recipe.method.reconstruction != "l1" and gives != "waveform":
        rule = f"it is a distance of waveforms, and generator.name: {generator.name} gives a {_words(gives)}"
        keys = ("method.reconstruction", "generator.name", "method.name")
        yield Conflict(keys, f"method.reconstruction is {recipe.method.reconstruction}; {rule}; try l1")


def _translates(generator: Any) -> bool:
    """Returns whether a generator takes sound in place of latents."""
    return "latent_dim" not in arguments(generator)


def _sight(recipe: Recipe) -> Iterator[Conflict]:
    """Yields a conflict for each discriminator that does not see what the generator makes.

    A discriminator of spectra counts as one of waveforms, since its view makes spectra of waveforms.
    """
    gives = GENERATORS[recipe.generator.name].gives
    fitting = next(name for name, kind in DISCRIMINATORS.items() if kind.sees == gives)
    for name, settings in recipe.discriminators.items():
        sees = DISCRIMINATORS[settings.name].sees
        if ("waveform" if sees == "spectrum" else sees) != gives:
            key = f"discriminators.{name}.name"
            rule = f"{settings.name} sees a {_words(sees)}, and generator.name: {recipe.generator.name} gives a"
            text = f"{key} is {settings.name}; {rule} {_words(gives)}; try {fitting}"
            yield Conflict((key, "generator.name", "method.name"), text)


def _augmentations(recipe: Recipe) -> Iterator[Conflict]:
    """Yields a conflict for each adaptive augmentation if the generator makes no waveforms."""
    name = recipe.generator.name
    if recipe.method.name == "vae" or GENERATORS[name].gives == "waveform":
        return
    sections = [("method", recipe.method), *((f"discriminators.{key}", each) for key, each in judges(recipe))]
    for path, settings in sections:
        if settings.augment and settings.augment.name == "adaptive":
            rule = f"it changes waveforms, and generator.name: {name} gives a {_words(GENERATORS[name].gives)}"
            keys = (f"{path}.augment.name", "generator.name", "method.name")
            yield Conflict(keys, f"{path}.augment.name is adaptive; {rule}; try noise")


def _words(kind: str) -> str:
    return kind.replace("_", " ")


class _Game:
    """Checks the objective and the penalty of a discriminator, which are its own or those of the method."""

    def __init__(self, recipe: Recipe, name: str) -> None:
        self.method, self.settings, self.path = recipe.method, recipe.discriminators[name], f"discriminators.{name}"
        self.objective_key, self.objective = self.effective("objective")
        self.penalty_key, self.penalty = self.effective("penalty")
        self.weight_key, weight = self.effective("penalty_weight")
        self.is_penalised = self.penalty != "none" and weight > 0

    def effective(self, key: str) -> tuple[str, Any]:
        """Returns the key where a setting of this discriminator is written, and the value."""
        own = getattr(self.settings, key)
        return (f"method.{key}", getattr(self.method, key)) if own is None else (f"{self.path}.{key}", own)

    def conflict(self, key: str, text: str) -> Conflict:
        """Returns a conflict about a key, in which all of the game's settings take part."""
        names = ("objective", "penalty", "penalty_weight")
        settings = (f"{section}.{name}" for section in ("method", self.path) for name in names)
        return Conflict((key, *settings, "method.weight_clip", "method.name", f"{self.path}.name"), text)

    def conflicts(self) -> Iterator[Conflict]:
        """Yields all conflicts in this game."""
        objective, penalty = f"{self.objective_key}: {self.objective}", f"{self.penalty_key}: {self.penalty}"
        clip = f"method.weight_clip is {format_value(self.method.weight_clip)}"
        is_bounded = OBJECTIVES[self.objective].is_bounded
        if getattr(self.settings, "batch_norm", False) and self.is_penalised:
            key = f"{self.path}.batch_norm"
            rule = f"it mixes the clips of a batch, but {penalty} needs each clip's own gradient"
            yield self.conflict(key, f"{key} is true; {rule}; try false")
        if self.method.weight_clip is not None and is_bounded:
            rule = f"clipping bounds a Wasserstein distance, and {objective} is bounded without it"
            yield self.conflict("method.weight_clip", f"{clip}; {rule}; try null")
        elif self.method.weight_clip is not None and self.is_penalised:
            rule = f"{penalty} bounds the discriminator already; use one of the two"
            yield self.conflict("method.weight_clip", f"{clip}; {rule}; try {self.penalty_key}: none")
        elif self.method.weight_clip is None and not is_bounded and not self.is_penalised:
            rule = "its scores grow without limit unless a penalty or method.weight_clip bounds the gradient"
            remedy = f"try {self.penalty_key}: gradient_penalty with {self.weight_key}: 10"
            yield self.conflict(self.objective_key, f"{self.objective_key} is {self.objective}; {rule}; {remedy}")
        if self.method.label_smoothing and not OBJECTIVES[self.objective].is_smoothable:
            smoothable = [name for name, each in OBJECTIVES.items() if each.is_smoothable]
            rule = f"{objective} has no target to smooth, as {listed(smoothable, 'and')} have"
            text = f"method.label_smoothing is {format_value(self.method.label_smoothing)}; {rule}; try 0"
            yield self.conflict("method.label_smoothing", text)


def _training(recipe: Recipe) -> Iterator[Conflict]:
    data, training = recipe.data, recipe.training
    if recipe.evaluation.every and data.test is None and not data.holdout:
        rule = "an evaluation needs sound that is held out, and data.holdout is 0"
        keys = ("evaluation.every", "data.holdout", "data.test")
        yield Conflict(
            keys, f"evaluation.every is {format_value(recipe.evaluation.every)}; {rule}; try data.holdout: 0.1"
        )
    if training.lr_decay != "none" and training.steps < 2:
        rule = f"that needs at least 2 steps, and training.steps is {training.steps}"
        keys = ("training.lr_decay", "training.steps")
        yield Conflict(keys, f"training.lr_decay is {training.lr_decay}; {rule}; try none")
    if training.lr_floor and training.lr_decay == "none":
        rule = "training.lr_decay is none, so no rate falls"
        keys = ("training.lr_floor", "training.lr_decay")
        yield Conflict(
            keys, f"training.lr_floor is {format_value(training.lr_floor)}; {rule}; try training.lr_decay: cosine"
        )
    if training.ema_half_life and training.ema:
        rule = f"training.ema is {format_value(training.ema)}, and only one of the two may set the average"
        keys = ("training.ema_half_life", "training.ema")
        yield Conflict(
            keys, f"training.ema_half_life is {format_value(training.ema_half_life)}; {rule}; set training.ema: 0"
        )
    method = recipe.method
    if method.name == "gan" and method.reuse_generated and method.discriminator_steps > 1:
        rule = f"it needs one update per step, and method.discriminator_steps is {method.discriminator_steps}"
        keys = ("method.reuse_generated", "method.discriminator_steps", "method.name")
        yield Conflict(keys, f"method.reuse_generated is true; {rule}; try method.discriminator_steps: 1")


def _value_at(recipe: Recipe, key: str) -> Any:
    """Returns the value of a key with dots, for keys outside the discriminators."""
    return reduce(getattr, key.split("."), recipe)
