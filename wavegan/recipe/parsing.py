"""Recipe files and overrides as one tree of values, each with its place; and values as YAML text again."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_TAG = "tag:yaml.org,2002:"
# What unquoted text means, as in YAML 1.2: 1e-4 is a number and yes is text, where PyYAML says the opposite.
# Whole numbers of 20 digits and more count as floats, because Python refuses to read very long ones.
_UNQUOTED = {
    "null": r"(~|null|Null|NULL|)$",
    "bool": r"(true|True|TRUE|false|False|FALSE)$",
    "int": r"[-+]?(0|[1-9](_?\d){0,18})$",
    "float": r"[-+]?((\d(_?\d)*(\.(\d(_?\d)*)?)?|\.\d(_?\d)*)([eE][-+]?\d+)?|\.(inf|nan))$",
}


class Place(NamedTuple):
    """Where something is written: line and column from 1, or line 0 for a file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Fault(NamedTuple):
    """One thing that is wrong with a recipe, and where; as text it is one line."""

    place: Place
    text: str

    def __str__(self) -> str:
        return " ".join(f"{self.place}: {self.text}".split())


@dataclass
class Tree:
    """A value and its place; the value of a section is a dict from name to Tree."""

    value: Any
    place: Place

    def plain(self) -> Any:
        """The value without places."""
        if not isinstance(self.value, dict):
            return self.value
        return {name: tree.plain() for name, tree in self.value.items()}

    def place_of(self, keys: Sequence) -> Place:
        """The place of the value at `keys`, or of the innermost section that is written on the way there."""
        if keys and isinstance(self.value, dict) and keys[0] in self.value:
            return self.value[keys[0]].place_of(keys[1:])
        return self.place

    def under(self, other: Tree) -> Tree:
        """This tree with `other` laid over it: sections merge key by key, anything else is replaced."""
        if not (isinstance(self.value, dict) and isinstance(other.value, dict)):
            return other
        merged = dict(self.value)
        for name, tree in other.value.items():
            merged[name] = merged[name].under(tree) if name in merged else tree
        return Tree(merged, other.place)


class _Loader(yaml.SafeLoader):
    """YAML whose every value stands where it is written; `locate` makes a place of a line and a column."""

    yaml_implicit_resolvers: dict = {}

    def __init__(self, text: str, locate: Callable[[int, int], Place]) -> None:
        super().__init__(text)
        self.locate = locate
        self.faults: list[Fault] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.tag:
            problem = "a recipe has no aliases (*name) and no tags (!name)"
            raise yaml.MarkedYAMLError(None, None, problem, event.start_mark, "write the value itself")
        return super().compose_node(parent, index)

    def tree(self) -> Tree:
        """The whole text as a tree."""
        node = self.get_single_node()
        return self._tree(node, "", self.locate(0, 0)) if node else Tree(None, self.locate(0, 0))

    def _tree(self, node: yaml.Node, path: str, place: Place) -> Tree:
        if not isinstance(node, yaml.MappingNode):
            return Tree(self.construct_object(node, deep=True), place)
        section: dict[str, Tree] = {}
        for key, value in node.value:
            mark = key.start_mark
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(None, None, "a key must be a word", mark)
            here = self.locate(mark.line + 1, mark.column + 1)
            if key.value in section:
                text = f"{path}{key.value} is written twice, first at {section[key.value].place}; keep one"
                self.faults.append(Fault(here, text))
            section[key.value] = self._tree(value, f"{path}{key.value}.", here)
        return Tree(section, place)


class _Dumper(yaml.SafeDumper):
    """YAML that `_Loader` reads back, with lists on one line."""

    yaml_implicit_resolvers: dict = {}

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Any) -> Any:
        return self.represent_sequence(_TAG + "seq", data, flow_style=True)


_Dumper.add_representer(list, _Dumper.represent_list)
for _name, _pattern in _UNQUOTED.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(_pattern), None)


