"""Tests layers against loops written by hand in float64, closed forms and torch's own."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wavegan.models.activations import LeakyReLU, slope_times
from wavegan.models.conv1d import Convolution, NearestUpsampling, PostFilter, TransposedConvolution, initialize_glorot

DOUBLE = torch.float64
LEFT = {(25, 4): 10, (25, 2): 11, (25, 1): 12, (9, 4): 2, (5, 2): 1}  # zeros before the first sample, by hand
RIGHT = {(25, 4): 11, (25, 2): 12, (25, 1): 12, (9, 4): 3, (5, 2): 2}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def learned(layer: Convolution | TransposedConvolution | NearestUpsampling) -> tuple[np.ndarray, np.ndarray]:
    """Returns its kernel, in torch.nn's order of axes, and its bias."""
    return layer.kernel.detach().numpy(), layer.bias.detach().numpy()


def convolved_by_hand(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, left: int) -> np.ndarray:
    """Maps (C, T) and (C', C, k) to (C', T / stride), sample by sample; outside of x there is zero."""
    frames = x.shape[1] // stride
    y = np.zeros((len(weight), frames))
    for out in range(len(weight)):
        for frame in range(frames):
            y[out, frame] = bias[out]
            for channel in range(len(x)):
                for tap in range(weight.shape[2]):
                    place = frame * stride + tap - left
                    if 0 <= place < x.shape[1]:
                        y[out, frame] += weight[out, channel, tap] * x[channel, place]
    return y


def transposed_by_hand(y: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, left: int) -> np.ndarray:
    """Maps (C, T) and (C, C', k) to (C', T · stride): every sample puts down a copy of the kernel."""
    samples = y.shape[1] * stride
    x = np.repeat(bias[:, None], samples, 1)
    for channel in range(len(y)):
        for frame in range(y.shape[1]):
            for tap in range(weight.shape[2]):
                place = frame * stride + tap - left
                if 0 <= place < samples:
                    x[:, place] += weight[channel, :, tap] * y[channel, frame]
    return x


