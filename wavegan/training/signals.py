"""Handles the signals that ask a command to end: a training finishes its step and saves, other commands stop cleanly.

A launcher may pass on a signal that its processes have received already. So a repetition within REPEAT_SECONDS is not
counted. A SIGINT after that time is a second request, and stops the process at once.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Any, Self

from wavegan.errors import Interrupted

SENDERS = {  # Windows has only the first two
    "SIGINT": "Ctrl-C",
    "SIGTERM": "kill, Slurm or torchrun",
    "SIGHUP": "a terminal that was closed",
    "SIGUSR1": "Slurm's --signal=USR1@SECONDS, before a job's time is over",
}
SIGNALS = tuple(signal.Signals[name] for name in SENDERS if name in signal.Signals.__members__)
ALWAYS = (signal.SIGINT, signal.SIGTERM)  # a training handles these even where they were ignored; nohup ignores SIGHUP
REPEAT_SECONDS = 1.0
LAUNCHER_REPEAT_SECONDS = 10.0  # on a busy machine torchrun takes seconds to pass a signal on
ASKED = 1 << 15  # the reason of a stop without a signal; above every signal's number

_heard_at: float | None = None  # when this process was asked to end; signals belong to the whole process

Stop = Callable[[], Any]
"""stop() is called after every step; if it is true the training ends, and if it is a signal the result says which.

A stop that is a context manager is entered while steps are taken.
"""


class StopRequest:
    """Returns the first signal that asks to stop, None before that; a `Stop`.

    While it is entered in the main thread, it handles SIGNALS. In another thread it changes no handler. Raises
    Interrupted for a SIGINT that comes `repeat_seconds` or later after the first signal.
    """

    def __init__(self, *, repeat_seconds: float = REPEAT_SECONDS) -> None:
        self.signal: signal.Signals | None = None
        self.repeat_seconds = repeat_seconds
        self._before: dict[signal.Signals, object] = {}

    def __call__(self) -> signal.Signals | None:
        return self.signal

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            handled = [number for number in SIGNALS if number in ALWAYS or not _is_ignored(number)]
            self._before = {number: signal.signal(number, self._note) for number in handled}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    def _note(self, signal_number: int, frame: FrameType | None) -> None:
        global _heard_at
        if self.signal is None:
            self.signal, _heard_at = signal.Signals(signal_number), time.monotonic()
        elif _is_second_wish(signal_number, self.repeat_seconds):
            raise Interrupted(signal_number)


@contextmanager
def interrupting() -> Iterator[None]:
    """Raises Interrupted in the main thread at the first of SIGNALS, so that nothing half written keeps a final name.

    After that, and after a StopRequest has noted one, repetitions are ignored so that they do not disturb the end; a
    later SIGINT ends the process at once. A signal that was ignored before, as nohup ignores SIGHUP, stays ignored.
    """
    global _heard_at
    _heard_at = None

    def interrupt(signal_number: int, frame: FrameType | None) -> None:
        global _heard_at
        if _heard_at is None:
            _heard_at = time.monotonic()
            raise Interrupted(signal_number)
        if _is_second_wish(signal_number, REPEAT_SECONDS):
            signal.signal(signal_number, signal.SIG_DFL)
            os.kill(os.getpid(), signal_number)

    is_main_thread = threading.current_thread() is threading.main_thread()
    handled = [number for number in SIGNALS if is_main_thread and not _is_ignored(number)]
    before = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield
    finally:
        if _heard_at is None:  # else the process ends, and a repetition may still come
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_second_wish(signal_number: int, repeat_seconds: float) -> bool:
    """Returns whether a later signal is a request to stop at once, and no repetition of the first."""
    return signal_number == signal.SIGINT and time.monotonic() - (_heard_at or 0) >= repeat_seconds


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


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
