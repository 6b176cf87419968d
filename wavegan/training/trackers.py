"""Sends the progress of a training to services that keep experiments. A service that fails stops no training."""

import importlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any

from wavegan.atomic_write import write_text
from wavegan.errors import TrainingError
from wavegan.training.tracker_services import SERVICES, Preview, TrackedRun, Tracker

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 60  # a training that ends waits so long for a service that is slow
NAMES = "trackers.json"  # in the run folder: what each service calls the run


def is_installed(name: str) -> bool:
    """Returns whether the package of a tracker can be imported."""
    try:
        module = importlib.import_module(SERVICES[name].module)
    except ImportError:
        return False
    return module.__file__ is not None  # a folder of this name, such as W&B makes, is no package


def require_installed(name: str, key: str) -> None:
    """Raises TrainingError if the package of a tracker that a key of the recipe asks for is not installed."""
    if not is_installed(name):
        raise TrainingError(f"{key}, but {SERVICES[name].title} is not installed", "", f"run: pip install {name}")


class Trackers:
    """Passes what a monitor reports to all trackers, in a thread of its own, so that training waits for none.

    A tracker that raises anything gets nothing more; a warning says so once.
    """

    def __init__(self, names: Iterable[str], run: TrackedRun):
        self.run = run
        self.open: dict[str, Any] = dict.fromkeys(names)  # trackers by name; None until a tracker is started
        self.jobs: SimpleQueue[Callable[[str], Any] | None] = SimpleQueue()
        self.thread = Thread(target=self._work, name="trackers", daemon=True)  # a hanging server must not hold the end
        if self.open:
            self.jobs.put(self._start)
            self.thread.start()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds values of a step by name."""
        values = dict(values)
        self._each(lambda tracker: tracker.scalars(step, values))

    def preview(self, step: int, preview: Preview) -> None:
        """Adds the sound and the picture of a preview."""
        self._each(lambda tracker: tracker.preview(step, preview))

    def go_back(self, step: int) -> None:
        """Lets the trackers forget what came after a step, if they can."""
        self._each(lambda tracker: tracker.go_back(step))

    def close(self) -> None:
        """Closes all trackers; what one has not sent after a minute is left out with a warning."""
        if not self.thread.is_alive():
            return
        self._each(lambda tracker: tracker.close())
        self.jobs.put(None)
        self.thread.join(CLOSE_SECONDS)
        if self.thread.is_alive():
            logger.warning(f"{', '.join(self.open)}: the last values were not sent within {CLOSE_SECONDS} s; left out")

    def _each(self, act: Callable[[Tracker], Any]) -> None:
        if self.open:
            self.jobs.put(lambda name: act(self.open[name]))

    def _work(self) -> None:
        while act := self.jobs.get():
            for name in list(self.open):
                try:
                    act(name)
                except Exception as error:  # of any kind: it is not the training that failed
                    del self.open[name]
                    reason = str(error).strip().partition("\n")[0][:200]
                    logger.warning(
                        f"{SERVICES[name].title} failed ({type(error).__name__}: {reason}); "
                        "it gets nothing more, and the training goes on without it"
                    )

    def _start(self, name: str) -> None:
        path = self.run.folder / NAMES
        kept_names = json.loads(path.read_text()) if path.exists() else {}
        self.open[name] = tracker = SERVICES[name].start(self.run, kept_names.get(name))
        if tracker.name != kept_names.get(name):
            write_text(path, json.dumps({**kept_names, name: tracker.name}, indent=1) + "\n")
        if tracker.place:
            logger.info(f"{SERVICES[name].title}: {tracker.place}")
