"""Averaging gradients over two processes by gloo: as `distributed.average_over_ranks` does after the backward pass; as
one flat message there; or as one for each parameter as soon as its gradient is there, while the pass goes on.

    OMP_NUM_THREADS=1 python benchmarks/averaging.py

prints the seconds of a discriminator update (d = 64, 16,384 samples) without averaging and with each, for the
first-order form, which has all gradients at the same moment, and for autograd's, where a message can overlap; and
the seconds of the averages alone. The ways take turns, so that what else the machine does meets all alike.
"""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed import TCPStore
from torch.multiprocessing.spawn import spawn

from wavegan import distributed
from wavegan.commands.memory import keep_freed_memory
from wavegan.distributed.environment import TORCHRUN_VARIABLES
from wavegan.methods import first_order
from wavegan.models.wavegan import Discriminator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import gradient_penalty

WORLD, CLIPS, REPEATS = 2, 4, 7
OBJECTIVE = OBJECTIVES["wasserstein"]


def by_first_order(network: nn.Module, real: Tensor, fake: Tensor) -> None:
    first_order.discriminator_backward(network.stages, real, fake, OBJECTIVE, gradient_penalty, 10.0)


def by_autograd(network: nn.Module, real: Tensor, fake: Tensor) -> None:
    loss = OBJECTIVE.discriminator(network(real), network(fake))
    (loss + 10 * gradient_penalty(network, real, fake)).backward()


def seconds(update: Callable[[], None]) -> float:
    """Of the slowest process."""
    dist.barrier()
    start = time.perf_counter()
    update()
    slowest = torch.tensor(time.perf_counter() - start)
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    return slowest.item()


def overlapped(network: nn.Module, backward: Callable[[], None]) -> Callable[[], None]:
    """An update that sends each gradient as soon as it is there."""

    def update() -> None:
        sent = []
        hooks = [
            one.register_post_accumulate_grad_hook(lambda p: sent.append(dist.all_reduce(p.grad, async_op=True)))
            for one in network.parameters()
        ]
        backward()
        for hook in hooks:
            hook.remove()
        finish(network, sent)

    return update


def both(first: Callable[[], None], second: Callable[[], None]) -> None:
    """One after the other."""
    first()
    second()


def each_alone(network: nn.Module) -> None:
    """The same messages without a backward pass."""
    finish(network, [dist.all_reduce(one, async_op=True) for one in gradients(network)])


def finish(network: nn.Module, sent: list) -> None:
    """Waits for the messages, and makes means of sums."""
    for work in sent:
        work.wait()
    torch._foreach_div_(gradients(network), WORLD)


def averaged(network: nn.Module) -> None:
    """As training does it."""
    distributed.average_over_ranks(gradients(network))


def flat(network: nn.Module) -> None:
    """All gradients as one message."""
    whole = torch.cat([one.flatten() for one in gradients(network)])
    dist.all_reduce(whole)
    parts = (whole / WORLD).split([one.numel() for one in gradients(network)])
    for one, mean in zip(gradients(network), parts, strict=True):
        one.copy_(mean.view_as(one))


def gradients(network: nn.Module) -> list[Tensor]:
    """In the order of the parameters."""
    return [one.grad for one in network.parameters() if one.grad is not None]


def measure(rank: int, port: int) -> None:
    """One process's part; the first prints."""
    words = (rank, rank, WORLD, WORLD, "127.0.0.1", port)
    os.environ.update(zip(TORCHRUN_VARIABLES, map(str, words), strict=True))
    os.environ.update({"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"})
    keep_freed_memory()  # as training does
    with distributed.processes(str):
        network = Discriminator(16384, dim=64)
        real, fake = torch.rand(2, CLIPS, 1, 16384)
        size = sum(one.numel() for one in network.parameters()) * 4 / 1e6
        if distributed.is_main():
            print(f"{size:.0f} MB of gradients, {CLIPS} clips in each of {WORLD} processes; median of {REPEATS}")
        ways: dict[str, Callable[[], None]] = {}
        for name, form in {"first-order": by_first_order, "autograd": by_autograd}.items():
            backward = partial(form, network, real, fake)
            ways[f"{name}, no averaging"] = backward
            ways[f"{name}, average"] = partial(both, backward, partial(averaged, network))
            ways[f"{name}, flat"] = partial(both, backward, partial(flat, network))
            ways[f"{name}, overlapped"] = overlapped(network, backward)
        ways["alone, average"] = partial(averaged, network)
        ways["alone, flat"] = partial(flat, network)
        ways["alone, one by one"] = partial(each_alone, network)
        times: dict[str, list[float]] = {way: [] for way in ways}
        for repeat in range(REPEATS + 1):
            for way, update in ways.items():
                if "alone" not in way:
                    network.zero_grad()
                taken = seconds(update)
                times[way] += [taken] * (repeat > 0)  # the first one warms up
        for way, found in times.items():
            if distributed.is_main():
                print(f"{way:<26} {statistics.median(found):.3f} s ({min(found):.3f} to {max(found):.3f})")


if __name__ == "__main__":
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    spawn(measure, (store.port,), nprocs=WORLD)
