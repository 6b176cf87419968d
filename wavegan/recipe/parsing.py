"""Parses recipe files, the files that they include and overrides into one tree of values with their places."""

from __future__ import annotations

import difflib
import os
import reprlib
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from wavegan import shipped
from wavegan.errors import UserError
from wavegan.recipe.tree import Place, PlacedProblem, Tree
from wavegan.recipe.yaml_text import Loader, format_value, value_on_the_command_line

Overrides = Sequence[str] | Mapping[str, Any]


def plain(value: Any) -> Any:
    """Returns a value with Python's own numbers and lists in place of NumPy's and torch's, at every depth."""
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value


def checked_overrides(overrides: Any) -> Mapping[str, Any] | list[str]:
    """Returns overrides, of which one word is a list; raises UserError for those that are no words and no mapping."""
    is_one = isinstance(overrides, str) or not isinstance(overrides, Iterable)
    names: list[Any] = [overrides] if is_one else list(overrides)
    if wrong := [name for name in names if not isinstance(name, str)]:
        rule = "it must hold words, or values by key"
        remedy = "try {'training.steps': 100} or ['training.steps=100']"
        raise UserError(f"`overrides` {'is' if is_one else 'holds'} {reprlib.repr(wrong[0])}", rule, remedy)
    return overrides if isinstance(overrides, Mapping) else names


class Reader:
    """Reads recipe files and overrides into trees, and gathers the problems that it meets.

    `is_complete` turns false if something cannot be read; a key that seems to be missing may stand there.
    """

    def __init__(self) -> None:
        self.problems: list[PlacedProblem] = []
        self.is_complete = True

    def read(self, path: Path) -> Tree:
        """Returns the tree of a recipe, a file or the name of a shipped one, laid over the trees that it includes."""
        path = shipped.recipe_file(str(path))
        return self._read(path, Place(str(path)), "", ())

    def override(self, tree: Tree, overrides: Overrides, text_keys: Collection[str] = ()) -> Tree:
        """Lays `key.path=value` words, or one, or a mapping from `key.path` to a value, over a tree.

        Null values come first and take something away. Paths with * come next, all other paths last. So the order of
        the words does not matter; only of two words with the same path, the later one wins. * stands for each section
        that exists in the end. A path with * changes nothing that another word sets by name.

        text_keys: the keys whose values are text in a word, whatever they look like.
        """
        given = checked_overrides(overrides)
        is_mapping = isinstance(given, Mapping)
        settings = self._of_mapping(given) if is_mapping else self._of_words(given, text_keys)
        named = {keys: value for keys, value in settings.items() if "*" not in keys}
        nulls = {keys: value for keys, value in named.items() if value.value is None}
        taken = tree.merged_with(_joined(nulls, tree.place))
        own = self._without_contradictions({keys: value for keys, value in named.items() if value.value is not None})
        patterns = {keys: settings[keys] for keys in settings if keys not in named}
        general = self._resolved(patterns, taken.merged_with(_joined(own, tree.place)), named)
        return taken.merged_with(_joined(general, tree.place)).merged_with(_joined(own, tree.place))

    def _of_words(self, words: Sequence[str], text_keys: Collection[str]) -> dict[tuple[str, ...], Tree]:
        settings = {}
        for word in words:
            place = Place(f"command line: {word}")
            path, equals, written = word.partition("=")
            if keys := self._keys(path if equals else "", place):
                value = value_on_the_command_line(written, is_text=".".join(keys) in text_keys)
                settings[keys] = Tree(value, place)
        return settings

    def _of_mapping(self, overrides: Mapping[str, Any]) -> dict[tuple[str, ...], Tree]:
        places = {path: Place(f"override {path}") for path in overrides}
        return {
            keys: Tree.of(plain(value), places[path])
            for path, value in overrides.items()
            if (keys := self._keys(path, places[path]))
        }

    def _keys(self, path: str, place: Place) -> tuple[str, ...]:
        """Returns the names on the way to a key; none, with a problem, if an override cannot set it."""
        keys = tuple(path.strip().split("."))
        if all(keys) and keys != ("include",):
            return keys
        self._unread(place, "an override sets one value; write key.path=value, for example training.steps=1000")
        return ()

    def _without_contradictions(self, named: dict[tuple[str, ...], Tree]) -> dict[tuple[str, ...], Tree]:
        """Leaves out, with a problem, each key below another one that a word sets to a value."""
        kept = {}
        for keys, value in named.items():
            above = next((keys[:end] for end in range(1, len(keys)) if keys[:end] in named), None)
            if above is None:
                kept[keys] = value
            else:
                path, whole = ".".join(keys), named[above].place
                self.problems.append(
                    PlacedProblem(
                        value.place, f"{path} lies in a section that {whole} sets as a whole; leave out one of the two"
                    )
                )
        return kept

    def _resolved(
        self, patterns: dict[tuple[str, ...], Tree], whole: Tree, named: Collection[tuple[str, ...]]
    ) -> dict[tuple[str, ...], Tree]:
        """Returns the values of paths with *, by the full paths that they stand for in a tree.

        What another word sets by name is left out. If two paths stand for the same one, the one with fewer * wins.
        """
        resolved = {}
        for keys in sorted(patterns, key=lambda keys: -keys.count("*")):
            places = list(whole.matching(keys))
            if not places:
                rule = f"no section matches {'.'.join(keys)}; * stands for a section below the one before it"
                self.problems.append(PlacedProblem(patterns[keys].place, rule))
            for place in places:
                if not any(_overlap(place, named_keys) for named_keys in named):
                    resolved[place] = patterns[keys]
        return resolved

    def _read(self, path: Path, place: Place, subject: str, including: tuple[str, ...]) -> Tree:
        """Works as `read`; a file that cannot be read is a problem at `place` about `subject`, and an empty tree."""
        whole = Place(str(path))
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            return self._unread(place, subject + _why_unread(path, error))
        real = os.path.realpath(path)
        if real in including:
            return self._unread(place, f"{subject}that file includes this one again; remove one of the two includes")
        tree = self._parse(text, partial(Place, str(path))) or Tree({}, whole)
        if not isinstance(tree.value, dict):
            content = "empty" if tree.value is None else format_value(tree.value)
            return self._unread(whole, f"the recipe is {content}; it must hold sections; begin with data:")
        base = Tree({}, whole)
        include = tree.value.pop("include", Tree([], whole))
        for name in self._names(include):
            subject = f"include is {name}; "
            file = shipped.recipe_file(name, path.parent)
            base = base.merged_with(self._read(file, include.place, subject, (*including, real)))
        return base.merged_with(tree)

    def _names(self, include: Tree) -> list[str]:
        names = [include.value] if isinstance(include.value, str) else include.value
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
        text = f"include is {format_value(include.plain())}; it must be a path or a list of paths; try base.yaml"
        self._unread(include.place, text)
        return []

    def _parse(self, text: str, locate: Callable[[int, int], Place]) -> Tree | None:
        """Returns the tree of a YAML text; None, with a problem, if it cannot be parsed."""
        try:
            loader = Loader(text, locate)
            tree = loader.tree()
        except (yaml.YAMLError, RecursionError) as error:
            line, column, problem = _syntax(error, text)
            self._unread(locate(line, column), f"this is not YAML: {problem}")
            return None
        self.problems += loader.problems
        return tree

    def _unread(self, place: Place, text: str) -> Tree:
        self.problems.append(PlacedProblem(place, text))
        self.is_complete = False
        return Tree({}, place)


