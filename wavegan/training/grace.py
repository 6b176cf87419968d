"""Foresees whether a training can answer a signal within the time that a launcher or a scheduler gives it."""

import logging
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from wavegan.errors import UserError

logger = logging.getLogger(__name__)

VARIABLES = ("WAVEGAN_GRACE_SECONDS", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT")  # the second is torchrun's own
SENDERS = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST")  # they kill soon after a signal
SECONDS = 30  # that torchrun, Slurm (KillWait) and Kubernetes wait if they are not told otherwise


class Grace:
    """Measures the parts of the time from a signal to the end, and warns once if it is longer than the grace period.

    It does so only where something else than a person sends signals.
    """

    def __init__(self) -> None:
        self.allowed = grace_seconds()
        self.parts: dict[str, float] = {}
        self._steps: deque[float] = deque(maxlen=2)  # the first step may compile
        self.step_begins()

    def step_begins(self) -> None:
        """Begins to measure a step."""
        self._began = time.monotonic()

    def step_ended(self) -> None:
        """Measures a step; the shorter one of the last two counts."""
        self._steps.append(time.monotonic() - self._began)
        if len(self._steps) == 2:
            self._note("a step", min(self._steps))

    @contextmanager
    def measured(self, part: str) -> Iterator[None]:
        """Measures a part while it is entered."""
        began = time.monotonic()
        yield
        self._note(part, time.monotonic() - began)

    def _note(self, part: str, seconds: float) -> None:
        self.parts[part] = seconds
        if self.allowed and (total := sum(self.parts.values())) > self.allowed:
            parts = ", ".join(f"{name} {taken:.0f} s" for name, taken in self.parts.items())
            logger.warning(
                f"a signal may be answered only after {total:.0f} s ({parts}), and a kill is expected after "
                f"{self.allowed} s, which would cost the steps since the last checkpoint; allow more (torchrun "
                f"--shutdown-timeout, sbatch --signal, terminationGracePeriodSeconds) and set {VARIABLES[0]} to it, or "
                "save more often (training.checkpoint_minutes)"
            )
            self.allowed = 0


def grace_seconds() -> int:
    """Returns how long this process may live after a signal; 0 where nobody but a person sends one.

    Raises UserError if the environment variable for it is no whole number.
    """
    given = next((name for name in VARIABLES if os.environ.get(name)), None)
    if given is None:
        return SECONDS if any(name in os.environ for name in SENDERS) else 0
    if not os.environ[given].isdecimal():
        raise UserError(f"{given} is {os.environ[given]!r}", "it must be a whole number of seconds", "try 120")
    return int(os.environ[given])
