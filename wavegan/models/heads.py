"""Defines the fully connected layers at the start and the end of networks: latents and labels in, scores out."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LatentLayer(nn.Linear):
    """Maps latents (N, latent_dim), and labels (N, K) if it has labels, to features (N, F).

    Labels are appended to the latent (Mirza & Osindero 2014, section 3.2), so the weights of a clip's label are added
    to its features. Before that they are multiplied by label_length, or the much longer latent would hide them. If
    label_length is None, it is the usual length of a uniform latent, √(latent_dim / 3).
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


class ScoreLayer(nn.Linear):
    """Maps features (N, F) to one unbounded score each, (N,).

    All clips share the first row of weights. With labels, each label has a row of its own beside it. This is the
    projection of Miyato & Koyama (2018, eq. 4): the score also rises with how well a clip fits its label.
    labels: (N, K).
    """

    def __init__(self, features: int, labels: int = 0):
        super().__init__(features, 1 + labels)
        self.bias = nn.Parameter(torch.zeros(1))
        self.labels = labels

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        with full_precision(features):  # only differences of scores matter, and bf16 would round them away
            return weighted_score(features.to(self.weight.dtype), self.weight, self.bias, self.label_weights(labels))

    def label_weights(self, labels: Tensor | None) -> Tensor | None:
        """Returns the factor of each row of weights for each clip, (N, 1 + K); None if there is only one row."""
        if not self.labels:
            return None
        assert labels is not None, "a network that knows labels is told them"
        return F.pad(labels.to(self.weight.dtype), (1, 0), value=1.0)


class EncodingLayer(nn.Linear):
    """Maps features (N, F) to an encoder's outputs (N, outputs); it ignores labels."""

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        with full_precision(features):
            return super().forward(features.to(self.weight.dtype))


def last_layer(features: int, outputs: int, labels: int) -> ScoreLayer | EncodingLayer:
    """Makes the last layer of a network that reads clips: a score if it has one output, else an encoder's."""
    return ScoreLayer(features, labels) if outputs == 1 else EncodingLayer(features, outputs)


def weighted_score(features: Tensor, weight: Tensor, bias: Tensor | None, label_weights: Tensor | None) -> Tensor:
    """Computes scores (N,) of features (N, F).

    weight: (R, F), whose rows give R numbers for each clip. label_weights: (N, R), the factors by which these are added
    up; None if R is 1.
    """
    by_row = F.linear(features, weight)
    scores = by_row.squeeze(1) if label_weights is None else (by_row * label_weights).sum(1)
    return scores if bias is None else scores + bias


def full_precision(x: Tensor) -> torch.autocast:
    """Returns a context without autocast on the device of x."""
    return torch.autocast(x.device.type, enabled=False)


def cast_for_autocast(parameter: Tensor) -> Tensor:
    """Returns a parameter in the type in which its layer computes: autocast's, or its own."""
    kind = parameter.device.type
    return parameter.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else parameter
