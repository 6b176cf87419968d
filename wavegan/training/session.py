"""One sitting of training in a run folder: steps, log, checkpoints, and a clean end whatever happens."""

import math
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegan import distributed
from wavegan.distributed.lifeline import ProcessLost
from wavegan.errors import RunError, TrainingError
from wavegan.methods.base import Stats
from wavegan.training import checkpoint
from wavegan.training.loop import Batches, Training, train
from wavegan.training.monitor import Monitor
from wavegan.training.stopping import StopRequest


@dataclass(frozen=True)
class Evaluation:
    """How a training is judged as it is now, every so many steps: figures by name; of the headline less is better."""

    every: int
    headline: str
    figures: Callable[[], dict[str, float]]


def run_session(
    training: Training,
    batches: Batches,
    monitor: Monitor,
    *,
    checkpoints: Path,
    steps: int,
    checkpoint_every: int,
    keep_last: int,
    keep_every: int,
    description: dict[str, Any],
    evaluation: Evaluation | None = None,
) -> signal.Signals | None:
    """Trains until there have been `steps`, and gives the signal that ended it earlier, if one did.

    description: plain values kept in every checkpoint beside the training's state. evaluation: judges the training
    now and then; the checkpoint of the best figure is kept as best.pt. Raises TrainingError where a statistic is not
    finite; nothing of that is saved.
    """

    def save(**judged: Any) -> None:
        monitor.flush()  # raises rather than let a spoilt network be saved
        if spoilt := training.spoilt_networks():  # by a gradient, where the loss was still finite
            raise TrainingError(f"weights became infinite or nan by step {training.step}, network {spoilt[0]}")
        content = {**description, **training.state(), "seconds": monitor.seconds, **judged}
        checkpoint.save(checkpoints, content, is_best=bool(judged))
        checkpoint.prune(checkpoints, keep_last=keep_last, keep_every=keep_every)

    stopped_by = None
    best = best_figure(checkpoints, evaluation.headline) if evaluation else math.inf

    def after_step(stats: Stats) -> bool:
        nonlocal stopped_by, best
        monitor.after_step(training.step, stats)
        stopped_by = _agreed(stop)  # asked once: a signal from here on ends the next step, which is saved
        if stopped_by or training.step == steps or training.step % checkpoint_every == 0:
            save()
        if evaluation and (training.step % evaluation.every == 0 or training.step == steps):
            monitor.flush()  # no judgement of a spoilt network
            figures = evaluation.figures()
            monitor.tell(figures)
            if figures[evaluation.headline] < best:
                best = figures[evaluation.headline]
                save(evaluation=figures)
        return not stopped_by

    with StopRequest() as stop:
        try:
            train(training, batches, steps, after_step=after_step)
        except ProcessLost:
            raise  # it says itself how to go on
        except TrainingError as fault:
            raise TrainingError(f"{fault}; {_way_out(checkpoints)}") from fault
        finally:
            monitor.close()
    return stopped_by or stop.signal


def best_figure(checkpoints: Path, headline: str) -> float:
    """The headline figure of a folder's best checkpoint, infinity where there is none that can be read."""
    try:
        return checkpoint.load_chosen(checkpoints, checkpoint.BEST)["evaluation"][headline]  # type: ignore[index]
    except (RunError, KeyError):
        return math.inf


def follow_session(training: Training, batches: Batches, *, steps: int) -> signal.Signals | None:
    """What the other processes do while the main one runs its session: the same steps, nothing told or written."""
    stopped_by = None

    def after_step(_: Stats) -> bool:
        nonlocal stopped_by
        stopped_by = _agreed(stop)
        return not stopped_by

    with StopRequest() as stop:
        train(training, batches, steps, after_step=after_step)
    return stopped_by


def _agreed(stop: StopRequest) -> signal.Signals | None:
    """The signal that has reached any of the processes; all have just done the same step."""
    number = distributed.agree(stop.signal or 0)
    return signal.Signals(number) if number else None


def _way_out(checkpoints: Path) -> str:
    saved = list(checkpoint.steps(checkpoints).values())
    good = f"the last good checkpoint is {saved[-1]}" if saved else "there is no checkpoint yet"
    return f"{good}; try a lower optimizers.*.lr, training.gradient_clip=1 or training.precision=fp32"