def write(values: dict) -> str:
    """The text of a recipe file with these values, in their order."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def shown(value: Any) -> str:
    """A value as it would stand in a recipe, on one line and cut where it is long."""
    flow = yaml.dump([value], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10_000)
    text = flow.strip()[1:-1]
    return text if len(text) <= 60 else text[:59] + "…"


class Reader:
    """Reads recipe files and overrides into trees and gathers the faults met on the way.

    `is_complete` is false once something could not be read: what is missing may stand there.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.is_complete = True

    def read(self, path: Path) -> Tree:
        """The tree of a recipe file, laid over those of the files that it includes."""
        return self._read(path, Place(str(path)), "", ())

    def override(self, tree: Tree, text: str) -> None:
        """Lays one `key.path=value` over `tree`, in place."""
        place = Place(f"command line: {text}")
        path, equals, written = text.partition("=")
        *sections, name = keys = path.strip().split(".")
        if not equals or not all(keys) or keys == ["include"]:
            self._unread(place, "an override sets one value; write key.path=value, for example training.steps=1000")
        elif value := self._parse(written, lambda line, column: place):
            for section in sections:
                tree = tree.value.setdefault(section, Tree({}, place))
                if not isinstance(tree.value, dict):
                    tree.value, tree.place = {}, place
            tree.value[name] = tree.value.get(name, value).under(value)

    def _read(self, path: Path, place: Place, subject: str, including: tuple[str, ...]) -> Tree:
        """As `read`; a file that cannot be had is a fault at `place` about `subject`, and an empty tree."""
        whole = Place(str(path))
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            return self._unread(place, subject + _why_unread(path, error))
        real = os.path.realpath(path)
        if real in including:
            return self._unread(place, f"{subject}that file leads back to this one; include one that does not")
        tree = self._parse(text, partial(Place, str(path))) or Tree({}, whole)
        if not isinstance(tree.value, dict):
            found = "empty" if tree.value is None else shown(tree.value)
            return self._unread(whole, f"the recipe is {found}; it must hold sections; begin with data:")
        base = Tree({}, whole)
        include = tree.value.pop("include", Tree([], whole))
        for name in self._names(include):
            subject = f"include is {name}; "
            base = base.under(self._read(path.parent / name, include.place, subject, (*including, real)))
        return base.under(tree)

    def _names(self, include: Tree) -> list[str]:
        names = [include.value] if isinstance(include.value, str) else include.value
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
        text = f"include is {shown(include.plain())}; it must be a path or a list of paths; try base.yaml"
        self._unread(include.place, text)
        return []

    def _parse(self, text: str, locate: Callable[[int, int], Place]) -> Tree | None:
        """The tree of some YAML, or None and a fault."""
        try:
            loader = _Loader(text, locate)
            tree = loader.tree()
        except (yaml.YAMLError, RecursionError) as error:
            line, column, problem = _syntax(error, text)
            self._unread(locate(line, column), f"this is not YAML: {problem}")
            return None
        self.faults += loader.faults
        return tree

    def _unread(self, place: Place, text: str) -> Tree:
        self.faults.append(Fault(place, text))
        self.is_complete = False
        return Tree({}, place)


def _syntax(error: Exception, text: str) -> tuple[int, int, str]:
    """Line and column from 1, rule and remedy of an error in reading YAML."""
    remedy = "check the indentation, colons, quotes and brackets up to here"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        problem = ", ".join(filter(None, [error.context, error.problem]))
        return error.problem_mark.line + 1, error.problem_mark.column + 1, f"{problem}; {error.note or remedy}"
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        column = len(before) - before.rfind("\n")
        return before.count("\n") + 1, column, f"it has the control character {text[error.position]!r}; remove it"
    return 1, 1, f"it is nested too deeply; {remedy}"


def _why_unread(path: Path, error: Exception) -> str:
    """Rule and remedy for a file that cannot be read, naming the recipes that lie near."""
    if isinstance(error, UnicodeDecodeError):
        return "the file is not UTF-8 text; save it as UTF-8"
    if isinstance(error, FileNotFoundError):
        problem, folder = "there is no such file", path.parent
    elif isinstance(error, IsADirectoryError):
        problem, folder = "this is a folder; a recipe is a file", path
    else:
        return f"the file cannot be read; check its permissions ({getattr(error, 'strerror', error)})"
    recipes = {file.stem: str(file) for file in sorted([*folder.glob("recipes/*.yaml"), *folder.glob("*.yaml")])}
    if near := difflib.get_close_matches(path.stem, recipes, 1):
        return f"{problem}; did you mean {recipes[near[0]]}?"
    return f"{problem}; recipes near it: {', '.join(recipes.values()) or 'none'}"
