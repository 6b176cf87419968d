"""Locates what is shipped beside the code, recipes, sounds and models, in a wheel as in a checkout."""

import difflib
import os
from pathlib import Path

_INSTALLED = Path(__file__).with_name("_shipped")  # in a wheel; setup.py fills it
_CHECKOUT = Path(__file__).parents[1]


def folder(name: str) -> Path:
    """Returns the folder of shipped files with this name, `recipes` or `data`."""
    installed = _INSTALLED / name
    return installed if installed.is_dir() else _CHECKOUT / name


def recipe_file(reference: str, beside: Path = Path()) -> Path:
    """Returns the file that a path or the name of a shipped recipe means: a file that exists goes before a name.

    reference: a path relative to the folder `beside`, or a name such as quickstart or base/modern, with or without
    .yaml. Returns the path as it stands if neither is there.
    """
    path = beside / reference
    return path if os.path.isfile(path) else shipped_recipe(reference) or path


def shipped_recipe(name: str) -> Path | None:
    """Returns the file of a shipped recipe, None if there is none of this name."""
    return _recipes("**/*.yaml").get(name.removesuffix(".yaml"))


def recipe_names() -> list[str]:
    """Lists the names of the shipped recipes that can be trained; those in folders are there to be included."""
    return list(_recipes("*.yaml"))


def near_recipes(name: str) -> list[str]:
    """Lists the names of shipped recipes that are like this one, the nearest first."""
    return difflib.get_close_matches(Path(name).stem, recipe_names(), 3)


def model_names() -> list[str]:
    """Lists the names of the shipped models."""
    return [path.parent.name for path in sorted((folder("data") / "models").glob("*/config.json"))]


def model_folder(name: str) -> Path | None:
    """Returns the folder of a shipped model, None if there is none of this name."""
    return folder("data") / "models" / name if name in model_names() else None


def _recipes(pattern: str) -> dict[str, Path]:
    top = folder("recipes")
    return {path.relative_to(top).with_suffix("").as_posix(): path for path in sorted(top.glob(pattern))}
