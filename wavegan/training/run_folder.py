"""Describes the folder that holds everything of one training, and the lock that keeps a second training out."""

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from wavegan.atomic_write import remove_leftovers, write_text
from wavegan.errors import RunError
from wavegan.file_lock import LockingError, acquire

logger = logging.getLogger(__name__)

EVALUATION = "evaluation/"  # the start of the names of an evaluation's figures
PROBE_SECONDS = 0.5  # `file_lock.is_held` holds a lock for a moment
START, END, ALARM, ROLLBACK = "start", "end", "alarm", "rollback"  # kinds of lines beside those of statistics


def parsed_line(text: bytes) -> dict[str, Any] | None:
    """Returns the values of one line of a log; None if it is none of ours: the log is evidence, and stops no run."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and type(line.get("step")) is int else None


def lines(log: Path) -> list[dict[str, Any]]:
    """Reads the lines of a run's log, in the order of the steps; a warning counts the lines that cannot be read."""
    # The last one may be cut off by a kill, or be written now.
    *texts, _ = log.read_bytes().split(b"\n") if log.exists() else [b""]
    records = [parsed_line(text) for text in texts if text.strip()]
    warn_of_unreadable(log, records.count(None))
    return [record for record in records if record]


def warn_of_unreadable(log: Path, count: int) -> None:
    """Warns of lines in a log that cannot be read, if there are any."""
    if count:
        logger.warning(f"{log}: {count} of its lines cannot be read; they are passed over, and stay as they are")


def statistics(log: Path) -> list[dict[str, float]]:
    """Reads the lines of a run's log about its steps: the mean of every statistic since the line before."""
    return [line for line in lines(log) if any("/" in name and not name.startswith(EVALUATION) for name in line)]


def evaluations(log: Path) -> list[dict[str, float]]:
    """Reads the evaluations in a run's log: the step and all figures by name, in the order of the steps."""
    rows = []
    for line in lines(log):
        figures = {name.removeprefix(EVALUATION): line[name] for name in line if name.startswith(EVALUATION)}
        if figures:
            rows.append({"step": line["step"]} | figures)
    return rows


def is_judged(log: Path, step: int) -> bool:
    """Returns whether a run's log holds an evaluation of a step."""
    return any(row["step"] == step for row in evaluations(log))


class RunFolder:
    """Holds the paths of the parts of a run."""

    def __init__(self, path: Path):
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.log = path / "log.jsonl"
        self.corpus = path / "corpus.json"
        self.checkpoints = path / "checkpoints"
        self.previews = path / "previews"
        self.lock = path / "lock"

    @property
    def is_run(self) -> bool:
        """Returns whether the folder holds a run; a recipe alone may be the user's own."""
        began = self.corpus.is_file() or self.log.is_file() or any(self.checkpoints.glob("*.pt"))
        return self.recipe.is_file() and began

    def refuse_other_contents(self) -> None:
        """Raises RunError if the folder holds files but no run; among sounds, for example, a run is hard to find."""
        if not self.path.is_dir() or self.is_run:
            return
        own = (".", "lock", self.corpus.name, f"{self.recipe.name}.")  # a kill may leave a part of a beginning
        foreign = sorted(path.name for path in self.path.iterdir() if not path.name.startswith(own))
        if foreign:
            raise RunError(
                f"{self.path} holds {foreign[0]} but no run",
                "a new run needs a folder of its own, which gets a recipe.yaml, a corpus.json and a log.jsonl",
                "name a new one with `run_dir`",
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the run for this process; folders that it makes and that hold nothing in the end are removed again.

        Raises RunError if another process has locked it, which the text names, or if the folder cannot be made.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"the run folder {self.path} is a file", "", "name another with `run_dir`")
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"cannot be made ({error.strerror})"
            raise RunError(f"the run folder {self.path} {reason}", "", "name another with `run_dir`") from error
        holder = self.path / "lock.holder"
        lock = FileLock(self.lock)
        try:
            is_free = acquire(lock, timeout=PROBE_SECONDS)
        except FileNotFoundError as error:  # of a training that could not begin, which this one has waited for
            raise RunError(f"the run folder {self.path} was removed meanwhile", "", "run the command again") from error
        except LockingError as error:
            raise RunError(
                f"the run folder {self.path} cannot be used: {error.strerror}",
                "without a lock two trainings might write there",
                "name a folder on another file system with `run_dir`",
            ) from error
        if not is_free:
            name = holder.read_text(errors="replace") if holder.exists() else "another process"
            raise RunError(
                f"{self.path} is being trained by {name}",
                "one training at a time may use a run folder",
                "wait for it, stop it, or name another folder with `run_dir`",
            )
        try:
            for folder in (self.path, self.checkpoints, self.previews):  # before anything needs the space
                remove_leftovers(folder)
            write_text(holder, f"process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            with suppress(OSError):  # the folder may be gone
                holder.unlink()
                if missing and [*self.path.iterdir()] == [self.lock]:
                    self.lock.unlink()
            lock.release()
            with suppress(OSError):  # of a folder that holds something
                for folder in missing:
                    folder.rmdir()

    def move_aside(self) -> Path | None:
        """Renames an existing run to the first free of NAME.1, NAME.2, …; returns the new path, None without a run.

        Where the path is a link, the folder that it names is renamed, and an empty one takes its place, so that the
        next run lies on the same disk.
        """
        if not self.path.exists():
            return None
        is_link = self.path.is_symlink()
        run, suffix = self.path.resolve() if is_link else self.path, 1
        while (old := run.with_name(f"{run.name}.{suffix}")).exists():
            suffix += 1
        run.rename(old)
        if is_link:
            run.mkdir()
        return old
