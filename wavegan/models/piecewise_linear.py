"""A piecewise linear network taken apart into stages that know their derivative along a direction and its adjoint.

A stage is an affine map and then an activation that is linear wherever the sign of its output stands. Activations
are (N, T, C) here, channels last. What a stage computes needs no graph; only its weights know of the parameters that
they were converted from.
"""

from dataclasses import dataclass
from typing import Self

import torch.nn.functional as F
from torch import Tensor

from wavegan.models.convolution import adjoint, convolve, correlate
from wavegan.models.dense import Score, score
from wavegan.models.layers import Convolution, LeakyReLU, slope_times
from wavegan.models.phase_shuffle import PhaseShuffle, shift, unshift


@dataclass(frozen=True)
class Shifts:
    """The phase shifts of one pass, (N,), the largest of which is `radius`."""

    drawn: Tensor
    radius: int


@dataclass(frozen=True)
class ConvolutionStage:
    """Convolution, phase shuffle with shifts that are already drawn, leaky ReLU.

    The shuffle stands before the activation, with which it commutes, so one activation is kept and not two.
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
        """The stage of these layers, with fresh shifts for a pass of so many batches of so many examples."""
        weight, bias = layer.parameters_as_computed()
        shifts = Shifts(shuffle.draw(batches, examples, weight.device), shuffle.radius) if shuffle else None
        return cls(weight, bias, layer.stride, layer.pads[0], shifts, activation.negative_slope)

    def __call__(self, x: Tensor) -> Tensor:
        """y (N, T / stride, C') of x (N, T, C)."""
        y = convolve(x, self.weight, self.bias, self.stride, self.pad)
        if self.shifts is not None:
            y = shift(y, self.shifts.drawn, self.shifts.radius)
        return F.leaky_relu_(y, self.negative_slope)

    def along(self, t: Tensor, y: Tensor) -> Tensor:
        """How y moves when x moves along t; both may be the last rows of a pass only."""
        moved = convolve(t, self.weight, None, self.stride, self.pad)
        if self.shifts is not None:
            moved = shift(moved, self.shifts.drawn[-len(t) :], self.shifts.radius)
        return slope_times(moved, y, self.negative_slope)

    def before_activation(self, d: Tensor, y: Tensor) -> Tensor:
        """The gradient of the affine map's output, from that of y."""
        d = slope_times(d, y, self.negative_slope)
        return d if self.shifts is None else unshift(d, self.shifts.drawn, self.shifts.radius)

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        """The gradient of x, of which only the shape counts, from that of the affine map's output."""
        return adjoint(d, self.weight, None, self.stride, self.pad)

    def parameter_gradients(self, x: Tensor, d: Tensor, biased: int) -> tuple[Tensor, Tensor]:
        """Those of weight and bias; the bias hears the first `biased` rows only."""
        return correlate(x, d, self.weight.shape[1], self.stride, self.pad), d[:biased].sum((0, 1))


@dataclass(frozen=True)
class ScoreStage:
    """The dense layer that gives one number, without an activation; in the type of its weight.

    shares: (N, R), how much of each row of weights counts for each example, None where there is one row.
    """

    weight: Tensor  # (R, T · C)
    bias: Tensor  # (1,)
    shares: Tensor | None = None

    @classmethod
    def of(cls, layer: Score, batches: int, labels: Tensor | None) -> Self:
        """The stage of this layer for so many batches of examples with the same labels."""
        shares = layer.shares(labels)
        return cls(layer.weight, layer.bias, None if shares is None else shares.repeat(batches, 1))

    def __call__(self, x: Tensor) -> Tensor:
        return score(x.flatten(1).to(self.weight.dtype), self.weight, self.bias, self.shares)

    def along(self, t: Tensor, y: Tensor) -> Tensor:
        shares = None if self.shares is None else self.shares[-len(t) :]
        return score(t.flatten(1).to(self.weight.dtype), self.weight, None, shares)

    def before_activation(self, d: Tensor, y: Tensor) -> Tensor:
        return d

    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor:
        return self._by_row(d) @ self.weight

    def parameter_gradients(self, x: Tensor, d: Tensor, biased: int) -> tuple[Tensor, Tensor]:
        return self._by_row(d).t() @ x.flatten(1).to(d.dtype), d[:biased].sum()[None]

    def _by_row(self, d: Tensor) -> Tensor:
        """(N,) to (N, R)."""
        return d[:, None] if self.shares is None else d[:, None] * self.shares
