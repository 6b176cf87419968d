"""Trains a recipe in a run folder, or goes on where the training there ended."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from signal import Signals
from typing import Any

import torch

from wavegan import assemble, distributed
from wavegan import recipe as recipes
from wavegan.atomic_write import write_text
from wavegan.commands import shared_sound
from wavegan.commands.corpus_report import log_corpora, warn_of_changed_sound, write_report
from wavegan.commands.memory import give_back_freed_memory, memory_explained
from wavegan.commands.resuming import (
    found_sound,
    longer_remedy,
    refuse_changed_recipe,
    refuse_older_run,
    refuse_renamed_labels,
    sound_of,
)
from wavegan.commands.starting import Start, start_of
from wavegan.errors import RunError, name_place
from wavegan.models.wavegan import parameter_count
from wavegan.models.without_memory import WithoutMemory
from wavegan.recipe import Recipe
from wavegan.training import checkpoint, remote_run
from wavegan.training.follower import follow_session
from wavegan.training.loop import Training
from wavegan.training.run_folder import RunFolder, is_judged
from wavegan.training.signals import Stop

logger = logging.getLogger(__name__)

OnStep = Callable[[int], Any]

MEMORY_ADVICE = "lower training.batch_size, generator.dim or data.clip_samples"


@dataclass(frozen=True)
class TrainingResult:
    """Describes the state that a run has reached; it is the same in every process that took part.

    is_stopped: whether it was asked to stop before its last step; signal: the signal that asked, if one did.
    """

    run: Path
    step: int
    seconds: float
    steps_per_second: float
    checkpoint: Path
    is_stopped: bool = False
    signal: Signals | None = None


def train(
    recipe: Recipe,
    run_dir: Path,
    *,
    device: str = "auto",
    fresh: bool = False,
    stop: Stop | None = None,
    on_step: OnStep | None = None,
    supervised: bool = False,
) -> TrainingResult:
    """Trains a recipe in a run folder, or goes on where the folder's newest checkpoint ended.

    run_dir: a path, or an address such as s3://bucket/run; the result then names the folder here that is uploaded.
    fresh: an existing run is first moved aside. stop: called after every step; the training is saved and ends where it
    is true, `threading.Event().is_set` say. on_step: the same with the number of steps taken as its argument, in place
    of `stop`; what it raises is raised here. supervised: of several processes, see `distributed.processes`. Raises
    RunError where another training holds the folder or it was started with another recipe, DataError for sound that
    cannot be used, TrainingError where training breaks down.
    """
    folder = remote_run.folder_of(run_dir)
    with (
        distributed.processes(lambda: resume_hint(recipe, folder), supervised=supervised),
        memory_explained(MEMORY_ADVICE),
        name_place(folder.path),  # a thread of TensorBoard writes there too
    ):
        on = assemble.device(device)
        newest = max(checkpoint.steps(folder.checkpoints), default=-1)
        newest_anywhere = distributed.max_over_ranks(-1 if fresh or remote_run.address_of(run_dir) else newest)
        if distributed.is_main() and newest < newest_anywhere:
            refuse_older_run(folder, newest, newest_anywhere)
        with assemble.current(on):
            if not distributed.is_main():
                _follow(on, stop, on_step)
                return _from_main(folder)
            keeping = recipe.training.keep_last, recipe.training.keep_every
            with remote_run.uploaded(run_dir, *keeping, fresh=fresh) as upload:
                result = _lead(recipe, folder, on, fresh, stop, on_step)
                if upload and result.signal is None:
                    upload.take_time()
            return _from_main(folder, result)


def _lead(
    recipe: Recipe, folder: RunFolder, on: torch.device, fresh: bool, stop: Stop | None, on_step: OnStep | None
) -> TrainingResult:
    """Trains as the main process, or the only one."""
    assemble.tracker_names(recipe)  # refuses a missing package before the sound is decoded, which may take long
    folder.refuse_other_contents()
    assemble.share_batch(recipe)
    start, sound = None, None
    if fresh:
        with folder.locked():  # nobody else is training there
            start, sound = start_of(recipe), sound_of(recipe, None)  # before a run is moved, as either may be wrong
        _move_aside(folder)
    with folder.locked():
        state = checkpoint.load_newest(folder.checkpoints, assemble.check_training)
        if state:
            assemble.require_present_format(state, folder.path)
            earlier = recipes.from_dict(state["recipe"])
            recipe = assemble.with_label_count(recipe, assemble.label_count(earlier))
            refuse_changed_recipe(folder, earlier, recipe)
            _prune(recipe, folder, state)
        is_done = bool(state) and state["step"] >= recipe.training.steps
        if state and is_done and not _lacks_evaluation(recipe, folder, state):
            distributed.broadcast(None)
            _tell_done(recipe, folder, state)
            if recipe.data.source != earlier.data.source:
                logger.info("a finished run keeps its data.source; wavegan evaluate RUN --data DIR judges by another")
            newest = checkpoint.newest_path(folder.checkpoints)
            return TrainingResult(folder.path, state["step"], state["seconds"], 0.0, newest)
        start = start or (None if state else start_of(recipe))
        recipe, (parts, target) = (
            found_sound(folder, recipe, state) if state else (recipe, sound or sound_of(recipe, None))
        )
        recipe, line = assemble.with_labels(recipe, parts.training)
        if line:
            logger.info(line)
        distributed.broadcast((recipes.as_dict(recipe), _records(state)))
        result = _continue(recipe, parts, target, folder, start, state, on, stop, on_step)
        if state and is_done:
            _tell_done(recipe, folder, state)
        return result


def _continue(
    recipe: Recipe,
    parts: assemble.Corpora,
    target: assemble.Corpora,
    folder: RunFolder,
    start: Start | None,
    state: dict[str, Any] | None,
    on: torch.device,
    stop: Stop | None,
    on_step: OnStep | None,
) -> TrainingResult:
    log_corpora(recipe, parts, goes_on=bool(state))
    if target is not parts:
        logger.info("and, to translate to:")
        log_corpora(recipe, target, "_b", goes_on=bool(state))
    if state:
        warn_of_changed_sound(state, folder.corpus, parts)
    write_report(folder.corpus, parts, target)
    write_text(folder.recipe, recipes.dump(recipe))
    shared_sound.offer(parts, target)  # so the main process decodes it, and the others find it in the cache

    if state:
        refuse_renamed_labels(recipe, state["label_names"], parts.training)
    assembly = assemble.assembled(recipe, parts, target, on, state=state)
    training = assembly.training
    if start:
        start.begin(training, recipe, parts.training.label_names)
    if state:
        logger.info(f"going on from step {training.step:,} of {folder.path}")
    if (count := distributed.world_size()) > 1:
        logger.info(f"{count} processes share each batch of {recipe.training.batch_size} clips")
    session = assemble.session(recipe, assembly, folder, parts, target, state)
    give_back_freed_memory()
    distributed.broadcast(training.state())
    stopped_by = session.run(_asking(on_step, training) if on_step else stop)
    newest = checkpoint.newest_path(folder.checkpoints)
    seconds, speed = session.monitor.seconds, session.monitor.steps_per_second
    signal = stopped_by if isinstance(stopped_by, Signals) else None
    return TrainingResult(folder.path, training.step, seconds, speed, newest, stopped_by is not None, signal)


def _follow(on: torch.device, stop: Stop | None, on_step: OnStep | None) -> None:
    """Trains as any other process: the same steps on clips of its own, from what the main one shares."""
    settings = distributed.broadcast()
    if settings is None:  # all steps are taken
        return
    recipe, records = recipes.from_dict(settings[0]), settings[1]
    assemble.share_batch(recipe)
    parts, target = shared_sound.received(lambda: sound_of(recipe, records))
    assembly = assemble.assembled(recipe, parts, target, on, measures=False)
    assembly.training.restore(distributed.broadcast())
    assemble.autotune(recipe, assembly.training, assembly.batches(0))
    stop = _asking(on_step, assembly.training) if on_step else stop
    follow_session(assembly.training, assembly.batches, steps=recipe.training.steps, stop=stop)


def _asking(on_step: OnStep, training: Training) -> Stop:
    """Returns a stop that calls on_step once for every step; after the last step a session asks again."""
    last_step = training.step

    def stop() -> Any:
        nonlocal last_step
        if training.step == last_step:
            return None
        last_step = training.step
        return on_step(last_step)

    return stop


def _records(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """Returns the part of a checkpoint that says how its sound was split."""
    return {key: value for key, value in state.items() if "_items" in key} if state else None


def _from_main(folder: RunFolder, result: TrainingResult | None = None) -> TrainingResult:
    """Returns the main process's result, in every process; the paths are those of this one."""
    values = None
    if result:
        signal = result.signal and int(result.signal)
        values = asdict(result) | {"run": "", "checkpoint": result.checkpoint.name, "signal": signal}
    values = distributed.broadcast(values)
    return TrainingResult(
        **values
        | {
            "run": folder.path,
            "checkpoint": folder.checkpoints / values["checkpoint"],
            "signal": values["signal"] and Signals(values["signal"]),
        }
    )


