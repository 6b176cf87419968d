"""Layers against loops written by hand in float64, closed forms and torch's own."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from torch import nn

from wavegan import distributed
from wavegan.models import layers
from wavegan.models.layers import (
    Convolution,
    LeakyReLU,
    NearestUpsampling,
    PhaseShuffle,
    PostFilter,
    TransposedConvolution,
    initialize_glorot,
    shift,
    slope_times,
    unshift,
)

DOUBLE = torch.float64
LEFT = {(25, 4): 10, (25, 2): 11, (25, 1): 12, (9, 4): 2, (5, 2): 1}  # zeros before the first sample, by hand
RIGHT = {(25, 4): 11, (25, 2): 12, (25, 1): 12, (9, 4): 3, (5, 2): 2}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def learned(layer: Convolution | TransposedConvolution | NearestUpsampling) -> tuple[np.ndarray, np.ndarray]:
    """Its kernel, in torch.nn's order of axes, and its bias."""
    return layer.kernel.detach().numpy(), layer.bias.detach().numpy()


def convolved_by_hand(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, left: int) -> np.ndarray:
    """(C, T) and (C', C, k) to (C', T / stride), sample by sample; what lies outside of x is zero."""
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
    """(C, T) and (C, C', k) to (C', T · stride): every sample puts down a copy of the kernel."""
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
    """<A x, y> = <x, Aᵀ y> for every x and y, with one kernel and no bias."""
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


SHIFTED = {  # 0 1 2 3 4 5 moved right by the key, reflected without repeating the edge
    -2: (2, 3, 4, 5, 4, 3),
    -1: (1, 2, 3, 4, 5, 4),
    0: (0, 1, 2, 3, 4, 5),
    1: (1, 0, 1, 2, 3, 4),
    2: (2, 1, 0, 1, 2, 3),
}


@pytest.mark.parametrize("shared", [True, False])
def test_phase_shuffle_gives_each_hand_worked_shift_equally_often(shared):
    torch.manual_seed(0)
    x, shuffle = torch.arange(6.0).expand(1 if shared else 1000, 1, 6), PhaseShuffle(2, shared=shared)
    rows = torch.cat([shuffle(x) for _ in range(1000 if shared else 1)])[:, 0].tolist()
    counts = {shift: rows.count(list(row)) for shift, row in SHIFTED.items()}
    assert sum(counts.values()) == 1000, "another row than the five worked by hand"
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_phase_shuffle_moves_all_channels_together():
    torch.manual_seed(0)
    x = torch.arange(6.0) + 10 * torch.arange(3.0)[:, None]
    moved = PhaseShuffle(2, shared=False)(x.expand(50, 3, 6))
    assert torch.equal(moved - moved[:, :1], (10 * torch.arange(3.0)[:, None]).expand(50, 3, 6))


@pytest.mark.parametrize("shared", [True, False])
def test_phase_shuffle_shared_or_per_example(shared):
    torch.manual_seed(0)
    moved = [PhaseShuffle(2, shared=shared)(torch.arange(6.0).expand(64, 1, 6)) for _ in range(30)]
    assert {len(set(map(tuple, one[:, 0].tolist()))) for one in moved} == ({1} if shared else {5})
    assert any(not torch.equal(moved[0], one) for one in moved), "one shift for ever"


@pytest.mark.parametrize("shared", [True, False])
def test_a_wide_phase_shuffle_against_numpy(shared):
    torch.manual_seed(0)
    x = normal(200, 2, 16)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (7, 7)), mode="reflect")
    windows = {start: padded[..., start : start + 16] for start in range(15)}
    moved = PhaseShuffle(7, shared=shared)(x).numpy()
    starts = [[s for s, window in windows.items() if np.array_equal(window[n], moved[n])] for n in range(200)]
    assert all(len(found) == 1 for found in starts)
    assert len({found[0] for found in starts}) == (1 if shared else 15)


def test_phase_shuffle_of_radius_zero_is_the_identity_and_draws_nothing():
    torch.manual_seed(0)
    before, x = torch.get_rng_state(), normal(3, 2, 16)
    assert PhaseShuffle(0)(x) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shared", [True, False])
