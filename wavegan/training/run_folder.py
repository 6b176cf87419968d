"""The folder that holds everything one training produced, and the lock that keeps a second training out."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wavegan.errors import RunError

EVALUATION = "evaluation/"  # what the names of such figures begin with


def lines(log: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, in the order of the steps."""
    found = []
    for text in log.read_text().splitlines() if log.exists() else []:
        try:
            found.append(json.loads(text))
        except ValueError:
            continue  # torn by a kill, or just being written
    return found


def statistics(log: Path) -> list[dict[str, float]]:
    """What a run's log tells of its steps: the mean of every statistic since the line before."""
    return [line for line in lines(log) if any("/" in name and not name.startswith(EVALUATION) for name in line)]


def evaluations(log: Path) -> list[dict[str, float]]:
    """What a run's log tells of its evaluations: step and every figure by its name, in the order of the steps."""
    found = []
    for line in lines(log):
        figures = {name.removeprefix(EVALUATION): line[name] for name in line if name.startswith(EVALUATION)}
        if figures:
            found.append({"step": line["step"]} | figures)
    return found


class RunFolder:
    """Where the parts of a run lie."""

    def __init__(self, path: Path):
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.log = path / "log.jsonl"
        self.corpus = path / "corpus.json"
        self.checkpoints = path / "checkpoints"
        self.previews = path / "previews"
        self.tensorboard = path / "tensorboard"

    def refuse_other_contents(self) -> None:
        """Raises RunError where the folder holds files and no run: among sounds, say, a run would be lost."""
        if not self.path.is_dir() or self.recipe.exists():
            return
        others = sorted(path.name for path in self.path.iterdir() if not path.name.startswith((".", "lock")))
        if others:
            raise RunError(
                f"{self.path} holds {others[0]} and no recipe.yaml, so it is no run",
                "a run has a folder of its own",
                "name a new one with `run_dir`",
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for this process. Raises RunError that names the process which holds it already."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"the run folder {self.path} is a file", "", "name another with `run_dir`")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            reason = f"cannot be made ({fault.strerror})"
            raise RunError(f"the run folder {self.path} {reason}", "", "name another with `run_dir`") from fault
        holder = self.path / "lock.holder"
        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            name = holder.read_text() if holder.exists() else "another process"
            raise RunError(
                f"{self.path} is being trained by {name}",
                "one training at a time may use a run folder",
                "wait for it, stop it, or name another folder with `run_dir`",
            ) from None
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def move_aside(self) -> Path | None:
        """Renames an existing run to the first free of NAME.1, NAME.2, …; None where there is none."""
        if not self.path.exists():
            return None
        number = 1
        while (old := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(old)
        return old
