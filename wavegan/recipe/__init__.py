"""Reads a recipe file into validated, frozen objects, or reports all of its problems at once."""

from pathlib import Path
from typing import Any

from wavegan.errors import RecipeError
from wavegan.recipe.explanation import explained as explained
from wavegan.recipe.parsing import Overrides, Reader
from wavegan.recipe.schema import DataSettings, Paths, Recipe
from wavegan.recipe.tree import Place, PlacedProblem, Tree
from wavegan.recipe.validation import validate
from wavegan.recipe.yaml_text import format_value, write

OF_STEREO = ("panned_hiss", "differences_beside")  # the ends of keys that change nothing in mono
_ABSENT = object()
TEXT_KEYS = {  # on the command line their values are text, even 808 and true
    "name",
    "data.label_column",
    "training.start_from",
    *(f"data.{key}" for key, field in DataSettings.model_fields.items() if field.annotation in (Paths, Paths | None)),
}
# A run that goes on may change these keys, and all keys of these sections.
MAY_CHANGE = (
    "name",
    "data.source",  # of which the same sound is asked, see commands/train.py
    "data.test",
    "data.source_b",
    "data.test_b",
    "data.max_bad_fraction",
    "data.on_device",
    "generator.griffin_lim_iterations",
    "training.compile",
    "training.threads",
    "training.on_collapse",
    "training.max_rollbacks",
    "training.steps",
    "training.checkpoint_every",
    "training.checkpoint_minutes",
    "training.keep_last",
    "training.keep_every",
    "monitor",
    "evaluation",
)


def load(path: Path | str, overrides: Overrides = ()) -> Recipe:
    """Returns a recipe, laid over those that it includes, under overrides.

    path: a file, or the name of a shipped recipe such as quickstart; a file that exists goes before a name. overrides:
    words `key.path=value`, or a mapping such as {"training.steps": 100}. Raises RecipeError with one line for each
    problem.
    """
    reader = Reader()
    tree = reader.read(Path(path))
    tree = reader.override(tree, overrides, TEXT_KEYS)
    tree.value.setdefault("name", Tree(Path(path).stem, tree.place))
    unread = () if reader.is_complete else (("name",), ("data", "source"), ("discriminators",))
    recipe, problems = validate(tree.plain(), unread)
    _refuse(reader.problems + [PlacedProblem(tree.place_of(keys), text) for keys, text in problems])
    return recipe


def dump(recipe: Recipe) -> str:
    """Returns the recipe as YAML that holds every key; `load` reads it back."""
    return write(as_dict(recipe))


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """Returns the recipe as dicts and lists of plain values."""
    return recipe.model_dump(mode="json")


def by_key(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of nested dicts by their whole keys, such as `data.source`."""
    flat = {}
    for name, value in values.items():
        flat |= by_key(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def from_dict(values: dict[str, Any]) -> Recipe:
    """Returns the recipe of a dict that `as_dict` gave.

    Raises RecipeError if this version of wavegan has other keys.
    """
    recipe, problems = validate(values)
    _refuse([PlacedProblem(Place("stored recipe"), text) for _, text in problems])
    return recipe


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Lists, as `key: old → new`, each change that keeps a run of `old` from going on with `new`.

    In mono, keys that matter in stereo alone make no difference.
    """
    before, after = by_key(as_dict(old)), by_key(as_dict(new))
    has_schedule = bool(schedules_of(old) or schedules_of(new))
    is_mono = old.data.channels == new.data.channels == 1
    changed = [
        key
        for key in before | after
        if after.get(key, _ABSENT) != before.get(key, _ABSENT) and not (is_mono and key.endswith(OF_STEREO))
    ]
    return [
        f"{key}: {_told(before, key)} → {_told(after, key)}"
        for key in changed
        if not _may_change(key) or (has_schedule and key == "training.steps")
    ]


def schedules_of(recipe: Recipe) -> list[str]:
    """Lists, as `key: value`, the schedules that span the whole run, so that training.steps belongs to them."""
    decay, floor = recipe.training.lr_decay, getattr(recipe.method, "penalty_floor", 1)
    return [f"training.lr_decay: {decay}"] * (decay != "none") + [f"method.penalty_floor: {floor:g}"] * (floor < 1)


def _told(values: dict[str, Any], key: str) -> str:
    return format_value(values[key]) if key in values else "not there"


def _may_change(key: str) -> bool:
    return any(key == allowed or key.startswith(f"{allowed}.") for allowed in MAY_CHANGE)


def _refuse(problems: list[PlacedProblem]) -> None:
    if problems:
        raise RecipeError("\n".join(map(str, sorted(set(problems)))))
