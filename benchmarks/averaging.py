"""Compares three ways to average gradients over two processes by gloo.

Gradients are averaged by `distributed.average_over_ranks` after the backward pass, or by one flat message after it, or
by one message for each parameter while the pass still runs.

    OMP_NUM_THREADS=1 python benchmarks/averaging.py

prints the seconds of a discriminator update (d = 64, 16,384 samples) without averaging and with each way. It measures
the first-order form, which has all gradients at the same moment, and autograd's, where a message can overlap the pass.
It also prints the seconds of the averages alone. The ways take turns, so that other work on the machine affects all
alike.
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
    """Returns the seconds of the slowest process for an update."""
    dist.barrier()
    start = time.perf_counter()
    update()
    slowest = torch.tensor(time.perf_counter() - start)
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    return slowest.item()


def overlapped(network: nn.Module, backward: Callable[[], None]) -> Callable[[], None]:
    """Makes an update that sends each gradient as soon as it is computed."""

    def update() -> None:
        messages = []
        hooks = [
            parameter.register_post_accumulate_grad_hook(
                lambda p: messages.append(dist.all_reduce(p.grad, async_op=True))
            )
            for parameter in network.parameters()
        ]
        backward()
        for hook in hooks:
            hook.remove()
        finish(network, messages)

    return update


def both(first: Callable[[], None], second: Callable[[], None]) -> None:
    """Calls two functions, one after the other."""
    first()
    second()


def each_alone(network: nn.Module) -> None:
    """Sends one message for each gradient, without a backward pass."""
    finish(network, [dist.all_reduce(gradient, async_op=True) for gradient in gradients(network)])


def finish(network: nn.Module, messages: list) -> None:
    """Waits for the messages and divides the sums of gradients by the number of processes."""
    for message in messages:
        message.wait()
    torch._foreach_div_(gradients(network), WORLD)


def averaged(network: nn.Module) -> None:
    """Averages the gradients as training does."""
    distributed.average_over_ranks(gradients(network))


def flat(network: nn.Module) -> None:
    """Sends all gradients as one message and writes their means back."""
    whole = torch.cat([gradient.flatten() for gradient in gradients(network)])
    dist.all_reduce(whole)
    parts = (whole / WORLD).split([gradient.numel() for gradient in gradients(network)])
    for gradient, mean in zip(gradients(network), parts, strict=True):
        gradient.copy_(mean.view_as(gradient))


def gradients(network: nn.Module) -> list[Tensor]:
    """Returns the gradients in the order of the parameters."""
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def measure(rank: int, port: int) -> None:
    """Measures all ways in one process; the first process prints."""
    words = (rank, rank, WORLD, WORLD, "127.0.0.1", port)
    os.environ.update(zip(TORCHRUN_VARIABLES, map(str, words), strict=True))
    os.environ.update({"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"})
    keep_freed_memory()  # as training does
    with distributed.processes(str):
        network = Discriminator(16384, dim=64)
        real, fake = torch.rand(2, CLIPS, 1, 16384)
        size = sum(parameter.numel() for parameter in network.parameters()) * 4 / 1e6
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
                duration = seconds(update)
                times[way] += [duration] * (repeat > 0)  # the first round warms up
        for way, durations in times.items():
            if distributed.is_main():
                print(f"{way:<26} {statistics.median(durations):.3f} s ({min(durations):.3f} to {max(durations):.3f})")


if __name__ == "__main__":
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    spawn(measure, (store.port,), nprocs=WORLD)
