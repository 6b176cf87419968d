"""Defines the tree of a recipe's values, each with the place where it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Locates a value: line and column count from 1, and line 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class PlacedProblem(NamedTuple):
    """Describes one thing that is wrong with a recipe, and where; as text it is one line."""

    place: Place
    text: str

    def __str__(self) -> str:
        return " ".join(f"{self.place}: {self.text}".split())


@dataclass
class Tree:
    """Holds a value and its place; the value of a section is a dict from name to Tree.

    is_blank: a file has the key and nothing behind it, so the value is None.
    """

    value: Any
    place: Place
    is_blank: bool = False

    @classmethod
    def of(cls, value: Any, place: Place) -> Tree:
        """Returns plain values as a tree, all at one place; paths become text and tuples become lists."""
        if isinstance(value, Mapping):
            return cls({str(name): cls.of(part, place) for name, part in value.items()}, place)
        if isinstance(value, list | tuple):
            return cls([cls.of(part, place).plain() for part in value], place)
        return cls(str(value) if isinstance(value, PurePath) else value, place)

    def plain(self) -> Any:
        """Returns the value without places."""
        if not isinstance(self.value, dict):
            return self.value
        return {name: tree.plain() for name, tree in self.value.items()}

    def place_of(self, keys: Sequence) -> Place:
        """Returns the place of the value at `keys`, or else of the innermost written section on the way there."""
        if keys and isinstance(self.value, dict) and keys[0] in self.value:
            return self.value[keys[0]].place_of(keys[1:])
        return self.place

    def merged_with(self, other: Tree, *, is_root: bool = True) -> Tree:
        """Lays `other` over this tree: sections merge key by key, anything else is replaced.

        A section below the root that names another kind (another network, method, optimiser or view) replaces the
        section of this tree as a whole. null over a section takes the section away; a blank one, whose keys may all be
        commented out, changes nothing.
        """
        if not (isinstance(self.value, dict) and isinstance(other.value, dict)):
            return other
        if not is_root and self.names_another_kind_than(other):
            return other
        merged = dict(self.value)
        for name, tree in other.value.items():
            if tree.value is None and name in merged and isinstance(merged[name].value, dict):
                if not tree.is_blank:
                    del merged[name]
            else:
                merged[name] = merged[name].merged_with(tree, is_root=False) if name in merged else tree
        return Tree(merged, other.place)

    def names_another_kind_than(self, other: Tree) -> bool:
        """Returns whether both sections name a kind, and the kinds differ."""
        names = [section["name"].value for section in (self.value, other.value) if "name" in section]
        return len(names) == 2 and names[0] != names[1]

    def put(self, keys: Sequence[str], tree: Tree) -> None:
        """Writes a value, and the missing sections on the way to it."""
        *above, name = keys
        section = self
        for key in above:
            inner = section.value.get(key)
            if inner is None or not isinstance(inner.value, dict):
                section.value[key] = inner = Tree({}, tree.place)
            section = inner
        section.value[name] = tree

    def matching(self, keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Yields the paths that a path with * stands for; * is the name of a section."""
        if "*" not in keys:
            yield tuple(keys)
            return
        star = keys.index("*")
        section = self
        for key in keys[:star]:
            if not isinstance(section.value, dict) or key not in section.value:
                return
            section = section.value[key]
        for name, tree in section.value.items() if isinstance(section.value, dict) else ():
            if isinstance(tree.value, dict):
                yield from ((*keys[:star], name, *below) for below in tree.matching(keys[star + 1 :]))
