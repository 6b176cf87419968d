"""Computes a discriminator's gradients with a penalty on its slope, exactly and without a double backward.

A penalty is L = weight · value(g) with g = ∇ₓD at points x̂. Its gradient with respect to a parameter is that of
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
from typing import Protocol

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
    def tangent(self, t: Tensor, y: Tensor) -> Tensor: ...
    def activation_gradient(self, d: Tensor, y: Tensor) -> Tensor: ...
    def input_gradient(self, d: Tensor, x: Tensor) -> Tensor: ...
    def parameter_gradients(self, x: Tensor, d: Tensor, bias_rows: int) -> tuple[Tensor, Tensor]: ...


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
) -> Judged:
    """Adds the gradients of objective + penalty_weight · penalty to the parameters that the stages are made of.

    real, fake: (N, C, T), or spectrograms. labels: (N, K) of both. penalty_weight: 0 leaves the penalty out, but
    not as a tensor, whose value is not read.
    """
    penalty = penalty if isinstance(penalty_weight, Tensor) or penalty_weight else None
    if penalty and penalty.select_rows and not _draws(stages, real, labels):
        chain = stages(2, len(real), labels)
        return _joined_backward(chain, real, fake, objective, penalty, penalty_weight)
    points = penalty.sample_points(real, fake) if penalty else real[:0]
    chain = stages(2 + len(points) // len(real), len(real), labels)
    with torch.no_grad(), torch.autocast(real.device.type, enabled=False):
        # 1. One pass for all rows. P is the number of points: 0, N or 2N.
        x = torch.cat([real, fake, points]).movedim(1, -1).to(chain[0].weight.dtype).contiguous()  # (2N + P, T, C)
        activations = forward(chain, x)  # the last are the scores, (2N + P,)
        real_scores, fake_scores = activations[-1][: 2 * len(real)].chunk(2)
        loss, seeds = _value_and_gradient(
            lambda s: objective.discriminator(*s.chunk(2)), torch.cat([real_scores, fake_scores])
        )  # ∂loss/∂score: (2N,)
        stats = {"wasserstein": real_scores.mean() - fake_scores.mean()}
        # 2. The seed 1 of a point makes its row of the input's gradient g = ∇ₓD(x̂). Rows do not mix, so real and fake
        # clips can have other seeds in the same pass.
        seeds = torch.cat([seeds, seeds.new_ones(len(points))])  # (2N + P,)
        input_gradient, adjoints = backward(chain, activations, seeds)
        direction = input_gradient[2 * len(real) :].movedim(-1, 1).to(real.dtype)  # g: (P, C, T)
        if penalty:
            # 3. v = ∂L/∂g: (P, C, T). From here on it is a constant, as ∂L/∂θ = ⟨v, ∂g/∂θ⟩.
            value, direction = _value_and_gradient(lambda g: penalty_weight * penalty.value(g), direction)
            stats["penalty"] = value / penalty_weight
            loss = loss + value
        # 4. v goes forward as tangents, which replace the points' activations; biases learn from the first 2N rows.
        gradients = accumulate(chain, activations, adjoints, direction.movedim(1, -1), 2 * len(real))
        gradients[-1] = _summed_in_pairs(seeds[: 2 * len(real)])
    _add([weight_or_bias for stage in chain for weight_or_bias in (stage.weight, stage.bias)], gradients)
    return Judged(stats | {"loss": loss}, real_scores, fake_scores)


def _joined_backward(
    chain: Sequence[Stage],
    real: Tensor,
    fake: Tensor,
    objective: Objective,
    penalty: Penalty,
    penalty_weight: float | Tensor,
) -> Judged:
    """Adds the same gradients for a penalty at the clips themselves, without extra rows; the network draws nothing."""
    select_rows = penalty.select_rows
    assert select_rows is not None, "the penalty looks at points of its own"
    with torch.no_grad(), torch.autocast(real.device.type, enabled=False):
        x = torch.cat([real, fake]).movedim(1, -1).to(chain[0].weight.dtype).contiguous()  # (2N, T, C)
        activations = forward(chain, x)
        scores = activations[-1]  # (2N,)
        loss, seeds = _value_and_gradient(lambda s: objective.discriminator(*s.chunk(2)), scores)
        # With seeds of 1 the adjoints are those of the scores, δ; those of the loss are δ times the clip's own seed.
        gradient, adjoints = backward(chain, activations, torch.ones_like(seeds))
        gradient = gradient.movedim(-1, 1).to(real.dtype)  # g of every clip: (2N, C, T)
        # v = ∂L/∂g is zero for the rows that the penalty does not select: their tangents add nothing.
        value, direction = _value_and_gradient(lambda g: penalty_weight * penalty.value(select_rows(g)), gradient)
        gradients = accumulate_joined(chain, activations, adjoints, direction.movedim(1, -1).to(x.dtype), seeds)
        gradients[-1] = _summed_in_pairs(seeds)
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
        adjoints.insert(0, stage.activation_gradient(d.view(y.shape).to(y.dtype), y))
        d = stage.input_gradient(adjoints[0], x)
    return d.view(activations[0].shape), adjoints


def accumulate(
    chain: Sequence[Stage], activations: Sequence[Tensor], adjoints: Sequence[Tensor], t: Tensor, bias_rows: int
) -> list[Tensor]:
    """Returns weight and bias gradients, stage by stage; overwrites the last rows of the activations with tangents."""
    gradients = []
    for stage, x, y, d in zip(chain, activations, activations[1:], adjoints, strict=False):
        if len(t):
            x[bias_rows:] = t  # the points' inputs are not read again: their tangents take the place
            t = stage.tangent(x[bias_rows:], y[bias_rows:])
        # Sum over rows: inputs x times adjoints δ for real and fake, tangents t times δ for the points.
        gradients += stage.parameter_gradients(x, d, bias_rows)
    return gradients


def accumulate_joined(
    chain: Sequence[Stage], activations: Sequence[Tensor], adjoints: Sequence[Tensor], t: Tensor, seeds: Tensor
) -> list[Tensor]:
    """Returns weight and bias gradients, stage by stage, if every row has a tangent.

    The adjoints come from a seed of 1; multiplied by each row's own seed they are those of the loss.
    """
    gradients = []
    for stage, x, y, d in zip(chain, activations, activations[1:], adjoints, strict=False):
        row_seeds = seeds.to(x.dtype).view(-1, *[1] * (x.dim() - 1))  # (2N, 1, …)
        # The objective gives (s · δ) · x and the penalty δ · t, so one product of δ with s · x + t gives their sum.
        weight, _ = stage.parameter_gradients(torch.addcmul(t, x, row_seeds), d, 0)
        # A bias has no part in the gradient g, so its own is the sum of s · δ, over rows and then over places.
        bias = (seeds.to(d.dtype) @ d.reshape(len(d), -1)).view(-1, len(stage.bias)).sum(0)
        gradients += [weight, bias]
        t = stage.tangent(t, y)
    return gradients


def _add(tensors: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Adds gradients to `.grad`, of the tensors themselves or of the parameters that they were converted from."""
    for tensor, gradient in zip(tensors, gradients, strict=True):
        if tensor.is_leaf and tensor.grad is None:
            tensor.grad = gradient.contiguous()  # autograd would copy it
        else:
            tensor.backward(gradient)


def _summed_in_pairs(seeds: Tensor) -> Tensor:
    """Returns the gradient (1,) of the score's bias, each real clip's seed added to that of its fake partner first.

    So where the two cancel it is exactly 0 for any number of clips. Adam would make whole steps of what rounding
    leaves, and move all scores.
    """
    return seeds.view(2, -1).sum(0).sum()[None]


def _value_and_gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        value = function(at)
    (gradient,) = torch.autograd.grad(value, at)
    return value.detach(), gradient
