"""Chooses the device to work on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from wavegan import distributed
from wavegan.errors import UserError
from wavegan.training.threads import threads_kept

DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")


def device(choice: str | torch.device) -> torch.device:
    """Returns the device of a choice: auto, cpu, cuda, cuda:N or mps; auto takes the fastest there is.

    Raises UserError for a device that is unknown or cannot be used. Each process of a machine has a GPU of its own.
    """
    choice = str(choice)
    if not DEVICES.fullmatch(choice):
        raise UserError(f"the device is {choice!r}", "it must be auto, cpu, cuda, cuda:N or mps", "try `device=auto`")
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    choice = distributed.rank_device(choice)
    try:
        chosen = torch.empty(1, device=choice).device  # its index is set, which torch needs in some places
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise UserError(
            f"the device is {choice}, which cannot be used here ({reason})", "", "`device=auto` takes one that can"
        ) from error
    return chosen


@contextmanager
def current(on: torch.device) -> Iterator[None]:
    """Makes a device torch's current one, where streams and graphs are made; later torch is as it was before.

    It also gives back the number of threads, which a training may change.
    """
    with threads_kept(), torch.cuda.device(on) if on.type == "cuda" else nullcontext():
        yield
