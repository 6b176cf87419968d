"""Makes classes of settings from the signatures of networks, views and augmentations.

The classes for one section form a union; the key `name` chooses one of them.
"""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Discriminator, Tag, create_model
from pydantic.fields import FieldInfo

from wavegan.settings import Settings

make_class: Any = create_model  # its overloads do not know fields that are computed


class NamedSettings(Settings):
    """Holds settings of one of several kinds; `name` says which."""

    name: str = ""


def arguments(kind: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Returns the keys of a class: arguments with a type of `wavegan/settings.py`, as name → (type, default)."""
    hints = get_type_hints(kind.__init__ if isinstance(kind, type) else kind, include_extras=True)
    return {
        name: (hints[name], ... if parameter.default is Parameter.empty else parameter.default)
        for name, parameter in signature(kind).parameters.items()
        if any(isinstance(part, FieldInfo) for part in getattr(hints.get(name), "__metadata__", ()))
    }


def one_of(
    table: Mapping[str, Callable[..., Any]],
    base: Callable[[Any], type[Settings]] = lambda kind: NamedSettings,
    without: tuple[str, ...] = (),
) -> Any:
    """Returns a type for settings of one of the kinds in a table.

    `name` chooses the kind; it is the first one if no name is written. base: returns, for a kind, the class that its
    settings extend. without: keys to leave out.
    """
    kinds = {}
    for name, kind in table.items():
        keys = {key: field for key, field in arguments(kind).items() if key not in without}
        words = (kind.__doc__ or "").partition("\n")[0]
        kinds[name] = make_class(
            f"{name.title().replace('_', '')}Settings",
            __base__=base(kind),
            __doc__=words,
            name=(Literal[name], name),
            **keys,
        )
    return union(kinds)


def union(kinds: Mapping[str, type[Settings]]) -> Any:
    """Returns a type for settings of one of these kinds; `name` chooses it, the first if no name is written."""
    first = next(iter(kinds))

    def kind(value: Any) -> Any:
        return value.get("name", first) if isinstance(value, dict) else getattr(value, "name", None)

    tagged = [Annotated[settings, Tag(name)] for name, settings in kinds.items()]
    return Annotated[Union[(*tagged, Annotated[_Never, Tag("")])], Discriminator(kind)]  # noqa: UP007


class _Never(Settings):
    """Keeps a union of one kind a union; no name chooses it."""


def kinds_of(annotation: Any) -> dict[str, type[Settings]]:
    """Returns the kinds of a type that `union` made, by name; empty for any other type.

    The type may stand in a mapping or beside None.
    """
    kinds: dict[str, type[Settings]] = {}
    for part in get_args(annotation):
        tags = [mark.tag for mark in getattr(part, "__metadata__", ()) if isinstance(mark, Tag)]
        kinds |= {tags[0]: get_args(part)[0]} if tags else kinds_of(part)
    return {name: kind for name, kind in kinds.items() if name}


class FrozenDict(dict):
    """Holds sections by name in a frozen recipe: a dict that cannot be changed, so that it has a hash."""

    def _refuse(self, *positional: Any, **keywords: Any) -> Any:
        raise TypeError("a recipe is frozen; load another one with overrides")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> Any:
        return FrozenDict, (dict(self),)


def is_mapping(annotation: Any) -> bool:
    """Returns whether a field holds settings under names that the user chooses."""
    return get_origin(annotation) is dict
