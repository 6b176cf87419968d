"""Lets a model make all sounds at one pitch, where its generator draws their pitches."""

import copy
import logging
import math
import re
from dataclasses import replace

from wavegan.commands.model_loading import LoadedModel
from wavegan.dsp.librosa_door import librosa
from wavegan.errors import UserError
from wavegan.generation import Model
from wavegan.models.pulses import pitch_unit

logger = logging.getLogger(__name__)

BEYOND = 1.03  # half a semitone
NOTE = re.compile(r"[A-Ga-g][#b♯♭]?-?\d")
NUMBER = re.compile(r"(\d+\.?\d*)\s*(hz)?", re.IGNORECASE)


def draws_pitches(model: Model) -> bool:
    """Returns whether a model draws the pitches of its sounds, so that they can be asked for."""
    return getattr(model.generator, "drawn_pitches", None) is not None


def at_pitch(loaded: LoadedModel, pitch: str | float | None) -> LoadedModel:
    """Returns a MODEL all of whose sounds have this pitch, with the same weights; the same MODEL for None.

    pitch: in Hz, or a note such as "A4", which is 440 Hz. A voice still moves around it, by a fifth of an octave at
    most, and glides. A line says so where it lies beyond the pitches that the MODEL has learned. Raises UserError for a
    MODEL that draws none, for what is no pitch, and for one that no pulses have.
    """
    if pitch is None:
        return loaded
    hertz = _hertz(pitch)
    refuse_pitches(loaded, "pitch", str(pitch), hertz, hertz)
    return at_hertz(loaded, hertz)


def refuse_pitches(loaded: LoadedModel, argument: str, given: str, lowest: float, highest: float) -> None:
    """Raises UserError for pitches, in Hz, that a MODEL does not make, or if it draws none; `given` as the argument.

    A line says so where they lie beyond those that it has learned.
    """
    model = loaded.model
    if loaded.is_translation or not draws_pitches(model):
        raise UserError(
            f"`{argument}` is {given}, and {model.name} draws no pitches",
            "a model of generator.drawn_pitch makes sounds of any pitch",
            "leave it out, or train one: wavegan doctor advises it for single notes and voices",
        )
    low, high = _limits(model)
    if not low <= lowest <= highest <= high:
        span = f"{lowest:,.0f} Hz" if lowest == highest else f"{lowest:,.0f} to {highest:,.0f} Hz"
        rule = f"{model.name} makes pitches from {low:,.0f} to {high:,.0f} Hz"
        raise UserError(f"`{argument}` is {given}, {span}", rule, "choose within these")
    learned = (2 ** model.generator.drawn_pitches.own[[0, -1]] * _per_cycle(model)).tolist()  # type: ignore[union-attr]
    for hertz in sorted({lowest, highest}):
        if not learned[0] / BEYOND <= hertz <= learned[1] * BEYOND:
            span = f"{learned[0]:,.0f} to {learned[1]:,.0f} Hz"
            logger.warning(
                f"{model.name} has learned pitches from {span}; {hertz:,.0f} Hz lies beyond, and may sound so"
            )


def at_hertz(loaded: LoadedModel, hertz: float | None) -> LoadedModel:
    """Returns a MODEL all of whose sounds have a pitch in Hz that `at_pitch` took; the same MODEL for None."""
    if hertz is None:
        return loaded
    generator = copy.deepcopy(loaded.model.generator)
    generator.drawn_pitches.fixed = math.log2(hertz / _per_cycle(loaded.model))  # type: ignore[union-attr]
    model = replace(loaded.model, generator=generator, pitch=hertz)
    name = next(name for name, own in loaded.models.items() if own is loaded.model)
    return replace(loaded, models={**loaded.models, name: model})


def _per_cycle(model: Model) -> float:
    """Returns the Hz of a cycle a unit."""
    return model.sample_rate / pitch_unit(model.generator.window, model.generator.hop)  # type: ignore[arg-type]


def _limits(model: Model) -> tuple[float, float]:
    """Returns the lowest and the highest pitch of pulses, in Hz."""
    low, high = (2**model.generator.pulses.frequencies.bounds).tolist()  # type: ignore[union-attr, operator]
    return low * _per_cycle(model), high * _per_cycle(model)


def _hertz(pitch: str | float) -> float:
    text = str(pitch).strip()
    if NOTE.fullmatch(text):
        return float(librosa().note_to_hz(text))
    if (number := NUMBER.fullmatch(text)) and float(number[1]) > 0:
        return float(number[1])
    rule = "it must be a note such as A4, C#3 or Bb2, or a number of Hz"
    raise UserError(f"`pitch` is {pitch}", rule, "try `pitch=A3`")
