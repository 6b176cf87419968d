"""Lets a model make sounds longer or shorter than the clips that it has learned, and loops, where its generator can."""

import logging
from dataclasses import replace

from wavegan import assemble
from wavegan.commands.arguments import number
from wavegan.commands.model_loading import LoadedModel
from wavegan.errors import UserError
from wavegan.generation import Model
from wavegan.models.catalogue import GENERATORS
from wavegan.models.loops import LoopingGenerator, loop_step, samples_around

logger = logging.getLogger(__name__)

LEAST_SECONDS, MOST_SECONDS = 0.01, 600


def makes_any_length(model: Model) -> bool:
    """Returns whether a model makes sounds of any length: one whose generator is unbounded."""
    return bool(getattr(model.generator, "unbounded", False))


def can_loop(model: Model) -> bool:
    """Returns whether a model makes loops if it is asked to: one of sounds of any length, without pulses."""
    return makes_any_length(model) and not getattr(model.generator, "pulses", None)


def is_loop(model: Model) -> bool:
    """Returns whether a model makes loops and nothing else, see `of_seconds`."""
    return isinstance(model.generator, LoopingGenerator)


def of_seconds(loaded: LoadedModel, seconds: float | None, *, loop: bool = False) -> LoadedModel:
    """Returns a MODEL that makes sounds of this length, with the same weights; its own length for None.

    loop: they are loops; a line tells their length if it is another one. Raises UserError for a MODEL that makes clips
    of its own length alone, for loops of pulses, and for lengths out of bounds.
    """
    model, own = loaded.model, loaded.model.clip_samples / loaded.model.sample_rate
    asked = own if seconds is None else number("seconds", seconds, advised=30)
    if not loop and abs(asked * model.sample_rate - model.clip_samples) < 0.5:
        return loaded
    given = "`loop` is given" if loop else f"`seconds` is {asked:g}"
    if loaded.is_translation or not makes_any_length(model):
        raise UserError(
            f"{given}, and {model.name} makes clips of {own:.6g} s alone",
            f"a model of generator.unbounded makes {'loops' if loop else 'sounds of any length'}",
            "leave it out, or train one, with generator.unbounded=true",
        )
    if loop and not can_loop(model):
        raise UserError(
            f"{given}, and {model.name} makes pulses", "loops have none, as their phases do not repeat", "leave it out"
        )
    if not LEAST_SECONDS <= asked <= MOST_SECONDS:
        rule = f"it must be from {LEAST_SECONDS:g} to {MOST_SECONDS}"
        raise UserError(f"`seconds` is {asked:g}", rule, "try 30")
    return of_samples(loaded, _loop_samples(model, asked) if loop else round(asked * model.sample_rate), loop=loop)


def _loop_samples(model: Model, seconds: float) -> int:
    """Returns the length of a loop that is nearest to so many seconds, and tells of another one."""
    step = loop_step(model.generator)  # type: ignore[arg-type]
    samples = max(1, round(seconds * model.sample_rate / step)) * step
    if abs(samples - seconds * model.sample_rate) >= 0.5:
        logger.info(
            f"a loop of {model.name} lasts a multiple of {step / model.sample_rate:.4g} s, so "
            f"{samples / model.sample_rate:.6g} s in place of {seconds:g}"
        )
    return samples


def of_samples(loaded: LoadedModel, clip_samples: int | None, *, loop: bool = False) -> LoadedModel:
    """Returns a MODEL whose sounds, or loops, have so many samples of a channel.

    It is the MODEL itself for None, and for sounds of its own length that are no loops.
    """
    model = loaded.model
    if clip_samples is None or (clip_samples == model.clip_samples and not loop):
        return loaded
    whole_samples = samples_around(model.generator, clip_samples) if loop else clip_samples  # type: ignore[arg-type]
    recipe = loaded.recipe.model_copy(
        update={"data": loaded.recipe.data.model_copy(update={"clip_samples": whole_samples})}
    )
    kinds = {recipe.generator.name: LoopingGenerator} if loop else GENERATORS
    generator = assemble.generator(recipe, model.device, kinds)
    generator.load_state_dict(model.generator.state_dict())
    if isinstance(generator, LoopingGenerator):
        generator.loop_after(clip_samples)
    return loaded.with_model(replace(model, generator=generator.eval(), clip_samples=clip_samples))
