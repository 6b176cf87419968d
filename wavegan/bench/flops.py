"""Counts the floating point operations that a step needs at least, from the shapes of the layers.

A forward pass of a network on one clip is one unit. The backward pass costs one unit for the gradients of the inputs
and one for the gradients of the weights. A discriminator update needs three units for real and three for fake clips.
A penalty on its gradient needs four more at points of its own: forward, backward to the input, forward along the
tangent, and weight gradients (see `methods/first_order.py`). At the clips themselves it needs two more. The update also
needs a forward pass of the generator for the fakes. A generator update needs three units of the generator and two of
every discriminator. Views, augmentations and normalisations are not counted.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wavegan.models.conv1d import Convolution, NearestUpsampling, PostFilter, TransposedConvolution
from wavegan.models.conv2d import Convolution2d, NearestUpsampling2d, TransposedConvolution2d

# Adam reads the parameter, gradient and two moments, and writes all but the gradient; each has four bytes.
ADAM_BYTES = 7 * 4


def forward_flops(network: nn.Module, *inputs: Tensor | None) -> int:
    """Counts the floating point operations of a forward pass of these inputs; a multiply-add counts as two."""
    counts: list[int] = []
    hooks = [
        layer.register_forward_hook(
            lambda layer, args, result, count=count: counts.append(2 * count(layer, args[0], result))
        )
        for layer in network.modules()
        for kind, count in MULTIPLICATIONS.items()
        if isinstance(layer, kind)
    ]
    try:
        with torch.no_grad():
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)


def _at_each_output(layer: Any, x: Tensor, y: Tensor) -> int:
    return layer.weight.numel() * _places(y)


def _at_each_input(layer: Any, x: Tensor, y: Tensor) -> int:
    return layer.weight.numel() * _places(x)


def _at_each_row(layer: nn.Linear, x: Tensor, y: Tensor) -> int:
    return layer.weight.numel() * (x.numel() // layer.in_features)


def _nearest(layer: Any, x: Tensor, y: Tensor) -> int:
    directions = x.dim() - 2
    return layer.channels_in * layer.channels_out * _different_samples(layer) ** directions * _places(x)


def _places(x: Tensor) -> int:
    return len(x) * math.prod(x.shape[2:])


def _different_samples(layer: Any) -> int:
    """Counts the different input samples under a kernel, summed over the `stride` outputs of one input sample.

    Upsampling repeats samples; each is multiplied once.
    """
    before, after = (layer.kernel_size - 1) // 2, layer.kernel_size // 2
    return sum((place + after) // layer.stride - (place - before) // layer.stride + 1 for place in range(layer.stride))


MULTIPLICATIONS: dict[type[nn.Module], Callable[[Any, Tensor, Tensor], int]] = {
    Convolution: _at_each_output,
    Convolution2d: _at_each_output,
    PostFilter: _at_each_output,
    TransposedConvolution: _at_each_input,
    TransposedConvolution2d: _at_each_input,
    NearestUpsampling: _nearest,
    NearestUpsampling2d: _nearest,
    nn.Linear: _at_each_row,
}


class DiscriminatorFlops(NamedTuple):
    """Holds the operations of a forward pass on one clip, and the cost of a gradient penalty in forward passes.

    An update on a pair of clips costs 6 forward passes: two forward and four backward. A penalty at a point of its own
    costs 4 more. One at the clips themselves costs 2 for its tangents. One that is not taken in every update costs less
    in proportion.
    """

    forward: int
    penalty: float


def step_flops(
    generator: int,
    discriminators: Iterable[DiscriminatorFlops],
    *,
    discriminator_steps: int,
    reuses_generated: bool = False,
) -> dict[str, int]:
    """Counts the operations of each part of a step for one clip of the batch, from the networks' forward passes.

    reuses_generated: one pass of the generator serves both updates.
    """
    networks = list(discriminators)
    forward = sum(network.forward for network in networks)
    return {
        "generator_forward": discriminator_steps * generator,
        "discriminator_update": discriminator_steps
        * sum(round((6 + network.penalty) * network.forward) for network in networks),
        "generator_update": (2 if reuses_generated else 3) * generator + 2 * forward,
    }


def optimizer_bytes(generator_parameters: int, discriminator_parameters: int, *, discriminator_steps: int) -> int:
    """Returns the bytes that the optimisers read and write in a step, if each update is fully fused."""
    return ADAM_BYTES * (generator_parameters + discriminator_steps * discriminator_parameters)
