"""Tests freed memory: it is kept where the C library can, and given back when asked."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, torch
from wavegan.commands.memory import give_back_freed_memory, keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.empty(16 << 20).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def resident():
    return int(open("/proc/self/statm").read().split()[1])
unasked = faults()
kept = keep_freed_memory()
faults()
print(kept, unasked, min(faults() for _ in range(5)))  # the system may take idle pages away at any time
before = resident()
give_back_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux alone tells of pages")
def test_pages_are_touched_once_and_given_back_when_asked():
    """Takes 64 MiB, five times: new pages each time before, none after; a page is 4 KiB or more."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    (kept, unasked, asked), (freed,) = (line.split() for line in done.stdout.splitlines())
    if kept == "False":
        pytest.skip("this C library has no such switches")
    assert int(asked) < int(unasked) / 10
    assert int(freed) > 1000


def test_another_c_library_is_left_alone(monkeypatch):
    from wavegan.commands import memory

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
    memory.give_back_freed_memory()