@pytest.mark.parametrize(("kernel", "stride"), LEFT)
def test_the_pads_are_those_of_tensorflow(kernel, stride):
    needed = (16 - 1) * stride + kernel - 16 * stride  # tf.nn's formula for "SAME" and 16 frames
    assert (LEFT[kernel, stride], RIGHT[kernel, stride]) == (needed // 2, needed - needed // 2)
    assert Convolution(1, 1, kernel, stride=stride).pads == (LEFT[kernel, stride], RIGHT[kernel, stride])


@pytest.mark.parametrize(("kernel", "stride"), LEFT)
def test_the_convolution_equals_a_loop(kernel, stride):
    layer = Convolution(2, 3, kernel, stride=stride).to(DOUBLE)
    x = normal(1, 2, 32)
    expected = convolved_by_hand(x[0].numpy(), *learned(layer), stride, LEFT[kernel, stride])
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride"), [pair for pair in LEFT if pair[1] > 1])
def test_the_transposed_convolution_equals_a_loop(kernel, stride):
    layer = TransposedConvolution(3, 2, kernel, stride=stride).to(DOUBLE)
    y = normal(1, 3, 8)
    expected = transposed_by_hand(y[0].numpy(), *learned(layer), stride, LEFT[kernel, stride])
    np.testing.assert_allclose(layer(y)[0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride"), [pair for pair in LEFT if pair[1] > 1])
def test_the_transposed_convolution_is_the_adjoint_of_the_convolution(kernel, stride):
    """Checks <A x, y> = <x, Aᵀ y> for every x and y, with one kernel and no bias."""
    down = Convolution(2, 3, kernel, stride=stride).to(DOUBLE)
    up = TransposedConvolution(3, 2, kernel, stride=stride).to(DOUBLE)
    with torch.no_grad():
        up.kernel.copy_(down.kernel)
        x, y, nothing = normal(4, 2, 16 * stride), normal(4, 3, 16, seed=1), normal(4, 3, 16).zero_()
        down_x, up_y = down(x) - down(torch.zeros_like(x)), up(y) - up(nothing)  # without their biases
        assert torch.sum(down_x * y).item() == pytest.approx(torch.sum(x * up_y).item(), rel=1e-12)


def test_nearest_upsampling_repeats_and_then_convolves():
    layer = NearestUpsampling(2, 3, 25, stride=4).to(DOUBLE)
    x = normal(1, 2, 8)
    expected = convolved_by_hand(np.repeat(x[0].numpy(), 4, axis=1), *learned(layer), stride=1, left=12)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("taps", [512, 7])
def test_the_post_filter_filters_each_channel_by_itself(taps):
    layer = PostFilter(2, taps).to(DOUBLE)
    assert layer.bias is None and layer.weight.shape == (2, 1, taps)
    x, left = normal(1, 2, 64), (taps - 1) // 2
    for channel in range(2):
        weight = layer.weight[channel : channel + 1].detach().numpy()
        expected = convolved_by_hand(x[0, channel : channel + 1].numpy(), weight, np.zeros(1), 1, left)
        np.testing.assert_allclose(layer(x)[0, channel : channel + 1].detach().numpy(), expected, atol=1e-12)


def test_the_slope_by_hand():
    """The slope at an output of zero is the negative one, like torch's own."""
    d, y = torch.tensor([10.0, 10.0, 10.0, -5.0]), torch.tensor([3.0, -3.0, 0.0, -0.1])
    torch.testing.assert_close(slope_times(d, y, 0.2), torch.tensor([10.0, 2.0, 2.0, -1.0]))


KINDS = {"strided": (Convolution, 4), "transposed": (TransposedConvolution, 4), "nearest": (NearestUpsampling, 2)}


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast_a_layer_computes_in_bf16_and_learns_in_fp32(kind):
    make, stride = KINDS[kind]
    torch.manual_seed(0)
    layer, x = make(4, 8, 9, stride=stride), torch.randn(2, 4, 64)
    torch.nn.init.normal_(layer.bias)
    assert [parameter.dtype for parameter in layer.cast_parameters()] == [torch.float32] * 2
    exact = layer(x)
    exact_gradients = torch.autograd.grad(exact.sin().sum(), layer.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert [parameter.dtype for parameter in layer.cast_parameters()] == [torch.bfloat16] * 2
        rough = layer(x)
    assert exact.dtype == torch.float32 and rough.dtype == torch.bfloat16
    rough.float().sin().sum().backward()
    torch.testing.assert_close(rough.float(), exact, atol=0.06, rtol=0.02)
    for parameter, gradient in zip(layer.parameters(), exact_gradients, strict=True):
        assert parameter.grad is not None and parameter.grad.dtype == torch.float32
        assert (parameter.grad - gradient).norm() < 0.05 * gradient.norm()


@pytest.mark.parametrize("slope", [0.2, 0.01])
def test_leaky_relu_equals_torchs_to_the_second_derivative(slope):
    weight, x = normal(8, 8), torch.cat([normal(5, 8, seed=1), torch.zeros(1, 8, dtype=DOUBLE)])

    def derivatives(activation):
        w, at = weight.clone().requires_grad_(), x.clone().requires_grad_()
        y = (activation(activation(at) @ w) + at) ** 3 + activation(at)  # not flat where x is zero
        (first,) = torch.autograd.grad(y.sum(), at, create_graph=True)
        return y, first, *torch.autograd.grad((first.norm(dim=1) - 1).square().sum(), (w, at))

    ours, theirs = derivatives(LeakyReLU(slope)), derivatives(lambda x: F.leaky_relu(x, slope))
    for computed, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(computed, expected, rtol=1e-12, atol=1e-14)


def test_leaky_relu_keeps_the_type():
    x = torch.tensor([-1.0, 2.0])
    assert LeakyReLU(0.5)(x).tolist() == [-0.5, 2.0]
    assert LeakyReLU(0.5)(x.bfloat16()).dtype == torch.bfloat16


GLOROT = [
    (Convolution(64, 128, 25, stride=4), 6 / (25 * (64 + 128))),
    (Convolution(1, 64, 25, stride=4), 6 / (25 * 65)),
    (TransposedConvolution(128, 64, 25, stride=4), 6 / (25 * (128 + 64))),
    (TransposedConvolution(64, 2, 9, stride=4), 6 / (9 * 66)),
    (NearestUpsampling(16, 8, 25, stride=4), 6 / (25 * 24)),
    (PostFilter(3, 512), 6 / (512 * 2)),  # each filter joins one channel with one
    (nn.Linear(100, 256), 6 / 356),
]


@pytest.mark.parametrize(("layer", "square_of_limit"), GLOROT)
def test_start_values_are_glorots_and_biases_zero(layer, square_of_limit):
    """The largest of n uniform numbers lies within 10 / n of the limit, but for one case in 20,000."""
    torch.manual_seed(0)
    initialize_glorot(layer)
    parameters = dict(layer.named_parameters())
    for name, bias in parameters.items():
        assert "bias" not in name or not bias.any()
    (weight,) = (parameter for name, parameter in parameters.items() if "weight" in name)
    limit = math.sqrt(square_of_limit)
    assert limit * (1 - 10 / weight.numel()) < weight.abs().max().item() <= limit * (1 + 1e-6)
    assert weight.square().mean().item() == pytest.approx(square_of_limit / 3, rel=0.1)  # a uniform variance
