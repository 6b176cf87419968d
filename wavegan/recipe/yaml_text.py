"""Parses YAML text into a tree of values with places, and writes values as YAML text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import yaml

from wavegan.recipe.tree import Place, PlacedProblem, Tree
from wavegan.settings import Thousands

_TAG = "tag:yaml.org,2002:"
# Unquoted text means the same as in YAML 1.2: 1e-4 is a number and yes is text. PyYAML says the opposite.
# Whole numbers of 20 digits and more count as floats, because Python refuses to read very long ones.
_UNQUOTED = {
    "null": r"(~|null|Null|NULL|)$",
    "bool": r"(true|True|TRUE|false|False|FALSE)$",
    "int": r"[-+]?(0|[1-9](_?\d){0,18})$",
    "float": r"[-+]?((\d(_?\d)*(\.(\d(_?\d)*)?)?|\.\d(_?\d)*)([eE][-+]?\d+)?|\.(inf|nan))$",
}
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}\.\d{3}")
_WITH_COMMAS = re.compile(r"[-+]?\d+(,\d+)+([eE][-+]?\d+)?")


class Loader(yaml.SafeLoader):
    """Loads YAML with the place of every value; `locate` makes a place of a line and a column."""

    yaml_implicit_resolvers: dict = {}

    def __init__(self, text: str, locate: Callable[[int, int], Place]) -> None:
        super().__init__(text)
        self.text, self.locate = text, locate
        self.problems: list[PlacedProblem] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Composes a node as PyYAML does; raises MarkedYAMLError for an alias or a tag."""
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.tag:
            problem = "a recipe has no aliases (*name) and no tags (!name)"
            raise yaml.MarkedYAMLError(None, None, problem, event.start_mark, "write the value itself")
        return super().compose_node(parent, index)

    def construct_yaml_float(self, node: Any) -> float:
        """Makes a float as PyYAML does; one that may be a whole number with a point after its thousands is marked."""
        number = super().construct_yaml_float(node)
        return Thousands(number) if _THOUSANDS.fullmatch(node.value) else number

    def tree(self) -> Tree:
        """Returns the whole text as a tree."""
        node = _composed(type(self), self.text)
        return self._tree(node, "", self.locate(0, 0)) if node else Tree(None, self.locate(0, 0))

    def _tree(self, node: yaml.Node, path: str, place: Place) -> Tree:
        if not isinstance(node, yaml.MappingNode):
            is_blank = _is_plain(node) and not node.value
            return Tree(self.construct_object(node, deep=True), place, is_blank)
        section: dict[str, Tree] = {}
        for key, value in _with_whole_numbers(node):
            mark = key.start_mark
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(None, None, "a key must be a word", mark)
            here = self.locate(mark.line + 1, mark.column + 1)
            if key.value in section:
                text = f"{path}{key.value} is written twice, first at {section[key.value].place}; keep one"
                self.problems.append(PlacedProblem(here, text))
            section[key.value] = self._tree(value, f"{path}{key.value}.", here)
        return Tree(section, place)


def _with_whole_numbers(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """Returns a section's keys and values, in which the text 5,000 replaces the value 5 and the key 000.

    YAML reads {steps: 5,000} so; the text is then refused as in a section without braces, with the number meant.
    """
    entries: list[tuple[yaml.Node, yaml.Node]] = []
    for key, value in node.value:
        if entries and node.flow_style and _is_plain(key) and _is_plain(value) and not value.value:
            name, before = entries[-1]
            text = f"{before.value},{key.value}"
            if _is_plain(before) and _WITH_COMMAS.fullmatch(text):
                entries[-1] = name, yaml.ScalarNode(_TAG + "str", text, before.start_mark, key.end_mark)
                continue
        entries.append((key, value))
    return entries


def _is_plain(node: yaml.Node) -> bool:
    """Returns whether a node is a word without quotes, or nothing."""
    return isinstance(node, yaml.ScalarNode) and node.style is None


@lru_cache(maxsize=100)
def _composed(loader: type[Loader], text: str) -> yaml.Node | None:
    """Composes a text once: PyYAML takes long, and most recipes include the same files. Nobody changes nodes."""
    return loader(text, _nowhere).get_single_node()


class _TextLoader(Loader):
    """Loads YAML in which every word is text."""

    yaml_implicit_resolvers: dict = {}


class _Dumper(yaml.SafeDumper):
    """Writes YAML that `Loader` reads back, with lists on one line."""

    yaml_implicit_resolvers: dict = {}

    def ignore_aliases(self, data: Any) -> bool:
        """Returns True, so that equal objects are written in full each time."""
        return True

    def represent_list(self, data: Any) -> Any:
        """Writes a list on one line."""
        return self.represent_sequence(_TAG + "seq", data, flow_style=True)

    def represent_thousands(self, data: Any) -> Any:
        """Writes a number as it was written."""
        return self.represent_scalar(_TAG + "float", f"{data:.3f}")


Loader.add_constructor(_TAG + "float", Loader.construct_yaml_float)
_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(Thousands, _Dumper.represent_thousands)
for _name, _pattern in _UNQUOTED.items():
    for _class in (Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(_pattern), None)


def write(values: dict) -> str:
    """Returns the text of a recipe file with these values, in their order."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


def flow(value: Any) -> str:
    """Returns a value as it would stand in a recipe, on one line."""
    text = yaml.dump(
        [value], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000
    )
    return text.strip()[1:-1]


def format_value(value: Any) -> str:
    """Returns a value as it would stand in a recipe, cut to 60 characters."""
    text = flow(value)
    return text if len(text) <= 60 else text[:59] + "…"


def value_on_the_command_line(written: str, *, is_text: bool = False) -> Any:
    """Returns the value of KEY=WRITTEN.

    A number, a list in brackets, true, false and null mean the same as in a file; all else is the text itself. So there
    are no comments, quotes, mappings or tags: `Kicks #2`, `Drums: Vol 1` and `- loops` are folder names.

    is_text: the key wants text, so 808 and true are text too, also in a list. Brackets that hold no list, as in [WAV]
    Kicks [old], are text.
    """
    word = written.strip()
    if re.match(_UNQUOTED["null"], word):
        return None
    if word.startswith("[") and word.endswith("]"):
        return _parsed_list(word, _TextLoader if is_text else Loader, written)
    if is_text or not any(re.match(pattern, word) for pattern in _UNQUOTED.values()):
        return written
    return Loader(word, _nowhere).tree().plain()


def _parsed_list(word: str, loader: type[Loader], written: str) -> Any:
    try:
        value = loader(word, _nowhere).tree().plain()
    except (yaml.YAMLError, RecursionError):
        return written
    is_list = isinstance(value, list) and not any(isinstance(part, dict) for part in value)
    return value if is_list else written


def _nowhere(line: int, column: int) -> Place:
    return Place("")
