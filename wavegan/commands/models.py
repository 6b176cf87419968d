"""Loads a MODEL, a run folder or a checkpoint file, once, so that it is ready to make clips."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.errors import RunError
from wavegan.generation import Model
from wavegan.recipe import Recipe
from wavegan.training import checkpoint as checkpoints
from wavegan.training.run_folder import RunFolder

TRANSLATORS = {"A": "b_to_a", "B": "a_to_b"}  # maps what a translation makes to the network that makes it


@dataclass(frozen=True)
class LoadedModel:
    """Holds a MODEL with its recipe and its networks that make clips, by name; `model` is the usual one."""

    path: Path
    recipe: Recipe
    models: Mapping[str, Model]

    @property
    def model(self) -> Model:
        """Returns the network that makes clips by the recipe's method; in a translation the one to B."""
        return self.models[assemble.GENERATING[self.recipe.method.name]]

    @property
    def is_translation(self) -> bool:
        """Returns whether the MODEL makes sound from sound.

        `models[TRANSLATORS["A"]]` and `models[TRANSLATORS["B"]]` then do so.
        """
        return self.recipe.method.name == "translation"

    @property
    def run_folder(self) -> Path:
        """Returns the folder that the results of this MODEL belong to."""
        return run_folder_of(self.path)


def load_model(
    path: Path,
    on: torch.device,
    *,
    raw: bool = False,
    precision: str = "fp32",
    checkpoint: str = checkpoints.NEWEST,
) -> LoadedModel:
    """Reads a MODEL: a run folder, of which one checkpoint counts, or one checkpoint file.

    checkpoint: "newest", "best" or a step of a run folder's checkpoints. The running averages of the networks are used
    where there are any, unless `raw` asks for the weights that learn. Raises RunError for anything that is no MODEL.
    """
    content = assemble.migrated(_read(path, checkpoint))
    recipe = recipes.from_dict(content["recipe"])
    weights = content["networks"] if raw or not content["averages"] else content["averages"]
    is_translation = recipe.method.name == "translation"
    names = TRANSLATORS.values() if is_translation else [assemble.GENERATING[recipe.method.name]]
    networks, models = assemble.method(recipe, on).networks, {}
    for name in names:
        generator = networks[name].eval()
        generator.load_state_dict(weights[name])
        label_names = content["label_names"]
        models[name] = assemble.model(recipe, generator, label_names, step=content["step"], precision=precision)
    return LoadedModel(path, recipe, models)


def run_folder_of(model: Path) -> Path:
    """Returns the folder for a MODEL's results: its run folder, or that of a lone checkpoint file."""
    if model.is_dir():
        return model
    return model.parent.parent if model.parent.name == "checkpoints" else model.parent


def _read(path: Path, checkpoint: str) -> dict[str, Any]:
    if path.is_file():
        if checkpoint != checkpoints.NEWEST:
            reason = f"{path} is one checkpoint, of which {checkpoint} cannot be chosen"
            raise RunError(reason, "", "name its run folder")
        return checkpoints.load(path)
    if not path.exists():
        raise RunError(f"{path} does not exist", "a MODEL is a run folder or a checkpoint file", "check the spelling")
    content = checkpoints.load_chosen(RunFolder(path).checkpoints, checkpoint)
    if content is None:
        raise RunError(
            f"{path} holds no checkpoint yet",
            "a MODEL is a run folder with at least one, or a checkpoint file",
            "train first: wavegan train RECIPE",
        )
    return content
