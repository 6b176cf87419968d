"""Makes the groups of torch.distributed in which the processes communicate, alone or beside a host program's."""

import itertools
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from wavegan.distributed.environment import GROUP, TORCHRUN, Environment
from wavegan.distributed.peer_monitor import PeerMonitor, reason
from wavegan.distributed.shares import Share
from wavegan.errors import UserError

JOIN_TIMEOUT = timedelta(minutes=15)
STEP_SECONDS = 900  # for a process that hangs, if the environment does not say it; one that dies is noticed at once
STEP_VARIABLE = "WAVEGAN_STEP_TIMEOUT"
SETUP_TIMEOUT = timedelta(days=30)  # sound may have to be decoded before the first step
ASKING_SECONDS = 0.02
# A process may train several times in a row. The store stays, so each training needs keys of its own.
_trainings = itertools.count()


@dataclass(frozen=True)
class Process:
    """Holds this process's environment and its means to communicate with the others.

    host_group: sends tensors in host memory within a step; None means torch's default group. setup_group: waits as long
    as preparations take. store: torch's key-value store that all processes of `join` share. monitor: watches the other
    processes, if supervised. resume_hint: says how to go on after a loss. share: its rows of every batch, once decided.
    """

    environment: Environment = field(default_factory=Environment)
    host_group: Any = None
    setup_group: Any = None
    store: Any = None
    monitor: PeerMonitor | None = None
    resume_hint: Callable[[], str] = str
    share: Share | None = None


def step_timeout() -> timedelta:
    """Returns after which time a process that does not answer within a step counts as lost.

    Raises UserError if the environment variable for it is no positive number of seconds.
    """
    text = os.environ.get(STEP_VARIABLE) or str(STEP_SECONDS)
    if not text.isdecimal() or not int(text):
        raise UserError(
            f"{STEP_VARIABLE} is {text!r}", "it must be a whole number of seconds", "try 900, or leave it out"
        )
    return timedelta(seconds=int(text))


def join(environment: Environment, resume_hint: Callable[[], str]) -> Process:
    """Makes torch's default group from the processes of an environment.

    Raises UserError if they do not reach each other.
    """
    import torch
    from torch import distributed as dist

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    rank, world_size, timeout = environment.rank, environment.world_size, step_timeout()
    try:
        store = dist.PrefixStore(f"training {next(_trainings)}", _common_store(environment))  # pyright: ignore
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=timeout)
        setup_group = dist.new_group(backend="gloo", timeout=SETUP_TIMEOUT)
    except RuntimeError as error:
        raise UserError(
            f"process {environment.rank} cannot reach the others at {environment.address}:{environment.port} "
            f"({reason(error)})",
            "every machine must be able to reach every other",
            "see docs/processes.md",
        ) from error
    return Process(environment, None, setup_group, store, None, resume_hint)


@cache
def _common_store(environment: Environment) -> Any:
    """Returns torch's key-value store that the processes share; a process opens it once and keeps it to its end.

    So a process that trains again never meets the store of the training before while its host closes it.
    """
    from torch.distributed import PrefixStore  # pyright: ignore
    from torch.distributed.rendezvous import rendezvous

    rank, world_size = environment.rank, environment.world_size
    url = "env://" if environment.origin == TORCHRUN else f"tcp://{environment.address}:{environment.port}"
    store = next(rendezvous(url, rank=rank, world_size=world_size, timeout=JOIN_TIMEOUT))[0]
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return PrefixStore(_agreed_name(store, rank, world_size), store)
    return store


def _agreed_name(store: Any, rank: int, world_size: int) -> str:
    """Agrees with the processes that torchrun has started together on a name that no others have had.

    torchrun's store stays when it restarts them, with all that earlier ones have written, such as addresses that are
    dead; its count of restarts may differ from machine to machine. So each process asks under a name of its own, and
    the main one answers under that until all have heard it.
    """
    own = uuid.uuid4().hex
    if rank:
        store.set(f"asks {rank}", own)
        name = store.get(f"answer to {own}").decode()  # waits for it
        store.add(f"heard {name}", 1)
        return name
    end = time.monotonic() + JOIN_TIMEOUT.total_seconds()
    while store.add(f"heard {own}", 0) < world_size - 1:
        if time.monotonic() > end:
            raise RuntimeError(f"not all of {world_size} processes have come")
        for peer in range(1, world_size):
            if store.check([f"asks {peer}"]):
                store.set(f"answer to {store.get(f'asks {peer}').decode()}", own)
        time.sleep(ASKING_SECONDS)
    return own


def borrow(environment: Environment, resume_hint: Callable[[], str]) -> Process:
    """Makes two groups of our own for host memory, beside those of the host program."""
    from torch import distributed as dist

    host_group = dist.new_group(backend="gloo", timeout=step_timeout())
    setup_group = dist.new_group(backend="gloo", timeout=SETUP_TIMEOUT)
    return Process(environment, host_group, setup_group, None, None, resume_hint)


def wait_for_all(here: Process) -> None:
    """Waits until every process has called this."""
    from torch import distributed as dist

    dist.barrier(group=here.setup_group)


def leave(here: Process) -> None:
    """Ends only the groups that `join` or `borrow` has made; a peer that waits in one gets an error."""
    from torch import distributed as dist

    is_borrowed = here.environment.origin == GROUP
    for group in [here.host_group, here.setup_group] if is_borrowed else [None]:
        dist.destroy_process_group(group)
