"""Saves a training while it is healthy, evaluates it, and goes back to an earlier checkpoint after a collapse."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegan.errors import RunError, TrainingError
from wavegan.methods.base import Stats
from wavegan.training import checkpoint
from wavegan.training.follower import seed_after
from wavegan.training.loop import Training
from wavegan.training.monitor import Monitor
from wavegan.training.run_folder import is_judged
from wavegan.training.watchdog import ROLLBACK, Alarm, CollapsePolicy

CHECK_CLIPS_EVERY = 250  # steps, beside the check before a checkpoint; a silent generator learns nothing


@dataclass(frozen=True)
class PeriodicEvaluation:
    """Describes the evaluation of a training every so many steps: figures by name; a lower headline is better."""

    every: int
    headline: str
    figures: Callable[[], dict[str, float]]


class CheckpointManager:
    """Saves a training while it is healthy; if it is not and the watch says so, goes back to a checkpoint."""

    def __init__(
        self,
        training: Training,
        monitor: Monitor,
        checkpoints: Path,
        keeping: tuple[int, int],
        description: dict[str, Any],
        watch: CollapsePolicy | None,
        resumed: Mapping[str, Any],
        check: checkpoint.Check,
    ):
        self.training, self.monitor, self.checkpoints, self.watch = training, monitor, checkpoints, watch
        self.keep_last, self.keep_every = keeping
        self.description, self.check = description, check
        self.goes_back = watch is not None and watch.on_collapse == ROLLBACK
        self.seed, self.saved_at = training.seed, time.monotonic()
        self.rollbacks: int = resumed.get("rollbacks", 0)
        self.healthy_step: int | None = resumed.get("healthy_step")
        self.best: float | None = None
        self.evaluation_due: bool = resumed.get("evaluation_due", False)
        training.seed = seed_after(self.seed, self.rollbacks)
        if watch:
            monitor.on_line = lambda step, means: self._tell(watch.watchdog.look_at_line(step, means))
            if "watchdog" in resumed:
                watch.watchdog.restore(resumed["watchdog"])
        if self.goes_back and self.healthy_step not in checkpoint.steps(checkpoints):
            self.healthy_step = training.step
            self.save(evaluation_due=self.evaluation_due)  # there must be something to go back to

    def after_step(self, stats: Stats, *, checks: bool) -> str | None:
        """Reports a step; returns why the training must go back, None if it may go on. checks: it may be saved then."""
        if reason := self._reason_to_go_back(lambda: self.monitor.after_step(self.training.step, stats)):
            return reason
        if checks:
            return self.check_health()
        return self._reason_to_go_back(self._check_clips) if self.training.step % CHECK_CLIPS_EVERY == 0 else None

    def check_health(self) -> str | None:
        """Checks statistics, weights and clips; returns why the training must go back, None if it may be saved."""
        return self._reason_to_go_back(self._check_all)

    def lacks_evaluation(self) -> bool:
        """Returns whether the step that this session goes on from was to be evaluated, and was not."""
        return self.evaluation_due and not is_judged(self.monitor.log, self.training.step)

    def save(self, *, evaluation_due: bool = False, **judged: Any) -> None:
        """Writes a checkpoint; with `judged`, which holds the figures of an evaluation, writes best.pt.

        evaluation_due: the step is evaluated next; after a kill until then, the next session does so.
        """
        if self.watch and self.watch.watchdog.is_well:
            self.healthy_step = self.training.step
        content = {**self.description, **self.training.state(), "seconds": self.monitor.seconds, **judged}
        content |= {"rollbacks": self.rollbacks, "evaluation_due": evaluation_due}
        if self.watch:
            content |= {"healthy_step": self.healthy_step, "watchdog": self.watch.watchdog.state()}
        checkpoint.save(self.checkpoints, content, is_best=bool(judged))
        self.saved_at = time.monotonic()
        healthy = [] if self.healthy_step is None else [self.healthy_step]
        checkpoint.prune(self.checkpoints, keep_last=self.keep_last, keep_every=self.keep_every, keep=healthy)

    def evaluate(self, evaluation: PeriodicEvaluation) -> None:
        """Evaluates the training as it is now; saves it as best.pt if the headline figure is the lowest of the run."""
        figures, headline = evaluation.figures(), evaluation.headline
        best = checkpoint.best_figure(self.checkpoints, headline) if self.best is None else self.best
        self.best = min(best, figures[headline])
        if figures[headline] < best:
            self.save(evaluation=figures)
        self.monitor.tell(figures)  # last: its line says that the evaluation of this step is complete

    def close(self) -> None:
        """Gives the training its own seed back, and closes the monitor."""
        self.training.seed = self.seed
        self.monitor.close()

    def go_back(self, reason: str) -> None:
        """Restores the newest healthy checkpoint, with another seed; removes later checkpoints and log lines.

        Raises TrainingError if the run has gone back `max_rollbacks` times already, RunError for a damaged checkpoint.
        """
        assert self.watch is not None and self.healthy_step is not None, "only a watch that goes back finds a reason"
        if self.rollbacks >= self.watch.max_rollbacks:
            times = "once" if self.rollbacks == 1 else f"{self.rollbacks} times"
            raise TrainingError(
                reason, f"the training went back {times} already, and training.max_rollbacks allows no more"
            )
        try:
            content = checkpoint.load(checkpoint.path_of(self.checkpoints, self.healthy_step), self.check)
        except RunError as error:
            remedy = "run the same command, which goes on from the newest checkpoint that can be used"
            raise RunError(f"{reason}; {error.value}, so the training cannot go back to it", "", remedy) from error
        self.rollbacks += 1
        checkpoint.forget_later(self.checkpoints, self.healthy_step)
        # Saved at once, so that the count survives if the run is killed now.
        checkpoint.save(self.checkpoints, {**content, "rollbacks": self.rollbacks, "seconds": self.monitor.seconds})
        self.training.restore(content)
        self.training.seed = seed_after(self.seed, self.rollbacks)
        self.watch.watchdog.restore(content["watchdog"])
        count = f"{self.rollbacks} of at most {self.watch.max_rollbacks}"
        self.monitor.go_back(
            self.healthy_step, f"{reason}; back to step {self.healthy_step:,} with another seed, time {count}"
        )

    def recovery_hint(self) -> str:
        """Says which checkpoint is good and what to try after the training has ended by a TrainingError."""
        saved = checkpoint.steps(self.checkpoints)
        newest = self.healthy_step if self.healthy_step in saved else max(saved, default=None)
        good = "there is no checkpoint yet" if newest is None else f"the last good checkpoint is {saved[newest]}"
        return f"{good}; try a lower optimizers.*.lr, training.gradient_clip=1 or training.precision=fp32"

    def _check_all(self) -> None:
        self.monitor.flush()  # raises if a statistic is not finite, so that no spoilt network is saved
        if spoilt := self.training.spoilt_networks():  # a gradient can do this although the loss is finite
            raise TrainingError(f"weights became infinite or nan by step {self.training.step}, network {spoilt[0]}")
        self._check_clips()

    def _check_clips(self) -> None:
        if self.watch and self.watch.clips:
            self._tell(self.watch.watchdog.look_at_clips(self.training.step, self.watch.clips()))

    def _reason_to_go_back(self, check: Callable[[], None]) -> str | None:
        """Returns why the training must go back after a check; None if it need not or may not."""
        try:
            check()
        except TrainingError as error:
            if not self.goes_back:
                raise
            return str(error)
        return self.watch.watchdog.collapse if self.watch and self.goes_back else None

    def _tell(self, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            if not (self.goes_back and alarm.is_collapse):  # `go_back` logs it
                self.monitor.warn(alarm.text)
