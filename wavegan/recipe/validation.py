"""What is wrong with the values of a recipe, each fault as one sentence: value, rule, remedy."""

import difflib
from collections.abc import Iterable, Iterator
from functools import reduce
from math import inf
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from wavegan.recipe.constraints import clashes, listed
from wavegan.recipe.parsing import shown
from wavegan.recipe.schema import Automatic, Betas, Paths, Recipe, Section

_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    float | None: "null or a number",
    bool: "true or false",
    Automatic: "auto, true or false",
    Paths: "a path or a list of paths",
    Paths | None: "null, a path or a list of paths",
    Betas: "a list of two numbers, each at least 0 and below 1",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_BOOLEANS = {"yes": True, "on": True, "true": True, "1": True, "no": False, "off": False, "false": False, "0": False}


def _fields(section: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        yield prefix + name, field
        if isinstance(field.default, Section):
            yield from _fields(type(field.default), f"{prefix}{name}.")


FIELDS = dict(_fields(Recipe))  # every key, "training" as well as "training.steps"


class Problem(NamedTuple):
    """A fault before anyone knows where its key is written."""

    keys: tuple[str | int, ...]  # the names on the way to the value, and on into lists
    text: str


def checked(values: dict[str, Any], unknown: Iterable[str] = ()) -> tuple[Recipe, list[Problem]]:
    """The recipe, with defaults in place of wrong values, and everything that is wrong.

    unknown: keys whose values could not be read, about which nothing is said.
    """
    problems, wrong = [], set(unknown)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as invalid:
        for error in invalid.errors():
            key, text = _explained(error, values)
            problems.append(Problem(error["loc"], text))
            wrong.add(key)
        recipe = Recipe.model_validate(_without(values, wrong))
    found = [Problem(tuple(keys[0].split(".")), text) for keys, text in clashes(recipe) if wrong.isdisjoint(keys)]
    return recipe, problems + found


def _without(values: dict[str, Any], wrong: set[str], prefix: str = "") -> dict[str, Any]:
    """The values without those of the wrong keys."""
    return {
        name: _without(value, wrong, f"{prefix}{name}.") if isinstance(value, dict) else value
        for name, value in values.items()
        if prefix + name not in wrong
    }


def _explained(error: Any, values: dict[str, Any]) -> tuple[str, str]:
    """The key that an error of pydantic is about, and our sentence."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return key, _unknown_key(key)
    while key not in FIELDS:  # the path goes on into lists and alternatives
        key = key.rpartition(".")[0]
    value = reduce(lambda section, name: section[name], key.split("."), values)
    ours = error.get("ctx", {}).get("error")  # the ValueError of a validator in the schema
    advice = ours or _advice(key, FIELDS[key], value)
    return key, f"{key} is {'empty' if value is None else shown(value)}; {advice}"


def _unknown_key(key: str) -> str:
    """The sentence for a key that does not exist, with the one most likely meant."""
    section, _, name = key.rpartition(".")
    if key in FIELDS:
        return f"unknown key {key} with a dot; write {name}: on an indented line below {section}:"
    everywhere = {known.rpartition(".")[2]: known for known in reversed(FIELDS)}
    beside = {known.rpartition(".")[2]: known for known in FIELDS if known.rpartition(".")[0] == section}
    if not section:
        beside["include"] = "include"
    for candidates, cutoff in ((everywhere, 1.0), (beside, 0.6), (everywhere, 0.75)):
        if near := difflib.get_close_matches(name, candidates, 1, cutoff):
            return f"unknown key {key}; did you mean {candidates[near[0]]}?"
    return f"unknown key {key}; {section or 'a recipe'} has {listed(beside, 'and')}"


def _advice(key: str, field: FieldInfo, value: Any) -> str:
    """Rule and remedy for a value that its field refuses."""
    if isinstance(field.default, Section):
        names = listed(type(field.default).model_fields, "and")
        return f"it is a section; write its keys ({names}) on indented lines below it"
    return f"it must be {_rule(field)}; try {shown(_remedy(field, value))}"


def _rule(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return listed(get_args(field.annotation))
    limits = _limits(field)
    bounds = [f"{words} {shown(limits[name])}" for name, words in _BOUNDS.items() if name in limits]
    return f"{_KINDS[field.annotation]} {' and '.join(bounds)}".strip()


def _remedy(field: FieldInfo, value: Any) -> Any:
    """The allowed value nearest to a refused one, or else the default."""
    kind, word = field.annotation, str(value).lower()
    if get_origin(kind) is Literal:
        return next(iter(difflib.get_close_matches(word, get_args(kind), 1)), field.default)
    if kind in (bool, Automatic):
        return _BOOLEANS.get(word, field.default)
    if kind in (int, float, float | None):
        return _nearest(field, value)
    return field.examples[0] if field.examples else field.default


def _nearest(field: FieldInfo, value: Any) -> Any:
    """The allowed number nearest to a refused one; the default where there is none."""
    limits = {"ge": -inf, "gt": -inf, "le": inf, "lt": inf, **_limits(field)}
    try:
        number = min(max(float(value), limits["ge"]), limits["le"])
    except (TypeError, ValueError, OverflowError):
        return field.default
    if isinstance(value, bool) or not limits["gt"] < number < limits["lt"]:
        return field.default
    return round(number) if field.annotation is int else number


def _limits(field: FieldInfo) -> dict[str, Any]:
    return {name: getattr(rule, name) for rule in field.metadata for name in _BOUNDS if hasattr(rule, name)}
