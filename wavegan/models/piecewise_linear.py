"""Takes piecewise linear networks apart into stages, which compute their derivative in a direction and its adjoint.

A stage is an affine map followed by an activation that is linear as long as the sign of its output stays the same.
Activations are (N, T, C) here, channels last. The computations of a stage need no graph; only its weights may have one,
to the parameters that they were converted from.
"""

from dataclasses import dataclass
from typing import Self

import torch.nn.functional as F
from torch import Tensor

from wavegan.models.activations import LeakyReLU, slope_times
from wavegan.models.conv1d import Convolution
from wavegan.models.convolution import conv_transpose, convolve, weight_gradient
from wavegan.models.heads import ScoreLayer, weighted_score
from wavegan.models.phase_shuffle import PhaseShuffle, shift, unshift


@dataclass(frozen=True)
class Shifts:
    """Holds the phase shifts of one pass, (N,), each at most `radius` samples."""

    drawn: Tensor
    radius: int


@dataclass(frozen=True)
class ConvolutionStage:
    """Computes a convolution, phase shuffle with shifts that are already drawn, and leaky ReLU.

    The shuffle comes before the activation. The two commute, and in this order only one result has to be kept.
    """

    weight: Tensor  # (C', k, C)
    bias: Tensor  # (C',)
    stride: int
    pad: int
    shifts: Shifts | None
    negative_slope: float

    @classmethod
    def of(
        cls, layer: Convolution, activation: LeakyReLU, shuffle: PhaseShuffle | None, batches: int, examples: int
    ) -> Self:
        """Makes the stage of these layers; draws new shifts for a pass of some batches of some examples."""
        weight, bias = layer.cast_parameters()
        shifts = Shifts(shuffle.draw(batches, examples, weight.device), shuffle.radius) if shuffle else None
        return cls(weight, bias, layer.stride, layer.pads[0], shifts, activation.negative_slope)

    def __call__(self, x: Tensor) -> Tensor:
        """Returns y (N, T / stride, C') for x (N, T, C)."""
        y = convolve(x, self.weight, self.bias, self.stride, self.pad)
        if self.shifts is not None:
            y = shift(y, self.shifts.drawn, self.shifts.radius)
        return F.leaky_relu_(y, self.negative_slope)

    def tangent(self, t: Tensor, y: Tensor) -> Tensor:
        """Returns the derivative of y in the direction t of x; t and y may hold only the last rows of a pass."""
        moved = convolve(t, self.weight, None, self.stride, self.pad)
        if self.shifts is not None:
            moved = shift(moved, self.shifts.drawn[-len(t) :], self.shifts.radius)
        return slope_times(moved, y, self.negative_slope)

    def activation_gradient(self, d: Tensor, y: Tensor) -> Tensor:
        """Returns the gradient of the affine map's output from the gradient of y."""
        d = slope_times(d, y, self.negative_slope)
        return d if self.shifts is None else unshift(d, self.shifts.drawn, self.shifts.radius)

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        """Returns the gradient of x from that of the affine map's output; x itself is not read."""
        return conv_transpose(d, self.weight, None, self.stride, self.pad)

    def parameter_gradients(self, x: Tensor, d: Tensor, bias_rows: int) -> tuple[Tensor, Tensor]:
        """Returns the gradients of weight and bias; that of the bias sums only the first `bias_rows` rows."""
        return weight_gradient(x, d, self.weight.shape[1], self.stride, self.pad), d[:bias_rows].sum((0, 1))


@dataclass(frozen=True)
class ScoreStage:
    """Computes the score, a dense layer without an activation, in the type of its weight.

    label_weights: (N, R), the factor of each row of weights for each example; None if there is only one row.
    """

    weight: Tensor  # (R, T · C)
    bias: Tensor  # (1,)
    label_weights: Tensor | None = None

    @classmethod
    def of(cls, layer: ScoreLayer, batches: int, labels: Tensor | None) -> Self:
        """Makes the stage of this layer for some batches of examples with the same labels."""
        label_weights = layer.label_weights(labels)
        return cls(layer.weight, layer.bias, None if label_weights is None else label_weights.repeat(batches, 1))

    def __call__(self, x: Tensor) -> Tensor:
        return weighted_score(x.flatten(1).to(self.weight.dtype), self.weight, self.bias, self.label_weights)

    def tangent(self, t: Tensor, y: Tensor) -> Tensor:
        """Returns the derivative of the score in the direction t of x; t may hold only the last rows of a pass."""
        label_weights = None if self.label_weights is None else self.label_weights[-len(t) :]
        return weighted_score(t.flatten(1).to(self.weight.dtype), self.weight, None, label_weights)

    def activation_gradient(self, d: Tensor, y: Tensor) -> Tensor:
        """Returns d, since there is no activation."""
        return d

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        """Returns the gradient of x, flattened, from that of the score."""
        return self._by_row(d) @ self.weight

    def parameter_gradients(self, x: Tensor, d: Tensor, bias_rows: int) -> tuple[Tensor, Tensor]:
        """Returns the gradients of weight and bias; that of the bias sums only the first `bias_rows` rows."""
        return self._by_row(d).t() @ x.flatten(1).to(d.dtype), d[:bias_rows].sum()[None]

    def _by_row(self, d: Tensor) -> Tensor:
        """Spreads the gradient (N,) over the rows of weights: (N, R)."""
        return d[:, None] if self.label_weights is None else d[:, None] * self.label_weights
