"""Several processes that train one model: which rank is this, which rows of a batch are its own, what do all share.

`find_environment` says who this process is. Within `processes` the ranks know each other; elsewhere, and where there
is only one, the rank is 0, the world size is 1 and nothing here costs or changes anything.
"""

import io
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wavegan.distributed.environment import GROUP, TORCHRUN, find_environment
from wavegan.distributed.joining import Process, borrow, join, leave, wait_for_all
from wavegan.distributed.peer_monitor import PeerMonitor, ProcessLost, reason
from wavegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

LARGE = 1 << 16  # numbers: worth a message of its own
FIRST_REPORT_SECONDS = 5

_process = Process()


def rank() -> int:
    """Returns this process's number, 0 where there is only one."""
    return _process.environment.rank


def world_size() -> int:
    """Returns how many processes train together."""
    return _process.environment.world_size


def is_main() -> bool:
    """Returns whether this process is the one that writes and reports."""
    return _process.environment.is_main


def rank_slice(count: int) -> slice:
    """Returns which of `count` rows of a whole batch are this process's; `count` is a multiple of `world_size()`."""
    share = count // world_size()
    return slice(rank() * share, (rank() + 1) * share)


def rank_rows(draw: Callable[[int], "Tensor"], count: int) -> "Tensor":
    """Returns this process's `count` rows of a draw for the whole batch.

    draw(rows) must use randomness that is the same in every process. So together the processes draw exactly what
    one process with the whole batch would.
    """
    rows = count * world_size()
    return draw(rows)[rank_slice(rows)]


def average_over_ranks(tensors: Sequence["Tensor"]) -> None:
    """Sets each tensor to its mean over the processes; all lie on one device, and are the same ones everywhere.

    Large ones are sent as they lie, all others as one message. benchmarks/averaging.py has the other ways: one flat
    message for all takes a third longer, by its copies; sending during the backward pass gains nothing in the
    first-order form, which has all gradients at the same moment.
    """
    if world_size() == 1:
        return
    import torch
    from torch import distributed as dist

    large = [one for one in tensors if one.numel() >= LARGE and one.is_contiguous()]
    small = [one for one in tensors if one.numel() < LARGE or not one.is_contiguous()]
    with torch.no_grad():
        common = [torch.cat([one.reshape(-1) for one in small])] if small else []
        group = _process.host_group if tensors and tensors[0].device.type == "cpu" else None
        with _as_process_lost():
            for sent in [dist.all_reduce(one, group=group, async_op=True) for one in [*large, *common]]:
                sent.wait()  # type: ignore[union-attr]
        for one in [*large, *common]:
            one /= world_size()
        means = [mean for flat in common for mean in flat.split([one.numel() for one in small])]
        for one, mean in zip(small, means, strict=True):
            one.copy_(mean.view_as(one))


def max_over_ranks(number: int) -> int:
    """Returns the largest of the numbers that the processes bring; it goes from host to host, past any accelerator."""
    if world_size() == 1:
        return number
    import torch
    from torch import distributed as dist

    largest = torch.tensor(number)
    with _as_process_lost():
        dist.all_reduce(largest, dist.ReduceOp.MAX, group=_process.host_group)
    return int(largest)


