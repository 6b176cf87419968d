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
from wavegan.evaluation.metrics import HEADLINE
from wavegan.file_lock import is_held
from wavegan.training import remote_run
from wavegan.training.monitor import clock, main_statistics
from wavegan.training.run_folder import RunFolder
from wavegan.training.run_status import run_status

UNREADABLE = ("latent", "offset")  # whose numbers say nothing to a reader
STATUS, RUNS = "status", "runs"
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
        return {"path": address, STATUS: run_status(folder, name=address, held=remote_run.is_trained(address))}
    if not RunFolder(target).recipe.exists() and (runs := runs_in(target)):
        return {"path": str(target), RUNS: sorted(map(_run, runs), key=_silence)}
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
    return {"path": str(target), **facts} | ({STATUS: status} if status else {})


def as_text(facts: dict[str, Any]) -> str:
    """Returns facts as lines for people, without a latent's numbers."""
    if RUNS in facts:
        return _table([_run_line(run) for run in facts[RUNS]])
    shown = {name: value for name, value in facts.items() if name not in (*UNREADABLE, STATUS)}
    blocks = [_lines(shown), _lines(_status_lines(facts[STATUS])) if STATUS in facts else ""]
    return "\n\n".join(filter(None, blocks))


def _run(path: Path) -> dict[str, Any]:
    return {"path": str(path), STATUS: run_status(RunFolder(path))}


def _silence(run: dict[str, Any]) -> float:
    return run[STATUS].get("seconds_since_written", math.inf)


def _run_line(run: dict[str, Any]) -> tuple[str, ...]:
    """Returns a run's path, step, newest evaluation and state."""
    status = run[STATUS]
    if not status:
        return run["path"], "", "", "no log"
    total = f" of {status['steps']:,}" if status["steps"] else ""
    judged = status["evaluation"] or {}
    figure = f"{HEADLINE} {judged[HEADLINE]:.2f} at step {judged['step']:,}" if HEADLINE in judged else ""
    return run["path"], f"step {status['step']:,}{total}", figure, status["state"]


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _lines(values: dict[str, Any]) -> str:
    shown = {name: value for name, value in values.items() if value not in ((), [], None, "")}
    width = max(map(len, shown))
    return "\n".join(f"{name:<{width}}  {_plain(value)}" for name, value in shown.items())


def _status_lines(status: dict[str, Any]) -> dict[str, str]:
    """Returns the state of a run as texts by title."""
    where, speed, left = status["where"], status["steps_per_second"], status["seconds_left"]
    total = f" of {status['steps']:,}" if status["steps"] else ""
    alarms = f"{status['alarms']} alarms, {status['rollbacks']} rollbacks; the newest at step "
    judged = status["evaluation"] or {}
    return {
        "run": status["state"],
        "reached": f"step {status['step']:,}{total} in {clock(status['seconds'])}",
        "speed": "" if speed is None else f"{speed:.3g} steps/s" + (f", {clock(left)} left" if left else ""),
        "health": f"{alarms}{status['newest_alarm_step']:,}: {status['newest_alarm']}"
        if status["newest_alarm"]
        else "no alarm",
        "figures": "  ".join(f"{name} {value:.4g}" for name, value in main_statistics(status["figures"]).items()),
        "evaluated": "  ".join(
            f"{name} {value:,}" if name == "step" else f"{name} {value:.4g}" for name, value in judged.items()
        ),
        "where": "{device} of {host}, process {process}; processes: {processes}, threads: {threads}, {precision}; "
        "started {time}".format(**where)
        if where
        else "not in its log; an earlier version wrote it",
        "last line": f"{status['last_written']}, {clock(status['seconds_since_written'])} ago",
        "to go on": status["go_on"],
    }


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


def _plain(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name}:{part:.6g}" for name, part in value.items())
        case list() | tuple():
            return ", ".join(map(str, value))
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case _:
            return str(value)
