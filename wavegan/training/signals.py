"""Handles requests to stop a training: the step is finished and saved. A second SIGINT stops at once."""

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ASKED = 1 << 15  # the reason of a stop without a signal; above every signal's number

Stop = Callable[[], Any]
"""stop() is called after every step; if it is true the training ends, and if it is a signal the result says which.

A stop that is a context manager is entered while steps are taken.
"""


class StopRequest:
    """Returns the first signal that asks to stop, None before that; a `Stop`.

    While it is entered in the main thread, it handles SIGINT and SIGTERM. In another thread it changes no handler.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __call__(self) -> signal.Signals | None:
        return self.signal

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {listened: signal.signal(listened, self._note) for listened in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for listened, handler in self._before.items():
            signal.signal(listened, handler)  # type: ignore[arg-type]
        self._before = {}

    def _note(self, signal_number: int, frame: FrameType | None) -> None:
        if self.signal is not None and signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(signal_number)


def listening(stop: Stop | None) -> AbstractContextManager[Any]:
    """Returns the context for a training that `stop` may end: `stop` itself if it is a context manager."""
    return stop if isinstance(stop, AbstractContextManager) else nullcontext()


def stop_number(stop: Stop | None) -> int:
    """Returns why a training must stop: a signal's number or ASKED; 0 if it goes on."""
    reason = stop() if stop else None
    return reason if isinstance(reason, signal.Signals) else ASKED if reason else 0


def stop_reason(stop_code: int) -> int | None:
    """Returns the reason behind a result of `stop_number`: a signal, ASKED, or None for 0."""
    return signal.Signals(stop_code) if 0 < stop_code < ASKED else stop_code or None
