"""Runs an object in a process of its own, so that its memory and settings affect nothing else."""

import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Self

from wavegan.errors import UserError


class WorkerProcess:
    """Makes the object make(*args) in a new process; `call` calls its methods there, one at a time.

    make, arguments and results are pickled. An exception in the process is raised here, with its traceback as a note.
    Raises UserError if the system ended the process. Use it in a `with`, which ends the process at its end.
    """

    def __init__(self, make: Callable[..., Any], *args: Any):
        context = multiprocessing.get_context("spawn")
        self._connection, child_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(child_end, make, args), daemon=True)
        _start_uninterrupted(self._process)
        child_end.close()
        self._answer()

    def call(self, method: str, *args: Any) -> Any:
        """Calls a method of the object and returns its result."""
        self._connection.send((method, args))
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _answer(self) -> Any:
        try:
            is_fine, value = self._connection.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join()
            if (self._process.exitcode or 0) >= 0:  # it ended by itself; the system ends it by a signal
                raise UserError(
                    "a process of this measurement could not start",
                    "it imports the script that calls for it",
                    'call it below `if __name__ == "__main__":`',
                ) from error
            raise UserError(
                f"the system ended a process of this measurement (exit code {self._process.exitcode})",
                "it does so where memory runs out",
                "lower training.batch_size, generator.dim or data.clip_samples",
            ) from error
        if is_fine:
            return value
        self.__exit__()
        raise value


def _start_uninterrupted(process: Any) -> None:
    """Starts a process that ignores Ctrl-C from its first moment on, if called in the main thread.

    A terminal sends Ctrl-C to all its processes; only the process that started this one handles it.
    """
    if threading.current_thread() is not threading.main_thread():
        process.start()
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, handler)


def _serve(connection: Connection, make: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the other process has ended
        target = _reply(connection, make, args, is_value=False)
        while True:
            method, args = connection.recv()
            _reply(connection, getattr(target, method), args)


def _reply(connection: Connection, work: Callable[..., Any], args: tuple[Any, ...], *, is_value: bool = True) -> Any:
    """Sends the result of work(*args), or its exception; without is_value it sends only that the work is done."""
    try:
        value = work(*args)
    except Exception as error:
        error.add_note(traceback.format_exc())
        connection.send((False, error))
        return None
    connection.send((True, value if is_value else None))
    return value
