"""Writes a recipe with what each key means, and which values it allows, beside it."""

from collections.abc import Collection, Iterator, Mapping

from pydantic.fields import FieldInfo

from wavegan.recipe.allowed_values import rule
from wavegan.recipe.conflict import listed
from wavegan.recipe.kinds import kinds_of
from wavegan.recipe.schema import Recipe
from wavegan.recipe.yaml_text import write
from wavegan.settings import Settings

COLUMN = 34  # where comments begin, unless the value is longer


def explained(recipe: Recipe) -> str:
    """Returns the recipe as YAML that holds every key, each with a comment; `load` reads it back."""
    text = write(recipe.model_dump(mode="json"))
    lines, comments = text.rstrip("\n").split("\n"), list(_comments(recipe))
    if len(lines) != len(comments):
        return f"# what keys mean is left out here, as a value has several lines\n{text}"
    return "".join(f"{line:<{COLUMN - 2}}  # {comment}\n" for line, comment in zip(lines, comments, strict=True))


def _comments(section: Settings, kinds: Collection[str] = ()) -> Iterator[str]:
    """Yields the comments of a section's keys and of those below them, in the order in which they are written.

    kinds: the values of its key `name` that choose another kind of section.
    """
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name == "name" and kinds:
            yield listed(kinds)
            continue
        kinds_below = kinds_of(field.annotation)
        yield _comment(field, value, kinds_below)
        if isinstance(value, Settings):
            yield from _comments(value, kinds_below)
        elif isinstance(value, Mapping):
            for entry in value.values():
                yield _meaning(entry)
                yield from _comments(entry, kinds_below)


def _comment(field: FieldInfo, value: object, kinds: Collection[str]) -> str:
    """Returns what a field means, and what may stand there."""
    if isinstance(value, Settings):
        return field.description or _meaning(value)
    if isinstance(value, Mapping):
        return field.description or ""
    allowed = f"null, or a section with the name {listed(kinds)}" if kinds else rule(field)
    return f"{field.description} ({allowed})" if field.description else allowed


def _meaning(section: Settings) -> str:
    return (type(section).__doc__ or "").partition("\n")[0].rstrip(".")
