"""Defines differentiable augmentations: they change real and generated clips before a discriminator sees them."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from wavegan import distributed, settings
from wavegan.audio.adaptive_augmentation import Adaptive


class Augmentation(Protocol):
    """Describes a differentiable change of clips (N, C, T) that draws from torch's global generators.

    Its state is in buffers, which checkpoints save by `state_dict`.
    """

    def __call__(self, clips: Tensor) -> Tensor: ...
    def state_dict(self) -> dict[str, Any]:
        """Returns the state, as `nn.Module` does."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Restores a state, as `nn.Module` does."""

    def advance(self, step: int) -> None:
        """Sets what depends on the step; called before the step."""

    def statistics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Computes scalars that it needs from the discriminator's scores (N,) of real and generated clips."""
        ...

    def after_update(self, stats: Mapping[str, Tensor]) -> None:
        """Adapts after an update of the discriminator; stats: its own statistics, means over all processes."""


class Noise(nn.Module):
    """Adds normal noise to all that a discriminator sees (Sønderby et al. 2017, section 3.2).

    deviation: standard deviation in the first step. fade_steps: steps in which it falls linearly to 0; with 0 steps it
    stays. The noise comes from torch's global generator; each process uses the draws of its own rows.
    """

    def __init__(self, *, deviation: settings.NoiseDeviation = 0.1, fade_steps: settings.FadeSteps = 0):
        super().__init__()
        self.first_deviation, self.fade_steps = deviation, fade_steps
        # A tensor, so that a recorded graph reads it afresh at each replay.
        self.register_buffer("deviation", torch.tensor(float(deviation)), persistent=False)
        self.deviation: Tensor

    def forward(self, clips: Tensor) -> Tensor:
        """Adds noise to clips of any shape (N, …)."""
        size, like = clips.shape[1:], {"dtype": clips.dtype, "device": clips.device}
        drawn = distributed.rank_rows(lambda rows: torch.randn(rows, *size, **like), len(clips))
        return clips + self.deviation.to(clips.dtype) * drawn

    def advance(self, step: int) -> None:
        """Sets the deviation of a step."""
        if self.fade_steps:
            self.deviation.fill_(self.first_deviation * max(0.0, 1 - step / self.fade_steps))

    def statistics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Returns nothing: the noise depends on the step alone."""
        return {}

    def after_update(self, stats: Mapping[str, Tensor]) -> None:
        """Does nothing: the noise depends on the step alone."""


AUGMENTATIONS = {"noise": Noise, "adaptive": Adaptive}
