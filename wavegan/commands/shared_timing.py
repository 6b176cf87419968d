"""Times the step that several processes take together: each its share, and the slowest of them counts."""

from typing import Any

from wavegan import distributed
from wavegan.bench.measure import Machine
from wavegan.commands.step_timing import StepTiming
from wavegan.recipe import Recipe

NANOSECONDS = 10**9


class SharedTiming:
    """Times a recipe's step in this process, beside the others; it is called as a `WorkerProcess` is.

    Times are those of the slowest process, so all processes repeat the same number of steps. Parts of a step are those
    of this process; `averaging` holds the time in which it waits for the others too.
    """

    def __init__(self, recipe: Recipe, device: str, threads: int, has_corpus: bool):
        self.timing = StepTiming(recipe, device, threads, has_corpus)

    def call(self, method: str, *args: Any) -> Any:
        """Calls a method of the StepTiming and returns its result, of the slowest process where that is a number."""
        value = getattr(self.timing, method)(*args)
        match value:
            case int():
                return distributed.max_over_ranks(value)
            case float():  # seconds
                return distributed.max_over_ranks(round(value * NANOSECONDS)) / NANOSECONDS
        return value


def together(machine: Machine) -> Machine:
    """Returns the rates of all processes' devices together, from those of this process's own.

    Shares are alike, so the slowest device bounds all. Every process moves the memory of whole optimisers.
    """
    matrix_rate, memory_rate = (-distributed.max_over_ranks(-round(rate)) for rate in machine)
    return Machine(distributed.world_size() * matrix_rate, memory_rate)
