"""Connects several processes that train one model: gives each its rank and its rows of a batch, and combines results.

Within `processes` the ranks can communicate. Elsewhere, or alone, a process is rank 0 of 1, and nothing changes here.
"""

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wavegan.distributed.environment import GROUP, TORCHRUN, Environment, find_environment
from wavegan.distributed.joining import Process, borrow, join, leave, wait_for_all
from wavegan.distributed.peer_monitor import PeerMonitor, ProcessLost, reason
from wavegan.distributed.shares import share_of
from wavegan.distributed.starting import end_waiting, launcher_watched, may_report, signals_end_waiting
from wavegan.errors import Interrupted, UserError

if TYPE_CHECKING:
    from torch import Tensor

LARGE = 1 << 16  # numbers; a tensor of this size gets a message of its own
FIRST_REPORT_SECONDS = 5

_process = Process()
_reports = False  # whether this process was chosen to report an error before there was a monitor


def rank() -> int:
    """Returns this process's number, 0 if there is only one."""
    return _process.environment.rank


def world_size() -> int:
    """Returns how many processes train together."""
    return _process.environment.world_size


def is_main() -> bool:
    """Returns whether this process is the one that writes and reports."""
    return _process.environment.is_main


def environment() -> Environment:
    """Returns where this process stands among those that train together."""
    return _process.environment


def share_batch(rows: int, together: int = 1) -> None:
    """Decides which rows of every whole batch this process takes, see `share_of`, which may raise UserError."""
    global _process
    _process = replace(_process, share=share_of(rank(), world_size(), rows, together))


def rank_slice(rows: int) -> slice:
    """Returns the slice of this process in a whole batch of `rows` rows."""
    if world_size() == 1:
        return slice(0, rows)
    assert _process.share and _process.share.rows == rows, "share_batch was told of this batch"
    return _process.share.own


def whole_rows(count: int) -> int:
    """Returns how many rows all processes together have where this one has `count`."""
    return _process.share.whole(count) if _process.share else count


def rank_rows(draw: Callable[[int], "Tensor"], count: int) -> "Tensor":
    """Returns this process's `count` rows of a draw for the whole batch.

    draw(rows) must use randomness that is the same in every process. So together the processes draw exactly what
    one process with the whole batch would, also for the rows of several batches, one behind the other.
    """
    drawn, share = draw(whole_rows(count)), _process.share
    return share.part(drawn) if share and len(drawn) > count else drawn


def average_over_ranks(tensors: Sequence["Tensor"]) -> None:
    """Sets each tensor to its mean over the processes, each weighted by its rows of the batch.

    So means over a process's rows become means over the whole batch, and so do their gradients. All tensors of a
    process are on one device, and all processes bring the same ones. Large contiguous tensors are sent without a copy,
    all others in one message: one message for all takes a third longer (benchmarks/averaging.py).
    """
    if world_size() == 1:
        return
    import torch
    from torch import distributed as dist

    large = [tensor for tensor in tensors if tensor.numel() >= LARGE and tensor.is_contiguous()]
    small = [tensor for tensor in tensors if tensor.numel() < LARGE or not tensor.is_contiguous()]
    with torch.no_grad():
        common = [torch.cat([tensor.reshape(-1) for tensor in small])] if small else []
        group = _process.host_group if tensors and tensors[0].device.type == "cpu" else None
        share = _process.share
        weight = share.own_rows / share.rows if share else 1 / world_size()
        for message in [*large, *common]:
            message *= weight
        with _as_process_lost():
            for sent in [dist.all_reduce(message, group=group, async_op=True) for message in [*large, *common]]:
                sent.wait()  # type: ignore[union-attr]
        means = [mean for flat in common for mean in flat.split([tensor.numel() for tensor in small])]
        for tensor, mean in zip(small, means, strict=True):
            tensor.copy_(mean.view_as(tensor))


