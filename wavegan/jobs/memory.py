"""Memory: kept for the next step where it was freed, and running out of it told as something to put right."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from wavegan.errors import UserError


@contextmanager
def memory_explained(advice: str) -> Iterator[None]:
    """While entered, too little memory on the host or an accelerator is a UserError that ends with `advice`."""
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        is_short = isinstance(fault, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(fault)
        if not is_short:
            raise
        raise UserError(f"there is too little memory for this; {advice}") from fault


def keep_freed_memory() -> bool:
    """Tells the C library to keep what is freed for the next time, not to give it back; True where it can.

    A step frees and takes gigabytes in pieces of many megabytes, and glibc asks the system for each such piece
    anew: a third of a step on a CPU went by in first touches of fresh pages. Only glibc (Linux) has the switches.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none that can be asked
        return False
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # from malloc.h
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1) and mallopt(top_pad, 64 << 20))