def test_phase_shuffle_draws_once_where_the_activations_are(shared, monkeypatch):
    """Fault 3: a loop on the host. On the meta device nothing can be read, so any host decision fails."""
    drawn = []
    randint = torch.randint
    monkeypatch.setattr(layers.torch, "randint", lambda *a, **k: drawn.append((a[2], k["device"])) or randint(*a, **k))
    assert PhaseShuffle(2, shared=shared)(torch.empty(8, 3, 16, device="meta")).shape == (8, 3, 16)
    assert drawn == [((1 if shared else 8, 1), torch.device("meta"))]


@pytest.mark.parametrize("shared", [True, False])
def test_gradients_go_back_through_phase_shuffle(shared):
    def shuffled(x):
        torch.manual_seed(3)
        return PhaseShuffle(2, shared=shared)(x)

    x = normal(3, 2, 8).requires_grad_()
    assert torch.autograd.gradcheck(shuffled, (x,))
    assert torch.autograd.gradgradcheck(shuffled, (x,))


def all_shifts(radius: int) -> torch.Tensor:
    return torch.arange(-radius, radius + 1, dtype=torch.int32)


SHORT_AND_LONG = [(radius, samples) for radius in range(1, 8) for samples in (radius + 1, 2 * radius + 1, 16, 37)]


@pytest.mark.parametrize(("radius", "samples"), SHORT_AND_LONG)
def test_every_shift_against_numpys_reflection(radius, samples):
    """From -radius to radius, one example each; the shortest there are have no sample more than the reflection."""
    shifts = all_shifts(radius)
    x = normal(len(shifts), samples, 3)
    padded = np.pad(x.numpy(), ((0, 0), (radius, radius), (0, 0)), mode="reflect")
    expected = [padded[row, radius - by : radius - by + samples] for row, by in enumerate(shifts.tolist())]
    np.testing.assert_array_equal(shift(x, shifts, radius).numpy(), np.stack(expected))


def test_shifts_by_hand():
    x = torch.arange(6.0).expand(5, 6)[..., None]
    assert shift(x, all_shifts(2), 2)[..., 0].tolist() == [list(map(float, row)) for row in SHIFTED.values()]


UNSHIFTED = {  # what 1 10 100 1000 10000 100000 leaves where it was taken from, so which were taken shows
    -2: (0, 0, 1, 10 + 100_000, 100 + 10_000, 1000),
    -1: (0, 1, 10, 100, 1000 + 100_000, 10_000),
    0: (1, 10, 100, 1000, 10_000, 100_000),
    1: (10, 1 + 100, 1000, 10_000, 100_000, 0),
    2: (100, 10 + 1000, 1 + 10_000, 100_000, 0, 0),
}


@pytest.mark.parametrize("radius", [2, 3, 5])
def test_unshifts_by_hand(radius):
    """The radius is an upper bound: a pass may have drawn smaller shifts only."""
    d = (10 ** torch.arange(6)).double().expand(5, 6)[..., None]
    assert unshift(d, all_shifts(2), radius)[..., 0].tolist() == [list(map(float, row)) for row in UNSHIFTED.values()]


@pytest.mark.parametrize(("radius", "samples"), SHORT_AND_LONG)
def test_unshift_is_the_adjoint_of_shift(radius, samples):
    """As matrices, number by number: of 0 and 1 alone, so exact."""
    shifts = all_shifts(radius)
    one = torch.eye(samples, dtype=DOUBLE).expand(len(shifts), samples, samples)
    there, back = shift(one, shifts, radius), unshift(one, shifts, radius)
    assert torch.equal(back, there.transpose(1, 2))
    assert torch.equal(there.sum(2), torch.ones(len(shifts), samples, dtype=DOUBLE)), "each sample has one source"


def test_unshift_keeps_the_type_and_its_input():
    d = normal(5, 16, 2).bfloat16()
    before = d.clone()
    assert unshift(d, all_shifts(2), 2).dtype == torch.bfloat16 and torch.equal(d, before)


