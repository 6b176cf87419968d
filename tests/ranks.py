"""Starts processes of a test that work together, and holds their messages and exit codes."""

import contextlib
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.distributed import TCPStore  # pyright: ignore

from wavegan import cli
from wavegan.training import signals

PATIENCE_SECONDS = 600  # for what will come, on a machine that does much else
PRELOADED = ["torch._dynamo", "wavegan.commands.train", "wavegan.cli", "pytest", "matplotlib.image"]


def as_rank(act: Callable[..., None], environment: dict[str, str], folder: str, messages: str, *arguments: Any) -> None:
    """Runs a rank's work in a folder of its own, with files of its own for its messages."""
    os.environ.update(environment)
    os.chdir(folder)
    torch.set_num_threads(1)
    warnings.simplefilter("default")
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{messages}.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  it lives as long as the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    act(*arguments)


def command_line(*words: str) -> None:
    signals.REPEAT_SECONDS = PATIENCE_SECONDS  # a repetition is one however late it comes
    sys.argv = ["wavegan", *words]
    cli.main()


class Ranks:
    """Holds processes that were started together; `said` gives their messages, `codes` their exit codes."""

    def __init__(self, processes: list[Any], place: Path):
        self.processes, self.place = processes, place

    def said(self, stream: str) -> list[str]:
        return [
            path.read_text() if (path := self.place / f"rank-{number}.{stream}").exists() else ""
            for number in range(len(self.processes))
        ]

    @property
    def codes(self) -> list[int]:
        for process in self.processes:
            process.join(PATIENCE_SECONDS)
        exit_codes = [process.exitcode for process in self.processes]
        assert None not in exit_codes, f"not all have ended in time: {exit_codes}, {self.said('err')}"
        return exit_codes

    def wait_until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            assert all(process.is_alive() for process in self.processes), self.said("err")
            time.sleep(0.005)


@contextlib.contextmanager
def starting(tmp_path: Path, cache: Path) -> Iterator[Callable[..., Ranks]]:
    """Gives start(count, act, …), see the fixture; ends all ranks when it is left."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    started = []

    def begin(count: int, act: Callable[..., None], *arguments: Any, apart: bool = False, **said: str) -> Ranks:
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun's part
        place = tmp_path / f"ranks-{len(started)}"
        processes = []
        for rank in range(count):
            environment = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
                "LOCAL_WORLD_SIZE": str(count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(store.port),
                "TORCHELASTIC_USE_AGENT_STORE": "True",
                "TORCHELASTIC_RESTART_COUNT": "0",
                "CUDA_VISIBLE_DEVICES": "",  # on a GPU each process needs one of its own
                "WAVEGAN_CACHE": str(place / f"cache-{rank}" if apart else cache),
                **said,
            }
            folder = place / f"machine-{rank}" if apart else tmp_path
            folder.mkdir(parents=True, exist_ok=True)
            place.mkdir(exist_ok=True)
            rest = (str(folder), str(place / f"rank-{rank}"), *map(str, arguments))
            processes.append(context.Process(target=as_rank, args=(act, environment, *rest)))
        for process in processes:
            process.start()
        started.append((processes, store))
        return Ranks(processes, place)

    try:
        yield begin
    finally:
        for process in (process for processes, _ in started for process in processes):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.join()
