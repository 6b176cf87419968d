"""Defines fully connected networks of waveforms, as in the first GAN (Goodfellow et al. 2014): a baseline.

They know nothing of time: every sample has weights of its own. A clip is one row, sample by sample, with the channels
of each sample together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from wavegan import settings
from wavegan.dsp.representation import Waveform
from wavegan.models.activations import Dropout, LeakyReLU, slope_times
from wavegan.models.conv1d import initialize_glorot
from wavegan.models.heads import LatentLayer, ScoreLayer, cast_for_autocast, last_layer
from wavegan.models.inputs import Input
from wavegan.models.lengths import Lengths
from wavegan.models.piecewise_linear import ScoreStage


class Generator(nn.Module):
    """Maps a latent (N, latent_dim) to clips (N, channels, clip_samples) in [-1, 1], by hidden layers of 4d and 8d.

    labels: the number of labels, as rows (N, labels) beside the latent; 0 for none.
    """

    lengths = Lengths()
    gives = "waveform"

    def __init__(
        self,
        clip_samples: int = 16384,
        channels: int = 1,
        *,
        dim: settings.Dim = 64,
        latent_dim: settings.LatentDim = 100,
        latent: settings.Latent = "uniform",
        labels: settings.Labels = 0,
    ):
        super().__init__()
        self.inputs = (Input(latent, (latent_dim,)),)
        self.labels = labels
        self.output = Waveform()
        self.channels = channels
        self.dense = LatentLayer(latent_dim, 4 * dim, labels)
        self.blocks = nn.Sequential(
            nn.ReLU(), nn.Linear(4 * dim, 8 * dim), nn.ReLU(), nn.Linear(8 * dim, clip_samples * channels), nn.Tanh()
        )
        initialize_glorot(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.blocks(self.dense(z, labels))  # (N, clip_samples · channels)
        return x.unflatten(1, (-1, self.channels)).transpose(1, 2)  # (N, channels, clip_samples)


class Discriminator(nn.Module):
    """Maps clips (N, *shape) to one unbounded number each, (N,), by hidden layers of 8d and 4d.

    shape: (channels, clip_samples). dropout: the share of each layer's activations that is set to zero. labels: the
    number of labels, as rows (N, labels); 0 for none. With more than one output it is an encoder and gives
    (N, outputs). It is piecewise linear in its input, unless it has dropout.
    """

    lengths = Lengths()
    sees = "waveform"

    def __init__(
        self,
        shape: tuple[int, int] = (1, 16384),
        *,
        labels: int = 0,
        outputs: int = 1,
        dim: settings.Dim = 64,
        dropout: settings.Dropout = 0.0,
    ):
        super().__init__()
        channels, clip_samples = shape
        widths = [clip_samples * channels, 8 * dim, 4 * dim]
        blocks: list[nn.Module] = []
        for features_in, features_out in zip(widths, widths[1:], strict=False):
            blocks += [nn.Linear(features_in, features_out), LeakyReLU(0.2)]
            if dropout:
                blocks.append(Dropout(dropout))
        self.blocks = nn.Sequential(*blocks)
        self.dense = last_layer(widths[-1], outputs, labels)
        initialize_glorot(self)

    def forward(self, clips: Tensor, labels: Tensor | None = None) -> Tensor:
        x = clips.transpose(1, 2).flatten(1)  # (N, clip_samples · channels), as the generator's
        return self.dense(self.blocks(x), labels)

    @property
    def stages(self) -> Callable[..., "list[DenseStage | ScoreStage]"] | None:
        """Returns a function that takes the network apart for one pass, or None if it is not piecewise linear.

        Call it as stages(batches, examples, labels).
        """
        is_piecewise_linear = isinstance(self.dense, ScoreLayer) and not any(
            isinstance(layer, Dropout) for layer in self.blocks
        )
        return self._stages if is_piecewise_linear else None

    def _stages(self, batches: int, examples: int, labels: Tensor | None = None) -> "list[DenseStage | ScoreStage]":
        assert isinstance(self.dense, ScoreLayer), "an encoder has no score to take apart"
        layers, stages = list(self.blocks), []
        for linear, activation in zip(layers[::2], layers[1::2], strict=True):
            assert isinstance(linear, nn.Linear) and isinstance(activation, LeakyReLU), "they take turns"
            stages.append(DenseStage.of(linear, activation))
        return [*stages, ScoreStage.of(self.dense, batches, labels)]


@dataclass(frozen=True)
class DenseStage:
    """Computes a dense layer and leaky ReLU, as `piecewise_linear.ConvolutionStage`.

    Inputs are (N, …); flattened, their numbers have the order of the weight's columns. Outputs are (N, F').
    """

    weight: Tensor  # (F', F)
    bias: Tensor  # (F',)
    negative_slope: float

    @classmethod
    def of(cls, layer: nn.Linear, activation: LeakyReLU) -> Self:
        """Makes the stage of these two layers."""
        return cls(cast_for_autocast(layer.weight), cast_for_autocast(layer.bias), activation.negative_slope)

    def __call__(self, x: Tensor) -> Tensor:
        """Returns y (N, F') for x (N, …)."""
        return F.leaky_relu_(F.linear(x.flatten(1), self.weight, self.bias), self.negative_slope)

    def tangent(self, t: Tensor, y: Tensor) -> Tensor:
        """Returns the derivative of y in the direction t of x; t and y may hold only the last rows of a pass."""
        return slope_times(F.linear(t.flatten(1), self.weight), y, self.negative_slope)

    def activation_gradient(self, d: Tensor, y: Tensor) -> Tensor:
        """Returns the gradient of the affine map's output from the gradient of y."""
        return slope_times(d, y, self.negative_slope)

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        """Returns the gradient of x, flattened, from that of the affine map's output."""
        return d @ self.weight

    def parameter_gradients(self, x: Tensor, d: Tensor, bias_rows: int) -> tuple[Tensor, Tensor]:
        """Returns the gradients of weight and bias; that of the bias sums only the first `bias_rows` rows."""
        return d.t() @ x.flatten(1), d[:bias_rows].sum(0)
