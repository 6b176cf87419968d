"""A running average of a network's weights, the one that generates."""

import copy

import torch
from torch import nn

RAMP_UP = 0.1  # of the steps so far; 0.03 left more of the noise of single steps


def averaged_copy(network: nn.Module) -> nn.Module:
    """A copy of a network that `update_average` moves; it never learns by itself."""
    return copy.deepcopy(network).requires_grad_(False)


def half_life_decay(half_life: float, step: int) -> float:
    """Returns the decay per step that halves what is old within half_life steps, or in a tenth of the steps so far.

    So the average grows with the training, as that of Karras et al. 2020 (arXiv:2006.06676) does; step counts from 0.
    """
    steps = min(half_life, RAMP_UP * step)
    return 0.5 ** (1 / steps) if steps else 0.0


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Moves the average by 1 - decay towards the network, faster in the first steps (step counts from 0).

    The decay starts at 0.1 and rises as (1 + step) / (10 + step) until it reaches its value, so the random
    start is soon forgotten. Buffers, the statistics of a batch norm, are copied.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), share)  # pyright: ignore
    for mean, now in zip(average.buffers(), network.buffers(), strict=True):
        mean.copy_(now)
