"""Implements Muon, an optimiser for convolutions: every direction of a kernel learns at the same rate."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adam import adam

RMS = 0.8  # of a kernel's step, as a share of the learning rate; Adam's steps without a first mean have about 1
ITERATIONS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)  # of Jordan et al. 2024: steep at zero, and near 1 from 0.7 to 1.2


class Muon(Optimizer):
    """Updates kernels of convolutions by orthogonal steps, and all other weights as Adam does.

    A kernel is a matrix of its first dimension by all others. With the singular values of the gradient's running mean,
    U S Vᵀ, its step is lr · RMS · √(longer side) · U Vᵀ, whose elements have a root mean square of lr · RMS where no S
    is 0. So what few clips show counts as much as what all show, where Adam follows the few loudest directions.
    momentum: the share of the running mean that is kept; 0 takes the gradient itself. Under autocast the products are
    computed in its type. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the step's size
    as in Liu et al. 2025 (arXiv:2502.16982, section 2.2), who take an RMS of 0.2.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        momentum: float,
        fused: bool,
    ):
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "momentum": momentum, "fused": fused})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            learning = [weight for weight in group["params"] if weight.grad is not None]
            for kernel in filter(is_kernel, learning):
                self._turn(kernel, group["lr"], group["momentum"])
            self._step_of_adam([weight for weight in learning if not is_kernel(weight)], group)

    def _turn(self, kernel: Tensor, lr: float, momentum: float) -> None:
        """Takes a kernel's step, along a mixture of the gradient and its running mean: Nesterov's momentum."""
        gradient = kernel.grad
        assert gradient is not None, "there is something to learn"
        if momentum:
            state = self.state[kernel]
            if not state:
                state["mean"] = torch.zeros_like(kernel)
            gradient = gradient.lerp(state["mean"].lerp_(gradient, 1 - momentum), momentum)
        matrix = gradient.flatten(1)
        kernel.add_(orthogonal(matrix).view_as(kernel), alpha=-lr * RMS * max(matrix.shape) ** 0.5)

    def _step_of_adam(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[weight] for weight in weights]
        for weight, state in zip(weights, states, strict=True):
            if not state:
                on = weight.device if group["fused"] else None
                state |= {"step": torch.zeros((), device=on)}
                state |= {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
        adam(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            *([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq")),
            max_exp_avg_sqs=[],
            state_steps=[state["step"] for state in states],
            fused=group["fused"],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )


def is_kernel(weight: Tensor) -> bool:
    """Says whether a weight is a convolution's, which a network applies at many places of a clip.

    Its gradient is a sum over places, so it has as many directions as a step needs. The gradient of a layer that sees
    each clip once has no more than there are clips in a batch; an orthogonal step would fill the others with noise.
    """
    return weight.dim() >= 3


def orthogonal(matrix: Tensor) -> Tensor:
    """Replaces the singular values of a matrix by values near 1, from 0.7 to 1.2; those near 0 stay smaller.

    It applies an odd polynomial to the singular values, five times, by products alone.
    """
    x = matrix.t() if len(matrix) > matrix.shape[1] else matrix
    least = torch.finfo(x.dtype).tiny
    x = x / x.abs().max().clamp(min=least)  # or the squares of a vanishing gradient would be zero, and its norm
    x = x / x.norm().clamp(min=least)
    linear, cubic, quintic = QUINTIC
    for _ in range(ITERATIONS):
        gram = x @ x.t()
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic), x, beta=linear)
    return (x.t() if len(matrix) > matrix.shape[1] else x).to(matrix.dtype)
