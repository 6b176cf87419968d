"""What the training loop knows of a method: its networks, its phases and its memory."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

Stats = dict[str, Tensor]


class Judged(NamedTuple):
    """What an update of a discriminator leaves: its statistics, and its scores (N,) from before it, as constants."""

    stats: Stats
    real: Tensor
    fake: Tensor


class Batch(NamedTuple):
    """What an update sees of N clips.

    x: clips (N, C, T) in [-1, 1]. labels: (N, K), a row with a 1 for each clip's label, where the networks know
    labels. other: clips of a second source, as x, where sound is translated.
    """

    x: Tensor
    labels: Tensor | None = None
    other: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with each of its tensors changed."""
        labels, other = (None if part is None else change(part) for part in self[1:])
        return Batch(change(self.x), labels, other)


@dataclass(frozen=True)
class Phase:
    """One kind of update: which networks learn, how often per step, and how their gradients come about.

    backward(batch) leaves gradients in `.grad` of the phase's networks and returns named scalar tensors,
    still on the device. The batch is fresh for every call, or with `keeps_batch`, which is for a phase of one update,
    that of the update before: then `backward` may go on with tensors that the phase before has left. Randomness comes
    from torch's global generators, which the loop has set for this very call, from `random_stream` (the phase's name
    where it is empty).
    after_update(stats) follows the optimisers' steps, where something does; the statistics are means over all
    processes.
    """

    name: str
    networks: tuple[str, ...]
    backward: Callable[[Batch], Stats]
    times: int = 1
    after_update: Callable[[Stats], None] | None = None
    random_stream: str = ""
    keeps_batch: bool = False


class Method(Protocol):
    """Networks by name, the phases of a step in order, and the networks whose running average is kept.

    form: names what the step to come computes, where not all steps compute the same: one recorded graph serves steps
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

    def compile(self, backend: str) -> None:
        """From now on computes by torch.compile with this backend what gains by it."""

    def advance(self, step: int) -> None:
        """Sets what depends on the step, before it is taken."""

    def state(self) -> dict[str, Any]:
        """All that a step depends on beside networks and optimisers: tensors and plain values, for a checkpoint."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to what `state` gave."""


def draws_per_step(phases: Iterable[Phase]) -> int:
    """Returns how many batches the phases of a step take."""
    return sum(phase.times for phase in phases if not phase.keeps_batch)
