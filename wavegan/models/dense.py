"""Fully connected layers where networks begin and end: latents and labels go in, scores come out."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LatentLayer(nn.Linear):
    """Latents (N, latent_dim), and rows of labels (N, K) where it knows labels, to features (N, F).

    Labels are appended to the latent (Mirza & Osindero 2014, section 3.2), so that each has a row of weights that is
    added to the features; multiplied by label_length, that of a uniform latent where it is None, or the latent would
    drown them.
    """

    def __init__(self, latent_dim: int, features: int, labels: int = 0, *, label_length: float | None = None):
        super().__init__(latent_dim + labels, features)
        self.labels = labels
        self.label_length = math.sqrt(latent_dim / 3) if label_length is None else label_length

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if not self.labels:
            return super().forward(z)
        assert labels is not None, "a network that knows labels is told them"
        return super().forward(torch.cat([z, self.label_length * labels.to(z.dtype)], dim=1))


class Score(nn.Linear):
    """Features (N, F) to one unbounded number each, (N,).

    With labels, each has a row of weights of its own beside the first row, which all share: the projection
    of Miyato & Koyama (2018, eq. 4), whose score also rises with how well a clip fits its label. labels: (N, K).
    """

    def __init__(self, features: int, labels: int = 0):
        super().__init__(features, 1 + labels)
        self.bias = nn.Parameter(torch.zeros(1))
        self.labels = labels

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        with full_precision(features):  # scores count by their differences, which bf16 rounds away
            return score(features.to(self.weight.dtype), self.weight, self.bias, self.shares(labels))

    def shares(self, labels: Tensor | None) -> Tensor | None:
        """How much of each row of weights counts for each clip, (N, 1 + K); None where there is one row."""
        if not self.labels:
            return None
        assert labels is not None, "a network that knows labels is told them"
        return F.pad(labels.to(self.weight.dtype), (1, 0), value=1.0)


class Encoding(nn.Linear):
    """Features (N, F) to an encoder's outputs (N, outputs); it needs no labels."""

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        with full_precision(features):
            return super().forward(features.to(self.weight.dtype))


def last_layer(features: int, outputs: int, labels: int) -> Score | Encoding:
    """What ends a network that looks at clips: a score where there is one output, else an encoder's."""
    return Score(features, labels) if outputs == 1 else Encoding(features, outputs)


def score(features: Tensor, weight: Tensor, bias: Tensor | None, shares: Tensor | None) -> Tensor:
    """(N,) numbers of features (N, F) by the rows of weight (R, F), of which shares (N, R) count; None for one row."""
    by_row = F.linear(features, weight)
    found = by_row.squeeze(1) if shares is None else (by_row * shares).sum(1)
    return found if bias is None else found + bias


def full_precision(x: Tensor) -> torch.autocast:
    """A context without autocast on the device of x."""
    return torch.autocast(x.device.type, enabled=False)


def as_computed(parameter: Tensor) -> Tensor:
    """A parameter in the type in which its layer computes: autocast's, or its own."""
    kind = parameter.device.type
    return parameter.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else parameter
