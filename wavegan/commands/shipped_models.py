"""Lists the models that are shipped with the program, and gives their cards."""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegan import shipped
from wavegan.errors import RunError
from wavegan.export.folder import CARD, CONFIG


@dataclass(frozen=True)
class ShippedModel:
    """Describes a shipped model. labels: those that `generate` may be asked for; recipe: that of its training."""

    name: str
    about: str
    labels: tuple[str, ...]
    parameters: int
    licence: str | None
    recipe: dict[str, Any]


def shipped_models() -> list[ShippedModel]:
    """Lists the shipped models, without loading their weights."""
    return [_described(name) for name in shipped.model_names()]


def card_of(name: str) -> str:
    """Returns the card of a shipped model. Raises RunError for a name that is not shipped."""
    return (_folder(name) / CARD).read_text(encoding="utf-8")


def _described(name: str) -> ShippedModel:
    config = json.loads((_folder(name) / CONFIG).read_text(encoding="utf-8"))
    labels = tuple(config["label_names"]) if config["recipe"]["generator"].get("labels") else ()
    recipe, parameters = config["recipe"], config["parameters"]
    return ShippedModel(name, config.get("about", ""), labels, parameters, config.get("licence"), recipe)


def _folder(name: str) -> Path:
    folder = shipped.model_folder(name)
    if folder is None:
        near = difflib.get_close_matches(name, shipped.model_names(), 1)
        remedy = f"did you mean {near[0]}?" if near else "wavegan models lists them"
        raise RunError(f"{name} is not the name of a shipped model", "", remedy)
    return folder
