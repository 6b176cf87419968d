"""Runs one session of training in a run folder: steps, log, checkpoints, and an orderly end in every case."""

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any

from wavegan import distributed
from wavegan.distributed.peer_monitor import ProcessLost
from wavegan.errors import TrainingError
from wavegan.methods.base import Stats
from wavegan.training import checkpoint
from wavegan.training.checkpoint_manager import CheckpointManager, PeriodicEvaluation
from wavegan.training.follower import GO_BACK
from wavegan.training.grace import Grace
from wavegan.training.loop import Batches, Training, train
from wavegan.training.monitor import Monitor
from wavegan.training.signals import ASKED, Stop, listening, stop_number, stop_reason
from wavegan.training.watchdog import CollapsePolicy

logger = logging.getLogger(__name__)


def run_session(
    training: Training,
    batches: Batches,
    monitor: Monitor,
    *,
    checkpoints: Path,
    steps: int,
    checkpoint_every: int,
    checkpoint_seconds: float = math.inf,
    keep_last: int,
    keep_every: int,
    description: dict[str, Any],
    evaluation: PeriodicEvaluation | None = None,
    watch: CollapsePolicy | None = None,
    resumed: Mapping[str, Any] | None = None,
    check: checkpoint.Check = checkpoint.no_check,
    stop: Stop | None = None,
) -> int | None:
    """Trains up to `steps`, and returns what ended it earlier: a signal, ASKED, or None if nothing did.

    checkpoint_every, checkpoint_seconds: it saves after so many steps, and when the last save is so long ago.
    description: plain values stored in every checkpoint beside the training's state. evaluation: judges the training
    now and then; the checkpoint with the lowest headline figure is best.pt. watch: looks for a collapse. resumed: the
    checkpoint from which the training was restored; None for a new one. check: see `checkpoint.load`, for going back.
    stop: called after every step, in every process. Raises TrainingError if a statistic is not finite and the watch
    may not go back, or not again; RunError if it cannot go back.
    """
    manager = CheckpointManager(
        training, monitor, checkpoints, (keep_last, keep_every), description, watch, resumed or {}, check
    )
    distributed.broadcast(manager.rollbacks)  # the other processes receive it in `follow_session`
    step_end = _StepEnd(manager, steps, checkpoint_every, checkpoint_seconds, evaluation, stop)
    with listening(stop):
        try:
            if evaluation and manager.lacks_evaluation():
                logger.info(
                    f"evaluating step {training.step:,}, because the session before ended during its evaluation"
                )
                manager.evaluate(evaluation)
            train(training, batches, steps, after_step=step_end)
        except ProcessLost:
            raise  # its text says how to go on
        except TrainingError as error:
            raise TrainingError(str(error), "", manager.recovery_hint()) from error
        finally:
            manager.close()
    if step_end.stopped_by:
        return step_end.stopped_by
    late = stop_number(stop)  # a signal after the last step
    return stop_reason(late if late < ASKED else 0)


@dataclass
class _StepEnd:
    """Ends a step, in this order: report, check, agree with the other processes, go back or save, evaluate."""

    manager: CheckpointManager
    steps: int
    checkpoint_every: int
    checkpoint_seconds: float
    evaluation: PeriodicEvaluation | None
    stop: Stop | None
    grace: Grace = field(default_factory=Grace)
    stopped_by: int | None = None

    def __call__(self, stats: Stats) -> bool:
        """Returns whether the training goes on."""
        manager = self.manager
        self.grace.step_ended()
        saves = self._is_due(self.checkpoint_every) or time.monotonic() - manager.saved_at >= self.checkpoint_seconds
        evaluates = self.evaluation is not None and self._is_due(self.evaluation.every)
        # Nothing is saved or evaluated that has not passed the check, which takes longer than a step and so is not made
        # after each.
        collapse = manager.after_step(stats, checks=saves or evaluates)
        # All processes agree on one number, the largest. So a collapse outweighs a signal, and each process knows
        # whether to receive a state, to stop or to go on. `stop` is called only once: a later signal ends the next
        # step, which is then saved.
        stop_code = distributed.max_over_ranks(GO_BACK if collapse else stop_number(self.stop))
        self.stopped_by = None if stop_code == GO_BACK else stop_reason(stop_code)
        if collapse:
            manager.go_back(collapse)
            distributed.broadcast((manager.rollbacks, manager.training.state()))  # the others wait for it, by GO_BACK
            return True
        # A signal may come after any step, so its checkpoint needs a check of its own. If that fails, the run goes back
        # alone and stops: the others stop too, and need no state.
        if self.stopped_by and not (saves or evaluates) and (collapse := manager.check_health()):
            manager.go_back(collapse)
            return False
        if self.stopped_by or saves or evaluates:
            with self.grace.measured("a checkpoint"):
                manager.save(evaluation_due=evaluates)
        if self.evaluation and evaluates and not isinstance(self.stopped_by, Signals):  # else the next session does it
            with self.grace.measured("an evaluation"):
                manager.evaluate(self.evaluation)
        self.grace.step_begins()
        return not self.stopped_by

    def _is_due(self, every: int) -> bool:
        step = self.manager.training.step
        return step == self.steps or step % every == 0
