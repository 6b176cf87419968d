"""Measures seconds, rates and bytes, so that several ways to do the same work can be compared.

Each timing waits for the device before and after. Contestants take turns, so a machine that slows down affects all of
them.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

Name = TypeVar("Name", bound=Hashable)
Contestant = Callable[[int], float]
"""contestant(count) does its work `count` times and returns the seconds that took."""

BLOCK_SECONDS = 0.25  # shorter work is repeated for so long, for one figure
WARM_SECONDS = 2.0  # longer work needs only one warm-up run
MATRIX_SIZES = (1024, 2048, 4096, 8192)
LONG_PRODUCT_SECONDS = 0.1  # products larger than one that takes so long have no higher rate
MEMORY_BYTES = 256 << 20  # size of the copied tensor, larger than caches
PROBES = 5


class Machine(NamedTuple):
    """Holds the highest rates that the device reaches, as measured."""

    matrix_flops_per_second: float
    memory_bytes_per_second: float


@dataclass(frozen=True)
class Times:
    """Holds several measurements of the seconds of one run."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Returns the median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Returns the lower and upper quartile; the middle half of the measurements lies between them."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high


def race(
    contestants: Mapping[Name, Contestant], rounds: Iterable[object], *, limit_seconds: float
) -> dict[Name, Times]:
    """Times contestants in turn, after a warm-up: one figure for each contestant and round.

    A contestant that has run for limit_seconds skips the remaining rounds; each runs at least once.
    """
    counts = {name: _warm_up(contestant) for name, contestant in contestants.items()}
    times: dict[Name, list[float]] = {name: [] for name in contestants}
    spent = dict.fromkeys(contestants, 0.0)
    for _ in rounds:
        for name, contestant in contestants.items():
            if spent[name] < limit_seconds:
                seconds = contestant(counts[name])
                spent[name] += seconds
                times[name].append(seconds / counts[name])
    return {name: Times(tuple(figures)) for name, figures in times.items()}


def _warm_up(contestant: Contestant) -> int:
    """Warms a contestant up and returns how often it must run to take BLOCK_SECONDS."""
    seconds = contestant(1)
    if seconds < WARM_SECONDS:
        seconds = contestant(1)
    return max(1, math.ceil(BLOCK_SECONDS / max(seconds, 1e-6)))


def wait(device: torch.device) -> None:
    """Waits until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def timed(work: Callable[[], object], count: int, device: torch.device) -> float:
    """Calls `work` `count` times and returns the seconds the calls took together."""
    wait(device)
    start = time.perf_counter()
    for _ in range(count):
        work()
    wait(device)
    return time.perf_counter() - start


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measures the FLOP/s of a product of square matrices: the best of several sizes and runs."""
    best = 0.0
    for size in MATRIX_SIZES:
        left, right = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
        product = torch.empty_like(left)
        seconds = _least(lambda a=left, b=right, c=product: torch.mm(a, b, out=c), device)
        best = max(best, 2 * size**3 / seconds)
        if seconds > LONG_PRODUCT_SECONDS:
            break
    return best


def memory_rate(device: torch.device) -> float:
    """Measures the bytes per second, read and written together, of a copy larger than caches."""
    source = torch.zeros(MEMORY_BYTES // 4, device=device)
    target = torch.ones_like(source)
    return 2 * MEMORY_BYTES / _least(lambda: target.copy_(source), device)


def _least(work: Callable[[], object], device: torch.device) -> float:
    timed(work, 1, device)
    return min(timed(work, 1, device) for _ in range(PROBES))


class StopWatch:
    """Adds up seconds by name; timed spans may be nested, and each counts its whole length."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self.last_stop = 0.0

    def start(self, name: str) -> None:
        """Starts a span after the device has finished all its work."""
        self._started[name] = self.now()

    def stop(self, name: str) -> None:
        """Ends a span after the device has finished all its work, and adds its length to `seconds`."""
        self.last_stop = self.now()
        self.seconds[name] = self.seconds.get(name, 0.0) + self.last_stop - self._started.pop(name)

    def now(self) -> float:
        """Waits until the device has finished its work, then returns the time in seconds."""
        wait(self.device)
        return time.perf_counter()


class PeakMemory:
    """Measures the peak of memory above the level at which the object was made.

    On CUDA it counts the bytes that torch's allocator reserves. Elsewhere it counts those of the process, which should
    do nothing else at that time.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.restart()
        self.before = self._peak()

    def restart(self) -> None:
        """Forgets earlier peaks; they still count if the system cannot reset them."""
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
        """Returns the peak in bytes, less the bytes in use at the start; 0 on Windows, which is not asked."""
        return max(self._peak() - self.before, 0)

    def _peak(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_reserved(self.device)  # "allocated" does not count the memory of CUDA graphs
        if sys.platform == "linux":  # a child inherits the parent's figure in getrusage
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        try:
            import resource
        except ImportError:  # Windows
            return 0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
