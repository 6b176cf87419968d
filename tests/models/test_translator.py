"""Tests the translator: its shapes, that it starts near the identity, and that it looks no further than it says."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.models.conv1d import Convolution, NearestUpsampling
from wavegan.models.translator import ResidualBlock, Translator


def translator(**settings) -> Translator:
    torch.manual_seed(0)
    return Translator(**{"dim": 4, "kernel_size": 9, "blocks": 2, **settings})


def learnt(**settings) -> Translator:
    """Makes a translator with every weight and bias drawn, also those that start as zero."""
    network = translator(**settings)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.15)
    return network


def sound(*shape: int, level: float = 0.1) -> Tensor:
    return level * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def by_torch(network: Translator, x: Tensor) -> Tensor:
    """Computes the same by torch's own convolutions, with the paddings written out."""
    same = {"padding": 4}  # kernel 9
    names = dict(network.named_parameters())

    def convolved(x, name, stride=1):
        kernel, bias = names[f"{name}.weight"].transpose(1, 2), names[f"{name}.bias"]
        if stride > 1:
            return F.conv1d(F.pad(x, (2, 3)), kernel, bias, stride=stride)
        return F.conv1d(x, kernel, bias, **same)

    def leaky(x):
        return torch.where(x < 0, 0.2 * x, x)

    h = leaky(convolved(x, "layers.0"))
    h = leaky(convolved(h, "layers.2", 4))
    h = leaky(convolved(h, "layers.4", 4))
    for block in (6, 7):
        h = h + convolved(leaky(convolved(h, f"layers.{block}.first")), f"layers.{block}.last")
    h = leaky(convolved(h.repeat_interleave(4, dim=2), "layers.8"))
    h = leaky(convolved(h.repeat_interleave(4, dim=2), "layers.10"))
    h = convolved(h, "last")
    channels = x.shape[1]
    share = 1 / (1 + (-h[:, :channels]).exp())
    return (1 - share) * x + share * torch.tanh(h[:, channels:])


@pytest.mark.parametrize("channels", [1, 2])
def test_it_is_the_network_that_it_says(channels):
    network, x = learnt(channels=channels), sound(3, channels, 160)
    expected = by_torch(network, x)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    assert (expected - x).abs().mean() > 0.02, "what is compared is more than the sound that passes"


@pytest.mark.parametrize("samples", [16, 32, 48, 4096 + 16])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_multiple_of_16(samples, channels):
    x = sound(2, channels, samples)
    assert translator(channels=channels)(x).shape == x.shape


@pytest.mark.parametrize("samples", [15, 17, 4104])
def test_other_lengths_are_refused(samples):
    with pytest.raises(ValueError, match=f"{samples} samples.*multiples of 16.*cut or pad"):
        translator()(torch.zeros(1, 1, samples))


@pytest.mark.parametrize("blocks", [0, 1, 9])
def test_the_start_is_near_the_identity_however_deep(blocks):
    """σ(-2) = 0.119 of the sound is new; what is new is no louder than the sound."""
    x = sound(4, 1, 4096)
    change = (translator(blocks=blocks, dim=8, kernel_size=25)(x) - x).square().mean().sqrt() / 0.1
    assert 0.119 - 0.119 / 2 < change.item() < 2 * 0.119


def test_residual_blocks_start_as_the_identity():
    blocks = [layer for layer in translator(blocks=3).layers if isinstance(layer, ResidualBlock)]
    assert len(blocks) == 3
    x = sound(2, 16, 32)
    assert all(torch.equal(block(x), x) for block in blocks)


def test_silence_stays_silence_at_the_start():
    assert not translator()(torch.zeros(1, 1, 64)).any()


def test_the_start_treats_all_levels_alike():
    """Uses no statistics of the clip: an input a hundredth as loud gives an output a hundredth as loud.

    So a decay stays one. The gate is an exception, as its bias is no level; its change with the sound is of second
    order.
    """
    network, x = translator(), sound(1, 1, 1024, level=1e-3)
    torch.testing.assert_close(network(x / 100), network(x) / 100, rtol=1e-3, atol=1e-8)


