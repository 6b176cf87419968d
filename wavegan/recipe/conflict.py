"""Defines a conflict in a recipe: keys whose values do not go together, and one sentence about them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from wavegan.recipe.schema import Recipe
from wavegan.recipe.yaml_text import format_value


class Conflict(NamedTuple):
    """Describes values that do not go together.

    keys: the keys of these values, first the one that the text is about; * stands for any key. text: value, rule,
    remedy. A conflict is not reported if one of its values is invalid by itself.
    """

    keys: tuple[str, ...]
    text: str


def listed(values: Iterable, conjunction: str = "or") -> str:
    """Joins values into words: a, b or c."""
    *first, last = map(format_value, values)
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def judges(recipe: Recipe) -> list[tuple[str, Any]]:
    """Lists the names and settings of the discriminators; a VAE has none, whatever the recipe says."""
    return [] if recipe.method.name == "vae" else list(recipe.discriminators.items())
