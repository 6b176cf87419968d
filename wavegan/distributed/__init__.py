"""Several processes that train one model: who am I, what is mine of a batch, and what we have in common.

torchrun starts the processes and says in environment variables who each is. Within `processes` they know of each
other; elsewhere, and where there is only one, rank is 0, world is 1 and nothing here costs or changes anything.
"""

import io
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from wavegan.distributed.peer_monitor import PeerMonitor, reason
from wavegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

OF_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
LARGE = 1 << 16  # numbers: worth a message of its own
STEP = timedelta(minutes=15)  # to wait for a silent process at most; one that dies is noticed at once
PREPARATION = timedelta(days=30)  # sound may have to be decoded before the first step
FIRST_SPEAKER_SECONDS = 5


@dataclass(frozen=True)
class _Here:
    """What this process knows of itself and the others."""

    rank: int = 0
    world: int = 1
    lifeline: PeerMonitor | None = None
    patient: Any = None  # the group for what takes long


_here = _Here()


def rank() -> int:
    """This process's number, 0 where there is only one."""
    return _here.rank


def world() -> int:
    """How many processes train together."""
    return _here.world


def is_main() -> bool:
    """Whether this process is the one that writes and tells."""
    return _here.rank == 0


def own_part(count: int) -> slice:
    """Which of `count` rows of a whole batch are this process's; `count` is a multiple of `world()`."""
    share = count // world()
    return slice(rank() * share, (rank() + 1) * share)


def own_rows(draw: Callable[[int], "Tensor"], count: int) -> "Tensor":
    """This process's `count` rows of a draw for the whole batch.

    draw(rows) must use randomness that is the same in every process. So together the processes draw exactly what
    one process with the whole batch would.
    """
    rows = count * world()
    return draw(rows)[own_part(rows)]


def average(tensors: Sequence["Tensor"]) -> None:
    """Sets each tensor to its mean over the processes; all lie on one device, and are the same ones everywhere.

    Large ones are sent as they lie, all others as one message. benchmarks/averaging.py has the other ways: one flat
    message for all takes a third longer, by its copies; sending during the backward pass gains nothing in the
    first-order form, which has all gradients at the same moment.
    """
    if world() == 1:
        return
    import torch
    from torch import distributed as dist

    large = [one for one in tensors if one.numel() >= LARGE and one.is_contiguous()]
    small = [one for one in tensors if one.numel() < LARGE or not one.is_contiguous()]
    with torch.no_grad():
        common = [torch.cat([one.reshape(-1) for one in small])] if small else []
        with _losses_told():
            for sent in [dist.all_reduce(one, async_op=True) for one in [*large, *common]]:
                sent.wait()  # type: ignore[union-attr]
        for one in [*large, *common]:
            one /= world()
        means = [mean for flat in common for mean in flat.split([one.numel() for one in small])]
        for one, mean in zip(small, means, strict=True):
            one.copy_(mean.view_as(one))


def agree(number: int) -> int:
    """The largest of the numbers that the processes bring; it goes from host to host, past any accelerator."""
    if world() == 1:
        return number
    import torch
    from torch import distributed as dist

    largest = torch.tensor(number)
    with _losses_told():
        dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def share(value: Any = None) -> Any:
    """The main process's value, in every process: tensors and plain values, nested; the tensors on the CPU.

    The others bring none and wait for it as long as it takes.
    """
    if world() == 1:
        return value
    import torch
    from torch import distributed as dist

    packed = io.BytesIO()
    if is_main():
        torch.save(value, packed)
    size = torch.tensor(len(packed.getbuffer()))
    with _losses_told():
        dist.broadcast(size, 0, group=_here.patient)
        content = packed.getbuffer() if is_main() else bytearray(int(size))
        dist.broadcast(torch.frombuffer(content, dtype=torch.uint8), 0, group=_here.patient)
    if is_main():
        return value
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def own_device(choice: str) -> str:
    """The device that this process takes for cpu, cuda, cuda:N or mps; each of a machine has a GPU of its own.

    Raises UserError where that cannot be, and where torchrun has started a command that runs in one process.
    """
    if not _started_by_torchrun():
        return choice
    if world() == 1:
        count = os.environ["WORLD_SIZE"]
        raise UserError(f"torchrun started {count} processes; wavegan train alone uses several; leave torchrun out")
    here, own = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    if choice == "mps" or (choice.startswith("cuda:") and here > 1):
        raise UserError(
            f"the device is {choice} and torchrun started {here} processes on this machine; each needs a device of "
            "its own; take --device cuda, which gives them cuda:0, cuda:1, …, or --device cpu"
        )
    if choice != "cuda":
        return choice
    import torch

    if own >= (count := torch.cuda.device_count()):
        raise UserError(
            f"torchrun started {here} processes on a machine with {count} GPUs; each needs one of its own; start it "
            f"with --nproc-per-node={count}, or take --device cpu"
        )
    return f"cuda:{own}"


@contextmanager
def processes(way_on: Callable[[], str]) -> Iterator[None]:
    """While entered, the processes that torchrun has started work together, if it has started several.

    They leave together. Where one raises an error, the others end by SystemExit with its exit code and in silence,
    so that the reason is told once. Where one is killed, the main process raises ProcessLost, or another if it is
    the main process that was killed; way_on() ends its text and says how to go on.
    """
    global _here
    if not _started_by_torchrun():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    _here, lifeline = _join(way_on)
    try:
        lifeline.hold()
        yield
        lifeline.release()
    except BaseException as fault:
        lifeline.end(fault)
        raise
    signal.signal(signal.SIGTERM, before)
    _here = _Here()


def speaks() -> bool:
    """Whether this process is to tell of the error that ends it: one of those that torchrun started on a machine.

    Another one waits before it gets its answer, since torchrun stops all as soon as one has ended.
    """
    told_by_lifeline = _here.lifeline and _here.lifeline.ending.is_set()
    if not _started_by_torchrun() or told_by_lifeline or os.environ["LOCAL_RANK"] == "0":
        return True
    time.sleep(FIRST_SPEAKER_SECONDS)
    return False


def _started_by_torchrun() -> bool:
    return all(name in os.environ for name in OF_TORCHRUN) and int(os.environ["WORLD_SIZE"]) > 1


def _join(way_on: Callable[[], str]) -> tuple[_Here, PeerMonitor]:
    import torch
    from torch import distributed as dist
    from torch.distributed.rendezvous import rendezvous

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        store, own, count = next(rendezvous("env://", timeout=STEP))
        dist.init_process_group(backend, store=store, rank=own, world_size=count, timeout=STEP)
        patient = dist.new_group(backend="gloo", timeout=PREPARATION)
    except RuntimeError as fault:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise UserError(
            f"process {os.environ['RANK']} does not reach the others by way of {address} ({reason(fault)}); every "
            "machine must be able to reach every other; docs/processes.md says how"
        ) from fault
    lifeline = PeerMonitor(own, count, store, patient, way_on)
    return _Here(own, count, lifeline, patient), lifeline


@contextmanager
def _losses_told() -> Iterator[None]:
    """While entered, a message that does not get through is a ProcessLost."""
    assert _here.lifeline is not None, "there is one where there are several processes"
    try:
        yield
    except RuntimeError as fault:
        raise _here.lifeline.loss(fault) from fault