def _joined(settings: dict[tuple[str, ...], Tree], place: Place) -> Tree:
    """Returns one tree, at `place`, of values by their paths; a value replaces all values below its path."""
    joined = Tree({}, place)
    for keys, value in sorted(settings.items(), key=lambda setting: -len(setting[0])):
        joined.put(keys, Tree(value.value, value.place))
    return joined


def _overlap(keys: tuple[str, ...], named_keys: tuple[str, ...]) -> bool:
    """Returns whether one path leads to the other."""
    shorter = min(len(keys), len(named_keys))
    return keys[:shorter] == named_keys[:shorter]


def _syntax(error: Exception, text: str) -> tuple[int, int, str]:
    """Returns line and column from 1, and rule and remedy, of an error in reading YAML."""
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
    """Returns rule and remedy for a file that cannot be read; it names the recipes that lie near."""
    from wavegan.audio.sources import is_named  # which imports what reads sound; no recipe that can be read needs it

    if isinstance(error, UnicodeDecodeError):
        return "the file is not UTF-8 text; save it as UTF-8; if it is a sound, name its folder as data.source"
    source = shlex.quote(str(path))
    of_sound = f"write RECIPE data.source={source}, or make a recipe with wavegan doctor {source} --recipe my.yaml"
    if isinstance(error, FileNotFoundError) and is_named(str(path)):
        return f"this is a source of sound; a recipe says how to learn from it; {of_sound}"
    if isinstance(error, FileNotFoundError):
        problem, folder = "there is no such file", path.parent
    elif isinstance(error, IsADirectoryError):
        problem, folder = f"this is a folder; a recipe is a file; for sound in it {of_sound}", path
    else:
        return f"the file cannot be read; check its permissions ({getattr(error, 'strerror', error)})"
    recipes = {file.stem: str(file) for file in sorted([*folder.glob("recipes/*.yaml"), *folder.glob("*.yaml")])}
    near_or_shipped = {name: name for name in shipped.recipe_names()} | recipes
    if near := difflib.get_close_matches(path.stem, near_or_shipped, 3):
        return f"{problem}; did you mean {' or '.join(near_or_shipped[name] for name in near)}?"
    return (
        f"{problem}; recipes near it: {', '.join(recipes.values()) or 'none'}; wavegan recipes lists the shipped ones"
    )
