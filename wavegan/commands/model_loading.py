"""Loads a MODEL once, so that it is ready to make clips: a run, a checkpoint file, an exported or a named model."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from wavegan import assemble, shipped
from wavegan import recipe as recipes
from wavegan.audio import writing
from wavegan.audio.decoding import Conversion
from wavegan.errors import RunError, UserError, some_of
from wavegan.export import folder as exported
from wavegan.export import hub
from wavegan.generation import Model
from wavegan.recipe import Recipe
from wavegan.torch_files import ContentError
from wavegan.training import checkpoint as checkpoints
from wavegan.training import remote_run
from wavegan.training.precision import PRECISIONS
from wavegan.training.run_folder import RunFolder

logger = logging.getLogger(__name__)

TRANSLATORS = {"A": "b_to_a", "B": "a_to_b"}  # maps what a translation makes to the network that makes it
RECIPES = (".yaml", ".yml")
MOST_NAMED = 8  # runs that a message names
FACTS = ("seconds", "files", "seconds_of_sound", "licence", "command", "about", "limits", "figures")
AVERAGE, LEARNING = "running average", "as they learn"
KINDS = (
    "a MODEL is a run folder, a checkpoint file, an exported folder, the address of a run, hub:USER/NAME or the name "
    "of a shipped model"
)


@dataclass(frozen=True)
class LoadedModel:
    """Holds a MODEL with its recipe and its networks that make clips, by name; `model` is the usual one.

    split: which sounds it has learned from; in a translation those of the second source. facts: plain values that an
    export writes, those of FACTS that are known. weights: AVERAGE or LEARNING, whether they are the running average or
    the latest ones.
    """

    path: Path
    recipe: Recipe
    models: Mapping[str, Model]
    split: assemble.SplitRecord
    facts: Mapping[str, Any] = field(default_factory=dict)
    weights: str = AVERAGE

    @property
    def model(self) -> Model:
        """Returns the network that makes clips by the recipe's method; in a translation the one to B."""
        return self.models[assemble.GENERATING[self.recipe.method.name]]

    def with_model(self, model: Model) -> "LoadedModel":
        """Returns the same with another model in the place of `model`."""
        return replace(self, models={**self.models, assemble.GENERATING[self.recipe.method.name]: model})

    @property
    def is_translation(self) -> bool:
        """Returns whether the MODEL makes sound from sound.

        `models[TRANSLATORS["A"]]` and `models[TRANSLATORS["B"]]` then do so.
        """
        return self.recipe.method.name == "translation"

    @property
    def conversion(self) -> Conversion:
        """Returns how a sound is converted to what the MODEL has learned from."""
        data, model = self.recipe.data, self.model
        return Conversion(
            model.sample_rate, model.channels, data.normalize, data.channel, data.remove_dc, data.trim_silence
        )

    def result_folder(self, kind: str) -> Path:
        """Returns the folder for results of a kind, "generated" say; see the function of this name."""
        return result_folder(self.path, kind)


def load_model(
    path: Path,
    on: torch.device,
    *,
    raw: bool = False,
    precision: str = "fp32",
    checkpoint: str = checkpoints.NEWEST,
) -> LoadedModel:
    """Reads a MODEL, see KINDS, and puts it on the device `on`.

    checkpoint: which one of a run is read: "newest", "best" or a step. precision: "fp32" or "bf16". The running
    averages are used where there are any, unless `raw` asks for the weights that learn. Raises RunError for no MODEL,
    UserError for another precision.
    """
    if precision not in PRECISIONS:
        raise UserError(f"`precision` is {precision}", f"it must be {' or '.join(PRECISIONS)}", "try `precision=fp32`")
    path = model_path(path)
    content = assemble.migrated(read_content(path, checkpoint, raw))
    recipe = recipes.from_dict(content["recipe"])
    is_average = bool(content["averages"]) and not raw
    weights = content["averages" if is_average else "networks"]
    is_translation = recipe.method.name == "translation"
    names = TRANSLATORS.values() if is_translation else [assemble.GENERATING[recipe.method.name]]
    networks, models = assemble.method(recipe, on).networks, {}
    for name in names:
        generator = networks[name].eval()
        generator.load_state_dict(weights[name])
        labels = content["label_names"], content.get("label_counts", ())
        models[name] = assemble.model(recipe, generator, *labels, step=content["step"], precision=precision)
    split = assemble.SplitRecord.from_state(content, "_b" if is_translation else "")
    facts = {name: content[name] for name in FACTS if content.get(name) is not None}
    return LoadedModel(
        path, recipe, models, split, facts, content.get("weights") or (AVERAGE if is_average else LEARNING)
    )


def model_path(path: Path) -> Path:
    """Returns the run folder if a path is its folder of checkpoints; else the same path."""
    if not path.is_dir() or path.resolve().name != "checkpoints":
        return path
    return path.parent if path.name == "checkpoints" else path.resolve().parent


def run_folder_of(model: Path) -> Path:
    """Returns the folder that a MODEL lies in: its run folder, that of a lone checkpoint file, an exported folder."""
    model = _located(model_path(model))
    if model.is_dir():
        return model
    return model.parent.parent if model.parent.name == "checkpoints" else model.parent


