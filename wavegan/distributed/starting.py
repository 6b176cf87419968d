"""Ends a process in an orderly way while it waits for the others to start, and when its launcher has died.

A process that waits inside torch handles no signal, so a thread does it here. Only for a program that runs only
wavegan: it ends the process.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from wavegan.distributed.environment import Environment

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
WAKING_SECONDS = 1.0  # time for the main thread to handle a signal by itself
ANSWER_TIME = timedelta(seconds=3)
TORCHRUN_ID = "TORCHELASTIC_RUN_ID"  # torchrun sets it in every process that it starts


@contextmanager
def launcher_watched() -> Iterator[None]:
    """Asks this process to end by SIGTERM, as torchrun would, if torchrun has died while this is entered."""
    if TORCHRUN_ID not in os.environ:
        yield
        return
    launcher, left = os.getppid(), threading.Event()

    def watch() -> None:
        while not left.wait(POLL_SECONDS):
            if os.getppid() != launcher:
                if os.environ.get("LOCAL_RANK") == "0":
                    logger.warning(f"torchrun (process {launcher}) has died; its processes stop after this step")
                elif left.wait(3 * POLL_SECONDS):  # rank 0 of this machine says it first, and stops all
                    return
                os.kill(os.getpid(), signal.SIGTERM)
                return

    threading.Thread(target=watch, daemon=True, name="launcher").start()
    try:
        yield
    finally:
        left.set()


@contextmanager
def signals_end_waiting(environment: Environment) -> Iterator[None]:
    """Ends this process at a signal that its main thread does not handle in a second, since it waits inside torch.

    torchrun sends SIGTERM to all others when one has died. Of those that wait one says so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def end() -> None:
        while number := reader.recv(1):  # nothing comes once the writer is closed
            reader.settimeout(WAKING_SECONDS)
            try:
                if not reader.recv(1):
                    break
            except TimeoutError:
                end_waiting(environment, signal.Signals(number[0]))
            reader.settimeout(None)
        reader.close()

    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=end, daemon=True, name="waiting").start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()


def may_report(environment: Environment) -> bool:
    """Returns whether this process is the first that wants to report why the processes did not start."""
    from torch.distributed import PrefixStore, TCPStore  # pyright: ignore

    try:
        store = TCPStore(environment.address, environment.port, is_master=False, timeout=ANSWER_TIME)
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # torchrun's store stays when it restarts
        return PrefixStore(f"starting {attempt}", store).compare_set("told", "", str(environment.rank)) == _text(
            environment.rank
        )
    except RuntimeError:  # where rank 0 holds the store, it has died
        return environment.rank <= 1


def end_waiting(environment: Environment, received: signal.Signals) -> None:
    """Ends this process by a signal that came while it waited; of those that wait one says so."""
    if may_report(environment):
        logger.error(
            f"rank {environment.rank}, one of {environment.world_size}, was ended by {received.name} while it waited "
            "for the others to start; one of them has died or the job was stopped; the same command starts again"
        )
    os._exit(128 + received)


def _text(number: int) -> bytes:
    return str(number).encode()
