"""Tests the least work of a step: counted by hand, and by torch's own counter on torch's own layers."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from wavegan.bench.baseline_step import Discriminator as PlainDiscriminator
from wavegan.bench.baseline_step import Generator as PlainGenerator
from wavegan.bench.baseline_step import PlainStep
from wavegan.bench.flops import DiscriminatorFlops, forward_flops, optimizer_bytes, step_flops
from wavegan.models import inverse_stft, specgan, tiled, tiled_spectrum
from wavegan.models.wavegan import STRIDES, Discriminator, Generator, widths


def generator_flops(clip_samples: int = 4096, channels: int = 1, **settings) -> int:
    network = Generator(clip_samples, channels, **settings)
    return forward_flops(network, network.inputs[0].draw(1))


def discriminator_flops(clip_samples: int = 4096, channels: int = 1, **settings) -> int:
    return forward_flops(Discriminator((channels, clip_samples), **settings), torch.zeros(1, channels, clip_samples))


def test_a_small_generator_by_hand():
    """Adds up 2 · kernel · channels · channels · places, layer by layer from the latent."""
    dense = 2 * 3 * 16 * 8
    layers = [2 * 5 * 8 * 4 * 16, 2 * 5 * 4 * 2 * 64, 2 * 5 * 2 * 1 * 256, 2 * 5 * 1 * 1 * 1024]
    assert generator_flops(dim=1, kernel_size=5, latent_dim=3) == dense + sum(layers) == 26_368


def test_a_small_discriminator_by_hand():
    layers = [2 * 5 * 1 * 1 * 1024, 2 * 5 * 1 * 2 * 256, 2 * 5 * 2 * 4 * 64, 2 * 5 * 4 * 8 * 16]
    assert discriminator_flops(dim=1, kernel_size=5) == sum(layers) + 2 * 16 * 8 == 25_856


def test_nearest_upsampling_multiplies_each_sample_once():
    """With samples repeated four times, 5 taps meet 2 different samples at each of the four places."""
    dense = 2 * 3 * 16 * 8
    layers = [2 * 8 * 8 * 4 * 16, 2 * 8 * 4 * 2 * 64, 2 * 8 * 2 * 1 * 256, 2 * 8 * 1 * 1 * 1024]
    assert generator_flops(dim=1, kernel_size=5, latent_dim=3, upsample="nearest") == dense + sum(layers)


@pytest.mark.parametrize(("kernel", "stride_two", "stride_four"), [(25, 26, 28), (5, 6, 8), (9, 10, 12)])
def test_different_samples_that_a_kernel_meets(kernel, stride_two, stride_four):
    """Compares the taps that remain with a direct count of the samples that they fall on."""
    here = dict.fromkeys((2, 4), 0)
    for stride in here:
        for place in range(stride):
            offsets = range(place - (kernel - 1) // 2, place + kernel // 2 + 1)
            here[stride] += len({offset // stride for offset in offsets})
    assert here == {2: stride_two, 4: stride_four}
    last = generator_flops(8192, dim=1, kernel_size=kernel, latent_dim=1, upsample="nearest")
    dense, fours = 2 * 16 * 16, sum(2 * stride_four * product * places for product, places in
                                    [(16 * 8, 16), (8 * 4, 64), (4 * 2, 256), (2 * 1, 1024)])  # fmt: skip
    assert last == dense + fours + 2 * stride_two * 4096


def test_a_post_filter_is_counted_for_each_channel():
    without = generator_flops(channels=2, dim=1)
    assert generator_flops(channels=2, dim=1, post_filter=4) == without + 2 * 2 * 4 * 4096


def test_the_published_size():
    """Checks the unit of performance.md: 1.69 GFLOP for either network, layers of 0.42 and one of 0.013."""
    assert generator_flops(16384) == pytest.approx(1.69e9, rel=0.005)
    assert discriminator_flops(16384) == pytest.approx(1.69e9, rel=0.005)


@pytest.mark.parametrize("clip_samples", STRIDES)
def test_torchs_counter_agrees_on_torchs_layers(clip_samples):
    hidden = widths(clip_samples, 2)
    made = PlainGenerator(STRIDES[clip_samples], [*reversed(hidden), 2], 9, 7, False)
    judge = PlainDiscriminator(STRIDES[clip_samples], [2, *hidden], 9, 2)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        clips = made(torch.rand(1, 7))
    assert counted.get_total_flops() == generator_flops(clip_samples, 2, dim=2, kernel_size=9, latent_dim=7)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        judge(clips, no_shift)
    assert counted.get_total_flops() == discriminator_flops(clip_samples, 2, dim=2, kernel_size=9)


def no_shift(layer: int, examples: int) -> torch.Tensor:
    return torch.zeros(1, dtype=torch.int64)


def test_units_of_a_step():
    published = step_flops(1, [DiscriminatorFlops(1, 4)], discriminator_steps=5)
    assert published == {"generator_forward": 5, "discriminator_update": 50, "generator_update": 5}
    assert sum(published.values()) == 60
    assert sum(step_flops(1, [DiscriminatorFlops(1, 0)], discriminator_steps=5).values()) == 5 * (6 + 1) + 5
    assert step_flops(100, [DiscriminatorFlops(1, 4)], discriminator_steps=2) == {
        "generator_forward": 200, "discriminator_update": 20, "generator_update": 302
    }  # fmt: skip
    several = [DiscriminatorFlops(1, 4), DiscriminatorFlops(10, 0), DiscriminatorFlops(100, 4)]
    assert step_flops(1000, several, discriminator_steps=2) == {
        "generator_forward": 2000, "discriminator_update": 2 * (10 + 60 + 1000), "generator_update": 3000 + 222
    }  # fmt: skip
    now_and_then = [DiscriminatorFlops(10, 4 / 4)]
    assert step_flops(1000, now_and_then, discriminator_steps=1, reuses_generated=True) == {
        "generator_forward": 1000, "discriminator_update": 70, "generator_update": 2000 + 20
    }  # fmt: skip


@pytest.mark.parametrize(("upsample", "products_per_pixel"), [("transposed", 25), ("nearest", 6 * 6)])
def test_spectrograms_are_counted_in_both_directions(upsample, products_per_pixel):
    """With pixels repeated twice, 5 taps meet 3 different ones at each of two places.

    That makes 6 in each direction, for four pixels.
    """
    network = specgan.Generator(4096, dim=1, latent_dim=3, upsample=upsample)
    products = [16 * 8 * 4 * 1, 8 * 4 * 8 * 2, 4 * 2 * 16 * 4, 2 * 1 * 32 * 8, 1 * 1 * 64 * 16]
    dense = 2 * 3 * 4 * 16
    assert forward_flops(network, torch.zeros(1, 3)) == dense + 2 * products_per_pixel * sum(products)
    judge = specgan.Discriminator((1, 128, 32), dim=1)
    assert forward_flops(judge, torch.zeros(1, 1, 128, 32)) == 2 * 25 * sum(products) + 2 * 4 * 16


def test_torchs_counter_agrees_on_a_step_without_penalty():
    """Leaves out the gradients of clips and latents, which nobody asks for.

    They are the first layers' share of the backward pass.
    """
    hidden, examples = widths(4096, 2), 3
    plain = PlainStep(
        PlainGenerator(STRIDES[4096], [*reversed(hidden), 1], 5, 7, False),
        PlainDiscriminator(STRIDES[4096], [1, *hidden], 5, 2),
        rates=(1e-3, 1e-3),
        betas=(0.5, 0.9),
        penalty_weight=0.0,
    )
    z, real = torch.rand(examples, 7), torch.rand(examples, 1, 4096)
    with FlopCounterMode(display=False) as counted:
        plain.update_discriminator(real, z, torch.rand(examples, 1, 1), (no_shift, no_shift, no_shift))
        plain.update_generator(z, no_shift)
    sizes = {"dim": 2, "kernel_size": 5}
    judged = [DiscriminatorFlops(discriminator_flops(**sizes), 0)]
    units = step_flops(generator_flops(latent_dim=7, **sizes), judged, discriminator_steps=1)
    unasked = 2 * (2 * 5 * 1 * 2 * 1024) + 2 * 7 * 16 * 16
    assert counted.get_total_flops() == examples * (sum(units.values()) - unasked)


def test_bytes_of_the_optimisers():
    """Adam reads four numbers and writes three, of four bytes each."""
    assert optimizer_bytes(10, 100, discriminator_steps=5) == (4 + 3) * 4 * (10 + 500)


def test_torchs_counter_agrees_on_the_modern_networks():
    """Leaves out of the generator's count what is no layer: frames stretched by a product."""
    made = inverse_stft.Generator(4096, dim=8, latent_dim=4, labels=3, window=256, hop=64, pulses=True)
    labels = torch.eye(3)
    z, *noise = (declared.draw(3) for declared in made.inputs)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        made(z, labels, *noise)
    by_operation = {str(name): count for name, count in counted.get_flop_counts()["Global"].items()}
    layers = by_operation["aten.addmm"] + by_operation["aten.convolution"]
    assert forward_flops(made, z, labels, *noise) == pytest.approx(layers, rel=1e-3)
    for kind in (tiled_spectrum.SpectralDiscriminator, tiled_spectrum.TextureDiscriminator):
        judge, seen = kind((2, 129, 64), dim=4, labels=3), torch.zeros(3, 2, 129, 64)
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            judge(seen, labels)
        assert forward_flops(judge, seen, labels) == counted.get_total_flops()


def test_a_discriminator_of_tiled_waveforms_by_hand():
    judge = tiled.WaveformDiscriminator((1, 4096), dim=4, labels=3, group=1)
    layers = [2 * 5 * 16 * 4 * 256, 2 * 8 * 4 * 8 * 64, 2 * 8 * 8 * 16 * 16, 2 * 8 * 16 * 16 * 4]
    dense = 2 * 4 * 16 * 16 + 2 * 16 * 4
    assert forward_flops(judge, torch.zeros(1, 1, 4096), torch.eye(3)[:1]) == sum(layers) + dense
