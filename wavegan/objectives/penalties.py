"""What is added to a discriminator's loss, not yet multiplied by its weight."""

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Mean squared distance from 1 of the discriminator's gradient norm (Gulrajani et al. 2017, eq. 3).

    The gradient is taken at points drawn uniformly between each real clip and its fake partner, and its norm
    is over channels and time. real, fake: (N, C, T) in [-1, 1], constants here. Returns a scalar.
    """
    share = torch.rand(len(real), 1, 1, device=real.device, dtype=real.dtype)
    between = torch.lerp(real, fake, share).detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)  # (N, C, T)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


PENALTIES = {"gradient_penalty": gradient_penalty}
