"""Makes a kind of convolution differentiable any number of times by its own three operations.

These are the convolution, its adjoint and the gradient of its weight. The derivative of each is made of the other two.
torch's own second derivative computes the weight's as a convolution with kernels as large as the activations, for
which libraries have no fast form.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.autograd import Function


class Operations(Protocol):
    """Describes a convolution of activations (N, …, C) that knows all its sizes.

    Without a bias ⟨convolve(x, w), d⟩ = ⟨x, conv_transpose(d, w)⟩ = ⟨weight_gradient(x, d), w⟩.
    """

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor: ...
    def conv_transpose(self, d: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor: ...
    def weight_gradient(self, x: Tensor, d: Tensor) -> Tensor: ...


def needs_gradient(*parts: Tensor | None) -> bool:
    """Says whether a result of these needs a graph."""
    return torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in parts)


class Convolve(Function):
    """Computes `convolve` of an input and a weight, plus a bias."""

    @staticmethod
    def forward(ctx, x, weight, bias, operations):
        ctx.save_for_backward(x, weight)
        ctx.operations = operations
        return operations.convolve(x.contiguous(), weight, bias)

    @staticmethod
    def backward(ctx, d):
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias, _ = ctx.needs_input_grad
        return (
            ConvTranspose.apply(d, weight, None, ctx.operations) if for_x else None,
            WeightGradient.apply(x, d, ctx.operations) if for_weight else None,
            _bias_gradient(d) if for_bias else None,
            None,
        )


class ConvTranspose(Function):
    """Computes `conv_transpose` of an output's gradient and a weight, plus a bias."""

    @staticmethod
    def forward(ctx, d, weight, bias, operations):
        ctx.save_for_backward(d, weight)
        ctx.operations = operations
        return operations.conv_transpose(d.contiguous(), weight, bias)

    @staticmethod
    def backward(ctx, g):
        d, weight = ctx.saved_tensors
        for_d, for_weight, for_bias, _ = ctx.needs_input_grad
        return (
            Convolve.apply(g, weight, None, ctx.operations) if for_d else None,
            WeightGradient.apply(g, d, ctx.operations) if for_weight else None,
            _bias_gradient(g) if for_bias else None,
            None,
        )


class WeightGradient(Function):
    """Computes `weight_gradient` of an input and an output's gradient."""

    @staticmethod
    def forward(ctx, x, d, operations):
        ctx.save_for_backward(x, d)
        ctx.operations = operations
        return operations.weight_gradient(x.contiguous(), d.contiguous())

    @staticmethod
    def backward(ctx, g):
        x, d = ctx.saved_tensors
        for_x, for_d, _ = ctx.needs_input_grad
        return (
            ConvTranspose.apply(d, g, None, ctx.operations) if for_x else None,
            Convolve.apply(x, g, None, ctx.operations) if for_d else None,
            None,
        )


def _bias_gradient(d: Tensor) -> Tensor:
    return d.sum(tuple(range(d.dim() - 1)))
