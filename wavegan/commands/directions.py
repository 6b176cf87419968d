"""Finds a MODEL's directions once, keeps them, and turns amounts by name into an offset."""

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as bytes_of

from wavegan.atomic_write import atomic_write
from wavegan.audio import sources
from wavegan.commands.model_loading import LoadedModel, run_folder_of
from wavegan.errors import UserError
from wavegan.steering.directions import NO_MOVES, SUREST, Direction, Moves, find_directions, moves_along

logger = logging.getLogger(__name__)

FILE = "directions.safetensors"  # beside the weights of a model that brings its directions
FORMAT = "2"  # increased whenever directions are sought otherwise
USUAL = 0.5  # an amount that is heard in every sound


def directions_of(loaded: LoadedModel) -> list[Direction]:
    """Returns a MODEL's directions, the surest first, sure or not: those in its folder, kept ones, or found now.

    Raises UserError for a generator that has none.
    """
    weights = loaded.model.weights_hash
    cached = sources.cache_folder() / "directions" / f"{weights}.safetensors"
    for path in (run_folder_of(loaded.path) / FILE, cached):
        if directions := _read(path, weights):
            return directions
    logger.info(f"looking for directions of {loaded.model.name}, once: a minute, more with many labels")
    directions = find_directions(loaded.model)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        write(cached, directions, weights)
    except OSError as error:
        logger.warning(f"the directions cannot be kept ({error}); they are searched for each time")
    return directions


def moves_of(loaded: LoadedModel, amounts: Mapping[str, float]) -> Moves:
    """Returns what amounts by name add to mapped latents.

    Logs how surely each works. Raises UserError for a direction that the MODEL does not have, or that its sounds do not
    follow, and for an amount outside -1 to 1.
    """
    if not amounts:
        return NO_MOVES
    for name, amount in amounts.items():
        if not (-1 <= amount <= 1 and math.isfinite(amount)):
            usual = as_argument(name, math.copysign(USUAL, amount))
            raise UserError(f"{as_argument(name, amount)} is too much", "an amount is -1 to 1", f"try {usual}")
    directions = directions_of(loaded)
    sure = {direction.name: direction for direction in directions if direction.is_sure}
    for name, amount in amounts.items():
        if name not in sure:
            near = get_close_matches(name, sure, 1) or list(sure)[:1]
            raise UserError(
                f"{as_argument(name, amount)} is not possible",
                offered_and_not(loaded.model.name, directions),
                f"try {as_argument(near[0], math.copysign(USUAL, amount))}" if near else "leave it out",
            )
    moves = (f"{name} {amount:+g} (correlation {sure[name].correlation:.2f})" for name, amount in amounts.items())
    logger.info(f"moved along {', '.join(moves)}")
    return moves_along(directions, amounts)


def amounts_of(more: Sequence[str], less: Sequence[str]) -> dict[str, float]:
    """Returns signed amounts by name of texts such as "brightness=0.5"; a name by itself means 0.5.

    Raises UserError for an amount that is no number or not from 0 to 1, and for a name that stands twice.
    """
    amounts: dict[str, float] = {}
    for argument, texts, sign in (("more", more, 1), ("less", less, -1)):
        for text in texts:
            name, _, number = text.partition("=")
            try:
                amount = float(number or USUAL)
            except ValueError:
                raise UserError(
                    f"`{argument}` is {text}", "an amount is a number", f"try `{argument}={name}={USUAL:g}`"
                ) from None
            if not 0 <= amount <= 1:
                meant = as_argument(name, math.copysign(USUAL, sign * amount))
                raise UserError(f"`{argument}` is {text}", "an amount is 0 to 1", f"try {meant}")
            if name in amounts:
                raise UserError(f"`{argument}` is {text}", f"{name} is given twice", "leave one of them out")
            amounts[name] = sign * amount
    return amounts


def as_argument(name: str, amount: float) -> str:
    """Returns the argument that gives an amount of one direction, as a message names it."""
    return f"`directions={{'{name}': {amount:g}}}`"


def offered_and_not(name: str, directions: list[Direction]) -> str:
    """Returns which directions of a model are sure, and which are not, with their correlations."""
    by_kind = {
        is_sure: ", ".join(f"{each.name} ({each.correlation:.2f})" for each in directions if each.is_sure is is_sure)
        for is_sure in (True, False)
    }
    offered = f"sounds of {name} follow {by_kind[True] or 'no direction'}"
    left_out = f"; not offered, as their correlation is below {SUREST:g}: {by_kind[False]}"
    return offered + (left_out if by_kind[False] else "")


def write(path: Path, directions: list[Direction], weights: str) -> None:
    """Writes directions of a model with the hash of its weights into a file."""
    facts = {"format": FORMAT, "weights": weights, **{each.name: repr(each.correlation) for each in directions}}
    with atomic_write(path) as file:
        file.write(bytes_of({each.name: each.rows.contiguous() for each in directions}, facts))


def _read(path: Path, weights: str) -> list[Direction]:
    """Returns the directions in a file, the surest first; none if it is not of these weights, or damaged."""
    with suppress(OSError, SafetensorError, ValueError, KeyError), safe_open(path, "pt") as file:
        facts = file.metadata() or {}
        if (facts.get("format"), facts.get("weights")) == (FORMAT, weights):
            names = file.keys()
            directions = [Direction(name, file.get_tensor(name), float(facts[name])) for name in names]
            return sorted(directions, key=lambda direction: -direction.correlation)
    return []
