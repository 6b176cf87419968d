"""What does not go together in a recipe: the keys that take part, and one sentence."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from wavegan.recipe.schema import Recipe
from wavegan.recipe.yaml_text import shown


class Conflict(NamedTuple):
    """keys: those whose values do not go together, that which is named in front, * for any; text: value, rule, remedy.

    Nothing is said of a conflict in which a value takes part that is wrong by itself.
    """

    keys: tuple[str, ...]
    text: str


def listed(values: Iterable, conjunction: str = "or") -> str:
    """a, b or c"""
    *first, last = map(shown, values)
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def judges(recipe: Recipe) -> list[tuple[str, Any]]:
    """The names and settings of the discriminators; a VAE has none, whatever the recipe says."""
    return [] if recipe.method.name == "vae" else list(recipe.discriminators.items())
