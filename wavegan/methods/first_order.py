"""Computes a discriminator's gradients with a penalty on its slope, exactly and without a double backward.

A penalty is L = weight · of_slope(g) with g = ∇ₓD at points x̂. Its gradient with respect to a parameter is that of
⟨v, g⟩ with v = ∂L/∂g held constant. Now ⟨v, g⟩ is the derivative of D at x̂ in the direction v. If D is piecewise
linear, this derivative is the output for the input v of a linear network: the affine maps of D without their biases,
the activations with their slopes at x̂. So v goes forward through that network; the input of each affine map on this
way is called its tangent t. The gradient of the output with respect to the map's weight is the product of t with the
gradient of the map's output. That is the adjoint δ, which the pass back from D(x̂) to g has already computed. So there
are four steps:

    1. forward: scores of [real; fake; x̂] as one batch, with one or two x̂ for each pair;
    2. backward to the input, seeded with ∂loss/∂score for real and fake and with 1 for x̂: gives all adjoints δ, and g;
    3. v = ∂L/∂g, then forward again as tangents, for the rows of x̂ alone;
    4. in the same pass, each weight's gradient: inputs [real; fake; t] with output gradients δ, in one product.

The gradients of biases come from real and fake alone, since biases do not change the slope. Per clip this costs 10
units of arithmetic, a double backward 12. The batches are three times as large, and no graph is kept. The phase shifts
of x̂ are the same in all passes, or g would be the slope of another network.

If x̂ are the real and fake clips themselves (R1, R2) and no layer draws random numbers, they need no rows of their own.
The backward pass is seeded with 1 for all clips; the adjoint of the loss is δ times the clip's own ∂loss/∂score, s. So
a weight's gradient is the product of inputs s · x + t with δ. This costs 8 units; more rows would cost 14.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from wavegan.methods.base import Judged
from wavegan.objectives.adversarial import Objective
from wavegan.objectives.penalties import Penalty


class Stage(Protocol):
    """Describes an affine map and its activation; `models/piecewise_linear.py` says what each method computes."""

    @property
    def weight(self) -> Tensor: ...
    @property
    def bias(self) -> Tensor: ...
    def __call__(self, x: Tensor) -> Tensor: ...
    def along(self, t: Tensor, y: Tensor) -> Tensor: ...
    def before_activation(self, d: Tensor, y: Tensor) -> Tensor: ...
    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor: ...
    def parameter_gradients(self, x: Tensor, d: Tensor, biased: int) -> tuple[Tensor, Tensor]: ...


Stages = Callable[[int, int, Tensor | None], Sequence[Stage]]
"""stages(batches, examples, labels) takes a network apart for one pass of some batches, each with its own random draws.

