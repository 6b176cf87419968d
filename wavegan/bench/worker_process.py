"""An object in a process of its own, so that what it does to memory and settings concerns nobody else."""

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
    """make(*args), made in a new process; `call` calls its methods there, one at a time.

    make, arguments and results are pickled. What is raised there is raised here, with its traceback as a note;
    UserError where the system ended the process. Used in a `with`, whose end ends the process.
    """

    def __init__(self, make: Callable[..., Any], *args: Any):
        context = multiprocessing.get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, make, args), daemon=True)
        _start_uninterrupted(self._process)
        there.close()
        self._answer()

    def call(self, method: str, *args: Any) -> Any:
        """What the object's method gives."""
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
        except (EOFError, ConnectionResetError) as fault:
            self._process.join()
            raise UserError(
                f"the system ended a process (exit code {self._process.exitcode}), as it does where memory runs out",
                "",
                "lower training.batch_size, generator.dim or data.clip_samples",
            ) from fault
        if is_fine:
            return value
        self.__exit__()
        raise value


def _start_uninterrupted(process: Any) -> None:
    """Ctrl-C reaches every process of a terminal; the new one leaves it to this one, from its first moment on."""
    if threading.current_thread() is not threading.main_thread():
        process.start()
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, handler)


def _serve(connection: Connection, make: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the other process has gone
        thing = _reply(connection, make, args, is_value=False)
        while True:
            method, args = connection.recv()
            _reply(connection, getattr(thing, method), args)


def _reply(connection: Connection, work: Callable[..., Any], args: tuple[Any, ...], *, is_value: bool = True) -> Any:
    """Sends what work(*args) gives, or only that it was done, or what it raised."""
    try:
        value = work(*args)
    except Exception as fault:
        fault.add_note(traceback.format_exc())
        connection.send((False, fault))
        return None
    connection.send((True, value if is_value else None))
    return value
