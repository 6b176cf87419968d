"""Mixes the channels of a sound: their mean and their differences say what is alike in them, and what is not."""

import math

import torch
from torch import Tensor


def channel_mix(channels: int) -> Tensor:
    """Returns the orthonormal matrix (maps, channels) from channels to their mean and differences.

    It is the cosine transform, of two channels mid and side.
    """
    places = (torch.arange(channels) + 0.5) * math.pi / channels
    rows = torch.outer(torch.arange(channels), places).cos() * math.sqrt(2 / channels)
    rows[0] /= math.sqrt(2)
    return rows
