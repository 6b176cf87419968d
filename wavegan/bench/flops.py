"""What a step must do at least, counted from the shapes of the layers: the floor of its time.

A forward pass of a network is one unit for each clip. The way back costs one more for the gradients of the inputs
and one for those of the weights. A discriminator update needs three each for real and fake clips, with a penalty on
its slope four more (forward, back to the input, forward along the tangent, weight gradients: see
`methods/first_order.py`), and a forward pass of the generator for the fakes. A generator update needs three of the
generator and two of the discriminator.
"""

from torch import nn

from wavegan.models.layers import Convolution, NearestUpsampling, PostFilter, TransposedConvolution

# Adam reads parameter, gradient and two moments and writes all but the gradient, four bytes each.
ADAM_BYTES = 7 * 4


def forward_flops(network: nn.Module, samples: int) -> int:
    """Floating point operations of a network's forward pass for one clip; a multiply-add counts as two.

    samples: positions in time where its convolutions begin. Activations and normalisations are left out.
    """
    flops = 0
    for layer in network.modules():
        if isinstance(layer, Convolution):
            samples //= layer.stride
            flops += 2 * layer.weight.numel() * samples
        elif isinstance(layer, TransposedConvolution):
            flops += 2 * layer.weight.numel() * samples
            samples *= layer.stride
        elif isinstance(layer, NearestUpsampling):
            flops += 2 * layer.channels_in * layer.channels_out * _different_samples(layer) * samples
            samples *= layer.stride
        elif isinstance(layer, PostFilter):
            flops += 2 * layer.weight.numel() * samples
        elif isinstance(layer, nn.Linear):
            flops += 2 * layer.weight.numel()
    return flops


def _different_samples(layer: NearestUpsampling) -> int:
    """Samples that a kernel meets, added up over the `stride` places of one; repeated ones are multiplied once."""
    before, after = (layer.kernel_size - 1) // 2, layer.kernel_size // 2
    return sum((place + after) // layer.stride - (place - before) // layer.stride + 1 for place in range(layer.stride))


def step_flops(generator: int, discriminator: int, *, discriminator_steps: int, penalised: bool) -> dict[str, int]:
    """What each part of a step needs for one clip of the batch, from the networks' forward passes."""
    return {
        "generator_forward": discriminator_steps * generator,
        "discriminator_update": discriminator_steps * (10 if penalised else 6) * discriminator,
        "generator_update": 3 * generator + 2 * discriminator,
    }


def optimizer_bytes(generator_parameters: int, discriminator_parameters: int, *, discriminator_steps: int) -> int:
    """Memory that the updates of a step read and write, fused as tightly as may be."""
    return ADAM_BYTES * (generator_parameters + discriminator_steps * discriminator_parameters)