def dry_run(recipe: Recipe) -> dict[str, int]:
    """Counts the learned numbers of each network that the recipe asks for. Raises RunError as `start_of`."""
    start_of(recipe)
    if getattr(recipe.generator, "labels", 0) == "auto":
        logger.info("generator.labels auto waits for the sound; the sizes are those without labels")
    with WithoutMemory():
        networks = assemble.method(recipe, torch.device("meta")).networks
    return {name: parameter_count(network) for name, network in networks.items()}


def resume_hint(recipe: Recipe, folder: RunFolder) -> str:
    """Returns a sentence on how to go on after a process was lost."""
    saved = list(checkpoint.steps(folder.checkpoints))
    good = f"the last checkpoint is at step {saved[-1]:,}" if saved else "there is no checkpoint yet"
    return f"{good}; the same command goes on from there, with any number of processes"


def _move_aside(folder: RunFolder) -> None:
    try:
        if folder.recipe.exists():
            logger.info(f"moved the earlier run to {folder.move_aside()}")
    except OSError as error:
        reason = f"cannot be moved aside ({error.strerror})"
        raise RunError(f"the run folder {folder.path} {reason}", "", "name another with `run_dir`") from error


def _lacks_evaluation(recipe: Recipe, folder: RunFolder, state: dict[str, Any]) -> bool:
    """Returns whether a training ended before it had evaluated the step of a checkpoint, as its recipe asks."""
    is_due = recipe.evaluation.every and state.get("evaluation_due")
    return bool(is_due) and not is_judged(folder.log, state["step"])


def _tell_done(recipe: Recipe, folder: RunFolder, state: dict[str, Any]) -> None:
    logger.info(f"{folder.path} has taken its {state['step']:,} steps; {longer_remedy(recipe)}")


def _prune(recipe: Recipe, folder: RunFolder, state: dict[str, Any]) -> None:
    """Removes old checkpoints, as a kill may have come after a save and before that.

    The one that was loaded stays, as a newer one may be damaged.
    """
    keep = {state["step"], state.get("healthy_step", state["step"])}
    checkpoint.prune(
        folder.checkpoints, keep_last=recipe.training.keep_last, keep_every=recipe.training.keep_every, keep=keep
    )
