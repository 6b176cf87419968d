"""Words the error that ends several processes: which of them has died, once, and how to go on.

The launcher ends those that are left and starts them again. Only for a program that runs only wavegan; signals raise
Interrupted there, as the command line sets it up.
"""

import atexit
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

from wavegan.errors import Interrupted, TrainingError, UserError

TELLING_SECONDS = 5  # time for the main process to report, before another one does
LOSS_SECONDS = 1  # time to see whether a process has died, where torchrun asks to end


class ProcessLost(TrainingError):
    """Says that another process has died or cannot be reached, and how to go on; names the process if it is known.

    Its exit code, EX_TEMPFAIL of sysexits.h, asks to be run again.
    """

    exit_code = 75


class PeerMonitor:
    """Watches all other processes in the main one, and the main one in all others, until all leave or one ends.

    store: torch's key-value store that all processes share; under torchrun it outlives each of them. group: sends the
    last message of each process. resume_hint: gives the last part of a ProcessLost, how to go on.
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
        """Begins to watch."""
        self.store.set(f"name/{self.rank}", f"rank {self.rank} (process {os.getpid()} on {socket.gethostname()})")
        for watcher in self.watchers:
            watcher.start()

    def release(self) -> None:
        """Sends the peers a last message and waits for theirs, so that none mistakes the end of another for a death."""
        import torch
        from torch import distributed as dist

        for peer in self.peers:
            with suppress(RuntimeError):  # the peer has died since, but the work is done
                dist.send(torch.zeros(1), peer, group=self.group)
        self.ending.set()
        for watcher in self.watchers:
            watcher.join()
        dist.destroy_process_group()

    def loss(self, error: BaseException) -> ProcessLost:
        """Returns the error to raise if a message did not get through."""
        self.loss_seen.wait(1)  # a watcher finds which process it is
        who = f"another of the {self.world_size} processes"
        if self.lost:
            with suppress(RuntimeError):
                who = f"{self.store.get(f'name/{self.lost[0]}').decode()}, one of {self.world_size},"
        return ProcessLost(f"{who} has died or cannot be reached ({reason(error)})", "", self.resume_hint())

    def end(self, error: BaseException) -> None:
        """Returns if this process must report its error; raises SystemExit if another process already reports one."""
        is_asked = isinstance(error, Interrupted) and error.signal == signal.SIGTERM
        if is_asked and self.loss_seen.wait(LOSS_SECONDS):
            lost = self.loss(error)  # torchrun sends it because a process has died, and that is to be reported
            self.end(lost)
            raise lost
        self.ending.set()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it as soon as one process has ended
        if isinstance(error, SystemExit):
            atexit.register(_leave, error.code)
            return
        code = _exit_code(error)
        atexit.register(_leave, code)
        own = f"{self.rank} {code}"
        with suppress(RuntimeError):  # if the store has died with its machine, every process reports
            if isinstance(error, ProcessLost) and not (self.rank == 0 or 0 in self.lost):
                self._let_main_report()
            reporter = self.store.compare_set("told", "", own).decode()
            if reporter != own:
                exit_code = int(reporter.split()[1])
                atexit.register(_leave, exit_code)  # the last function registered is called first
                raise SystemExit(exit_code)

    def _let_main_report(self) -> None:
        """Waits some seconds for the main process to report, as it knows best; polls, as torch logs a failed wait."""
        end = time.monotonic() + TELLING_SECONDS
        while not self.store.check(["told"]) and time.monotonic() < end:
            time.sleep(0.05)

    def _watch(self, peer: int) -> None:
        """Waits for a peer's last message; if the peer dies, the connection breaks.

        The main thread notices this too as soon as it needs the peer. One that hangs in an accelerator is ended by the
        launcher or, after the timeout, by torch.
        """
        import torch
        from torch import distributed as dist

        try:
            dist.recv(torch.empty(1), peer, group=self.group)
        except RuntimeError:
            self.lost.append(peer)
            self.loss_seen.set()


def _exit_code(error: BaseException) -> int:
    """Returns the exit code with which the command line ends by an error."""
    if isinstance(error, UserError | Interrupted):
        return error.exit_code
    return 130 if isinstance(error, KeyboardInterrupt) else 2 if isinstance(error, OSError) else 1


def _leave(code: Any) -> None:
    """Ends the process without torch's clean-up, which would abort it while a watcher still waits for its peer."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def reason(error: BaseException) -> str:
    """Returns the first sentence of an error of torch, without the place in its source."""
    return re.sub(r"^\[[^]]*\]\s*", "", str(error)).partition("\n")[0].partition(". ")[0][:160]
