"""Tests layers of images against loops written by hand in float64, and their stage against autograd."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wavegan.models import conv2d
from wavegan.models.activations import LeakyReLU
from wavegan.models.conv2d import (
    Convolution2d,
    Convolution2dStage,
    NearestUpsampling2d,
    TransposedConvolution2d,
    conv_transpose,
    convolve,
    pads,
    weight_gradient,
)

DOUBLE = torch.float64
PADS = {(5, 2): (1, 2), (3, 2): (0, 1), (7, 2): (2, 3), (5, 1): (2, 2), (4, 2): (1, 1), (25, 4): (10, 11)}
LAYERS = [Convolution2d, TransposedConvolution2d, NearestUpsampling2d]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def randomised(layer):
    """Returns the layer in float64, with a bias that is not zero."""
    layer.double()
    layer.weight.data, layer.bias.data = normal(*layer.weight.shape, seed=8), normal(*layer.bias.shape, seed=9)
    return layer


def assert_equal(computed: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(computed, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("kernel", "stride"), PADS)
def test_the_pads_are_those_of_tensorflow(kernel, stride):
    needed = (16 - 1) * stride + kernel - 16 * stride  # tf.nn's formula for "SAME" and 16 places
    assert pads(kernel, stride) == PADS[kernel, stride] == (needed // 2, needed - needed // 2)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 2), (3, 2), (4, 2), (5, 1)])
def test_the_convolution_and_its_adjoint_equal_loops(kernel, stride):
    """Sums for every output pixel over what it sees, and for every input pixel over those that see it."""
    down, up = Convolution2d(2, 3, kernel, stride=stride), TransposedConvolution2d(3, 2, kernel, stride=stride)
    down, up = randomised(down), randomised(up)
    x, d = normal(1, 2, 6 * stride, 4 * stride), normal(1, 3, 6, 4, seed=1)
    before = PADS[kernel, stride][0]
    y, z = np.zeros((3, 6, 4)), np.zeros((2, 6 * stride, 4 * stride))
    weight, adjoint_weight = down.weight.detach().numpy(), up.weight.detach().numpy()  # (C', k, k, C), rows first
    for row, column, across, along in np.ndindex(6, 4, kernel, kernel):
        at, beside = row * stride + across - before, column * stride + along - before
        if 0 <= at < 6 * stride and 0 <= beside < 4 * stride:
            y[:, row, column] += weight[:, across, along] @ x[0, :, at, beside].numpy()
            z[:, at, beside] += adjoint_weight[:, across, along].T @ d[0, :, row, column].numpy()
    y += down.bias.detach().numpy()[:, None, None]
    z += up.bias.detach().numpy()[:, None, None]
    assert_equal(down(x)[0], torch.from_numpy(y))
    assert_equal(up(d)[0], torch.from_numpy(z))


@pytest.mark.parametrize(("kernel", "stride"), PADS)
def test_kernel_shows_the_weight_as_torch_has_it(kernel, stride):
    down, up = Convolution2d(2, 3, kernel, stride=stride), TransposedConvolution2d(3, 2, kernel, stride=stride)
    down, up = randomised(down), randomised(up)
    (before, after), x, d = PADS[kernel, stride], normal(2, 2, 8 * stride, 4 * stride), normal(2, 3, 8, 4, seed=1)
    padded = F.pad(x, (before, after, before, after))
    assert_equal(down(x), F.conv2d(padded, down.kernel, down.bias, stride))
    whole = F.conv_transpose2d(d, up.kernel, up.bias, stride)
    assert_equal(up(d), whole[:, :, before : before + 8 * stride, before : before + 4 * stride])


@pytest.mark.parametrize(("kernel", "stride"), PADS)
def test_nearest_repeats_pixels_and_convolves(kernel, stride):
    layer, x = randomised(NearestUpsampling2d(2, 3, kernel, stride=stride)), normal(2, 2, 4, 6)
    repeated = x.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    before = (kernel - 1) // 2
    after = kernel - 1 - before
    padded = F.pad(repeated, (before, after, before, after))
    assert_equal(layer(x), F.conv2d(padded, layer.kernel, layer.bias))
    flat = torch.ones(1, 2, 8, 8, dtype=DOUBLE)
    if kernel == 5:  # no checkerboard, whatever the weights: the middle of a flat image stays flat
        middle = layer(flat)[0, :, 6:-6, 6:-6] if stride > 1 else layer(flat)[0, :, 2:-2, 2:-2]
        assert_equal(middle, middle[:, :1, :1].expand_as(middle))


@pytest.mark.parametrize(("kernel", "stride"), PADS)
def test_the_three_are_one_trilinear_form(kernel, stride):
    """Checks <convolve(x, w), d> = <x, conv_transpose(d, w)> = <weight_gradient(x, d), w>, and their shapes."""
    x, weight, d = (
        normal(2, 4 * stride, 6 * stride, 2),
        normal(3, kernel, kernel, 2, seed=1),
        normal(2, 4, 6, 3, seed=2),
    )
    three = (
        convolve(x, weight, None, stride),
        conv_transpose(d, weight, None, stride),
        weight_gradient(x, d, kernel, stride),
    )
    assert [tensor.shape for tensor in three] == [d.shape, x.shape, weight.shape]
    assert all(tensor.is_contiguous() for tensor in three)
    values = [torch.sum(tensor * factor).item() for tensor, factor in zip(three, (d, x, weight), strict=True)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-11)


def test_a_second_derivative_is_made_of_the_three_alone(monkeypatch):
    """Looks at the graph of a gradient: torch's own would hold a convolution with kernels as large as the image."""
    monkeypatch.setattr(conv2d, "TORCH_IS_FAST", ())
    layer, x = randomised(Convolution2d(2, 3, 3, stride=2)), normal(1, 2, 6, 8).requires_grad_()
    (slope,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    names, waiting = set(), [slope.grad_fn]
    while waiting:
        node = waiting.pop()
        assert node is not None
        names.add(type(node).__name__)
        waiting += [following for following, _ in node.next_functions if following is not None]
    assert "ConvTransposeBackward" in names and not any("ConvolutionBackward" in name for name in names)


SIZES = [((7, 9), 2), ((1, 1), 2), ((8, 5), (2, 1)), ((3, 11), (1, 2)), ((13, 6), (3, 2))]


@pytest.mark.parametrize(("size", "stride"), SIZES, ids=str)
@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_an_image_of_any_size_is_filled_up_with_zeros_at_its_end(size, stride, kernel):
    """Compares with the same image padded to a size that the stride divides; every gradient is autograd's."""
    down, across = stride if isinstance(stride, tuple) else (stride, stride)
    layer, x = randomised(Convolution2d(2, 3, kernel, stride=stride)), normal(2, 2, *size).requires_grad_()
    y = layer(x)
    assert y.shape == (2, 3, -(-size[0] // down), -(-size[1] // across))
    filled = F.pad(x, (0, -size[1] % across, 0, -size[0] % down))
    (top, bottom), (left, right) = pads(kernel, down), pads(kernel, across)
    assert_equal(y, F.conv2d(F.pad(filled, (left, right, top, bottom)), layer.kernel, layer.bias, (down, across)))
    assert_equal(layer(filled), y)
    d = normal(*y.shape, seed=3)
    slope, weight = torch.autograd.grad(y, (x, layer.weight), d)
    x_rows, d_rows = x.detach().movedim(1, -1), d.movedim(1, -1)
    assert_equal(conv_transpose(d_rows, layer.weight, None, stride, size), slope.movedim(1, -1))
    assert_equal(weight_gradient(x_rows, d_rows, kernel, stride), weight)


@pytest.mark.parametrize("whose", ["torch's", "ours"])
@pytest.mark.parametrize(("kind", "size"), [*((kind, (2, 4)) for kind in LAYERS), (Convolution2d, (3, 5))])
def test_first_and_second_derivatives(kind, size, whose, monkeypatch):
    if whose == "ours":
        monkeypatch.setattr(conv2d, "TORCH_IS_FAST", ())
    layer = randomised(kind(1, 2, 3, stride=2))
    x = normal(1, 1, *size).requires_grad_()
    weight, bias = (parameter.detach().clone().requires_grad_() for parameter in layer.parameters())

    def outputs(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)

    assert torch.autograd.gradcheck(outputs, (x, weight, bias))
    assert torch.autograd.gradgradcheck(outputs, (x, weight, bias))


@pytest.mark.parametrize("kind", LAYERS)
def test_start_values_are_glorots(kind):
    """The values are uniform within the square root of 6 over 25 · (6 + 10).

    The largest of 1500 numbers nearly reaches it.
    """
    torch.manual_seed(0)
    layer = kind(6, 10, 5, stride=2)
    limit = (6 / 400) ** 0.5
    assert 0.99 * limit < layer.weight.abs().max() <= limit and not layer.bias.any()
    assert layer.weight.var().item() == pytest.approx(limit**2 / 3, rel=0.1)
    assert layer.weight.numel() == 1500 and layer.bias.shape == (10,)
    assert layer.kernel.shape == ((6, 10, 5, 5) if kind is TransposedConvolution2d else (10, 6, 5, 5))


@pytest.mark.parametrize("kind", LAYERS)
def test_under_autocast_layers_compute_in_bf16_and_learn_in_fp32(kind):
    torch.manual_seed(0)
    layer, x = kind(2, 3, 5, stride=2), torch.randn(2, 2, 8, 8)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = layer(x)
    rough.float().sum().backward()
    assert rough.dtype == torch.bfloat16 and layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)


def test_activations_stay_channels_last_from_layer_to_layer():
    """Makes no copy between layers: one's output is in the next one's memory order."""
    for kind in LAYERS:
        assert kind(2, 3, 5, stride=2)(torch.randn(2, 2, 8, 8)).movedim(1, -1).is_contiguous()


class Case:
    """Holds a stage, the layers that it is made of, an input, a direction and a gradient of the output."""

    def __init__(self, kernel: int, slope: float, stride: int | tuple[int, int], size: tuple[int, int]):
        self.layer, self.activation = randomised(Convolution2d(2, 3, kernel, stride=stride)), LeakyReLU(slope)
        with torch.no_grad():
            self.stage = Convolution2dStage.of(self.layer, self.activation)
            self.x, self.t = normal(6, *size, 2), normal(6, *size, 2, seed=1)
            self.y = self.stage(self.x)
            self.d = normal(*self.y.shape, seed=2)

    def by_layers(self, x: Tensor) -> Tensor:
        return self.activation(self.layer(x.movedim(-1, 1))).movedim(1, -1)


@pytest.fixture(
    params=[
        (5, 0.2, 2, (8, 4)),
        (3, 0.7, 2, (8, 4)),
        (5, 0.2, 2, (7, 5)),
        (4, 0.2, (2, 1), (9, 1)),
        (3, 0.2, (1, 2), (2, 13)),
    ],
    ids=str,
)
def case(request) -> Case:
    return Case(*request.param)


@torch.no_grad()
def test_a_stage_is_its_layers(case):
    assert_equal(case.y, case.by_layers(case.x))
    assert (case.y > 0).any() and (case.y < 0).any()


def test_along_is_the_derivative_in_a_direction(case):
    _, moved = torch.autograd.functional.jvp(case.by_layers, case.x, case.t)
    with torch.no_grad():
        along = case.stage.tangent(case.t, case.y)
        assert_equal(along, torch.as_tensor(moved))
        assert_equal(case.stage.tangent(case.t[-2:], case.y[-2:]), along[-2:])


def test_the_way_back_is_autograds(case):
    x = case.x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(case.by_layers(x), x, case.d)
    with torch.no_grad():
        assert_equal(case.stage.input_gradient(case.stage.activation_gradient(case.d, case.y), case.x), expected)


@pytest.mark.parametrize("bias_rows", [6, 4, 0])
def test_parameter_gradients_are_autograds(case, bias_rows):
    """Takes all rows for the weight, and the first ones alone for the bias."""
    with torch.no_grad():
        before = case.stage.activation_gradient(case.d, case.y)
        weight, bias = case.stage.parameter_gradients(case.x, before, bias_rows)
    (expected,) = torch.autograd.grad(case.by_layers(case.x), case.layer.weight, case.d)
    assert_equal(weight, expected)
    rest = case.d.clone()
    rest[bias_rows:] = 0
    (expected,) = torch.autograd.grad(case.by_layers(case.x), case.layer.bias, rest)
    assert_equal(bias, expected)


@torch.no_grad()
def test_a_stage_leaves_what_it_is_given_as_it_was(case):
    given = [case.x, case.t, case.d, case.y]
    before = [tensor.clone() for tensor in given]
    case.stage.tangent(case.t, case.y)
    case.stage.parameter_gradients(case.x, case.stage.activation_gradient(case.d, case.y), 2)
    case.stage.input_gradient(case.d, case.x)
    case.stage(case.x)
    assert all(torch.equal(tensor, was) for tensor, was in zip(given, before, strict=True))
