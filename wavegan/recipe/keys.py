"""Lists the keys that a recipe can have, and guesses the key that an unknown one stands for."""

import difflib
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, get_args

from pydantic.fields import FieldInfo

from wavegan.recipe.conflict import listed
from wavegan.recipe.kinds import is_mapping, kinds_of
from wavegan.recipe.schema import Recipe
from wavegan.settings import Settings


def unknown_key(
    keys: tuple[str, ...], section: type[Settings], kinds: Mapping[str, type[Settings]], values: Any
) -> str:
    """Returns the sentence about a key that does not exist; it names the key that was most likely meant.

    section: the class that has no such key. kinds: all kinds of that section by name, empty if it has no kinds. values:
    the whole recipe.
    """
    *above, name = keys
    key, path, every_key = ".".join(keys), ".".join(above), list(keys_of(Recipe, values))
    if key in every_key:
        dotted, _, last = key.rpartition(".")
        return f"unknown key {key} with a dot; write {last}: on an indented line below {dotted}:"
    if owners := [kind for kind, settings in kinds.items() if name in settings.model_fields]:
        own = next(kind for kind, settings in kinds.items() if settings is section)
        others = f"{listed(owners, 'and')} {'have' if len(owners) > 1 else 'has'} it"
        remedy = f"leave it out, or take {path}.name: {owners[0]}"
        return f"{key} does not apply: {own} has no such key, but {others}; {remedy}"
    everywhere = {each.rpartition(".")[2]: each for each in reversed(every_key)}
    beside = {each.rpartition(".")[2]: each for each in every_key if each.rpartition(".")[0] == path}
    if not path:
        beside["include"] = "include"
    for candidates, cutoff in ((everywhere, 1.0), (beside, 0.6), (everywhere, 0.75)):
        if near := difflib.get_close_matches(name, candidates, 1, cutoff):
            return f"unknown key {key}; did you mean {candidates[near[0]]}?"
    return f"unknown key {key}; {path or 'a recipe'} has {listed(beside, 'and')}"


def keys_of(section: type[Settings], values: Any, prefix: str = "") -> Iterator[str]:
    """Yields every key of a section with dots, "training" as well as "training.steps".

    values: the content of the section. It decides the kinds of the networks and which discriminators there are.
    """
    for name, field in section.model_fields.items():
        yield prefix + name
        value = values.get(name) if isinstance(values, dict) else None
        if value is None and NoneType in get_args(field.annotation):
            continue
        sections = {f"{prefix}{name}.": value}
        if is_mapping(field.annotation):
            sections = (
                {f"{prefix}{name}.{key}.": entry for key, entry in value.items()} if isinstance(value, dict) else {}
            )
        for below, content in sections.items():
            if inner := _class_of(field, content):
                yield from keys_of(inner, content, below)


def section_of(field: FieldInfo) -> type[Settings] | None:
    """Returns the class of a field that is a section of one kind; None for any other field."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Settings) else None


def _class_of(field: FieldInfo, content: Any) -> type[Settings] | None:
    """Returns the class of a field's section; None if there is none.

    If the section has several kinds, its name decides; without a name it is the first kind.
    """
    kinds = kinds_of(field.annotation)
    if not kinds:
        return section_of(field)
    name = content.get("name") if isinstance(content, dict) else None
    return kinds.get(str(name), None if name else next(iter(kinds.values())))
