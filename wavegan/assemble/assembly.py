"""Makes everything that one process needs to train a recipe."""

import logging
import math
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from signal import Signals
from typing import Any

import torch

from wavegan import __version__, distributed
from wavegan.assemble.checkpoint_content import check_training
from wavegan.assemble.corpora import Corpora
from wavegan.assemble.evaluation import periodic_evaluation
from wavegan.assemble.models import checkpoint_description, generating_model, make_watchdog, monitor
from wavegan.assemble.training import autotune, training
from wavegan.assemble.training_clips import batches, source_clips, target_clips, training_clips, windows
from wavegan.errors import Interrupted, UserError
from wavegan.generation import Model
from wavegan.recipe import Recipe
from wavegan.training.loop import Batches, Training
from wavegan.training.monitor import Monitor
from wavegan.training.run_folder import RunFolder
from wavegan.training.run_status import DONE
from wavegan.training.session import run_session
from wavegan.training.signals import Stop

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assembly:
    """Holds a training and its batches; current() returns the model that makes clips, as it is at that time."""

    training: Training
    batches: Batches
    current: Callable[[], Model]


@dataclass(frozen=True)
class Session:
    """Holds one session of training in the main process; run(stop) returns the same as `run_session`."""

    monitor: Monitor
    run: Callable[[Stop | None], int | None]


def assembled(
    recipe: Recipe,
    source: Corpora,
    target: Corpora,
    on: torch.device,
    *,
    state: dict[str, Any] | None = None,
    measures: bool = True,
) -> Assembly:
    """Makes all objects of a training, at step 0 or as a checkpoint's state has it.

    source: the sound to learn from; target: the sound that clips should be like, another one only for a translation.
    measures: takes the statistics of spectra from the sound if there is no state. Raises DataError if the networks know
    another number of labels than the sound has.
    """
    clips = training_clips(recipe, source)
    ready = batches(recipe, clips, on, target_clips(recipe, target))
    started = training(recipe, on, clips if measures and state is None else None)
    if state:
        started.restore(state)
    labels, clip_function = (clips.label_names, clips.label_counts), source_clips(recipe, source)
    return Assembly(started, ready, lambda: generating_model(recipe, started, *labels, clip_function))


def session(
    recipe: Recipe,
    assembly: Assembly,
    folder: RunFolder,
    source: Corpora,
    target: Corpora,
    state: dict[str, Any] | None,
) -> Session:
    """Prepares what the main process does beside the steps: it logs, evaluates, watches and saves in the run folder.

    First it decides what the recipe leaves to the machine. state: the checkpoint that the assembly was made of.
    """
    if getattr(recipe.generator, "unbounded", False) and recipe.data.windows == "first":
        logger.warning(
            "data.windows is first, and an unbounded generator does not know where a clip begins, so attacks may come "
            "anywhere; set data.windows=random for long recordings, else generator.unbounded=false"
        )
    for line in autotune(recipe, assembly.training, assembly.batches(0)):
        logger.info(line)
    evaluation = periodic_evaluation(recipe, target, assembly.current)
    watch = make_watchdog(recipe, windows(recipe, target.training, seed=0), assembly.current)
    seconds = state["seconds"] if state else 0.0
    progress = monitor(recipe, folder, assembly.training, source, seconds, assembly.current)
    settings = recipe.training
    take_steps = partial(
        run_session,
        assembly.training,
        assembly.batches,
        progress,
        checkpoints=folder.checkpoints,
        steps=settings.steps,
        checkpoint_every=settings.checkpoint_every,
        checkpoint_seconds=60 * (settings.checkpoint_minutes or math.inf),
        keep_last=settings.keep_last,
        keep_every=settings.keep_every,
        description=checkpoint_description(recipe, source, target),
        evaluation=evaluation,
        watch=watch,
        resumed=state,
        check=check_training,
    )

    def run(stop: Stop | None) -> int | None:
        progress.begin(_place(assembly.training))
        reason = "an error of wavegan; see its last messages"
        try:
            stopped_by = take_steps(stop=stop)
            asked = stopped_by.name if isinstance(stopped_by, Signals) else "its program"
            reason = DONE if stopped_by is None else f"stopped by {asked}"
        except (UserError, OSError, Interrupted) as error:
            reason = str(error).partition("\n")[0]
            raise
        finally:
            with suppress(OSError):  # a full disk, which another error reports
                progress.end(reason)
        return stopped_by

    return Session(progress, run)


def _place(training: Training) -> dict[str, Any]:
    """Returns where and how a session runs, as plain values for its log."""
    environment = distributed.environment()
    on = training.device
    return {
        "wavegan": __version__,
        "folder": os.getcwd(),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "processes": environment.world_size,
        "machines": -(-environment.world_size // environment.local_world_size),
        "device": f"{on} ({torch.cuda.get_device_name(on)})" if on.type == "cuda" else str(on),
        "threads": torch.get_num_threads(),
        "precision": training.precision,
    }
