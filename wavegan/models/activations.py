"""Defines dropout, and leaky ReLU whose slope the double backward treats as constant."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from wavegan import distributed


class Dropout(nn.Dropout):
    """Sets a share of the activations to zero while training.

    One mask is drawn for the whole batch; each process takes its own rows.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        drawn = distributed.rank_rows(lambda rows: torch.rand(rows, *x.shape[1:], device=x.device), len(x))
        return x * (drawn >= self.p) / (1 - self.p)


class LeakyReLU(nn.Module):
    """Applies leaky ReLU to any shape, without a second derivative, since that is zero.

    Otherwise the double backward of a gradient penalty would carry zero tensors through the whole graph.
    """

    def __init__(self, negative_slope: float = 0.2):
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return LeakyReLUFunction.apply(x, self.negative_slope)


def slope_times(d: Tensor, y: Tensor, negative_slope: float) -> Tensor:
    """Returns d times the slope of leaky ReLU at output y."""
    return torch.ops.aten.leaky_relu_backward(d, y, negative_slope, True)


class LeakyReLUFunction(Function):
    """Computes leaky ReLU; its derivative is `LeakyReLUGradient`."""

    @staticmethod
    def forward(ctx, x, negative_slope):
        y = F.leaky_relu(x, negative_slope)
        ctx.save_for_backward(y)
        ctx.negative_slope = negative_slope
        return y

    @staticmethod
    def backward(ctx, d):
        (y,) = ctx.saved_tensors
        return LeakyReLUGradient.apply(d, y, ctx.negative_slope), None


class LeakyReLUGradient(Function):
    """Makes `slope_times` differentiable with respect to d; y is a constant."""

    @staticmethod
    def forward(ctx, d, y, negative_slope):
        ctx.save_for_backward(y)
        ctx.negative_slope = negative_slope
        return slope_times(d, y, negative_slope)

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return LeakyReLUGradient.apply(g, y, ctx.negative_slope), None, None
