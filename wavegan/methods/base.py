"""What the training loop knows of a method: its networks and its phases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

Stats = dict[str, Tensor]


@dataclass(frozen=True)
class Phase:
    """One kind of update: which networks learn, how often per step, and how their gradients come about.

    backward(clips) leaves gradients in `.grad` of the phase's networks and returns named scalar tensors,
    still on the device. clips: (N, C, T), fresh for every call. Randomness comes from torch's global
    generators, which the loop has set for this very call.
    """

    name: str
    networks: tuple[str, ...]
    backward: Callable[[Tensor], Stats]
    times: int = 1


class Method(Protocol):
    """Networks by name, the phases of a step in order, and the networks whose running average is kept."""

    @property
    def networks(self) -> Mapping[str, nn.Module]: ...
    @property
    def phases(self) -> Sequence[Phase]: ...
    @property
    def averaged(self) -> Sequence[str]: ...

    def compile(self, backend: str) -> None:
        """From now on computes by torch.compile with this backend what gains by it."""
