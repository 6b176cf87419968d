"""Finds the model that made a sound, by the name and the hash of the weights in the sound's receipt."""

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml

from wavegan import shipped
from wavegan.commands.model_loading import LoadedModel, load_model, model_path, run_around, runs_in
from wavegan.commands.receipts import Maker
from wavegan.commands.sound_length import of_samples
from wavegan.commands.sound_pitch import at_hertz
from wavegan.errors import RunError
from wavegan.export import folder as exported
from wavegan.training import checkpoint as checkpoints
from wavegan.training.run_folder import RunFolder

logger = logging.getLogger(__name__)


def maker_model(maker: Maker, path: Path, on: torch.device, *, model: Path | None = None) -> LoadedModel:
    """Loads the model that made the sound at `path`, in the state and with the form that its receipt names.

    model: the MODEL to take; where None, the run or exported folder that the sound lies in, the shipped model of the
    name, or a run in runs/. Raises RunError if none of them holds these weights; it says which other place does.
    """
    near = list(_near(maker, path))
    others: dict[str, None] = {}
    for place in [model] if model else near:
        if loaded := _with_weights(maker, place, on, others):
            return loaded
    identity = f"{maker.model}, step {maker.step:,}, weights {maker.weights}"
    for place in near if model else []:
        if loaded := _with_weights(maker, place, on, {}):
            raise RunError(
                f"{path} was made by {identity}, and {model} has other weights",
                "a sound is made again by the model that made it",
                f"name {loaded.path} with `model`",
            )
    rule = "no model of that name was found"
    if others:
        rule = f"{' and '.join(others)} has other weights, by more or another training, or by an export in fewer bits"
    raise RunError(
        f"{path} was made by {identity}",
        rule,
        "name the run, checkpoint or exported folder that has these with `model`",
    )


def of_receipt(loaded: LoadedModel, maker: Maker) -> LoadedModel:
    """Returns a MODEL, as it was loaded, that makes sounds of the length and the pitch of a receipt."""
    return at_hertz(of_samples(loaded, maker.clip_samples, loop=bool(maker.loop)), maker.pitch)


def _near(maker: Maker, path: Path) -> Iterator[Path]:
    """Yields the models among which that of a sound may be."""
    around = run_around(path)
    if around:
        yield around
    yield from (folder for folder in path.absolute().parents[:3] if exported.is_exported(folder))
    if shipped.model_folder(maker.model):
        yield Path(maker.model)
    yield from (run for run in runs_in(Path("runs")) if run != around and _name(run) == maker.model)


def _with_weights(maker: Maker, place: Path, on: torch.device, others: dict[str, None]) -> LoadedModel | None:
    """Loads a MODEL in the state that the receipt names; None if it has none, and notes those of the same name."""
    for checkpoint, raw in _states(model_path(place), maker.step):
        loaded = load_model(place, on, raw=raw, precision=maker.precision, checkpoint=checkpoint)
        if loaded.model.weights_hash == maker.weights:
            return of_receipt(loaded, maker)
        if loaded.model.name == maker.model:
            others[f"{place} (step {loaded.model.step:,})"] = None
    return None


def _states(place: Path, step: int) -> Iterator[tuple[str, bool]]:
    """Yields which checkpoint, and whether raw, may hold the weights of a step: of a run folder that step's, or best.

    Where the step is not kept, the newest one is there to be named.
    """
    folder = RunFolder(place).checkpoints
    if not folder.is_dir():
        yield from [(checkpoints.NEWEST, False)] + ([(checkpoints.NEWEST, True)] if place.is_file() else [])
        return
    kept = [str(step)] if step in checkpoints.steps(folder) else []
    best = [checkpoints.BEST] if (folder / f"{checkpoints.BEST}.pt").exists() else []
    for which in [*kept, *best] or [checkpoints.NEWEST]:
        yield which, False
        yield which, True


def _name(run: Path) -> str | None:
    """Returns the name of a run's recipe, None if that cannot be read."""
    try:
        recipe = yaml.safe_load(RunFolder(run).recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return recipe.get("name") if isinstance(recipe, dict) else None