def test_the_output_is_within_range_at_any_weights():
    network = translator(channels=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=3)
    x = (sound(4, 2, 1024, level=10)).clamp(-1, 1)
    y = network(x)
    assert y.abs().max() <= 1 and y.abs().max() > 0.99
    ones = torch.ones(1, 2, 64)
    assert network(ones).abs().max() <= 1 and network(-ones).abs().max() <= 1


@pytest.mark.parametrize(("gate", "new", "expected"), [(-100, 0.3, 0.5), (100, 0.3, math.tanh(0.3)), (0, 0, 0.25)])
def test_the_gate_by_hand(gate, new, expected):
    """A closed gate passes the sound; an open one replaces it; a half-open one takes half of it away."""
    network = translator(channels=2)
    with torch.no_grad():
        network.last.weight.zero_()
        network.last.bias.copy_(torch.tensor([gate, gate, new, new]))
    made = network(torch.full((1, 2, 16), 0.5))
    torch.testing.assert_close(made, torch.full((1, 2, 16), expected))


def test_each_channel_has_its_gate_and_its_sound():
    network = translator(channels=2)
    with torch.no_grad():
        network.last.weight.zero_()
        network.last.bias.copy_(torch.tensor([-100.0, 100.0, 9.0, 0.5]))
    x = sound(1, 2, 16)
    made = network(x)
    assert torch.equal(made[:, 0], x[:, 0])
    torch.testing.assert_close(made[:, 1], torch.full((1, 16), math.tanh(0.5)))


def test_it_shifts_with_the_sound_and_sees_a_place_only_from_near():
    """A window of a long sound gives what the whole would, except near its edges."""
    network, x = learnt(), sound(1, 1, 4096)
    with torch.no_grad():
        whole, part = network(x), network(x[..., 1600:3200])
    # Reach to each side: convolutions 4 + 4 · 1 and 4 · 4, blocks 2 · 2 · 4 · 16, upsamplings 16 + 8 · 4, the last 4.
    reach = 400
    torch.testing.assert_close(part[..., reach:-reach], whole[..., 1600 + reach : 3200 - reach], rtol=1e-4, atol=1e-6)


def test_a_constant_makes_no_comb():
    """Away from the edges a constant gives a constant; a transposed convolution would add a period of 4."""
    with torch.no_grad():
        made = learnt()(torch.full((1, 1, 4096), 0.3))[0, 0, 1024:-1024]
    assert (made - 0.3).abs().min() > 1e-3 and made.std() < 1e-5


def test_every_parameter_learns_after_the_first_update():
    """The first convolution of a block waits for the second, which starts with zeros."""
    network, x = translator(), sound(2, 1, 64)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (network(x) - 0.1).square().mean().backward()
        optimizer.step()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_under_autocast_the_sound_passes_unrounded():
    network, x = translator(), sound(1, 1, 64, level=0.3)
    nn.init.constant_(network.last.bias[:1], -100.0)
    with torch.autocast("cpu", torch.bfloat16):
        made = network(x)
    assert made.dtype == torch.float32 and torch.equal(made, x)


def test_widths_and_layers():
    """Uses d at the waveform and 4d at T / 16: kernels counted by hand for d = 4, k = 9 and two blocks."""
    network = translator(channels=2)
    weights = 2 * 4 + 4 * 8 + 8 * 16 + 2 * 2 * 16 * 16 + 16 * 8 + 8 * 4 + 4 * 4
    biases = 4 + 8 + 16 + 2 * 2 * 16 + 8 + 4 + 4
    assert sum(parameter.numel() for parameter in network.parameters()) == 9 * weights + biases
    strides = [
        (type(layer), layer.stride) for layer in network.layers if isinstance(layer, Convolution | NearestUpsampling)
    ]
    assert strides == [(Convolution, 1), (Convolution, 4), (Convolution, 4)] + 2 * [(NearestUpsampling, 4)]
