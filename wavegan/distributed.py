"""Several processes that train one model: who am I, how many are we, and what is mine of a batch."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def rank() -> int:
    """This process's number, 0 where there is only one."""
    return 0


def world() -> int:
    """How many processes train together."""
    return 1


def own_rows(draw: Callable[[int], "Tensor"], count: int) -> "Tensor":
    """This process's `count` rows of a draw for the whole batch.

    draw(rows) must use randomness that is the same in every process. So together the processes draw exactly what
    one process with the whole batch would.
    """
    return draw(count * world())[rank() * count : (rank() + 1) * count]
