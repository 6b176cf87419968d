"""Lets a model make sounds longer or shorter than the clips that it has learned, where its generator can."""

from dataclasses import replace

from wavegan import assemble
from wavegan.commands.arguments import number
from wavegan.commands.model_loading import LoadedModel
from wavegan.errors import UserError
from wavegan.generation import Model

LEAST_SECONDS, MOST_SECONDS = 0.01, 600


def makes_any_length(model: Model) -> bool:
    """Returns whether a model makes sounds of any length: one whose generator is unbounded."""
    return bool(getattr(model.generator, "unbounded", False))


def of_seconds(loaded: LoadedModel, seconds: float | None) -> LoadedModel:
    """Returns a MODEL that makes sounds of this length, with the same weights; the same MODEL for None.

    Raises UserError for a MODEL that makes clips of its own length alone, and for lengths out of bounds.
    """
    if seconds is None:
        return loaded
    seconds = number("seconds", seconds, advised=30)
    model, own = loaded.model, loaded.model.clip_samples / loaded.model.sample_rate
    if abs(seconds * model.sample_rate - model.clip_samples) < 0.5:
        return loaded
    if loaded.is_translation or not makes_any_length(model):
        raise UserError(
            f"`seconds` is {seconds:g}, and {model.name} makes clips of {own:.6g} s alone",
            "a model of generator.unbounded makes sounds of any length",
            "leave it out, or train one, with generator.unbounded=true",
        )
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        rule = f"it must be from {LEAST_SECONDS:g} to {MOST_SECONDS}"
        raise UserError(f"`seconds` is {seconds:g}", rule, "try 30")
    return of_samples(loaded, round(seconds * model.sample_rate))


def of_samples(loaded: LoadedModel, clip_samples: int | None) -> LoadedModel:
    """Returns a MODEL whose sounds have so many samples of a channel; the same MODEL for None and for its own."""
    if clip_samples in (None, loaded.model.clip_samples):
        return loaded
    data = loaded.recipe.data.model_copy(update={"clip_samples": clip_samples})
    generator = assemble.generator(loaded.recipe.model_copy(update={"data": data}), loaded.model.device)
    generator.load_state_dict(loaded.model.generator.state_dict())
    return loaded.with_model(replace(loaded.model, generator=generator.eval(), clip_samples=clip_samples))
