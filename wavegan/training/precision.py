"""Chooses fp32 or bf16 arithmetic by measurement; the weights are always fp32."""

import copy
import time
from contextlib import AbstractContextManager

import torch

from wavegan.methods.base import Batch, Method

PRECISIONS = ("fp32", "bf16")
TRIAL_CLIPS = 4
REPETITIONS = 3


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Returns a context in which networks compute in this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def faster_precision(method: Method, batch: Batch) -> str:
    """Measures in which precision the method's first phase is faster on the device of these clips.

    Some CPUs multiply bf16 many times faster, others slower, and a CPU's name does not tell. A copy of the method runs,
    so its networks stay as they are.
    """
    method = copy.deepcopy(method)
    if batch.x.device.type == "cpu":  # on an accelerator, few clips would only measure the launches of kernels
        batch = batch.map(lambda rows: rows[:TRIAL_CLIPS])
    with torch.random.fork_rng([batch.x.device] if batch.x.device.type == "cuda" else []):
        return min(PRECISIONS, key=lambda precision: _seconds(method, batch, precision))


def _seconds(method: Method, batch: Batch, precision: str) -> float:
    times = []
    for _ in range(REPETITIONS + 1):  # the first one warms up and is the slowest
        start = time.perf_counter()
        with autocast(precision, batch.x.device):
            stats = method.phases[0].backward(batch)
        sum(stats.values()).item()  # type: ignore[union-attr]  # waits for the device
        times.append(time.perf_counter() - start)
    return min(times)
