"""Keeps freed memory for the next step, and explains a lack of memory to the user.

A lack of memory becomes a UserError with advice.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from wavegan.errors import UserError


@contextmanager
def memory_explained(advice: str) -> Iterator[None]:
    """Turns too little memory, on the host or an accelerator, into a UserError that ends with `advice`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        is_short = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not is_short:
            raise
        raise UserError("there is too little memory for this", "", advice) from error


def give_back_freed_memory() -> None:
    """Returns memory that is free now to the system, if that can be asked for.

    Use it after a trial that will not come again.
    """
    _of_glibc("malloc_trim", 0)
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def prepare_process() -> None:
    """Sets the switches of this process that make training and generating faster, as the command line does.

    Freed memory is kept, and products on CUDA may take TF32, as convolutions may by torch's default. A program that
    does other things too decides for itself whether it wants them.
    """
    keep_freed_memory()
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = True


def keep_freed_memory() -> bool:
    """Tells the C library to keep freed memory and not to return it; True if the library can.

    A step frees and takes gigabytes in pieces of many megabytes, and glibc asks the system for each of them again:
    first touches of fresh pages took a quarter of a step on a CPU. Only glibc (Linux) has the switches.
    """
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # from malloc.h
    switches = ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 64 << 20))
    return all(_of_glibc("mallopt", switch, value) for switch, value in switches)


def _of_glibc(function: str, *arguments: int) -> int:
    """Calls a function of the C library and returns its result; 0 if there is no such function."""
    try:
        return getattr(ctypes.CDLL(None), function)(*arguments)
    except (AttributeError, OSError, TypeError):  # this is another C library, or none that can be called
        return 0
