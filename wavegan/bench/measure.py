"""Seconds, rates and bytes, measured so that two ways of doing one thing can be compared.

Nothing here is timed without waiting for the device, before and after. What is compared takes turns, so that a
machine that slows down does so for all.
"""

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

Name = TypeVar("Name", bound=Hashable)
Contestant = Callable[[int], float]
"""contestant(count) does its work `count` times and gives the seconds that took."""

BLOCK_SECONDS = 0.25  # what is shorter is done several times for one figure
WARM_SECONDS = 2.0  # what takes longer is warm after one go
MATRIX_SIZES = (1024, 2048, 4096, 8192)
LONG_PRODUCT_SECONDS = 0.1  # larger products than one that takes so long are no faster by the number
MEMORY_BYTES = 256 << 20  # of the tensor that is copied: more than caches hold
PROBES = 5


@dataclass(frozen=True)
class Times:
    """Seconds of one go, measured several times."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between them lies the middle half."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high


def race(
    contestants: Mapping[Name, Contestant], rounds: Iterable[object], *, limit_seconds: float
) -> dict[Name, Times]:
    """The times of each, taken in turn: one figure for each round, after a warm-up that does not count.

    A contestant that has run for limit_seconds sits out the rounds that are left; each runs at least once.
    """
    counts = {name: _warm_up(contestant) for name, contestant in contestants.items()}
    found: dict[Name, list[float]] = {name: [] for name in contestants}
    spent = dict.fromkeys(contestants, 0.0)
    for _ in rounds:
        for name, contestant in contestants.items():
            if spent[name] < limit_seconds:
                seconds = contestant(counts[name])
                spent[name] += seconds
                found[name].append(seconds / counts[name])
    return {name: Times(tuple(times)) for name, times in found.items()}


def _warm_up(contestant: Contestant) -> int:
    """How often it must go to fill a block."""
    seconds = contestant(1)
    if seconds < WARM_SECONDS:
        seconds = contestant(1)
    return max(1, math.ceil(BLOCK_SECONDS / max(seconds, 1e-6)))


def wait(device: torch.device) -> None:
    """Returns when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def timed(work: Callable[[], object], count: int, device: torch.device) -> float:
    """Seconds that `count` calls of work take together."""
    wait(device)
    start = time.perf_counter()
    for _ in range(count):
        work()
    wait(device)
    return time.perf_counter() - start


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a product of square matrices, the best of several sizes and goes."""
    best = 0.0
    for size in MATRIX_SIZES:
        here, there = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
        product = torch.empty_like(here)
        seconds = _least(lambda h=here, t=there, p=product: torch.mm(h, t, out=p), device)
        best = max(best, 2 * size**3 / seconds)
        if seconds > LONG_PRODUCT_SECONDS:
            break
    return best


def memory_rate(device: torch.device) -> float:
    """Bytes per second, read and written together, of a copy that is too large for caches."""
    here = torch.zeros(MEMORY_BYTES // 4, device=device)
    there = torch.ones_like(here)
    return 2 * MEMORY_BYTES / _least(lambda: there.copy_(here), device)


def _least(work: Callable[[], object], device: torch.device) -> float:
    timed(work, 1, device)
    return min(timed(work, 1, device) for _ in range(PROBES))


class StopWatch:
    """Seconds by name; spans may be nested, and then each counts its whole length."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self.last_stop = 0.0

    def start(self, name: str) -> None:
        self._started[name] = self.now()

    def stop(self, name: str) -> None:
        self.last_stop = self.now()
        self.seconds[name] = self.seconds.get(name, 0.0) + self.last_stop - self._started.pop(name)

    def now(self) -> float:
        """The time, in seconds, when the device has done all that it was given."""
        wait(self.device)
        return time.perf_counter()


class PeakMemory:
    """How many bytes are needed at most beyond those at hand when this was made.

    On CUDA those of torch's allocator; else those of the process, so it should have nothing else to do.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.restart()
        self.before = self._peak()

    def restart(self) -> None:
        """Forgets earlier peaks; where the system has no way to, they go on counting."""
        if self.device.type == "cuda":
            torch.cuda.init()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        elif sys.platform == "linux":
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:
                return

    @property
    def bytes(self) -> int:
        return max(self._peak() - self.before, 0)

    def _peak(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_reserved(self.device)  # what graphs hold is not counted as allocated
        if sys.platform == "linux":  # getrusage's figure is handed down from the parent process
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