@pytest.mark.parametrize("shared", [True, False])
def test_draws_are_batch_by_batch(shared):
    """(batches · examples,): with 400 batches of 3, all rows of a shared batch alike, and uniform in any case."""
    torch.manual_seed(0)
    flat = PhaseShuffle(2, shared=shared).draw(400, 3, torch.device("cpu"))
    assert flat.shape == (1200,) and flat.dtype == torch.int32
    drawn = flat.view(400, 3)
    alike = (drawn == drawn[:, :1]).all(1).double().mean().item()
    assert alike == 1 if shared else alike == pytest.approx(1 / 25, abs=0.04)  # four standard deviations
    assert set(drawn[:, 0].tolist()) == {-2, -1, 0, 1, 2}
    for column in drawn.t():
        assert chisquare(np.bincount(column + 2, minlength=5)).pvalue > 0.01


@pytest.mark.parametrize("shared", [True, False])
def test_batches_and_examples_are_drawn_by_themselves(shared):
    """Real, fake and penalised clips of one pass: nothing that one shift tells of another."""
    torch.manual_seed(0)
    shuffle = PhaseShuffle(3, shared=shared)
    drawn = torch.stack([shuffle.draw(3, 2, torch.device("cpu")) for _ in range(2000)]).double()  # (2000, 3 · 2)
    correlations = np.corrcoef(drawn.t().numpy())
    twins = [(0, 1), (2, 3), (4, 5)] if shared else []
    for one in range(6):
        for other in range(one + 1, 6):
            expected = 1.0 if (one, other) in twins else 0.0
            assert correlations[one, other] == pytest.approx(expected, abs=0.09)  # four standard deviations


def test_the_first_batch_of_several_starts_where_a_lone_batch_would(monkeypatch):
    """The rows of a pass are its batches one after the other, of each the examples in order."""
    monkeypatch.setattr(layers.torch, "randint", lambda low, high, shape, device: torch.arange(6).view(shape))
    assert PhaseShuffle(9, shared=False).draw(3, 2, torch.device("cpu")).tolist() == [0, 3, 1, 4, 2, 5]
    monkeypatch.setattr(layers.torch, "randint", lambda low, high, shape, device: torch.arange(3).view(shape))
    assert PhaseShuffle(9, shared=True).draw(3, 2, torch.device("cpu")).tolist() == [0, 0, 1, 1, 2, 2]


def test_one_process_owns_all_rows_of_a_draw():
    asked = []
    rows = distributed.rank_rows(lambda count: asked.append(count) or torch.arange(count), 5)
    assert asked == [5] and rows.tolist() == [0, 1, 2, 3, 4]


def test_the_slope_by_hand():
    """Where the output is zero the slope is the negative one, as torch's own."""
    d, y = torch.tensor([10.0, 10.0, 10.0, -5.0]), torch.tensor([3.0, -3.0, 0.0, -0.1])
    torch.testing.assert_close(slope_times(d, y, 0.2), torch.tensor([10.0, 2.0, 2.0, -1.0]))


KINDS = {"strided": (Convolution, 4), "transposed": (TransposedConvolution, 4), "nearest": (NearestUpsampling, 2)}


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast_a_layer_computes_in_bf16_and_learns_in_fp32(kind):
    make, stride = KINDS[kind]
    torch.manual_seed(0)
    layer, x = make(4, 8, 9, stride=stride), torch.randn(2, 4, 64)
    torch.nn.init.normal_(layer.bias)
    assert [one.dtype for one in layer.parameters_as_computed()] == [torch.float32] * 2
    exact = layer(x)
    exact_gradients = torch.autograd.grad(exact.sin().sum(), layer.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert [one.dtype for one in layer.parameters_as_computed()] == [torch.bfloat16] * 2
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
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


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
    """Fault 12. The largest of n uniform numbers lies within 10 / n of the limit, but for one case in 20,000."""
    torch.manual_seed(0)
    initialize_glorot(layer)
    parameters = dict(layer.named_parameters())
    for name, bias in parameters.items():
        assert "bias" not in name or not bias.any()
    (weight,) = (parameter for name, parameter in parameters.items() if "weight" in name)
    limit = math.sqrt(square_of_limit)
    assert limit * (1 - 10 / weight.numel()) < weight.abs().max().item() <= limit * (1 + 1e-6)
    assert weight.square().mean().item() == pytest.approx(square_of_limit / 3, rel=0.1)  # a uniform variance
