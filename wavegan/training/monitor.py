"""Reports how a training goes: log.jsonl, previews, lines of progress, and trackers of experiments."""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from wavegan.atomic_write import atomic_write
from wavegan.errors import TrainingError, name_place
from wavegan.methods.base import Stats
from wavegan.training.run_folder import ALARM, END, EVALUATION, ROLLBACK, START, parsed_line, warn_of_unreadable
from wavegan.training.tracker_services import Preview
from wavegan.training.trackers import Trackers

logger = logging.getLogger(__name__)
MOST_SHOWN = 6  # statistics in a line of progress


class Monitor:
    """Collects the statistics of every step on the device and reads them when a log line is due.

    Lines of progress are records of this module's logger with the attribute `progress`, "more" or "last".
    seconds: the time that earlier sessions of this run took. preview: makes the previews of a step; None for none.
    measured: gives statistics that are logged with each preview.
    on_line is called with the step and the means of each log line.
    """

    def __init__(
        self,
        log: Path,
        *,
        step: int,
        steps: int,
        seconds: float = 0.0,
        log_every: int = 10,
        preview_every: int = 0,
        preview: Callable[[int], Preview] | None = None,
        measured: Callable[[], Mapping[str, float]] | None = None,
        trackers: Trackers | None = None,
    ):
        self.log, self.steps, self.log_every = log, steps, log_every
        self.preview_every, self.preview, self.measured, self.trackers = preview_every, preview, measured, trackers
        self.seconds_before, self.started = seconds, time.monotonic()
        self.step = self.first_step = step
        self.pending: list[Stats] = []
        self.judged = ""
        self.has_told_what_is_shown = False
        self.on_line: Callable[[int, Mapping[str, float]], Any] = lambda step, means: None
        self.facts: Mapping[str, Any] = {}
        _forget_later_lines(log, step)

    @property
    def seconds(self) -> float:
        """Returns the time of the training, with the earlier sessions of the run."""
        return self.seconds_before + time.monotonic() - self.started

    @property
    def steps_per_second(self) -> float:
        """Returns the speed of this session."""
        return (self.step - self.first_step) / max(time.monotonic() - self.started, 1e-9)

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Logs the start of a session: plain values that say where and how it runs."""
        self.facts = facts
        self._write({START: self._timed_facts()})

    def end(self, reason: str) -> None:
        """Logs the end of a session, and why it came."""
        self._write({END: reason})

    def after_step(self, step: int, stats: Stats) -> None:
        """Adds a step's statistics and reports what is due. Raises TrainingError if a statistic is not finite."""
        self.step = step
        self.pending.append(stats)
        if step % self.log_every == 0 or step == self.steps:
            self.flush()
        if self.preview and self.preview_every and (step % self.preview_every == 0 or step == self.steps):
            self.flush()  # no preview of a spoilt network
            preview = self.preview(step)
            if self.trackers:
                self.trackers.preview(step, preview)
            if self.measured and (figures := self.measured()):
                self._report(figures)
                self.on_line(step, figures)

    def flush(self) -> None:
        """Reads and reports the pending statistics; a step must pass this check before it is saved."""
        if not self.pending:
            return
        flat = torch.stack([value.float() for stats in self.pending for value in stats.values()])
        values = iter(flat.tolist())  # only here the host waits for the device
        rows = [{name: next(values) for name in stats} for stats in self.pending]
        self.pending.clear()
        _refuse_non_finite(self.step - len(rows) + 1, rows)
        names = dict.fromkeys(name for row in rows for name in row)  # not every step has all: a penalty may skip steps
        columns = {name: [row[name] for row in rows if name in row] for name in names}
        means = {name: math.fsum(column) / len(column) for name, column in columns.items()}
        self._report(means)
        self._tell_what_is_shown(means)
        logger.info(self._progress(means), extra={"progress": "last" if self.step == self.steps else "more"})
        self.on_line(self.step, means)

    def tell(self, figures: dict[str, float]) -> None:
        """Logs the figures of an evaluation of this step; the progress line shows the first one from now on."""
        self._report({f"{EVALUATION}{name}": value for name, value in figures.items()})
        name, value = next(iter(figures.items()))
        self.judged = f"  {name} {value:.4g} at {self.step:,}"

    def warn(self, alarm: str) -> None:
        """Logs an alarm as a warning and in the log file."""
        logger.warning(alarm)
        self._write({ALARM: alarm})

    def go_back(self, step: int, reason: str) -> None:
        """Removes the log lines after a step, and logs why the training goes on from there; this line stays."""
        self.pending.clear()
        self.first_step -= self.step - step  # the removed steps still count for the speed
        self.step = step
        _forget_later_lines(self.log, step)
        logger.warning(reason)
        # The start may have been among the removed lines.
        self._write({ROLLBACK: reason, START: self._timed_facts()} if self.facts else {ROLLBACK: reason})
        if self.trackers:
            self.trackers.go_back(step)

    def close(self) -> None:
        """Closes the trackers."""
        if self.trackers:
            self.trackers.close()

    def _report(self, values: Mapping[str, float]) -> None:
        self._write(values)
        if self.trackers:
            self.trackers.scalars(self.step, values)

    def _timed_facts(self) -> dict[str, Any]:
        return {"time": datetime.now(UTC).isoformat(timespec="seconds"), **self.facts, "steps": self.steps}

    def _write(self, values: Mapping[str, Any]) -> None:
        with name_place(self.log), self.log.open("a") as file:
            file.write(json.dumps({"step": self.step, "seconds": round(self.seconds, 3), **values}) + "\n")

    def _tell_what_is_shown(self, means: Mapping[str, float]) -> None:
        shown = main_statistics(means)
        if len(shown) == len(means) or self.has_told_what_is_shown:
            return
        networks: dict[str, list[str]] = {}
        for path in shown:
            network, _, statistic = path.rpartition("/")
            networks.setdefault(statistic, []).append(network)
        parts = " and ".join(f"{statistic} of {', '.join(names)}" for statistic, names in networks.items())
        logger.info(f"a line of progress shows {parts}; {self.log.name} has all statistics")
        self.has_told_what_is_shown = True

    def _progress(self, means: Mapping[str, float]) -> str:
        left = (self.steps - self.step) / max(self.steps_per_second, 1e-9)
        shown = main_statistics(means)
        if len(shown) < len(means):
            shown = {path.rpartition("/")[0]: value for path, value in shown.items()}
        values = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        speed = f"{self.steps_per_second:.2f} steps/s  {clock(left)} left"
        return f"step {self.step:,}/{self.steps:,}  {speed}  {values}{self.judged}"