The examples of every batch have the same labels (N, K); None if the network has none.
"""


def discriminator_backward(
    stages: Stages,
    real: Tensor,
    fake: Tensor,
    objective: Objective,
    penalty: Penalty | None = None,
    penalty_weight: float | Tensor = 0.0,
    *,
    labels: Tensor | None = None,
    passes: "Passes | None" = None,
) -> Judged:
    """Adds the gradients of objective + penalty_weight · penalty to the parameters that the stages are made of.

    real, fake: (N, C, T), or spectrograms. labels: (N, K) of both. penalty_weight: 0 leaves the penalty out, but
    not as a tensor, whose value is not read. passes: compiled forms of the passes through the network, if any.
    """
    passes = passes or Passes(forward, backward, accumulate, accumulate_joined)
    penalty = penalty if isinstance(penalty_weight, Tensor) or penalty_weight else None
    if penalty and penalty.among and not _draws(stages, real, labels):
        chain = stages(2, len(real), labels)
        return _joined_backward(chain, real, fake, objective, penalty, penalty_weight, passes)
    points = penalty.points(real, fake) if penalty else real[:0]
    chain = stages(2 + len(points) // len(real), len(real), labels)
    with torch.no_grad(), torch.autocast(real.device.type, enabled=False):
        x = torch.cat([real, fake, points]).movedim(1, -1).to(chain[0].weight.dtype).contiguous()
        activations = passes.forward(chain, x)
        real_scores, fake_scores = activations[-1][: 2 * len(real)].chunk(2)
        loss, seeds = _value_and_gradient(
            lambda s: objective.discriminator(*s.chunk(2)), torch.cat([real_scores, fake_scores])
        )
        stats = {"wasserstein": real_scores.mean() - fake_scores.mean()}
        seeds = torch.cat([seeds, seeds.new_ones(len(points))])
        slope, adjoints = passes.backward(chain, activations, seeds)
        direction = slope[2 * len(real) :].movedim(-1, 1).to(real.dtype)
        if penalty:
            value, direction = _value_and_gradient(lambda g: penalty_weight * penalty.of_slope(g), direction)
            stats["penalty"] = value / penalty_weight
            loss = loss + value
        gradients = passes.accumulate(chain, activations, adjoints, direction.movedim(1, -1), 2 * len(real))
    _add([weight_or_bias for stage in chain for weight_or_bias in (stage.weight, stage.bias)], gradients)
    return Judged(stats | {"loss": loss}, real_scores, fake_scores)


def _joined_backward(
    chain: Sequence[Stage],
    real: Tensor,
    fake: Tensor,
    objective: Objective,
    penalty: Penalty,
    penalty_weight: float | Tensor,
    passes: "Passes",
) -> Judged:
    """Adds the same gradients for a penalty at the clips themselves, without extra rows; the network draws nothing."""
    among = penalty.among
    assert among is not None, "the penalty looks at points of its own"
    with torch.no_grad(), torch.autocast(real.device.type, enabled=False):
        x = torch.cat([real, fake]).movedim(1, -1).to(chain[0].weight.dtype).contiguous()
        activations = passes.forward(chain, x)
        scores = activations[-1]
        loss, seeds = _value_and_gradient(lambda s: objective.discriminator(*s.chunk(2)), scores)
        slope, adjoints = passes.backward(chain, activations, torch.ones_like(seeds))
        slope = slope.movedim(-1, 1).to(real.dtype)
        value, direction = _value_and_gradient(lambda g: penalty_weight * penalty.of_slope(among(g)), slope)
        gradients = passes.accumulate_joined(chain, activations, adjoints, direction.movedim(1, -1).to(x.dtype), seeds)
    _add([weight_or_bias for stage in chain for weight_or_bias in (stage.weight, stage.bias)], gradients)
    real_scores, fake_scores = scores.chunk(2)
    wasserstein = real_scores.mean() - fake_scores.mean()
    stats = {"wasserstein": wasserstein, "penalty": value / penalty_weight, "loss": loss + value}
    return Judged(stats, real_scores, fake_scores)


def _draws(stages: Stages, real: Tensor, labels: Tensor | None) -> bool:
    """Returns whether the network draws random numbers in each pass.

    It looks at the stages for a pass of no batches, for which nothing is drawn or converted.
    """
    with torch.autocast(real.device.type, enabled=False):
        return any(getattr(stage, "shifts", None) is not None for stage in stages(0, len(real), labels))


def forward(chain: Sequence[Stage], x: Tensor) -> list[Tensor]:
    """Returns the input of the first stage and then the output of every stage."""
    activations = [x]
    for stage in chain:
        activations.append(stage(activations[-1]))
    return activations


def backward(chain: Sequence[Stage], activations: Sequence[Tensor], seeds: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Returns the gradient of the input and the adjoints, the gradients of the affine maps' outputs, in order."""
    d, adjoints = seeds, []
    for stage, x, y in zip(reversed(chain), reversed(activations[:-1]), reversed(activations), strict=False):
        adjoints.insert(0, stage.before_activation(d.view(y.shape).to(y.dtype), y))
        d = stage.input_gradient(adjoints[0], x)
    return d.view(activations[0].shape), adjoints


def accumulate(
    chain: Sequence[Stage], activations: Sequence[Tensor], adjoints: Sequence[Tensor], t: Tensor, biased: int
) -> list[Tensor]:
    """Returns weight and bias gradients, stage by stage; overwrites the last rows of the activations with tangents."""
    gradients = []
    for stage, x, y, d in zip(chain, activations, activations[1:], adjoints, strict=False):
        if len(t):
            x[biased:] = t
            t = stage.along(x[biased:], y[biased:])
        gradients += stage.parameter_gradients(x, d, biased)
    return gradients


def accumulate_joined(
    chain: Sequence[Stage], activations: Sequence[Tensor], adjoints: Sequence[Tensor], t: Tensor, seeds: Tensor
) -> list[Tensor]:
    """Returns weight and bias gradients, stage by stage, if every row has a tangent.

    The adjoints come from a seed of 1; multiplied by each row's own seed they are those of the loss.
    """
    gradients = []
    for stage, x, y, d in zip(chain, activations, activations[1:], adjoints, strict=False):
        own = seeds.to(x.dtype).view(-1, *[1] * (x.dim() - 1))
        weight, _ = stage.parameter_gradients(torch.addcmul(t, x, own), d, 0)
        bias = (seeds.to(d.dtype) @ d.reshape(len(d), -1)).view(-1, len(stage.bias)).sum(0)
        gradients += [weight, bias]
        t = stage.along(t, y)
    return gradients


class Passes(NamedTuple):
    """Holds the functions `forward`, `backward`, `accumulate` and `accumulate_joined`, compiled or not."""

    forward: Callable[..., list[Tensor]]
    backward: Callable[..., tuple[Tensor, list[Tensor]]]
    accumulate: Callable[..., list[Tensor]]
    accumulate_joined: Callable[..., list[Tensor]]


def compiled(backend: str) -> Passes:
    """Returns the passes by torch.compile, which compiles them at their first call; objective and penalty are not."""

    def by_backend(part: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(part, backend=backend, dynamic=False)

    return Passes(by_backend(forward), by_backend(backward), by_backend(accumulate), by_backend(accumulate_joined))


def _add(tensors: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Adds gradients to `.grad`, of the tensors themselves or of the parameters that they were converted from."""
    for tensor, gradient in zip(tensors, gradients, strict=True):
        if tensor.is_leaf and tensor.grad is None:
            tensor.grad = gradient.contiguous()  # autograd would copy it
        else:
            tensor.backward(gradient)


def _value_and_gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        value = function(at)
    (gradient,) = torch.autograd.grad(value, at)
    return value.detach(), gradient
