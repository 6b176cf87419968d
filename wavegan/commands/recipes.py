"""Lists, shows and copies the recipes that are shipped with the program."""

import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from wavegan import shipped
from wavegan.atomic_write import write_text
from wavegan.errors import RecipeError, UserError


@dataclass(frozen=True)
class ShippedRecipe:
    """Describes a shipped recipe by the comment that it begins with. trains: what; sized_for: hardware and time."""

    name: str
    trains: str
    sized_for: str


def shipped_recipes() -> list[ShippedRecipe]:
    """Lists the recipes that can be trained by their name."""
    return [_described(name) for name in shipped.recipe_names()]


def text_of(name: str) -> str:
    """Returns the text of a shipped recipe, also of one that is there to be included, base/modern say.

    Raises RecipeError for a name that is not shipped.
    """
    path = shipped.shipped_recipe(name)
    if path is None:
        near = " or ".join(shipped.near_recipes(name))
        remedy = f"did you mean {near}?" if near else "wavegan recipes lists them"
        raise RecipeError(f"{name} is not the name of a shipped recipe", "", remedy)
    return path.read_text(encoding="utf-8")


def copy_recipe(name: str, file: Path | None = None, *, force: bool = False) -> Path:
    """Writes a copy to edit of a shipped recipe and returns its path; it loads in any folder.

    file: the copy, whose folder is made if it is not there, or a folder for it; NAME.yaml in the current folder where
    None. Includes become names, which mean the shipped files whatever lies beside the copy. Raises RecipeError for a
    name that is not shipped, UserError if the file exists, unless `force`.
    """
    text = text_of(name)
    short = Path(name.removesuffix(".yaml")).name
    target = file or Path(f"{short}.yaml")
    if target.is_dir():
        target /= f"{short}.yaml"
    if target.exists() and not force:
        raise UserError(f"{target} exists", "an existing recipe is kept", "name another file or add `force=True`")
    text = re.sub(r"(?m)^include: .*$", lambda line: line[0].replace(".yaml", ""), text)
    text = text.replace(f"#   wavegan train {short}", f"#   wavegan train {target}", 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, text)
    return target


def _described(name: str) -> ShippedRecipe:
    lines = takewhile(lambda line: line.startswith("#"), text_of(name).splitlines())
    trains, rest = [line.removeprefix("#").strip() for line in lines][:2]
    return ShippedRecipe(name, trains.rstrip("."), re.split(r"[.;] ", rest.removeprefix("For a ") + " ")[0])
