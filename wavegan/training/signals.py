"""Requests to stop a training: the step is finished and saved; of signals, a second SIGINT stops at once."""

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ASKED = 1 << 15  # why a training has stopped where no signal was the reason; above every signal

Stop = Callable[[], Any]
"""stop() is called after every step; where it is true the training ends, and its signal, if it is one, is kept.

One that is a context manager is entered while steps are taken.
"""


class StopRequest:
    """A `Stop` that gives the first signal which asks to stop, None until then.

    While it is entered it handles SIGINT and SIGTERM, in the main thread; in another thread no handler is changed.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __call__(self) -> signal.Signals | None:
        return self.signal

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


def listening(stop: Stop | None) -> AbstractContextManager[Any]:
    """Returns the context in which steps are taken that `stop` may end."""
    return stop if isinstance(stop, AbstractContextManager) else nullcontext()


def stop_number(stop: Stop | None) -> int:
    """Returns why a training is to stop: 0 for not, a signal, or ASKED."""
    reason = stop() if stop else None
    return reason if isinstance(reason, signal.Signals) else ASKED if reason else 0


def stop_reason(number: int) -> int | None:
    """Returns a number that `stop_number` gave as a signal where it is one; None for 0."""
    return signal.Signals(number) if 0 < number < ASKED else number or None
