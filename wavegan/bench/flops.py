"""What a step must do at least, counted from the shapes of the layers: the floor of its time.

A forward pass of a network is one unit for each clip. The way back costs one more for the gradients of the inputs
and one for those of the weights. A discriminator update needs three each for real and fake clips, with a penalty on
its slope four more (forward, back to the input, forward along the tangent, weight gradients: see
`methods/first_order.py`), and a forward pass of the generator for the fakes. A generator update needs three of the
generator and two of every discriminator. Views, augmentations and normalisations are left out.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wavegan.models.images import Convolution2d, NearestUpsampling2d, TransposedConvolution2d
from wavegan.models.layers import Convolution, NearestUpsampling, PostFilter, TransposedConvolution

# Adam reads parameter, gradient and two moments and writes all but the gradient, four bytes each.
ADAM_BYTES = 7 * 4


def forward_flops(network: nn.Module, *inputs: Tensor | None) -> int:
    """Counts the floating point operations of a forward pass of these inputs; a multiply-add counts as two."""
    counts: list[int] = []
    hooks = [
        layer.register_forward_hook(
            lambda layer, given, result, count=count: counts.append(2 * count(layer, given[0], result))
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
    """Samples that a kernel meets, added up over the `stride` places of one; repeated ones are multiplied once."""
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
    """A forward pass of one clip, and how many more an update takes for a penalty on the slope.

    Of a pair of clips an update takes 6: two forward passes, four on the way back. A penalty at a point of its own
    takes 4 more, one at the clips themselves 2 for its tangents; one that is taken now and then accordingly less.
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
    judges = list(discriminators)
    return {
        "generator_forward": discriminator_steps * generator,
        "discriminator_update": discriminator_steps
        * sum(round((6 + judge.penalty) * judge.forward) for judge in judges),
        "generator_update": (2 if reuses_generated else 3) * generator + 2 * sum(judge.forward for judge in judges),
    }


def optimizer_bytes(generator_parameters: int, discriminator_parameters: int, *, discriminator_steps: int) -> int:
    """Memory that the updates of a step read and write, fused as tightly as may be."""
    return ADAM_BYTES * (generator_parameters + discriminator_steps * discriminator_parameters)
