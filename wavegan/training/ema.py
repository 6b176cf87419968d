"""Computes running averages of networks' weights; the averaged networks generate."""

import copy

import torch
from torch import nn

RAMP_UP = 0.1  # share of the steps so far; 0.03 left more of the noise of single steps


def averaged_copy(network: nn.Module) -> nn.Module:
    """Copies a network for `update_average` to change; the copy needs no gradients."""
    return copy.deepcopy(network).requires_grad_(False)


def half_life_decay(half_life: float, step: int) -> float:
    """Returns the decay per step that halves old weights within half_life steps, or within a tenth of the steps so far.

    The shorter of the two counts. So the average spans more steps as the training goes on, as in Karras et al. 2020
    (arXiv:2006.06676). step counts from 0.
    """
    steps = min(half_life, RAMP_UP * step)
    return 0.5 ** (1 / steps) if steps else 0.0


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Moves the average by 1 - decay towards the network, faster in the first steps (step counts from 0).

    The decay starts at 0.1 and rises as (1 + step) / (10 + step) until it reaches its value, so the random initial
    weights soon lose their influence. Buffers, such as the statistics of a batch norm, are copied.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), share)  # pyright: ignore
    for copied, current in zip(average.buffers(), network.buffers(), strict=True):
        copied.copy_(current)
