"""Chooses the number of a CPU's threads by a trial at the start of a run, and takes the same again when it goes on."""

import copy
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from wavegan import distributed
from wavegan.methods.base import Batch
from wavegan.training.loop import Training
from wavegan.training.precision import TRIAL_CLIPS, autocast
from wavegan.training.trial import run_trial

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
ROUNDS = 3
BLOCK_SECONDS = 0.3  # of steps with one number of threads, before the next takes its turn
LONG_STEP_SECONDS = 1.0  # a longer step is tried with fewer clips, and not again if it is far behind
HOPELESS = 1.3  # times the best so far; fewer threads than this one are not tried
FAR = 3.0  # times the best so far
LEAST_GAIN = 1.05  # by which fewer threads must be faster than all


def settle_threads(training: Training, batch: Batch, choice: int | str) -> str:
    """Sets torch's number of threads for a training on one CPU; returns a line that says why, empty without a choice.

    choice: the number, or "auto". Then the number of OMP_NUM_THREADS stays; else a run that goes on takes the number it
    began with, since another one rounds otherwise; else a trial decides, among torch's present number and its halves.
    Several processes keep what their launcher has given them.
    """
    if training.device.type != "cpu" or distributed.world_size() > 1:
        return ""
    before, most = training.threads, torch.get_num_threads()
    training.threads, line = _chosen(training, batch, choice, most)
    torch.set_num_threads(training.threads)
    if before not in (None, training.threads):
        line = f"training.threads: {training.threads}, and the run began with {before}; they agree to rounding only"
    return line


def _chosen(training: Training, batch: Batch, choice: int | str, most: int) -> tuple[int, str]:
    """Returns the number of threads, and a line that says why."""
    if isinstance(choice, int):
        return choice, ""
    if most == 1 or any(os.environ.get(name) for name in VARIABLES):
        return most, ""
    if training.threads and training.threads <= most:
        return training.threads, f"training.threads auto: {training.threads}, as this run began"
    seconds = tried(_step(training, batch), most)
    best = min(seconds, key=lambda count: (seconds[count], count))
    number = best if seconds[best] * LEAST_GAIN < seconds[most] else most
    timings = ", ".join(f"{count}: {taken * 1e3:,.0f} ms" for count, taken in seconds.items())
    return number, f"training.threads auto: {number} of {most} (a step with {timings})"


def tried(step: Callable[[], object], most: int, clock: Callable[[], float] = time.perf_counter) -> dict[int, float]:
    """Returns the mean seconds of a step by the number of threads: `most`, a half of it, and so on.

    They take turns, so that another program on this machine disturbs all alike. The mean counts, not the best step: the
    program will disturb the training, too. Smaller numbers are left out once they are hopeless. A number whose first
    steps take seconds, as of threads that wait for a core which another program holds, is not tried again.
    """
    spent: dict[int, list[float]] = {}
    counts = [most >> shift for shift in range(most.bit_length())]
    for _ in range(ROUNDS):
        for count in counts:
            torch.set_num_threads(count)
            step()  # the first with a number of threads starts them
            steps, start = 0, clock()
            while (taken := clock() - start) < BLOCK_SECONDS or not steps:
                step()
                steps += 1
            spent.setdefault(count, []).append(taken / steps)
            if count not in (most, counts[-1]) and spent[count][0] > HOPELESS * min(all_[0] for all_ in spent.values()):
                counts = [each for each in counts if each >= count]
                break
        best = min(all_[0] for all_ in spent.values())
        counts = [count for count in counts if spent[count][0] <= max(LONG_STEP_SECONDS, FAR * best)]
    torch.set_num_threads(most)
    return {count: sum(figures) / len(figures) for count, figures in spent.items()}


@contextmanager
def threads_kept() -> Iterator[None]:
    """Gives torch its present number of threads back when it is left."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _step(training: Training, batch: Batch) -> Callable[[], object]:
    """Returns a function that runs a copy's phases once, on fewer clips if all take long."""
    copied = copy.deepcopy(training.method)

    def step(clips: Batch) -> Mapping[str, object]:
        with autocast(training.precision, training.device):
            return run_trial(copied, clips, seed=training.seed, repetitions=0)[1]

    start = time.perf_counter()
    step(batch)
    share = min(1.0, LONG_STEP_SECONDS / (time.perf_counter() - start))
    groups = max(1, int(share * len(batch.x)) // TRIAL_CLIPS)  # groups of clips that are compared stay whole
    few = batch if share == 1 else batch.map(lambda values: values[: groups * TRIAL_CLIPS])
    return lambda: step(few)
