"""Changes to clips before a discriminator sees them, real and generated ones alike; differentiable."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from wavegan import distributed, settings
from wavegan.audio.adaptive_augmentation import Adaptive


class Augmentation(Protocol):
    """A change of clips (N, C, T), differentiable, that draws from torch's global generators.

    What it remembers from step to step are buffers: they go into checkpoints with `state_dict`.
    """

    def __call__(self, clips: Tensor) -> Tensor: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...

    def advance(self, step: int) -> None:
        """Sets what depends on the step, before it is taken."""

    def statistics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Gives what it needs to know of the discriminator's scores (N,) of real and generated clips, as scalars."""
        ...

    def after_update(self, stats: Mapping[str, Tensor]) -> None:
        """Follows an update of the discriminator; stats: its own, means over all processes, on the device."""


class Noise(nn.Module):
    """Adds normal noise to all that a discriminator sees (Sønderby et al. 2017, section 3.2).

    deviation: its standard deviation in the first step. fade_steps: steps in which it falls evenly to zero; 0 keeps it.
    Draws from torch's global generator, each process those of its own rows.
    """

    def __init__(self, *, deviation: settings.NoiseDeviation = 0.1, fade_steps: settings.FadeSteps = 0):
        super().__init__()
        self.first_deviation, self.fade_steps = deviation, fade_steps
        # A tensor, so that a recorded graph reads it afresh at each replay.
        self.register_buffer("deviation", torch.tensor(float(deviation)), persistent=False)
        self.deviation: Tensor

    def forward(self, clips: Tensor) -> Tensor:
        """Clips of any shape (N, …) with noise."""
        drawn = distributed.rank_rows(lambda rows: clips.new_empty(rows, *clips.shape[1:]).normal_(), len(clips))
        return clips + self.deviation.to(clips.dtype) * drawn

    def advance(self, step: int) -> None:
        """Sets the deviation of a step."""
        if self.fade_steps:
            self.deviation.fill_(self.first_deviation * max(0.0, 1 - step / self.fade_steps))

    def statistics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Nothing: the noise depends on the step alone."""
        return {}

    def after_update(self, stats: Mapping[str, Tensor]) -> None:
        """Nothing follows: the noise depends on the step alone."""


AUGMENTATIONS = {"noise": Noise, "adaptive": Adaptive}
