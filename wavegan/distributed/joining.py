"""Makes the groups of torch.distributed in which the processes communicate, alone or beside a host program's."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from wavegan.distributed.environment import GROUP, TORCHRUN, Environment
from wavegan.distributed.peer_monitor import PeerMonitor, reason
from wavegan.distributed.shares import Share
from wavegan.errors import UserError

STEP_TIMEOUT = timedelta(minutes=15)  # for a process that hangs; one that dies is noticed at once
SETUP_TIMEOUT = timedelta(days=30)  # sound may have to be decoded before the first step
# A process may train several times in a row. torchrun's store stays, so each training needs keys of its own.
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


def join(environment: Environment, resume_hint: Callable[[], str]) -> Process:
    """Makes torch's default group from the processes of an environment.

    Raises UserError if they do not reach each other.
    """
    import torch
    from torch import distributed as dist
    from torch.distributed.rendezvous import rendezvous

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    address = f"{environment.address}:{environment.port}"
    url = "env://" if environment.origin == TORCHRUN else f"tcp://{address}"
    rank, world_size = environment.rank, environment.world_size
    try:
        whole_store = next(rendezvous(url, rank=rank, world_size=world_size, timeout=STEP_TIMEOUT))[0]
        store = dist.PrefixStore(f"training {next(_trainings)}", whole_store)  # pyright: ignore
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=STEP_TIMEOUT)
        setup_group = dist.new_group(backend="gloo", timeout=SETUP_TIMEOUT)
    except RuntimeError as error:
        raise UserError(
            f"process {environment.rank} cannot reach the others at {address} ({reason(error)})",
            "every machine must be able to reach every other",
            "see docs/processes.md",
        ) from error
    return Process(environment, None, setup_group, store, None, resume_hint)


def borrow(environment: Environment, resume_hint: Callable[[], str]) -> Process:
    """Makes two groups of our own for host memory, beside those of the host program."""
    from torch import distributed as dist

    host_group = dist.new_group(backend="gloo", timeout=STEP_TIMEOUT)
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
