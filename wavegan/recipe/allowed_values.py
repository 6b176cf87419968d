"""Says in words which values a field allows, and finds the allowed value nearest to a refused one."""

import difflib
import re
from math import inf
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from wavegan.recipe.conflict import listed
from wavegan.recipe.optimizers import Betas
from wavegan.recipe.schema import Paths
from wavegan.recipe.training_keys import Automatic, Trackers
from wavegan.recipe.yaml_text import format_value
from wavegan.settings import OR_AUTO, Thousands

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Automatic: "auto, true or false",
    Paths: "a path or a list of paths",
    Paths | None: "null, a path or a list of paths",
    Trackers: "a list of mlflow, wandb and trackio (TensorBoard has the key monitor.tensorboard)",
    Betas: "a list of two numbers, each at least 0 and below 1",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_BOOLEANS = {"yes": True, "on": True, "true": True, "1": True, "no": False, "off": False, "false": False, "0": False}
_COUNTED = re.compile(r"(.*?)\s*(k?)\s*(?:hz)?", re.IGNORECASE | re.DOTALL)
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:(?:[,'’\s]\d{3})+|(?:\.\d{3}){2,})")


def rule(field: FieldInfo) -> str:
    """Returns what a field allows in words, as in `a whole number at least 1`."""
    kind, may_be_none = _plain(field)
    if get_origin(kind) is Literal:
        return listed([None, *get_args(kind)] if may_be_none else get_args(kind))
    limits = _limits(field)
    bounds = [f"{words} {format_value(limits[name])}" for name, words in _BOUNDS.items() if name in limits]
    word = "null or " if may_be_none else "auto or " if OR_AUTO[0] in field.metadata else ""
    return f"{word}{_WORDS[kind]} {' and '.join(bounds)}".strip()


def remedy(field: FieldInfo, value: Any) -> str:
    """Returns the allowed value nearest to a refused one, or what it may mean; else an example or the default."""
    kind, _ = _plain(field)
    if kind is int and (meant := _in_thousands(field, value)):
        return listed(meant)
    return format_value(_remedy(field, kind, value))


def _remedy(field: FieldInfo, kind: Any, value: Any) -> Any:
    word = str(value).lower()
    if get_origin(kind) is Literal:
        return next(iter(difflib.get_close_matches(word, get_args(kind), 1)), field.default)
    if kind in (bool, Automatic):
        return _BOOLEANS.get(word, field.default)
    if kind in (int, float):
        return _nearest(field, kind, value)
    return field.examples[0] if field.examples else field.default


def _plain(field: FieldInfo) -> tuple[Any, bool]:
    """Returns the type of a field without None, and whether it may be None."""
    kind = field.annotation
    if kind not in _WORDS and get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind):
        return next(part for part in get_args(kind) if part is not NoneType), True
    return kind, False


def _nearest(field: FieldInfo, kind: type, value: Any) -> Any:
    """Returns the allowed number nearest to a refused one; the default if there is none.

    Where a number must stay below a bound, it is nine tenths of the bound, or the default if that is larger.
    """
    number, limits = _number(value), _limits(field)
    clamped = _clamped(field, number)
    if clamped is None and kind is float and number is not None and "lt" in limits and number >= limits["lt"]:
        return max(field.default, round(0.9 * limits["lt"], 6))
    if clamped is None:
        return field.default
    return round(clamped) if kind is int else clamped


def _in_thousands(field: FieldInfo, value: Any) -> list[int]:
    """Returns the allowed whole numbers that a number in thousands may mean.

    5.000 may be 5000 or 5. What is below a least value of 1,000 or more, as of a sample rate, is meant in thousands.
    """
    number, least = _number(value), _limits(field).get("ge", 0)
    if number is None or not (isinstance(value, Thousands) or 1000 <= least > number):
        return []
    meant = (round(1000 * number, 6), number)
    return [int(each) for each in meant if each.is_integer() and _clamped(field, each) == each]


def _number(value: Any) -> float | None:
    """Returns the number that a value is or means, as the texts 5,000 and 44.1 kHz do; None if it means none."""
    if isinstance(value, bool):
        return None
    try:
        if not isinstance(value, str):
            return float(value)
        digits, thousands = _COUNTED.fullmatch(value.strip()).groups()  # type: ignore[union-attr]
        plain = re.sub(r"\D", "", digits) if _GROUPED.fullmatch(digits) else digits.replace(",", ".")
        return round(float(plain) * (1000 if thousands else 1), 6)
    except (TypeError, ValueError, OverflowError):
        return None


def _clamped(field: FieldInfo, number: float | None) -> float | None:
    """Returns the allowed number nearest to another one; None if there is none."""
    limits = {"ge": -inf, "gt": -inf, "le": inf, "lt": inf, **_limits(field)}
    clamped = None if number is None else min(max(number, limits["ge"]), limits["le"])
    return clamped if clamped is not None and limits["gt"] < clamped < limits["lt"] else None


def _limits(field: FieldInfo) -> dict[str, Any]:
    return {name: getattr(rule, name) for rule in field.metadata for name in _BOUNDS if hasattr(rule, name)}