def broadcast(value: Any = None) -> Any:
    """Returns the main process's value, in every process: tensors and plain values, nested; the tensors on the CPU.

    The others bring none and wait for it as long as it takes.
    """
    if world_size() == 1:
        return value
    import torch
    from torch import distributed as dist

    packed = io.BytesIO()
    if is_main():
        torch.save(value, packed)
    size = torch.tensor(len(packed.getbuffer()))
    with _as_process_lost():
        dist.broadcast(size, 0, group=_process.setup_group)
        content = packed.getbuffer() if is_main() else bytearray(int(size))
        dist.broadcast(torch.frombuffer(content, dtype=torch.uint8), 0, group=_process.setup_group)
    if is_main():
        return value
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def rank_device(choice: str) -> str:
    """Returns the device that this process takes for cpu, cuda, cuda:N or mps; each rank has a GPU of its own.

    Raises UserError where that cannot be, and where a launcher has started several of a command that runs in one
    process.
    """
    environment = _process.environment if world_size() > 1 else find_environment()
    origin, here = environment.origin, environment.local_world_size
    if environment.world_size == 1 or (world_size() == 1 and origin == GROUP):
        return choice
    if world_size() == 1:
        raise UserError(
            f"{origin} started {environment.world_size} processes",
            "wavegan train alone uses several",
            f"leave {origin} out",
        )
    if choice == "mps" or (choice.startswith("cuda:") and here > 1):
        raise UserError(
            f"the device is {choice} and {origin} started {here} processes on this machine",
            "each needs a device of its own",
            "take `device=cuda`, which gives them cuda:0, cuda:1, …, or `device=cpu`",
        )
    if choice != "cuda":
        return choice
    import torch

    if environment.local_rank >= (count := torch.cuda.device_count()):
        fewer = f"--nproc-per-node={count}" if origin == TORCHRUN else f"{count} processes on each machine"
        raise UserError(
            f"{origin} started {here} processes on a machine with {count} GPUs",
            "each needs one of its own",
            f"start it with {fewer}, or take `device=cpu`",
        )
    return f"cuda:{environment.local_rank}"


@contextmanager
def processes(resume_hint: Callable[[], str], *, supervised: bool = False) -> Iterator[None]:
    """While entered, the processes of this environment work together, if there are several.

    They leave together. resume_hint() gives the last part of a ProcessLost, how to go on. A group that existed before
    is borrowed: it is there afterwards as it was. supervised, in a program that is wavegan's alone: where one process
    raises an error, the others end by SystemExit with its exit code and in silence, so that the reason is reported
    once; where one is killed, the main process raises ProcessLost, or another if it is the main process that was
    killed. Else each process raises what it meets, a ProcessLost where another has gone.
    """
    global _process
    environment = find_environment()
    if environment.world_size == 1:
        yield
        return
    is_borrowed = environment.origin == GROUP
    _process = (borrow if is_borrowed else join)(environment, resume_hint)
    with _supervised() if supervised and not is_borrowed else _unsupervised():
        yield
    _process = Process()


def reports_errors() -> bool:
    """Returns whether this process reports the error that ends it: of those that a launcher started on a machine, one.

    Another one waits before it gets its answer, since a launcher stops all as soon as one has ended.
    """
    monitor = _process.monitor
    try:
        environment = find_environment()
    except UserError:
        return True
    is_reporter = environment.origin in ("", GROUP) or environment.local_rank == 0
    if is_reporter or (monitor and monitor.ending.is_set()):
        return True
    time.sleep(FIRST_REPORT_SECONDS)
    return False


@contextmanager
def _supervised() -> Iterator[None]:
    """While entered, a PeerMonitor watches the other processes; an error is one that ends this process."""
    global _process
    here, before = _process, signal.getsignal(signal.SIGTERM)
    monitor = PeerMonitor(rank(), world_size(), here.store, here.setup_group, here.resume_hint)
    _process = replace(here, monitor=monitor)
    try:
        monitor.hold()
        yield
        monitor.release()
    except BaseException as error:
        monitor.end(error)
        raise
    signal.signal(signal.SIGTERM, before)


@contextmanager
def _unsupervised() -> Iterator[None]:
    """While entered, whoever leaves by an error ends its groups, so that the others meet an error too."""
    global _process
    try:
        yield
        with _as_process_lost():
            wait_for_all(_process)
    finally:
        here, _process = _process, Process()
        leave(here)


@contextmanager
def _as_process_lost() -> Iterator[None]:
    """While entered, a message that does not get through is a ProcessLost."""
    try:
        yield
    except RuntimeError as error:
        if _process.monitor:
            raise _process.monitor.loss(error) from error
        others = f"another of the {world_size()} processes"
        raise ProcessLost(
            f"{others} has died or cannot be reached ({reason(error)})", "", _process.resume_hint()
        ) from error
