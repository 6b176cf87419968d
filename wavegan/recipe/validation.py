"""Finds the problems in the values of a recipe, each as one sentence: value, rule, remedy."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from wavegan.models.catalogue import DISCRIMINATORS
from wavegan.recipe.allowed_values import remedy, rule
from wavegan.recipe.constraints import conflicts, listed
from wavegan.recipe.keys import section_of, unknown_key
from wavegan.recipe.kinds import is_mapping, kinds_of
from wavegan.recipe.migration import instead_of, is_old, migrated
from wavegan.recipe.schema import Recipe
from wavegan.recipe.yaml_text import flow, format_value
from wavegan.settings import Settings

Keys = tuple[str, ...]
NETWORKS = ("generator", "discriminators", "encoder")
_EXAMPLES = {"discriminators": "discriminators: {waveform: {name: wavegan}}", "view": "view: {name: log_mel}"}
_MOST_ROUNDS = 5


class Problem(NamedTuple):
    """Describes a problem before the place of its key is known."""

    keys: Keys
    text: str


class Located(NamedTuple):
    """Locates an error of pydantic: its keys, its field, the section that holds it and all kinds of that section."""

    keys: Keys
    field: FieldInfo | None
    section: type[Settings]
    kinds: dict[str, type[Settings]]

    def __str__(self) -> str:
        return ".".join(self.keys)


def validate(values: dict[str, Any], unread: Iterable[Keys] = ()) -> tuple[Recipe, list[Problem]]:
    """Returns the recipe, with defaults in place of invalid values, and everything that is wrong.

    unread: keys whose values could not be read; nothing is reported about them.
    """
    problems, invalid, uncertain = [], set(unread), set()
    if is_old(values):
        problems += [Problem(keys, text) for keys, text in instead_of(values)]
        uncertain = {(name,) for name in NETWORKS}  # the lines to write will set them
        written = {name: values[name] for name in NETWORKS if name in values}
        values = {**{name: value for name, value in migrated(values).items() if name not in NETWORKS}, **written}
    problems += _nameless(values.get("discriminators"))
    recipe = Recipe()
    for _ in range(_MOST_ROUNDS):
        try:
            recipe = Recipe.model_validate(values)
            break
        except ValidationError as error:
            explained = list(dict.fromkeys(_explained(detail, values) for detail in error.errors()))
        problems += [problem for problem, _ in explained if not _is_covered(problem.keys, invalid)]
        invalid |= {removed for _, removed in explained}
        for _, removed in explained:
            values = _without(values, removed)
    for conflict in conflicts(recipe):
        paths = [tuple(key.split(".")) for key in conflict.keys]
        if not any(_is_covered(path, invalid | uncertain) for path in paths):
            problems.append(Problem(paths[0], conflict.text))
    return recipe, problems


def _is_covered(path: Keys, invalid: Iterable[Keys]) -> bool:
    """Returns whether some invalid value is at a path, or at a section above it; * in the path is any key."""
    return any(
        len(keys) <= len(path) and all(part in (key, "*") for part, key in zip(path, keys, strict=False))
        for keys in invalid
    )


def _without(values: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """Returns the values without the one at `keys`."""
    first, *below = keys
    if first not in values:
        return values
    if not below:
        return {name: value for name, value in values.items() if name != first}
    inner = values[first]
    return {**values, first: _without(inner, tuple(below))} if isinstance(inner, dict) else values


def _located(loc: Sequence[str | int]) -> Located:
    """Follows pydantic's path through the schema.

    The path also names the kinds of unions, and goes on into lists.
    """
    keys, remaining, field = [], list(loc), None
    inner: type[Settings] | None = Recipe
    section, kinds = Recipe, {}
    inner_kinds: dict[str, type[Settings]] = {}
    while remaining and inner is not None:
        section, kinds = inner, inner_kinds
        name = str(remaining.pop(0))
        keys.append(name)
        field = section.model_fields.get(name)
        if field is None:
            break
        inner_kinds = kinds_of(field.annotation)
        if is_mapping(field.annotation) and remaining:
            keys.append(str(remaining.pop(0)))
        inner = inner_kinds.get(str(remaining.pop(0))) if inner_kinds and remaining else section_of(field)
    return Located(tuple(keys), field, section, kinds)


def _explained(error: Any, values: dict[str, Any]) -> tuple[Problem, Keys]:
    """Returns the problem that an error of pydantic stands for, and the keys to take out.

    Without the value at these keys, the other values can be checked.
    """
    place = _located(error["loc"])
    keys, kind, field, value = place.keys, error["type"], place.field, _value_at(values, place.keys)
    if kind == "extra_forbidden" or field is None:
        return Problem(keys, unknown_key(keys, place.section, place.kinds, values)), keys
    if kind == "missing" and keys[-1] in _EXAMPLES:  # not a part of a list
        text = f"{place} is missing; a network of this kind needs it; write {_EXAMPLES[keys[-1]]}"
        return Problem(keys, text), keys[:-1]
    if kind in ("union_tag_invalid", "union_tag_not_found") and isinstance(value, dict):
        names = list(kinds_of(field.annotation))
        near = next(iter(difflib.get_close_matches(str(value["name"]), names, 1)), names[0])
        text = f"{place}.name is {_told(value['name'])}; it must be {listed(names)}; try {near}"
        return Problem((*keys, "name"), text), keys
    if is_mapping(field.annotation) and len(keys) == 2 and keys[-1] in _keys_of_entries(field):
        entry = {key: value for key, value in values[keys[0]].items() if not isinstance(value, dict)}
        text = f"{keys[0]} has {listed(entry, 'and')} without a discriminator's name above; write "
        return Problem(keys[:1], f"{text}{keys[0]}: {flow({'waveform': {'name': 'wavegan', **entry}})}"), keys[:1]
    if "[key]" in error["loc"]:
        fit = "a name of letters, digits, - and _ that begins with a letter"
        return Problem(
            keys, f"{keys[0]} has the name {format_value(keys[-1])}; it must be {fit}; try {keys[0]}.mel"
        ), keys
    ours = error.get("ctx", {}).get("error")  # the ValueError of a validator in the schema
    return Problem(keys, f"{place} is {_told(value)}; {ours or _advice(place, field, value)}"), keys


def _nameless(discriminators: Any) -> Iterator[Problem]:
    """Yields a problem for each discriminator that does not name its kind.

    A misspelt name of a discriminator must not add one more.
    """
    entries = discriminators if isinstance(discriminators, dict) else {}
    named = [name for name, entry in entries.items() if isinstance(entry, dict) and "name" in entry]
    for name, entry in entries.items():
        if isinstance(entry, dict) and "name" not in entry:
            near = difflib.get_close_matches(name, named, 1)
            meant = f"did you mean discriminators.{near[0]}? Or " if near else ""
            rule = f"it must be {listed(DISCRIMINATORS)}; {meant}write name: {next(iter(DISCRIMINATORS))}"
            yield Problem(("discriminators", name), f"discriminators.{name}.name is missing; {rule}")


def _keys_of_entries(field: FieldInfo) -> set[str]:
    """Returns the keys that some kind of section in a mapping has."""
    return {key for kind in kinds_of(field.annotation).values() for key in kind.model_fields}


def _told(value: Any) -> str:
    return "empty" if value is None else format_value(value)


def _value_at(values: Any, keys: Keys) -> Any:
    for key in keys:
        if not isinstance(values, dict) or key not in values:
            return None
        values = values[key]
    return values


def _advice(place: Located, field: FieldInfo, value: Any) -> str:
    """Returns rule and remedy for a value that its field refuses."""
    if is_mapping(field.annotation) and len(place.keys) == 1:
        return f"it holds sections by names of your own; write {_EXAMPLES[place.keys[-1]]}"
    if is_mapping(field.annotation) and value is None:
        return f"null removes a section, and {place.keys[0]} has none of this name; leave it out"
    kinds = kinds_of(field.annotation)
    if isinstance(value, str) and value in kinds:
        return f"it is a section, and that is its name; write {place.keys[-1]}: {{name: {value}}}"
    section = next(iter(kinds.values())) if kinds else section_of(field)
    if section:
        names = listed(section.model_fields, "and")
        return f"it is a section; write its keys ({names}) on indented lines below it"
    return f"it must be {rule(field)}; try {remedy(field, value)}"
