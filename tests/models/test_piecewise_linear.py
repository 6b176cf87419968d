"""Tests the discriminator taken apart: each stage against the layers that it is made of, and autograd on them."""

import copy
from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.models.activations import LeakyReLU
from wavegan.models.conv1d import Convolution
from wavegan.models.phase_shuffle import PhaseShuffle
from wavegan.models.piecewise_linear import ConvolutionStage, ScoreStage, Shifts
from wavegan.models.wavegan import STRIDES, Discriminator
from wavegan.settings import PhaseShuffleSettings

DOUBLE = torch.float64
BATCHES, EXAMPLES = 3, 2
ROWS = BATCHES * EXAMPLES
DRAWN = torch.tensor([1, -2, 2, 0, -1, 2])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


Network = TypeVar("Network", bound=nn.Module)


def randomised(network: Network) -> Network:
    """Returns the module in float64, with biases that are not zero."""
    network.double()
    for seed, parameter in enumerate(network.parameters()):
        parameter.data = normal(*parameter.shape, seed=100 + seed) / parameter[0].numel() ** 0.5
    return network


class Case:
    """Holds a stage, the same map made of torch's own parts, an input, and a gradient of the output."""

    def __init__(self, kernel: int, stride: int, places: int, *, shuffled: bool, slope: float = 0.2):
        self.layer = randomised(Convolution(3, 4, kernel, stride=stride))
        self.shifts = Shifts(DRAWN, 2) if shuffled else None
        self.slope = slope
        self.stage = ConvolutionStage(
            self.layer.weight.detach(), self.layer.bias.detach(), stride, (kernel - stride) // 2, self.shifts, slope
        )
        self.x, self.t = normal(ROWS, places * stride, 3), normal(ROWS, places * stride, 3, seed=1)
        self.y, self.d = self.stage(self.x), normal(ROWS, places, 4, seed=2)

    def by_layers(self, x: Tensor) -> Tensor:
        """Applies activation and then shuffle, as the paper has them; (N, T, C) like the stage."""
        kernel, stride = self.layer.kernel_size, self.layer.stride
        padded = F.pad(x.transpose(1, 2), ((kernel - stride) // 2, (kernel - stride + 1) // 2))
        y = F.conv1d(padded, self.layer.kernel, self.layer.bias, stride)
        return self.shuffled(F.leaky_relu(y, self.slope)).transpose(1, 2)

    def shuffled(self, y: Tensor) -> Tensor:
        if self.shifts is None:
            return y
        reach, samples = self.shifts.radius, y.shape[2]
        padded = F.pad(y, (reach, reach), mode="reflect")
        rows = zip(padded, self.shifts.drawn.tolist(), strict=True)
        return torch.stack([row[:, reach - by : reach - by + samples] for row, by in rows])


CASES = {
    "few places": Case(9, 4, 8, shuffled=True),
    "many places": Case(9, 4, 70, shuffled=True),
    "stride 2": Case(25, 2, 40, shuffled=True),
    "no shuffle": Case(5, 2, 16, shuffled=False),
    "another slope": Case(5, 4, 16, shuffled=True, slope=0.5),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return copy.deepcopy(CASES[request.param])


def assert_equal(computed: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(computed, expected, rtol=1e-12, atol=1e-12)


def test_a_stage_is_its_layers(case):
    assert_equal(case.y, case.by_layers(case.x).detach())
    assert (case.y > 0).any() and (case.y < 0).any()


def test_along_is_the_derivative_in_a_direction(case):
    _, moved = torch.autograd.functional.jvp(case.by_layers, case.x, case.t)
    assert_equal(case.stage.tangent(case.t, case.y), torch.as_tensor(moved))


def test_a_step_along_moves_the_output_in_a_straight_line(case):
    """A piecewise linear map has no second term as long as no sign turns."""
    step = 1e-6
    ahead = case.stage(case.x + step * case.t)
    steady = (ahead > 0) == (case.y > 0)
    assert steady.double().mean() > 0.99
    moved = case.y + step * case.stage.tangent(case.t, case.y)
    assert_equal(ahead[steady], moved[steady])


def test_along_the_last_rows_alone(case):
    """Takes the tangents of the penalty's points only, which are shifted as these points were."""
    last = case.stage.tangent(case.t[-EXAMPLES:].contiguous(), case.y[-EXAMPLES:])
    assert_equal(last, case.stage.tangent(case.t, case.y)[-EXAMPLES:])


def test_the_way_back_is_autograds(case):
    x = case.x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(case.by_layers(x), x, case.d)
    assert_equal(case.stage.input_gradient(case.stage.activation_gradient(case.d, case.y), case.x), expected)


def test_the_way_back_is_the_adjoint_of_along(case):
    back = case.stage.input_gradient(case.stage.activation_gradient(case.d, case.y), case.x)
    forth = case.stage.tangent(case.t, case.y)
    assert torch.sum(forth * case.d).item() == pytest.approx(torch.sum(case.t * back).item(), rel=1e-11)


@pytest.mark.parametrize("bias_rows", [ROWS, 2 * EXAMPLES, 0])
def test_parameter_gradients_are_autograds(case, bias_rows):
    """Takes all rows for the weight, and the first ones alone for the bias."""
    before = case.stage.activation_gradient(case.d, case.y)
    weight, bias = case.stage.parameter_gradients(case.x, before, bias_rows)
    (expected,) = torch.autograd.grad(case.by_layers(case.x), case.layer.weight, case.d)
    assert_equal(weight, expected)
    rest = case.d.clone()
    rest[bias_rows:] = 0
    (expected,) = torch.autograd.grad(case.by_layers(case.x), case.layer.bias, rest)
    assert_equal(bias, expected)


def test_a_convolution_stage_leaves_what_it_is_given_as_it_was(case):
    given = [case.x, case.t, case.d, case.y]
    before = [tensor.clone() for tensor in given]
    case.stage.tangent(case.t, case.y)
    d = case.stage.activation_gradient(case.d, case.y)
    case.stage.input_gradient(d, case.x)
    case.stage.parameter_gradients(case.x, d, EXAMPLES)
    case.stage(case.x)
    assert all(torch.equal(tensor, was) for tensor, was in zip(given, before, strict=True))


def test_the_score_by_hand():
    """Takes two clips of two samples and channels, time-major: weights 1 2 at the first sample, 3 4 at the second."""
    stage = ScoreStage(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([0.5]))
    x = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [2.0, 0.0]]])
    y = stage(x)
    assert y.tolist() == [1 + 4 + 0.5, -2 + 6 + 0.5]
    assert stage.tangent(x, y).tolist() == [5.0, 4.0]
    d = stage.activation_gradient(torch.tensor([1.0, -2.0]), y)
    assert d.tolist() == [1.0, -2.0]
    assert stage.input_gradient(d, x).tolist() == [[1, 2, 3, 4], [-2, -4, -6, -8]]
    weight, bias = stage.parameter_gradients(x, d, 1)
    assert weight.tolist() == [[1 - 0, 0 + 2, 0 - 4, 1 - 0]] and bias.tolist() == [1.0]
    assert stage.parameter_gradients(x, d, 2)[1].tolist() == [-1.0]


def test_scores_are_in_the_type_of_their_weight():
    stage, x = ScoreStage(torch.ones(1, 8), torch.zeros(1)), torch.ones(2, 4, 2, dtype=torch.bfloat16)
    assert stage(x).dtype == stage.tangent(x, stage(x)).dtype == torch.float32
    assert stage.parameter_gradients(x, torch.ones(2), 2)[0].dtype == torch.float32


def passed(chain, clips: Tensor) -> Tensor:
    x = clips.transpose(1, 2).contiguous()
    for stage in chain:
        x = stage(x)
    return x


@pytest.mark.parametrize("clip_samples", STRIDES)
@pytest.mark.parametrize("shared", [True, False])
def test_the_stages_together_are_the_discriminator(clip_samples, shared, monkeypatch):
    judge = randomised(
        Discriminator((2, clip_samples), dim=1, kernel_size=9, phase_shuffle=PhaseShuffleSettings(shared=shared))
    )
    drawn: dict[nn.Module, Tensor] = {}
    draw = PhaseShuffle.draw

    def noted(self: PhaseShuffle, batches: int, examples: int, device: torch.device) -> Tensor:
        if self not in drawn:
            drawn[self] = draw(self, BATCHES, EXAMPLES, device).view(BATCHES, EXAMPLES)
            return drawn[self].flatten()
        assert (batches, examples) == (1, EXAMPLES)
        return drawn[self][batch]

    monkeypatch.setattr(PhaseShuffle, "draw", noted)
    clips = normal(ROWS, 2, clip_samples)
    with torch.no_grad():
        assert judge.stages is not None
        scores = passed(judge.stages(BATCHES, EXAMPLES), clips).view(BATCHES, EXAMPLES)
        for batch in range(BATCHES):
            expected = judge(clips.view(BATCHES, EXAMPLES, 2, -1)[batch])
            torch.testing.assert_close(scores[batch], expected, rtol=1e-12, atol=1e-12)
    assert len(drawn) == min(4, len(STRIDES[clip_samples]) - 1)


def test_there_are_as_many_stages_as_layers_with_weights():
    judge = randomised(Discriminator((1, 8192), dim=1, phase_shuffle=PhaseShuffleSettings(radius=3)))
    assert judge.stages is not None
    chain = judge.stages(BATCHES, EXAMPLES)
    assert [type(stage) for stage in chain] == [ConvolutionStage] * 5 + [ScoreStage]
    convolutions = [stage for stage in chain if isinstance(stage, ConvolutionStage)]
    layers = [layer for layer in judge.blocks if isinstance(layer, Convolution)]
    for stage, layer in zip(convolutions, layers, strict=True):
        assert stage.weight is layer.weight and stage.bias is layer.bias
        assert (stage.stride, stage.pad, stage.negative_slope) == (layer.stride, layer.pads[0], 0.2)
    shuffled = [stage.shifts for stage in convolutions if stage.shifts is not None]
    assert [stage.shifts is not None for stage in convolutions] == [True] * 4 + [False]
    assert all(shuffle.radius == 3 and shuffle.drawn.shape == (ROWS,) for shuffle in shuffled)


def test_shifts_are_drawn_once_for_a_pass_and_afresh_for_the_next():
    judge = randomised(Discriminator((1, 4096), dim=1, kernel_size=5))
    clips = normal(1, 1, 4096)
    with torch.no_grad():
        assert judge.stages is not None
        chain = judge.stages(1, 1)
        assert len({passed(chain, clips).item() for _ in range(5)}) == 1
        assert len({passed(judge.stages(1, 1), clips).item() for _ in range(20)}) > 1


def test_without_a_radius_no_stage_shifts():
    judge = Discriminator((1, 4096), dim=1, phase_shuffle=PhaseShuffleSettings(radius=0))
    assert judge.stages is not None
    before = torch.get_rng_state()
    assert all(stage.shifts is None for stage in judge.stages(3, 2) if isinstance(stage, ConvolutionStage))
    assert torch.equal(torch.get_rng_state(), before)


def test_with_batch_norm_there_are_no_stages():
    """With batch norm a clip depends on its batch, so the network is not piecewise linear clip by clip."""
    assert Discriminator((1, 4096), dim=1, batch_norm=True).stages is None


def test_under_autocast_all_but_the_score_is_bf16_and_the_gradient_reaches_fp32():
    judge = Discriminator((1, 4096), dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert judge.stages is not None
        chain = judge.stages(1, 2)
    kinds = [(stage.weight.dtype, stage.bias.dtype) for stage in chain]
    assert kinds == [(torch.bfloat16, torch.bfloat16)] * 4 + [(torch.float32, torch.float32)]
    torch.autograd.backward([stage.weight for stage in chain], [torch.ones_like(stage.weight) for stage in chain])
    for layer in [*(block for block in judge.blocks if isinstance(block, Convolution)), judge.dense]:
        assert layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32 and layer.weight.grad.all()


def test_a_layer_takes_part_in_a_stage_with_its_own_slope():
    """Uses the slope of the activation behind this convolution, not one for all."""
    layer, activation = randomised(Convolution(1, 2, 5, stride=4)), LeakyReLU(0.7)
    stage = ConvolutionStage.of(layer, activation, None, 1, 2)
    x = normal(2, 16, 1)
    with torch.no_grad():
        assert_equal(stage(x), activation(layer(x.transpose(1, 2))).transpose(1, 2))
