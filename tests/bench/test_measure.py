"""Tests measuring: who runs when, what is counted, and what is reported; no test asserts a duration."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from wavegan.bench import measure
from wavegan.bench.measure import StopWatch, Times, matrix_rate, memory_rate, race, timed

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Returns the time that the clock shows, for the test to set."""
    shown = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: shown[0])
    return shown


def test_median_and_quartiles():
    assert Times((5.0, 1.0, 2.0, 3.0, 4.0)).median == 3
    assert Times((5.0, 1.0, 2.0, 3.0, 4.0)).quartiles == (2, 4)
    assert Times((7.0,)).median == 7 and Times((7.0,)).quartiles == (7, 7)
    assert Times((1.0, 3.0)).quartiles == (1.5, 2.5)


class Runner:
    """Describes a contestant with a fixed time a count, which writes its runs into a shared diary."""

    def __init__(self, name: str, seconds: float, diary: list[tuple[str, int]]):
        self.name, self.seconds, self.diary = name, seconds, diary

    def __call__(self, count: int) -> float:
        self.diary.append((self.name, count))
        return count * self.seconds


def test_they_take_turns_in_blocks_after_a_warm_up():
    diary: list[tuple[str, int]] = []
    fast, slow = Runner("fast", 0.1, diary), Runner("slow", 3.0, diary)
    times = race({"fast": fast, "slow": slow}, range(2), limit_seconds=30)
    assert diary[:3] == [("fast", 1), ("fast", 1), ("slow", 1)], "what is slow is warm after one go"
    assert diary[3:] == [("fast", 3), ("slow", 1)] * 2, "0.3 s is the first multiple of 0.1 s that fills a block"
    assert times["slow"].seconds == (3.0, 3.0)
    assert times["fast"].seconds == pytest.approx((0.1, 0.1))


def test_who_has_run_for_long_sits_out():
    diary: list[tuple[str, int]] = []
    times = race({"a": Runner("a", 10, diary), "b": Runner("b", 1, diary)}, range(5), limit_seconds=15)
    assert (len(times["a"].seconds), len(times["b"].seconds)) == (2, 5)
    assert len(race({"a": Runner("a", 99, diary)}, range(5), limit_seconds=15)["a"].seconds) == 1


def test_a_contestant_too_fast_for_the_clock_is_still_run():
    assert race({"a": lambda count: 0.0}, range(1), limit_seconds=1)["a"].seconds == (0.0,)


def test_the_first_go_is_no_measure_of_the_others():
    """The first run compiles and fills caches, so the block's length follows from the second."""
    counts = []

    def contestant(count: int) -> float:
        counts.append(count)
        return 1.0 if len(counts) == 1 else 0.01 * count

    race({"a": contestant}, range(1), limit_seconds=1)
    assert counts == [1, 1, 25]


def test_timed_counts_its_calls(clock):
    def work() -> None:
        clock[0] += 2

    assert timed(work, 3, CPU) == 6


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_an_accelerator_is_waited_for_before_and_after(monkeypatch, clock, kind):
    diary = []
    monkeypatch.setattr(getattr(torch, kind), "synchronize", lambda *_: diary.append("wait"))
    timed(lambda: diary.append("work"), 2, torch.device(kind))
    assert diary == ["wait", "work", "work", "wait"]
    StopWatch(torch.device(kind)).now()
    assert diary[-1] == "wait" and len(diary) == 5


def test_a_stop_watch_adds_up_by_name(clock):
    watch = StopWatch(CPU)
    for start, inner, outer in [(0.0, 1.0, 5.0), (10.0, 12.0, 20.0)]:
        clock[0] = start
        watch.start("outer")
        watch.start("inner")
        clock[0] = start + inner
        watch.stop("inner")
        clock[0] = start + outer
        watch.stop("outer")
    assert watch.seconds == {"inner": 13.0, "outer": 25.0}
    assert watch.last_stop == 30.0


def test_the_matrix_rate_is_the_best_of_the_sizes(monkeypatch):
    """Counts 2 · size³ operations, and tries no larger size once a product takes long."""
    seconds = iter([0.01, 0.02, 0.5])
    monkeypatch.setattr(measure, "MATRIX_SIZES", (10, 20, 30, 40))
    monkeypatch.setattr(measure, "_least", lambda work, device: next(seconds))
    assert matrix_rate(CPU, torch.bfloat16) == 2 * 20**3 / 0.02
    assert list(seconds) == []


def test_the_memory_rate_counts_reading_and_writing(monkeypatch):
    monkeypatch.setattr(measure, "MEMORY_BYTES", 4000)
    monkeypatch.setattr(measure, "_least", lambda work, device: work().numel() / 1000)
    assert memory_rate(CPU) == 8000


def test_rates_are_measured(monkeypatch):
    monkeypatch.setattr(measure, "MATRIX_SIZES", (8,))
    monkeypatch.setattr(measure, "MEMORY_BYTES", 1 << 16)
    assert min(matrix_rate(CPU, torch.float32), matrix_rate(CPU, torch.bfloat16), memory_rate(CPU)) > 0


MEGABYTE = 1 << 20


KEPT_AND_PASSING = """
import numpy as np, torch
from wavegan.bench.measure import PeakMemory
kept = np.ones(64 << 20, np.uint8)  # before, so it does not count
memory = PeakMemory(torch.device("cpu"))
before = memory.bytes
passing = np.ones(512 << 20, np.uint8)
del passing
print(before >> 20, memory.bytes >> 20, kept.all())
"""


def test_peak_memory_is_what_was_needed_beyond_the_start():
    """Runs in a process of its own, as this one still holds freed memory of other tests."""
    done = subprocess.run([sys.executable, "-c", KEPT_AND_PASSING], capture_output=True, text=True, check=True)
    before, passed, kept = done.stdout.split()
    assert int(before) < 8 and 504 < int(passed) < 576 and kept == "True", "freed again, and still the peak"


PEAKS = """
import numpy as np, torch
from wavegan.bench.measure import PeakMemory
for megabytes in (512, 128):  # the first one is over before it begins
    memory = PeakMemory(torch.device("cpu"))
    passing = np.ones(megabytes << 20, np.uint8)
    del passing
print(memory.bytes >> 20)
memory.restart()
print(memory.bytes >> 20)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system has no way to forget a peak")
def test_earlier_peaks_are_forgotten_at_the_start_and_when_asked():
    """Runs in a process of its own, as this one may have been told to keep what it frees."""
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert first > 120 and second < 64
