"""Recipe files with what they include, and overrides, as one tree of values that know their places."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import yaml

from wavegan.recipe.tree import Fault, Place, Tree
from wavegan.recipe.yaml_text import Loader, shown, value_on_the_command_line


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

    def override(self, tree: Tree, overrides: Sequence[str], text_keys: Collection[str] = ()) -> Tree:
        """Lays `key.path=value` words over a tree.

        The order of the words does not matter, but that the later of two words with the same path wins: first what is
        null is taken away, then what paths with * set, then what the others set. * stands for each section that is
        there in the end; a path with it changes nothing that another word sets by name.
        text_keys: the keys whose values are text, whatever they look like.
        """
        settings: dict[tuple[str, ...], Tree] = {}
        for word in overrides:
            place = Place(f"command line: {word}")
            path, equals, written = word.partition("=")
            keys = tuple(path.strip().split("."))
            if not equals or not all(keys) or keys == ("include",):
                self._unread(place, "an override sets one value; write key.path=value, for example training.steps=1000")
            else:
                settings[keys] = Tree(value_on_the_command_line(written, is_text=".".join(keys) in text_keys), place)
        named = {keys: value for keys, value in settings.items() if "*" not in keys}
        nulls = {keys: value for keys, value in named.items() if value.value is None}
        taken = tree.merged_with(_joined(nulls, tree.place))
        own = self._without_contradictions({keys: value for keys, value in named.items() if value.value is not None})
        patterns = {keys: settings[keys] for keys in settings if keys not in named}
        general = self._resolved(patterns, taken.merged_with(_joined(own, tree.place)), named)
        return taken.merged_with(_joined(general, tree.place)).merged_with(_joined(own, tree.place))

    def _without_contradictions(self, named: dict[tuple[str, ...], Tree]) -> dict[tuple[str, ...], Tree]:
        """Leaves out, with a fault, what sets a key of something that another word sets to a value."""
        kept = {}
        for keys, value in named.items():
            above = next((keys[:end] for end in range(1, len(keys)) if keys[:end] in named), None)
            if above is None:
                kept[keys] = value
            else:
                path, whole = ".".join(keys), named[above].place
                self.faults.append(Fault(value.place, f"{path} lies in what {whole} sets as a whole; leave out one"))
        return kept

    def _resolved(
        self, patterns: dict[tuple[str, ...], Tree], whole: Tree, named: Collection[tuple[str, ...]]
    ) -> dict[tuple[str, ...], Tree]:
        """What paths with * set in a tree, by full paths, without what is named; of two, that with fewer * wins."""
        resolved = {}
        for keys in sorted(patterns, key=lambda keys: -keys.count("*")):
            places = list(whole.matching(keys))
            if not places:
                rule = f"there is nothing that {'.'.join(keys)} stands for; name a section with other sections below it"
                self.faults.append(Fault(patterns[keys].place, rule))
            for place in places:
                if not any(_overlap(place, other) for other in named):
                    resolved[place] = patterns[keys]
        return resolved

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
            content = "empty" if tree.value is None else shown(tree.value)
            return self._unread(whole, f"the recipe is {content}; it must hold sections; begin with data:")
        base = Tree({}, whole)
        include = tree.value.pop("include", Tree([], whole))
        for name in self._names(include):
            subject = f"include is {name}; "
            base = base.merged_with(self._read(path.parent / name, include.place, subject, (*including, real)))
        return base.merged_with(tree)

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
            loader = Loader(text, locate)
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


def _joined(settings: dict[tuple[str, ...], Tree], place: Place) -> Tree:
    """One tree, which stands at `place`, of values by their paths; of two on the same way the shorter counts."""
    joined = Tree({}, place)
    for keys, value in sorted(settings.items(), key=lambda setting: -len(setting[0])):
        joined.put(keys, Tree(value.value, value.place))
    return joined


def _overlap(keys: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether one path leads to the other."""
    shorter = min(len(keys), len(others))
    return keys[:shorter] == others[:shorter]


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
