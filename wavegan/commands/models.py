"""A MODEL of the command line: a run folder or a checkpoint file, found, read and made ready to generate."""

from pathlib import Path
from typing import Any

import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.errors import RunError
from wavegan.generation import Model
from wavegan.recipe import Recipe
from wavegan.training import checkpoint
from wavegan.training.run_folder import RunFolder


def load_model(
    path: Path,
    on: torch.device,
    *,
    raw: bool = False,
    precision: str = "fp32",
    which: str = checkpoint.NEWEST,
    name: str = "",
) -> tuple[Recipe, Model]:
    """The generator of a MODEL: a run folder, of which one checkpoint counts, or one checkpoint file.

    which: "newest", "best" or a step of a run folder's checkpoints. name: the network that makes the clips, where it is
    not the usual one of the recipe's method.
    Its running average is used where there is one, unless `raw` asks for the weights that learn. Raises RunError
    for anything that is no MODEL.
    """
    content = _read_model(path, which)
    recipe = recipes.from_dict(content["recipe"])
    name = name or assemble.GENERATING[recipe.method.name]
    generator = assemble.networks(recipe)[name].eval()
    averaged = not raw and content["averages"]
    generator.load_state_dict((content["averages"] if averaged else content["networks"])[name])
    known = assemble.restored_knowledge(recipe, content)
    return recipe, assemble.model(recipe, generator.to(on), known, step=content["step"], precision=precision)


def home(model: Path) -> Path:
    """The folder that what comes of a MODEL belongs to: its run folder, or that of a lone checkpoint file."""
    if model.is_dir():
        return model
    return model.parent.parent if model.parent.name == "checkpoints" else model.parent


def _read_model(path: Path, which: str) -> dict[str, Any]:
    if path.is_file():
        if which != checkpoint.NEWEST:
            raise RunError(f"{path} is one checkpoint, of which {which} cannot be chosen; name its run folder")
        return checkpoint.load(path)
    if not path.exists():
        raise RunError(f"{path} does not exist; a MODEL is a run folder or a checkpoint file; check the spelling")
    content = checkpoint.load_chosen(RunFolder(path).checkpoints, which)
    if content is None:
        raise RunError(
            f"{path} holds no checkpoint yet; a MODEL is a run folder with at least one, or a checkpoint file; "
            "train first: wavegan train RECIPE"
        )
    return content
