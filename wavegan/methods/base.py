"""Defines what the training loop knows of a method: its networks, its phases and its state."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

Stats = dict[str, Tensor]


class Judged(NamedTuple):
    """Holds the results of a discriminator's update: statistics, and the scores (N,) from before it, as constants."""

    stats: Stats
    real: Tensor
    fake: Tensor


class Batch(NamedTuple):
    """Holds the N clips of an update.

    x: clips (N, C, T) in [-1, 1]. labels: (N, K), a row with a 1 at each clip's label, if the networks have labels.
    other: clips of a second source, like x, if the method translates between two sources.
    """

    x: Tensor
    labels: Tensor | None = None
    other: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Returns the batch with `change` applied to each of its tensors."""
        labels, other = (None if part is None else change(part) for part in self[1:])
        return Batch(change(self.x), labels, other)


@dataclass(frozen=True)
class Phase:
    """Describes one kind of update: which networks learn, how often per step, and how to compute their gradients.

    backward(batch) leaves gradients in `.grad` of the phase's networks and returns named scalar tensors, still on the
    device. Every call gets a new batch. With `keeps_batch`, which a phase with one update may set, it gets the batch of
    the update before; then `backward` may use tensors that the phase before has left. Random numbers come from torch's
    global generators; the loop seeds them for each call from `random_stream`, or from the phase's name if that is
    empty. after_update(stats), if there is one, is called after the optimisers' steps, with means over all processes.
    """

    name: str
    networks: tuple[str, ...]
    backward: Callable[[Batch], Stats]
    times: int = 1
    after_update: Callable[[Stats], None] | None = None
    random_stream: str = ""
    keeps_batch: bool = False


class Method(Protocol):
    """Describes a training method: networks by name, a step's phases in order, and the networks that are averaged.

    form: identifies what the next step computes, if not all steps compute the same; one recorded graph serves the steps
    of one form.
    """

    @property
    def networks(self) -> Mapping[str, nn.Module]: ...
    @property
    def phases(self) -> Sequence[Phase]: ...
    @property
    def averaged(self) -> Sequence[str]: ...
    @property
    def form(self) -> Hashable: ...

    def advance(self, step: int) -> None:
        """Sets what depends on the step, before its first phase."""

    def state(self) -> dict[str, Any]:
        """Returns all that a step depends on besides networks and optimisers, as tensors and plain values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores what `state` returned."""


def draws_per_step(phases: Iterable[Phase]) -> int:
    """Returns how many batches the phases of a step take."""
    return sum(phase.times for phase in phases if not phase.keeps_batch)
