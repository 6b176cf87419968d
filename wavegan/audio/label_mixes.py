"""Reads mixes of labels, such as "kick:0.7,snare:0.3"."""

import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Protocol

from wavegan.audio.labels import spelling_key
from wavegan.errors import UserError


class Labelled(Protocol):
    """Describes a model whose labels have names."""

    @property
    def name(self) -> str:
        """Returns the name of the model."""
        ...

    @property
    def label_names(self) -> tuple[str, ...]:
        """Returns the names of its labels."""
        ...


def label_mix(model: Labelled, text: str, argument: str = "labels") -> dict[str, float]:
    """Returns the share of each label in a label or a mix of labels, such as "kick:0.7,snare:0.3".

    The name of a label means that label, whatever signs it holds, commas too; its case, blanks and the form of its
    accents do not matter. A label of a mix without a weight has the weight 1, one with the weight 0 is left out.
    Shares add up to 1. argument: the name under which the text was given. Raises UserError for a label that the model
    does not know, for a weight that is no number of 0 or more, and where all are 0.
    """
    name_of = {spelling_key(name): name for name in model.label_names}
    if only := name_of.get(spelling_key(text)):
        return {only: 1.0}
    weights: dict[str, float] = {}
    for part, name, number in _parts(text, name_of):
        if not name:
            near = get_close_matches(spelling_key(part), name_of, 1, 0.5)
            remedy = f"try `{argument}={name_of[near[0]]}`" if near else "name one of these"
            raise UserError(
                f"`{argument}` is {part or 'empty'}", f"{model.name} knows {', '.join(model.label_names)}", remedy
            )
        weights[name] = weights.get(name, 0.0) + _weight(number, text, argument)
    total = sum(weights.values())
    if not total:
        raise UserError(f"`{argument}` is {text}", "at least one weight must be above 0", f"try `{argument}={name}`")
    return {name: weight / total for name, weight in weights.items() if weight}


def _parts(text: str, name_of: Mapping[str, str]) -> Iterator[tuple[str, str | None, str]]:
    """Yields each part of a mix with the label that it names, None if that is not known, and its weight as text.

    A name may hold commas: the longest that is known counts.
    """
    words = text.split(",")
    while words:
        for size in range(len(words), 0, -1):
            part = ",".join(words[:size]).strip()
            written, _, number = part.rpartition(":")
            name = None if "," in number else name_of.get(spelling_key(written))
            if not name and (name := name_of.get(spelling_key(part))):
                number = "1"
            if name:
                break
        yield part, name, number
        words = words[size:]


def _weight(number: str, text: str, argument: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < 1e300:  # or a sum of weights may be infinite
        rule = "a weight of a mix is a number of 0 or more"
        raise UserError(f"`{argument}` is {text}, with the weight {number!r}", rule, "try kick:0.7,snare:0.3, say")
    return weight