def max_over_ranks(value: int, *, is_patient: bool = False) -> int:
    """Returns the largest of the processes' values, from host to host; is_patient: it waits as long as it takes."""
    if world_size() == 1:
        return value
    import torch
    from torch import distributed as dist

    largest = torch.tensor(value)
    with _as_process_lost():
        dist.all_reduce(largest, dist.ReduceOp.MAX, group=_process.setup_group if is_patient else _process.host_group)
    return int(largest)


def broadcast(value: Any = None) -> Any:
    """Returns the main process's value in every process.

    value: nested tensors and plain values, read in the main process only. Other processes wait for it as long as it
    takes, and get its tensors on the CPU.
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
    """Returns the device that this process uses for the choice cpu, cuda, cuda:N or mps; each rank has its own GPU.

    Raises UserError if there is no device for each rank, or if a launcher has started several processes of a command
    that uses only one.
    """
    environment = _process.environment if world_size() > 1 else find_environment()
    origin, here = environment.origin, environment.local_world_size
    if environment.world_size == 1 or (world_size() == 1 and origin == GROUP):
        return choice
    if world_size() == 1:
        raise UserError(
            f"{origin} started {environment.world_size} processes",
            "only wavegan train and wavegan bench use several",
            f"run this command without {origin}",
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
    """Lets the processes of this environment work together while it is entered, if there are several.

    They leave together. resume_hint() gives the last part of a ProcessLost, how to go on. If a group existed before, it
    is used, and exists unchanged afterwards. supervised: for a program that runs only wavegan. If a process then raises
    an error, the others end silently by SystemExit with its exit code, so that the reason is reported once. If one is
    killed, the main process raises ProcessLost, or another one if it was the main process. Without supervision each
    process raises its own error, a ProcessLost if another process has gone.
    """
    global _process
    environment = find_environment()
    is_borrowed = environment.origin == GROUP
    is_supervised = supervised and not is_borrowed
    with launcher_watched() if is_supervised else nullcontext():
        if environment.world_size == 1:
            yield
            return
        with _told_once(environment) if is_supervised else nullcontext():
            _process = (borrow if is_borrowed else join)(environment, resume_hint)
        with _supervised() if is_supervised else _unsupervised():
            yield
        _process = Process()


def reports_errors() -> bool:
    """Returns whether this process reports the error that ends it; of a launcher's processes on a machine, one does.

    For any other this waits some seconds before it returns False, since a launcher stops all as soon as one has ended.
    """
    monitor = _process.monitor
    try:
        environment = find_environment()
    except UserError:
        return True
    is_reporter = environment.origin in ("", GROUP) or environment.local_rank == 0
    if is_reporter or _reports or (monitor and monitor.ending.is_set()):
        return True
    time.sleep(FIRST_REPORT_SECONDS)
    return False


@contextmanager
def _told_once(environment: Environment) -> Iterator[None]:
    """Ends this process if the others do not start; of those that see it, one reports."""
    global _reports
    with signals_end_waiting(environment):
        try:
            yield
        except UserError:
            _reports = may_report(environment)
            if not _reports:
                raise SystemExit(2) from None
            raise
        except Interrupted as error:
            end_waiting(environment, error.signal)


@contextmanager
def _supervised() -> Iterator[None]:
    """Watches the other processes with a PeerMonitor while it is entered; an error ends this process."""
    global _process
    here = _process
    monitor = PeerMonitor(rank(), world_size(), here.store, here.setup_group, here.resume_hint)
    _process = replace(here, monitor=monitor)
    try:
        monitor.hold()
        yield
        monitor.release()
    except BaseException as error:
        monitor.end(error)
        raise


@contextmanager
def _unsupervised() -> Iterator[None]:
    """Closes the groups of this process at the end, so that an error here becomes an error in the other processes."""
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
    """Raises ProcessLost in place of torch's error if a message does not get through."""
    try:
        yield
    except RuntimeError as error:
        if _process.monitor:
            raise _process.monitor.loss(error) from error
        who = f"another of the {world_size()} processes"
        raise ProcessLost(
            f"{who} has died or cannot be reached ({reason(error)})", "", _process.resume_hint()
        ) from error
