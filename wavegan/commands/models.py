"""Loads a MODEL, a run folder or a checkpoint file, once, so that it is ready to make clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.audio import files
from wavegan.errors import RunError
from wavegan.generation import Model
from wavegan.recipe import Recipe
from wavegan.training import checkpoint as checkpoints
from wavegan.training.run_folder import RunFolder

TRANSLATORS = {"A": "b_to_a", "B": "a_to_b"}  # maps what a translation makes to the network that makes it
RECIPES = (".yaml", ".yml")
MOST_NAMED = 8  # runs that a message names


@dataclass(frozen=True)
class LoadedModel:
    """Holds a MODEL with its recipe and its networks that make clips, by name; `model` is the usual one.

    sound: which sounds it has learned from; in a translation those of the second source.
    """

    path: Path
    recipe: Recipe
    models: Mapping[str, Model]
    sound: assemble.SoundRecord

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
    path = model_path(path)
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
    sound = assemble.SoundRecord.from_state(content, "_b" if is_translation else "")
    return LoadedModel(path, recipe, models, sound)


def model_path(path: Path) -> Path:
    """Returns the run folder if a path is its folder of checkpoints; else the same path."""
    if not path.is_dir() or path.resolve().name != "checkpoints":
        return path
    return path.parent if path.name == "checkpoints" else path.resolve().parent


def run_folder_of(model: Path) -> Path:
    """Returns the folder for a MODEL's results: its run folder, or that of a lone checkpoint file."""
    model = model_path(model)
    if model.is_dir():
        return model
    return model.parent.parent if model.parent.name == "checkpoints" else model.parent


def is_model(path: Path) -> bool:
    """Says whether a path is read as a MODEL rather than as a folder of audio."""
    return path.is_file() or RunFolder(model_path(path)).checkpoints.is_dir()


def runs_in(folder: Path) -> list[Path]:
    """Lists the run folders in a folder."""
    return sorted(checkpoints.parent for checkpoints in folder.glob("*/checkpoints/"))


def runs_near(path: Path) -> str:
    """Returns a remedy for a path that is no MODEL: it names the runs in the folder around it and in runs/."""
    runs = sorted({run for folder in (path.parent, path.parent / "runs", Path("runs")) for run in runs_in(folder)})
    if not runs:
        return "there is no run in runs/; train first: wavegan train RECIPE"
    near = get_close_matches(path.stem, [run.name for run in runs], 1)
    if near:
        return f"did you mean {next(run for run in runs if run.name == near[0])}?"
    return f"the runs here: {_named(runs)}"


def _named(runs: Sequence[Path]) -> str:
    more = f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
    return f"{', '.join(map(str, runs[:MOST_NAMED]))}{more}"


def _read(path: Path, checkpoint: str) -> dict[str, Any]:
    if path.is_file():
        return _read_file(path, checkpoint)
    if not path.exists():
        remedy = f"check the spelling; {runs_near(path)}"
        raise RunError(f"{path} does not exist", "a MODEL is a run folder or a checkpoint file", remedy)
    content = checkpoints.load_chosen(RunFolder(path).checkpoints, checkpoint, assemble.check_model)
    if content is None:
        around, inside = _run_around(path), runs_in(path)
        runs = [around] if around else inside
        remedy = f"name {_named(runs)}" if runs else "train first: wavegan train RECIPE"
        rule = "a MODEL is a run folder with at least one, or a checkpoint file"
        raise RunError(f"{path} holds no checkpoint", rule, remedy)
    return content


def _read_file(path: Path, checkpoint: str) -> dict[str, Any]:
    if path.suffix.lower() in RECIPES:
        run = path.parent if RunFolder(path.parent).checkpoints.is_dir() else None
        raise RunError(
            f"{path} is a recipe",
            "a MODEL is a run folder or a checkpoint file",
            f"name the run folder {run}" if run else f"name the run that it was trained in; {runs_near(path)}",
        )
    if path.suffix.lower().lstrip(".") in files.FORMATS:
        raise RunError(
            f"{path} is a sound file", "a folder of them or a MODEL is needed", f"name its folder {path.parent}"
        )
    if checkpoint != checkpoints.NEWEST:
        reason = f"{path} is one checkpoint, of which {checkpoint} cannot be chosen"
        raise RunError(reason, "", "name its run folder")
    return checkpoints.load(path, assemble.check_model)


def _run_around(path: Path) -> Path | None:
    """Returns the run folder that a path lies in, if it does."""
    return next((folder for folder in path.absolute().parents if RunFolder(folder).checkpoints.is_dir()), None)
