"""Runs the phases of one step on trial: how long they take, and the gradients that they leave."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from wavegan.methods.base import Batch, Method, Phase, Stats
from wavegan.seeding import seed_torch

Backward = Callable[[Batch], Stats]


def run_trial(
    method: Method, batch: Batch, backwards: Mapping[str, Backward] | None = None, *, seed: int, repetitions: int
) -> tuple[float, dict[str, Tensor]]:
    """Returns the seconds of one step's phases, and the gradients of each network as one row, by its name.

    The phases run `repetitions` times after a first time that compiles and warms up; the last time, whose gradients
    these are, always draws the same random numbers. backwards: functions in place of a phase's own, by its name.
    """
    backwards = backwards or {}
    seconds, gradients = 0.0, {}
    device = batch.x.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for phases in groups(method):
            times: dict[str, list[float]] = {phase.name: [] for phase in phases}
            for draw in reversed(range(repetitions + 1)):  # other draws show a replay that repeats old random numbers
                for phase in phases:
                    for parameter in learning(method, phase):
                        parameter.grad = None
                    seed_torch(seed, draw, "trial")
                    start = time.perf_counter()
                    stats = backwards.get(phase.name, phase.backward)(batch)
                    sum(stats.values()).item()  # type: ignore[union-attr]  # waits for the device
                    times[phase.name].append(time.perf_counter() - start)
            for phase in phases:
                seconds += phase.times * min(times[phase.name])
                for name in phase.networks:
                    weights = method.networks[name].parameters()
                    rows = [weight.grad.flatten().float() for weight in weights if weight.grad is not None]
                    gradients[name] = torch.cat(rows)
    return seconds, gradients


@contextmanager
def unchanged(method: Method, device: torch.device) -> Iterator[None]:
    """Undoes at its end what updates have changed: buffers, such as those of a batch norm, state, random generators.

    No gradient stays.
    """
    networks = method.networks.values()
    buffers = [buffer for network in networks for buffer in network.buffers()]
    before, state = [buffer.clone() for buffer in buffers], copy.deepcopy(method.state())
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        method.restore(state)
        for network in networks:
            network.zero_grad()


def groups(method: Method) -> list[list[Phase]]:
    """Groups the phases: a phase that keeps the batch joins the group of the phase before it."""
    grouped: list[list[Phase]] = []
    for phase in method.phases:
        grouped[-1:] = [[*grouped[-1], phase]] if phase.keeps_batch else [*grouped[-1:], [phase]]
    return grouped


def learning(method: Method, phase: Phase) -> list[Tensor]:
    """Returns the parameters that a phase trains; all others are set to need no gradient."""
    for name, network in method.networks.items():
        network.requires_grad_(name in phase.networks)
    return [parameter for name in phase.networks for parameter in method.networks[name].parameters()]
