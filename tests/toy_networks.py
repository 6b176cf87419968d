"""Defines networks of a few numbers, for games that can be worked out by hand."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wavegan.dsp.representation import Waveform
from wavegan.methods.adversary import Adversary
from wavegan.models.inputs import Input
from wavegan.objectives.adversarial import OBJECTIVES

REAL = torch.tensor([[[1.0, 3.0, 0.0, 2.0]], [[-1.0, 1.0, 2.0, 0.0]]])  # in pairs: means 2 and 1, 0 and 1


class Maker(nn.Module):
    """Makes clips of four samples, latents times one number, and keeps them."""

    inputs = (Input("uniform", (4,)),)
    labels = 0

    def __init__(self, gain: float = 1.0):
        super().__init__()
        self.output = Waveform()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.clips: list[Tensor] = []

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        self.clips.append(self.gain * z[:, None])
        return self.clips[-1]


class Judge(nn.Module):
    """Computes D(x) = <w, x>, and keeps its inputs."""

    def __init__(self, *weight: float):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return (x * self.weight).sum(dim=(1, 2))


class PairMeans(nn.Module):
    """Returns half as many numbers: the mean of each pair, times `scale`, which is measured and kept."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))
        self.scale: Tensor

    def forward(self, clips: Tensor) -> Tensor:
        return self.scale * clips.unflatten(2, (-1, 2)).mean(3)


class Gains(nn.Module):
    """Multiplies each clip by 1 + `strength` times a number of its own; the strength follows the game."""

    def __init__(self, strength: float = 0.0):
        super().__init__()
        self.register_buffer("strength", torch.tensor(strength))
        self.strength: Tensor
        self.steps: list[int] = []
        self.stats: list[dict[str, float]] = []

    def forward(self, clips: Tensor) -> Tensor:
        return clips * (1 + self.strength * torch.rand(len(clips), 1, 1))

    def advance(self, step: int) -> None:
        self.steps.append(step)

    def statistics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {}

    def after_update(self, stats: Mapping[str, Tensor]) -> None:
        self.stats.append({name: value.item() for name, value in stats.items()})
        self.strength += 0.25 * stats["wasserstein"].abs()


def plain(judge: nn.Module, objective: str = "wasserstein", **settings) -> Adversary:
    return Adversary(judge, objective=OBJECTIVES[objective], **settings)


def values(stats: dict[str, Tensor]) -> dict[str, float]:
    assert all(value.shape == () and not value.requires_grad for value in stats.values())
    return {name: value.item() for name, value in stats.items()}
