"""Tests convolution, adjoint and weight gradient against torch's own, in each of their forms."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wavegan.models import convolution
from wavegan.models.convolution import (
    FEW_PLACES,
    FEW_PLACES_FOR_WEIGHT_GRADIENT,
    conv_transpose,
    convolve,
    folded_nearest,
    weight_gradient,
)

DOUBLE = torch.float64
# The number of places up to which a matrix product is taken, and the channels that a block needs.
FORMS = {"product": (10**9, 0), "blocks": (0, 0), "several places as one": (0, 32)}
LIMITS = FEW_PLACES["cpu"], FEW_PLACES_FOR_WEIGHT_GRADIENT["cpu"]
PLACES = sorted(limit + more for limit in LIMITS for more in (-15, 0, 1, 20))
CHANNELS = [(1, 1), (1, 3), (3, 2), (4, 1)]
KERNELS = [(25, 4), (25, 2), (9, 4), (5, 4), (5, 2), (7, 1), (6, 2), (4, 4), (2, 2), (1, 1)]
SHAPES = [
    (places * stride, *CHANNELS[number % len(CHANNELS)], kernel, stride)
    for number, ((kernel, stride), places) in enumerate(product(KERNELS, PLACES))
]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def pads_of(kernel: int, stride: int) -> set[int]:
    """Returns the layers' own padding, none, and the largest with which a kernel still touches the first sample."""
    return {max(kernel - stride, 0) // 2, 0, kernel - 1}


def channels_first(x: Tensor, weight: Tensor, stride: int, pad: int) -> tuple[Tensor, Tensor]:
    """Returns x with its zeros on both ends, and the weight, in torch.nn's order of axes."""
    beyond = max(weight.shape[1] - stride - pad, 0)
    return F.pad(x.transpose(1, 2), (pad, beyond)), weight.transpose(1, 2)


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Computes `convolve` by torch.nn."""
    padded, kernel = channels_first(x, weight, stride, pad)
    return F.conv1d(padded, kernel, bias, stride)[..., : x.shape[1] // stride].transpose(1, 2)


def spread(d: Tensor, weight: Tensor, bias: Tensor | None, stride: int, pad: int) -> Tensor:
    """Computes `conv_transpose` by torch.nn: the whole transposed convolution, then cut to length."""
    samples = d.shape[1] * stride
    whole = F.conv_transpose1d(d.transpose(1, 2), weight.transpose(1, 2), None, stride)
    cut = F.pad(whole, (0, samples))[..., pad : pad + samples].transpose(1, 2)
    return cut if bias is None else cut + bias


def correlated(x: Tensor, d: Tensor, kernel: int, stride: int, pad: int) -> Tensor:
    """Computes `weight_gradient` by its definition, tap by tap."""
    padded = F.pad(x, (0, 0, pad, kernel + stride))
    taps = [padded[:, tap : tap + d.shape[1] * stride : stride] for tap in range(kernel)]
    return torch.stack([torch.einsum("ntc,nto->oc", seen, d) for seen in taps], dim=1)


def assert_equal(computed: Tensor, expected: Tensor) -> None:
    assert computed.shape == expected.shape and computed.dtype == expected.dtype
    assert (computed - expected).abs().max().item() <= 1e-12 * max(1, expected.abs().max().item())


def case(samples: int, channels: int, channels_out: int, kernel: int, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """Makes an input, a weight and a tensor of the output's shape."""
    shapes = ((3, samples, channels), (channels_out, kernel, channels), (3, samples // stride, channels_out))
    x, weight, d = (normal(*shape, seed=seed) for seed, shape in enumerate(shapes))
    return x, weight, d


def test_the_grid_stands_on_both_sides_of_both_limits():
    places = {samples // stride for samples, *_, stride in SHAPES}
    for limit in LIMITS:
        assert {limit, limit + 1} <= places and min(places) < limit < max(places)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_three_equal_torchs(shape):
    (x, weight, d), (_, channels, channels_out, kernel, stride) = case(*shape), shape
    for pad in pads_of(kernel, stride):
        for biased in (True, False):
            bias = normal(channels_out, seed=5) if biased else None
            assert_equal(convolve(x, weight, bias, stride, pad), convolved(x, weight, bias, stride, pad))
            bias = normal(channels, seed=6) if biased else None
            assert_equal(conv_transpose(d, weight, bias, stride, pad), spread(d, weight, bias, stride, pad))
        assert_equal(weight_gradient(x, d, kernel, stride, pad), correlated(x, d, kernel, stride, pad))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_three_are_one_trilinear_form(shape):
    """Checks <convolve(x, w), d> = <x, conv_transpose(d, w)> = <weight_gradient(x, d), w>."""
    (x, weight, d), (*_, kernel, stride) = case(*shape), shape
    pad = max(kernel - stride, 0) // 2
    value = torch.sum(convolve(x, weight, None, stride, pad) * d).item()
    assert torch.sum(x * conv_transpose(d, weight, None, stride, pad)).item() == pytest.approx(
        value, rel=1e-11, abs=1e-11
    )
    assert torch.sum(weight_gradient(x, d, kernel, stride, pad) * weight).item() == pytest.approx(
        value, rel=1e-11, abs=1e-11
    )


def choose(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few, channels = FORMS[form]
    monkeypatch.setattr(convolution, "FEW_PLACES", {"cpu": few})
    monkeypatch.setattr(convolution, "FEW_PLACES_FOR_WEIGHT_GRADIENT", {"cpu": few})
    monkeypatch.setattr(convolution, "LEAST_BLOCK_CHANNELS", {"cpu": channels})


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_all_forms_agree(kernel, stride, monkeypatch):
    """Compares a matrix product with convolutions of blocks, of the same few and of the same many places."""
    for places in (1, 2, 16, 80):
        x, weight, d = case(places * stride, 2, 3, kernel, stride)
        down, up = normal(3, seed=7), normal(2, seed=8)
        for pad in pads_of(kernel, stride):
            results = []
            for form in FORMS:
                choose(form, monkeypatch)
                three = convolve(x, weight, down, stride, pad), conv_transpose(d, weight, up, stride, pad)
                results.append([*three, weight_gradient(x, d, kernel, stride, pad)])
            for by_product, *by_blocks in zip(*results, strict=True):
                for other in by_blocks:
                    assert_equal(by_product, other)


def test_as_many_places_are_made_as_one_as_the_channels_ask_for(monkeypatch):
    monkeypatch.setattr(convolution, "LEAST_BLOCK_CHANNELS", {"cpu": 16})
    together = {
        (channels, places): convolution._places_together(torch.device("cpu"), channels, places)
        for channels, places in ((4, 64), (4, 6), (4, 7), (8, 64), (5, 64), (16, 64), (64, 64))
    }
    assert together == {(4, 64): 4, (4, 6): 2, (4, 7): 1, (8, 64): 2, (5, 64): 2, (16, 64): 1, (64, 64): 1}
    monkeypatch.setattr(convolution, "LEAST_BLOCK_CHANNELS", {"cuda": 16})
    assert convolution._places_together(torch.device("cpu"), 4, 64) == 1


def test_a_form_is_chosen_by_the_number_of_places(monkeypatch):
    """Watches the functions called: the matrix product up to the limit, blocks beyond it."""
    called = []
    for name in ("_unfold", "_fold", "_block_weight", "_cut"):
        original = getattr(convolution, name)
        monkeypatch.setattr(convolution, name, lambda *a, name=name, whole=original: called.append(name) or whole(*a))
    for compute, limit, product_calls, block_calls in (
        (lambda x, w, d: convolve(x, w, None, 4, 2), LIMITS[0], {"_unfold"}, {"_cut", "_block_weight"}),
        (lambda x, w, d: conv_transpose(d, w, None, 4, 2), LIMITS[0], {"_fold"}, {"_cut", "_block_weight"}),
        (lambda x, w, d: weight_gradient(x, d, 9, 4, 2), LIMITS[1], {"_unfold"}, {"_cut"}),
    ):
        for places, expected in ((limit, product_calls), (limit + 1, block_calls)):
            called.clear()
            compute(*case(4 * places, 2, 3, 9, 4))
            assert set(called) == expected


ARGUMENTS = {  # each a function of its tensors alone, and those
    "convolve": (lambda x, w, b: convolve(x, w, b, 2, 1), ((2, 8, 2), (3, 5, 2), (3,))),
    "conv_transpose": (lambda d, w, b: conv_transpose(d, w, b, 2, 1), ((2, 4, 3), (3, 5, 2), (2,))),
    "weight_gradient": (lambda x, d: weight_gradient(x, d, 5, 2, 1), ((2, 8, 2), (2, 4, 3))),
    "folded": (lambda x, w: convolve(x, folded_nearest(w, 2), None, 1, 2), ((1, 5, 2), (3, 5, 2))),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_first_and_second_derivatives(name, form, monkeypatch):
    choose(form, monkeypatch)
    function, shapes = ARGUMENTS[name]
    given = tuple(normal(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes))
    assert torch.autograd.gradcheck(function, given)
    assert torch.autograd.gradgradcheck(function, given)


@pytest.mark.parametrize("name", ["convolve", "conv_transpose"])
def test_each_gradient_alone(name):
    """Checks that each gradient is the same alone as beside the others, and that none is computed unasked."""
    function, shapes = ARGUMENTS[name]
    values = [normal(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    together = [value.clone().requires_grad_() for value in values]
    function(*together).square().sum().backward()
    for place in range(3):
        alone = [value.clone().requires_grad_(place == number) for number, value in enumerate(values)]
        function(*alone).square().sum().backward()
        assert [value.grad is not None for value in alone] == [place == number for number in range(3)]
        torch.testing.assert_close(alone[place].grad, together[place].grad)


def test_a_third_derivative_by_hand():
    """Takes y = w·x at one place, channel and tap: d³(y³)/dx³ = 6w³."""
    x, w = (torch.full((1, 1, 1), value, dtype=DOUBLE, requires_grad=True) for value in (2.0, 3.0))
    derivative = convolve(x, w, None, 1, 0).pow(3).sum()
    for expected in (3 * 3.0 * 6.0**2, 6 * 3.0**2 * 6.0, 6 * 3.0**3):
        (derivative,) = torch.autograd.grad(derivative.sum(), x, create_graph=True)
        assert derivative.item() == pytest.approx(expected)


def test_there_is_no_graph_where_none_is_needed():
    x, weight, d = case(16, 2, 3, 5, 4)
    made = [convolve(x, weight, None, 4, 0), conv_transpose(d, weight, None, 4, 0), weight_gradient(x, d, 5, 4, 0)]
    assert not any(output.requires_grad for output in made)
    weight.requires_grad_()
    assert convolve(x, weight, None, 4, 0).requires_grad and conv_transpose(d, weight, None, 4, 0).requires_grad
    with torch.no_grad():
        assert not convolve(x, weight, None, 4, 0).requires_grad
        assert not conv_transpose(d, weight, None, 4, 0).requires_grad


def channels_apart(x: Tensor) -> Tensor:
    """Returns the same numbers as torch.nn lays them in memory, channel by channel."""
    moved = x.transpose(1, 2).contiguous().transpose(1, 2)
    assert not moved.is_contiguous() and torch.equal(moved, x)
    return moved


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kernel", "stride"), [(25, 4), (5, 2), (4, 4), (1, 1)])
def test_activations_may_lie_anywhere_in_memory_where_gradients_are_taken(kernel, stride, form, monkeypatch):
    choose(form, monkeypatch)
    x, weight, d = case(16 * stride, 3, 2, kernel, stride)
    pad = max(kernel - stride, 0) // 2
    weight.requires_grad_()

    def results(of: Callable[[Tensor], Tensor]) -> list[Tensor]:
        y = convolve(of(x), weight, None, stride, pad)
        back = conv_transpose(of(d), weight, None, stride, pad)
        return [y, back, *torch.autograd.grad((y, back), weight, (of(d), of(x)))]

    for ours, theirs in zip(results(channels_apart), results(lambda tensor: tensor), strict=True):
        assert_equal(ours, theirs)


@pytest.mark.parametrize("form", FORMS)
def test_in_bf16_the_results_are_within_its_precision(form, monkeypatch):
    choose(form, monkeypatch)
    x, weight, d = case(64, 8, 16, 25, 4)
    exact = convolve(x, weight, None, 4, 10), conv_transpose(d, weight, None, 4, 10), weight_gradient(x, d, 25, 4, 10)
    x, weight, d = x.bfloat16(), weight.bfloat16(), d.bfloat16()
    rough = convolve(x, weight, None, 4, 10), conv_transpose(d, weight, None, 4, 10), weight_gradient(x, d, 25, 4, 10)
    for computed, expected in zip(rough, exact, strict=True):
        assert computed.dtype == torch.bfloat16
        assert (computed - expected).norm() < 0.01 * expected.norm()  # 8 bits: half of 2⁻⁸ for each rounding


FOLDED = {(25, 4): 7, (25, 2): 13, (9, 4): 3, (5, 4): 3, (5, 2): 3, (4, 2): 3, (7, 3): 3, (5, 1): 5}  # taps, by hand


@pytest.mark.parametrize(("kernel", "stride"), FOLDED)
def test_the_folded_weight_upsamples_and_convolves(kernel, stride):
    for samples in (1, 3, 16, 70):
        x, weight = normal(2, samples, 3), normal(2, kernel, 3, seed=1)
        folded, pad = folded_nearest(weight, stride), (kernel - 1) // 2
        assert folded.shape == (stride * 2, FOLDED[kernel, stride], 3)
        repeated = F.pad(x.repeat_interleave(stride, dim=1).transpose(1, 2), (pad, kernel - 1 - pad))
        expected = F.conv1d(repeated, weight.transpose(1, 2)).transpose(1, 2)
        computed = convolve(x, folded, None, 1, folded.shape[1] // 2).view(2, samples * stride, 2)
        assert_equal(computed, expected)


def test_folding_adds_up_the_taps_that_see_one_sample():
    """Puts 1 2 3 over samples a a b b: the first a sees one sample of the left neighbour, and so on."""
    weight = torch.tensor([[[1.0], [2.0], [3.0]]])
    assert folded_nearest(weight, 2)[..., 0].tolist() == [[1, 2 + 3, 0], [0, 1 + 2, 3]]
