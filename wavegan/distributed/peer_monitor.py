"""Each process notices the death of another; one of them reports what ended them all.

It handles SIGTERM and ends a process that hangs, so it is only for a program that is wavegan's alone.
"""

import atexit
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from wavegan.errors import TrainingError, UserError

logger = logging.getLogger(__name__)

TELLING_SECONDS = 5  # the main process has, before another tells
GRACE_SECONDS = 15  # the main thread has, to notice a death by itself and to end in order
ENDING_SECONDS = 20  # torchrun kills after 30


class ProcessLost(TrainingError):
    """Another process has ended without a word; the text names it and says how to go on."""


class PeerMonitor:
    """The main process watches all others and they watch it, until all leave or one ends.

    store: torch's small dictionary that all processes share; torchrun keeps it, so it outlives each of them.
    group: over which farewells are sent. resume_hint: gives the last part of a ProcessLost, how to go on.
    """

    def __init__(self, rank: int, world_size: int, store: Any, group: Any, resume_hint: Callable[[], str]):
        self.rank, self.world_size, self.store, self.group, self.resume_hint = (
            rank,
            world_size,
            store,
            group,
            resume_hint,
        )
        self.peers = range(1, world_size) if rank == 0 else [0]
        self.lost: list[int] = []
        self.loss_seen = threading.Event()
        self.ending = threading.Event()
        self.watchers = [threading.Thread(target=self._watch, args=(peer,), daemon=True) for peer in self.peers]

    def hold(self) -> None:
        """Begins to watch; from now on a SIGTERM is a SystemExit."""
        signal.signal(signal.SIGTERM, self._terminate)
        self.store.set(f"name/{self.rank}", f"rank {self.rank} (process {os.getpid()} on {socket.gethostname()})")
        for watcher in self.watchers:
            watcher.start()

    def release(self) -> None:
        """Sends the peers a last message and waits for theirs, so that none takes the end of another for a death."""
        import torch
        from torch import distributed as dist

        for peer in self.peers:
            with suppress(RuntimeError):  # it has died since; the work is done all the same
                dist.send(torch.zeros(1), peer, group=self.group)
        self.ending.set()
        for watcher in self.watchers:
            watcher.join()
        dist.destroy_process_group()

    def loss(self, error: RuntimeError) -> ProcessLost:
        """What to raise where a message did not get through."""
        self.loss_seen.wait(1)  # a watcher knows who it is
        who = f"another of the {self.world_size} processes"
        if self.lost:
            with suppress(RuntimeError):
                who = f"{self.store.get(f'name/{self.lost[0]}').decode()}, one of {self.world_size},"
        return ProcessLost(f"{who} has died or cannot be reached ({reason(error)})", "", self.resume_hint())

    def end(self, error: BaseException) -> None:
        """Returns where this process is to tell its error; raises SystemExit where another has told already."""
        self.ending.set()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it as soon as one process has ended
        if hasattr(signal, "alarm"):
            signal.alarm(ENDING_SECONDS)  # so the system ends what hangs in a dead network or accelerator
        if isinstance(error, SystemExit):
            atexit.register(_leave, error.code)
            return
        code = 2 if isinstance(error, UserError) else 130 if isinstance(error, KeyboardInterrupt) else 1
        atexit.register(_leave, code)
        own = f"{self.rank} {code}"
        with suppress(RuntimeError):  # where the store has died with its machine, each one tells
            if isinstance(error, ProcessLost) and self.rank != 0:
                self._let_main_tell()
            told = self.store.compare_set("told", "", own).decode()
            if told != own:
                theirs = int(told.split()[1])
                atexit.register(_leave, theirs)  # the last one registered is the first to be called
                raise SystemExit(theirs)

    def _let_main_tell(self) -> None:
        """The main process knows best, if it lives; asked often, since torch tells of a wait that was in vain."""
        end = time.monotonic() + TELLING_SECONDS
        while not self.store.check(["told"]) and time.monotonic() < end:
            time.sleep(0.05)

    def _watch(self, peer: int) -> None:
        """Waits for a peer's farewell; a death shows as a connection that breaks.

        The main thread finds the same as soon as it needs the peer, unless it hangs in an accelerator that waits
        for the dead one. Then the process is ended from here.
        """
        import torch
        from torch import distributed as dist

        try:
            dist.recv(torch.empty(1), peer, group=self.group)
        except RuntimeError as error:
            self.lost.append(peer)
            self.loss_seen.set()
            if self.ending.wait(GRACE_SECONDS):
                return
            self._end_at_once(self.loss(error))

    def _end_at_once(self, lost: ProcessLost) -> None:
        with suppress(SystemExit):
            self.end(lost)
            logger.error(lost)
        os._exit(2)

    def _terminate(self, number: int, _: Any) -> None:
        if not self.loss_seen.is_set():  # else this process is about to end and to tell why
            raise SystemExit(128 + number)


def _leave(code: Any) -> None:
    """Ends the process without torch's farewells, which abort it while a watcher still waits for its peer."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def reason(error: BaseException) -> str:
    """The first sentence of what torch says, without the place in its source."""
    return re.sub(r"^\[[^]]*\]\s*", "", str(error)).partition("\n")[0].partition(". ")[0][:160]
