"""One sitting of training in a run folder: steps, log, checkpoints, and a clean end whatever happens."""

import math
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from wavegan import distributed
from wavegan.distributed.peer_monitor import ProcessLost
from wavegan.errors import RunError, TrainingError
from wavegan.methods.base import Stats
from wavegan.seeding import derive
from wavegan.training import checkpoint
from wavegan.training.loop import Batches, Training, train
from wavegan.training.monitor import Monitor
from wavegan.training.signals import StopRequest
from wavegan.training.watchdog import Alarm, Watchdog

WARN, ROLLBACK = "warn", "rollback"  # what follows from a collapse
GO_BACK = 1 << 16  # what the processes agree on then, above every signal


@dataclass(frozen=True)
class Evaluation:
    """How a training is judged as it is now, every so many steps: figures by name; of the headline less is better."""

    every: int
    headline: str
    figures: Callable[[], dict[str, float]]


@dataclass(frozen=True)
class CollapsePolicy:
    """How a training is watched for a collapse, and what follows from one.

    clips: makes N clips (N, C, T) by the training as it is now; they are looked at before every checkpoint.
    on_collapse: "warn", or "rollback" to the newest checkpoint that was found healthy, to go on from there with another
    seed; max_rollbacks is how often in a run.
    """

    watchdog: Watchdog
    clips: Callable[[], Tensor] | None = None
    on_collapse: str = WARN
    max_rollbacks: int = 3


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
    watch: CollapsePolicy | None = None,
    resumed: Mapping[str, Any] | None = None,
) -> signal.Signals | None:
    """Trains until there have been `steps`, and gives the signal that ended it earlier, if one did.

    description: plain values kept in every checkpoint beside the training's state. evaluation: judges the training
    now and then; the checkpoint of the best figure is kept as best.pt. watch: looks for a collapse, None for not.
    resumed: the checkpoint from which the training was restored, None where it begins. Raises TrainingError where a
    statistic is not finite, of which nothing is saved, unless the watch goes back, and where that was too often.
    """
    keeper = _CheckpointManager(
        training, monitor, checkpoints, (keep_last, keep_every), description, watch, resumed or {}
    )
    distributed.share(keeper.rollbacks)
    stopped_by = None
    best = best_figure(checkpoints, evaluation.headline) if evaluation else math.inf

    def after_step(stats: Stats) -> bool:
        nonlocal stopped_by, best
        saves = training.step == steps or training.step % checkpoint_every == 0
        evaluates = evaluation is not None and (training.step == steps or training.step % evaluation.every == 0)
        collapse = keeper.after_step(stats, looks=saves or evaluates)
        # Asked once: a signal from here on ends the next step, which is saved.
        stopped_by = _agreed(stop, goes_back=collapse is not None)
        if collapse:
            keeper.go_back(collapse)
            distributed.share((keeper.rollbacks, training.state()))
            return True
        if stopped_by and not (saves or evaluates) and (collapse := keeper.look()):
            keeper.go_back(collapse)
            return False
        if stopped_by or saves:
            keeper.save()
        if evaluation and evaluates:
            figures = evaluation.figures()
            monitor.tell(figures)
            if figures[evaluation.headline] < best:
                best = figures[evaluation.headline]
                keeper.save(evaluation=figures)
        return not stopped_by

    with StopRequest() as stop:
        try:
            train(training, batches, steps, after_step=after_step)
        except ProcessLost:
            raise  # it says itself how to go on
        except TrainingError as fault:
            raise TrainingError(f"{fault}; {keeper.way_out()}") from fault
        finally:
            training.seed = keeper.seed
            monitor.close()
    return stopped_by or stop.signal