def result_folder(model: Path, kind: str) -> Path:
    """Returns the folder for a MODEL's results of a kind: KIND in its own folder, or KIND/NAME here for a name."""
    return run_folder_of(model) / kind if _located(model) == model else Path(kind) / model.name


def is_model(path: Path) -> bool:
    """Returns whether a path is read as a MODEL. A folder of audio named as a shipped model hides that model."""
    path = model_path(path)
    return (
        hub.is_name(path)
        or remote_run.address_of(path) is not None
        or _holds_model(path)
        or (not path.exists() and shipped.model_folder(str(path)) is not None)
    )


def _holds_model(path: Path) -> bool:
    return path.is_file() or RunFolder(path).checkpoints.is_dir() or exported.is_exported(path)


def _located(path: Path) -> Path:
    """Returns a MODEL's own folder or file, else the folder of a shipped one; of a hub or an address the local copy."""
    if hub.is_name(path):
        return hub.downloaded(path)
    if address := remote_run.address_of(path):
        return remote_run.copied(address)
    return path if _holds_model(path) else shipped.model_folder(str(path)) or path


def runs_in(folder: Path) -> list[Path]:
    """Lists the run folders in a folder."""
    return sorted(checkpoints.parent for checkpoints in folder.glob("*/checkpoints/"))


def runs_near(path: Path) -> str:
    """Returns a remedy for a path that is no MODEL: the closest name, else the runs around it, else how to train."""
    runs = sorted({run for folder in (path.parent, path.parent / "runs", Path("runs")) for run in runs_in(folder)})
    models = shipped.model_names()
    near = get_close_matches(path.stem, [*(run.name for run in runs), *models], 1)
    if near:
        return f"did you mean {next((run for run in runs if run.name == near[0]), near[0])}?"
    if not runs:
        return "there is no run in runs/; train first: wavegan train RECIPE, or see the shipped ones: wavegan models"
    return f"the runs here: {some_of(map(str, runs), MOST_NAMED)}"


def read_content(path: Path, checkpoint: str = checkpoints.NEWEST, raw: bool = False) -> dict[str, Any]:
    """Reads the content of a MODEL, see KINDS, in the form of a checkpoint, maybe an older one; as `load_model`."""
    if path.is_file():
        return _read_file(path, checkpoint)
    if address := remote_run.address_of(path):
        path = remote_run.copy(address, checkpoint)
    folder = hub.download(path) if hub.is_name(path) else _located(path)
    if path.exists() and folder != path:
        logger.info(f"{path} is a folder here that holds no model; the shipped model of this name is taken")
    if not folder.exists():
        raise RunError(f"{path} does not exist", KINDS, f"check the spelling; {runs_near(path)}")
    if exported.is_exported(folder):
        return _read_exported(folder, path, checkpoint, raw)
    content = checkpoints.load_chosen(RunFolder(path).checkpoints, checkpoint, assemble.check_model)
    if content is None:
        around, inside = run_around(path), runs_in(path)
        runs = [around] if around else inside
        remedy = f"name {some_of(map(str, runs), MOST_NAMED)}" if runs else "train first: wavegan train RECIPE"
        raise RunError(f"{path} holds no checkpoint", KINDS, remedy)
    return content


def _read_exported(folder: Path, path: Path, checkpoint: str, raw: bool) -> dict[str, Any]:
    """Returns the content of an exported folder, named by a path, in the form of a checkpoint."""
    if checkpoint != checkpoints.NEWEST or raw:
        option = "`raw=True`" if raw else f"`checkpoint={checkpoint}`"
        raise RunError(f"{path.as_posix()} is an exported model", "it holds one set of weights", f"leave {option} out")
    content = {"weights": AVERAGE} | exported.read(folder) | {"format": checkpoints.CHECKPOINT_FORMAT, "averages": {}}
    try:
        assemble.check_model(content)
    except ContentError as error:
        rule = f"its content is not that of a model of this version; wavegan {content.get('version')} wrote it"
        raise RunError(f"{folder} cannot be used ({error})", rule, "update wavegan or export it again") from error
    return content


def _read_file(path: Path, checkpoint: str) -> dict[str, Any]:
    if path.suffix.lower() in RECIPES:
        run = path.parent if RunFolder(path.parent).checkpoints.is_dir() else None
        raise RunError(
            f"{path} is a recipe",
            KINDS,
            f"name the run folder {run}" if run else f"name the run that it was trained in; {runs_near(path)}",
        )
    if path.suffix.lower().lstrip(".") in writing.FORMATS:
        raise RunError(
            f"{path} is a sound file",
            f"{KINDS}; where sound is judged, a folder of files",
            "name a MODEL, such as drums, or for that its folder",
        )
    if checkpoint != checkpoints.NEWEST:
        reason = f"{path} is one checkpoint, of which {checkpoint} cannot be chosen"
        raise RunError(reason, "", "name its run folder")
    return checkpoints.load(path, assemble.check_model)


def run_around(path: Path) -> Path | None:
    """Returns the run folder that a path lies in, if it does."""
    return next((folder for folder in path.absolute().parents if RunFolder(folder).checkpoints.is_dir()), None)