def main_statistics(means: Mapping[str, float]) -> Mapping[str, float]:
    """Returns up to six statistics as they are; of more, the first of each network.

    Its name is then network/statistic: `fine/loss` for `discriminators/fine/loss`. Networks of the same name keep their
    whole path. What a generator has for each discriminator is left out.
    """
    if len(means) <= MOST_SHOWN:
        return means
    first: dict[str, str] = {}
    for path in means:
        first.setdefault(path.rpartition("/")[0], path)
    networks = [network for network in first if not any(network.startswith(f"{other}/") for other in first)]
    short = [network.partition("/")[2] or network for network in networks]
    names = [network if short.count(name) > 1 else name for network, name in zip(networks, short, strict=True)]
    paths = [first[network] for network in networks]
    return {f"{name}/{path.rpartition('/')[2]}": means[path] for name, path in zip(names, paths, strict=True)}


def _refuse_non_finite(first_step: int, rows: list[dict[str, float]]) -> None:
    for step, row in enumerate(rows, first_step):
        for name, value in row.items():
            if not math.isfinite(value):
                phase, _, stat = name.partition("/")
                raise TrainingError(f"{stat} became {value} in step {step}, phase {phase}")


def _forget_later_lines(log: Path, step: int) -> None:
    """Removes the lines after a step; a run that stopped between checkpoints takes these steps again.

    Lines that cannot be read stay, but for one that a kill has cut off at the end: its step comes again.
    """
    if not log.exists():
        return
    *texts, _ = log.read_bytes().split(b"\n")
    records = [(text, parsed_line(text)) for text in texts]
    warn_of_unreadable(log, sum(line is None for _, line in records))
    kept = [text + b"\n" for text, line in records if line is None or line["step"] <= step]
    with atomic_write(log) as file:
        file.writelines(kept)


def clock(seconds: float) -> str:
    """Returns a time as hours, minutes and seconds: 1:02:03, or 2:03."""
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole_seconds:02d}" if hours else f"{minutes}:{whole_seconds:02d}"