class _CheckpointManager:
    """Saves a training while it is healthy, and takes it back where it is not and that is wished."""

    def __init__(
        self,
        training: Training,
        monitor: Monitor,
        checkpoints: Path,
        keeping: tuple[int, int],
        description: dict[str, Any],
        watch: CollapsePolicy | None,
        resumed: Mapping[str, Any],
    ):
        self.training, self.monitor, self.checkpoints, self.watch = training, monitor, checkpoints, watch
        self.keep_last, self.keep_every = keeping
        self.description = description
        self.goes_back = watch is not None and watch.on_collapse == ROLLBACK
        self.seed = training.seed
        self.rollbacks: int = resumed.get("rollbacks", 0)
        self.healthy_step: int | None = resumed.get("healthy_step")
        training.seed = seed_after(self.seed, self.rollbacks)
        if watch:
            monitor.on_line = lambda step, means: self._tell(watch.watchdog.look_at_line(step, means))
            if "watchdog" in resumed:
                watch.watchdog.restore(resumed["watchdog"])
        if self.goes_back and self.healthy_step not in checkpoint.steps(checkpoints):
            self.healthy_step = training.step
            self.save()  # there must be something to go back to

    def after_step(self, stats: Stats, *, looks: bool) -> str | None:
        """Why the training must go back after a step, None where it may go on; looks: also at what it makes."""
        reason = self._reason(lambda: self.monitor.after_step(self.training.step, stats))
        return self.look() if looks and not reason else reason

    def look(self) -> str | None:
        """Why the training must go back, None where it may be saved."""
        return self._reason(self._look)

    def save(self, **judged: Any) -> None:
        """Writes a checkpoint of what was looked at just now; as best.pt where it was judged."""
        if self.watch and self.watch.watchdog.is_well:
            self.healthy_step = self.training.step
        content = {**self.description, **self.training.state(), "seconds": self.monitor.seconds, **judged}
        content["rollbacks"] = self.rollbacks
        if self.watch:
            content |= {"healthy_step": self.healthy_step, "watchdog": self.watch.watchdog.state()}
        checkpoint.save(self.checkpoints, content, is_best=bool(judged))
        healthy = [] if self.healthy_step is None else [self.healthy_step]
        checkpoint.prune(self.checkpoints, keep_last=self.keep_last, keep_every=self.keep_every, keep=healthy)

    def go_back(self, reason: str) -> None:
        """Restores the newest healthy checkpoint, with another seed; whatever came after it is forgotten."""
        assert self.watch is not None and self.healthy_step is not None, "only a watch that goes back finds a reason"
        if self.rollbacks >= self.watch.max_rollbacks:
            times = "once" if self.rollbacks == 1 else f"{self.rollbacks} times"
            raise TrainingError(f"{reason}; went back {times} already, and training.max_rollbacks allows no more")
        content = checkpoint.load(checkpoint.path_of(self.checkpoints, self.healthy_step))
        self.rollbacks += 1
        checkpoint.forget_later(self.checkpoints, self.healthy_step)
        # At once, so that a run that is killed now knows it too.
        checkpoint.save(self.checkpoints, {**content, "rollbacks": self.rollbacks, "seconds": self.monitor.seconds})
        self.training.restore(content)
        self.training.seed = seed_after(self.seed, self.rollbacks)
        self.watch.watchdog.restore(content["watchdog"])
        count = f"{self.rollbacks} of at most {self.watch.max_rollbacks}"
        self.monitor.go_back(
            self.healthy_step, f"{reason}; back to step {self.healthy_step:,} with another seed, time {count}"
        )

    def way_out(self) -> str:
        """What is left and what to try when the training has ended by a TrainingError."""
        saved = checkpoint.steps(self.checkpoints)
        newest = self.healthy_step if self.healthy_step in saved else max(saved, default=None)
        good = "there is no checkpoint yet" if newest is None else f"the last good checkpoint is {saved[newest]}"
        return f"{good}; try a lower optimizers.*.lr, training.gradient_clip=1 or training.precision=fp32"

    def _look(self) -> None:
        self.monitor.flush()  # raises rather than let a spoilt network be saved
        if spoilt := self.training.spoilt_networks():  # by a gradient, where the loss was still finite
            raise TrainingError(f"weights became infinite or nan by step {self.training.step}, network {spoilt[0]}")
        if self.watch and self.watch.clips:
            self._tell(self.watch.watchdog.look_at_clips(self.training.step, self.watch.clips()))

    def _reason(self, look: Callable[[], None]) -> str | None:
        try:
            look()
        except TrainingError as fault:
            if not self.goes_back:
                raise
            return str(fault)
        return self.watch.watchdog.collapse if self.watch and self.goes_back else None

    def _tell(self, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            if not (self.goes_back and alarm.is_collapse):  # going back tells it
                self.monitor.warn(alarm.text)


def seed_after(seed: int, rollbacks: int) -> int:
    """The seed of a training that has gone back so many times."""
    return derive(seed, rollbacks, "rollback") if rollbacks else seed


def best_figure(checkpoints: Path, headline: str) -> float:
    """The headline figure of a folder's best checkpoint, infinity where there is none that can be read."""
    try:
        return checkpoint.load_chosen(checkpoints, checkpoint.BEST)["evaluation"][headline]  # type: ignore[index]
    except (RunError, KeyError):
        return math.inf


def follow_session(training: Training, batches: Batches, *, steps: int) -> signal.Signals | None:
    """What the other processes do while the main one runs its session: the same steps, nothing told or written."""
    stopped_by = None
    seed = training.seed
    training.seed = seed_after(seed, distributed.share())

    def after_step(_: Stats) -> bool:
        nonlocal stopped_by
        number = distributed.agree(stop.signal or 0)
        if number == GO_BACK:
            rollbacks, state = distributed.share()
            training.restore(state)
            training.seed = seed_after(seed, rollbacks)
            return True
        stopped_by = signal.Signals(number) if number else None
        return not stopped_by

    with StopRequest() as stop:
        train(training, batches, steps, after_step=after_step)
    return stopped_by


def _agreed(stop: StopRequest, *, goes_back: bool) -> signal.Signals | None:
    """The signal that has reached any of the processes, unless all go back; all have just done the same step."""
    number = distributed.agree(GO_BACK if goes_back else stop.signal or 0)
    return signal.Signals(number) if number not in (0, GO_BACK) else None
