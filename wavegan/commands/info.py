"""Says how a sound was made, what a model is, or how runs go."""

import math
from pathlib import Path
from typing import Any

import torch

from wavegan.audio import writing
from wavegan.commands import receipts
from wavegan.commands.model_loading import LoadedModel, is_model, load_model, model_path, runs_in
from wavegan.commands.sound_length import makes_any_length
from wavegan.commands.sound_pitch import draws_pitches
from wavegan.errors import DataError, RunError
from wavegan.file_lock import is_held
from wavegan.training import remote_run
from wavegan.training.run_folder import RunFolder
from wavegan.training.run_status import run_status

HOME = Path("runs")  # where trainings go if no folder is named


def info(target: Path) -> dict[str, Any]:
    """Returns the receipt of a sound file, the facts of a MODEL, or the runs in a folder, as plain values by name.

    Those of a run hold `status`, see `run_status`, and no more if it lies at an address or has no checkpoint. `runs`
    has `path` and `status` of each run, the one that logged last first. Raises
    DataError for a sound without a whole receipt, RunError for a path that is neither.
    """
    is_sound = target.suffix.lower().lstrip(".") in writing.FORMATS
    if is_sound and not target.exists():
        raise DataError(
            f"{target} does not exist", "a sound file, a MODEL or a folder of runs is needed", "check the spelling"
        )
    if target.is_file() and is_sound:
        return {"file": str(target), **receipts.of_file(target).model_dump(exclude_none=True)}
    if address := remote_run.address_of(target):  # without a checkpoint, which may be large
        folder = RunFolder(remote_run.copy(address, None))
        return {"path": address, "status": run_status(folder, name=address, held=remote_run.is_trained(address))}
    if not RunFolder(target).recipe.exists() and (runs := runs_in(target)):
        return {"path": str(target), "runs": sorted(map(_run, runs), key=_silence)}
    if target == HOME and not RunFolder(target).recipe.exists() and not is_model(target):
        remedy = "train one: wavegan train RECIPE, or name a run, a model or a sound file: wavegan info drums"
        raise RunError(f"there is no run in {HOME} yet", "", remedy)
    status = run_status(RunFolder(model_path(target)))
    try:
        facts = _facts(load_model(target, torch.device("cpu")))
    except RunError as error:
        if is_held(RunFolder(target).lock) and not status:
            reason = f"{target} is being trained, and has logged nothing yet"
            raise RunError(reason, "it prepares its sound, or tries what is fastest", "ask again later") from error
        if not status:
            raise
        facts = {"no_model": error.value}
    return {"path": str(target), **facts} | ({"status": status} if status else {})


def _run(path: Path) -> dict[str, Any]:
    return {"path": str(path), "status": run_status(RunFolder(path))}


def _silence(run: dict[str, Any]) -> float:
    return run["status"].get("seconds_since_written", math.inf)


def _facts(loaded: LoadedModel) -> dict[str, Any]:
    model, facts = loaded.model, dict(loaded.facts)
    facts.pop("figures", None)  # a table; `Model.card` shows it
    return {
        "name": model.name,
        "step": model.step,
        "weights": model.weights_hash,
        "makes": "sound from sound" if loaded.is_translation else "sound from latents",
        "labels": list(model.label_names) if not loaded.is_translation and model.labels else [],
        "latent_dim": model.inputs[0].shape[0] if model.inputs else None,
        "sample_rate": model.sample_rate,
        "channels": model.channels,
        "clip_samples": model.clip_samples,
        "seconds_of_clip": round(model.clip_samples / model.sample_rate, 3),
        "any_length": makes_any_length(model),
        "any_pitch": draws_pitches(model),
        "parameters": sum(values.numel() for values in model.generator.parameters()),
        **facts,
    }
