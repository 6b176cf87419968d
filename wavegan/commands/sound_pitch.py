"""Lets a model make all sounds at one pitch, where its generator draws their pitches."""

import copy
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from wavegan.audio.label_mixes import label_mix
from wavegan.commands.model_loading import LoadedModel
from wavegan.dsp.librosa_door import librosa
from wavegan.errors import UserError
from wavegan.generation import Model, label_row
from wavegan.models.pitches import NOTE, DrawnPitches
from wavegan.models.pulses import pitch_unit
from wavegan.recipe.parsing import plain

logger = logging.getLogger(__name__)

BEYOND = 2 ** (1 / 12)  # a semitone
DIGITS = 3  # of Hz, as messages and receipts tell them
SAME = 1 / 24  # octaves; labels of one note
NUMBER = re.compile(r"(\d+\.?\d*)\s*(hz)?", re.IGNORECASE)


def draws_pitches(model: Model) -> bool:
    """Returns whether a model draws the pitches of its sounds, so that they can be asked for."""
    return getattr(model.generator, "drawn_pitches", None) is not None


def labels_tell_pitches(model: Model) -> bool:
    """Returns whether labels of a model that draws pitches have pitches of their own, as notes have."""
    return _drawn(model).labels_tell


def at_pitch(
    loaded: LoadedModel, pitch: str | float | None, labels: Sequence[str]
) -> tuple[LoadedModel, tuple[str, ...]]:
    """Returns a MODEL all of whose sounds have this pitch, with the same weights, and the labels to make them of.

    pitch: in Hz, or a note such as "A4", which is 440 Hz; for None all stays as it is. labels: those that were chosen,
    see `labels_at`. A voice still moves around the pitch, by a fifth of an octave at most, and glides besides. A line
    says so where the pitch lies beyond those that the MODEL has learned of these labels. Raises UserError for a MODEL
    that draws none, for what is no pitch, and for one that no pulses have.
    """
    if pitch is None:
        return loaded, tuple(labels)
    given = str(plain(pitch))  # also of torch
    hertz = _hertz(given)
    refuse_pitches(loaded, "pitch", given, hertz, hertz)
    near = labels_at(loaded.model, labels, hertz)
    if len(near) != len(labels):
        logger.info(f"labels whose pitch is nearest to {hertz:,.0f} Hz: {', '.join(near)}")
    tell_beyond(loaded.model, near, hertz)
    return at_hertz(loaded, hertz), near


def labels_at(model: Model, labels: Sequence[str], hertz: float) -> tuple[str, ...]:
    """Returns those of some labels or mixes, or of all where empty, that have a pitch in Hz, or the nearest ones.

    Where labels tell no pitches, as they do of single notes, those that were given are returned.
    """
    names = tuple(labels) or model.label_names
    if not labels_tell_pitches(model):
        return tuple(labels)
    quantiles, pitch = _pitches(model, names), math.log2(hertz / _per_cycle(model))
    distances = torch.maximum(quantiles[:, 0] - pitch, pitch - quantiles[:, -1]).clamp(min=0)
    is_near = (distances <= distances.min() + SAME).tolist()
    return tuple(name for name, near in zip(names, is_near, strict=True) if near)


def tell_beyond(model: Model, labels: Sequence[str], hertz: float) -> None:
    """Says in a line if a pitch lies beyond those that a model has learned of these labels, or of all where empty."""
    learned = _pitches(model, labels)
    low, high = (2**end * _per_cycle(model) for end in (learned.min().item(), learned.max().item()))
    if not low / BEYOND <= hertz <= high * BEYOND:
        whose = f"{model.name} has learned pitches from {low:,.0f} to {high:,.0f} Hz"
        of_labels = f" of {', '.join(labels)}" if labels_tell_pitches(model) and labels else ""
        logger.warning(f"{whose}{of_labels}; {hertz:,.0f} Hz lies beyond, and may sound unnatural")


def refuse_pitches(loaded: LoadedModel, argument: str, given: str, lowest: float, highest: float) -> None:
    """Raises UserError for pitches, in Hz, that a MODEL does not make, or if it draws none; `given` as the argument."""
    model = loaded.model
    if loaded.is_translation or not draws_pitches(model):
        raise UserError(
            f"`{argument}` is {given}, and {model.name} draws no pitches",
            "a model of generator.drawn_pitch makes sounds of any pitch",
            "leave it out, or train one: wavegan doctor advises it for single notes and voices",
        )
    low, high = (cycles * _per_cycle(model) for cycles in model.generator.pulses.frequencies.limits)  # type: ignore[union-attr]
    if not low <= lowest <= highest <= high:
        span = f"{lowest:,.1f} Hz" if lowest == highest else f"{lowest:,.1f} to {highest:,.1f} Hz"
        rule = f"{model.name} makes pitches from {low:,.1f} to {high:,.1f} Hz"
        raise UserError(f"`{argument}` is {given}, {span}", rule, "choose within these")


def at_hertz(loaded: LoadedModel, hertz: float | None) -> LoadedModel:
    """Returns a MODEL all of whose sounds have a pitch in Hz, to a thousandth; the same MODEL for None."""
    if hertz is None:
        return loaded
    hertz = round(hertz, DIGITS)
    generator = copy.deepcopy(loaded.model.generator)
    generator.drawn_pitches.fixed = math.log2(hertz / _per_cycle(loaded.model))  # type: ignore[union-attr]
    return loaded.with_model(replace(loaded.model, generator=generator, pitch=hertz))


def _per_cycle(model: Model) -> float:
    """Returns the Hz of a cycle a unit."""
    return model.sample_rate / pitch_unit(model.generator.window, model.generator.hop)  # type: ignore[arg-type]


def _pitches(model: Model, labels: Sequence[str]) -> Tensor:
    """Returns the quantiles (labels, quantiles) of the pitches of each label or mix; one row for all where empty."""
    drawn = _drawn(model)
    if not labels:
        return drawn.own[None]
    rows = torch.stack([label_row(model, label_mix(model, text)) for text in labels])
    return drawn.own + rows.to(drawn.own) @ drawn.of_labels


def _drawn(model: Model) -> DrawnPitches:
    return model.generator.drawn_pitches  # type: ignore[return-value]


def _hertz(pitch: str) -> float:
    text = pitch.strip()
    if re.fullmatch(NOTE, text):
        return float(librosa().note_to_hz(text))
    if (number := NUMBER.fullmatch(text)) and float(number[1]) > 0:
        return float(number[1])
    rule = "it must be a note such as A4, C#3 or Bb2, or a number of Hz above 0"
    raise UserError(f"`pitch` is {pitch}", rule, "try `pitch=A3`")
