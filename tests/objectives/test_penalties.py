"""Tests the gradient penalty: closed forms, the place of its points, and finite differences."""

import pytest
import torch
from scipy import stats
from torch import Tensor

from wavegan.models.wavegan import Discriminator
from wavegan.objectives.penalties import PENALTIES, gradient_penalty
from wavegan.settings import PhaseShuffleSettings

DOUBLE = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("slope", "penalty"),
    [
        ([[3.0, 0.0], [0.0, 4.0]], (5 - 1) ** 2),  # the norm is over channels and time
        ([[0.0, 0.5], [0.0, 0.0]], (0.5 - 1) ** 2),  # two-sided: below 1 counts as well
        ([[0.0, 0.0], [-1.0, 0.0]], 0),
    ],
)
def test_a_linear_discriminator_in_closed_form(slope, penalty):
    weight = torch.tensor(slope, dtype=DOUBLE, requires_grad=True)
    value = gradient_penalty(lambda x: (x * weight).sum(dim=(1, 2)), normal(6, 2, 2), normal(6, 2, 2, seed=1))
    assert value.shape == () and value.item() == pytest.approx(penalty, abs=1e-12)
    (gradient,) = torch.autograd.grad(value, weight)  # d (|w| - 1)² / dw = 2 (1 - 1/|w|) w
    expected = 2 * (1 - 1 / weight.norm()) * weight
    torch.testing.assert_close(gradient, expected.detach(), atol=1e-12, rtol=1e-12)


def test_the_mean_is_of_squares_over_examples():
    """D(x) = a |x|² / 2 has the gradient a·x; between equal clips every point is the clip itself."""
    clips = torch.tensor([[[3.0, 4.0]], [[0.0, 2.0]]], dtype=DOUBLE)
    value = gradient_penalty(lambda x: x.square().sum(dim=(1, 2)) / 2, clips, clips)
    assert value.item() == pytest.approx(((5 - 1) ** 2 + (2 - 1) ** 2) / 2)


def test_the_points_lie_uniformly_between_each_real_clip_and_its_fake():
    """Guards against a weight from a normal distribution. With real 0 and fake 1, the point is the weight."""
    torch.manual_seed(0)
    seen = []

    def discriminator(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.sum(dim=(1, 2))

    for _ in range(2):
        gradient_penalty(discriminator, torch.zeros(3000, 2, 4), torch.ones(3000, 2, 4))
    shares = seen[0].flatten(1)
    assert (shares == shares[:, :1]).all(), "one weight for all samples of an example"
    assert shares.min() >= 0 and shares.max() <= 1
    assert stats.kstest(shares[:, 0].numpy(), stats.uniform().cdf).pvalue > 0.01
    assert not torch.equal(*seen)


def test_real_and_fake_are_partners():
    seen = []
    real = torch.arange(5.0)[:, None, None].expand(5, 1, 3)
    gradient_penalty(lambda x: seen.append(x.detach()) or x.sum(dim=(1, 2)), real, real + 0.5)
    assert ((seen[0] - real >= 0) & (seen[0] - real <= 0.5)).all()


def test_real_and_fake_are_constants():
    real, fake = normal(2, 1, 8).requires_grad_(), normal(2, 1, 8, seed=1).requires_grad_()
    weight = normal(1, 8).requires_grad_()
    gradient_penalty(lambda x: (x * weight).square().sum(dim=(1, 2)), real, fake).backward()
    assert real.grad is None and fake.grad is None and weight.grad is not None


def test_a_flat_discriminator_costs_one_and_stays_finite():
    """The square root's derivative at zero is infinite; the original's penalty becomes NaN here."""
    weight = torch.zeros(1, 8, dtype=DOUBLE, requires_grad=True)
    value = gradient_penalty(lambda x: (x * weight).sum(dim=(1, 2)), normal(2, 1, 8), normal(2, 1, 8, seed=1))
    value.backward()
    assert value.item() == 1 and weight.grad is not None and weight.grad.isfinite().all()


@pytest.mark.parametrize("shared", [True, False])
def test_parameter_gradients_against_central_differences(shared):
    """Phase shuffle and the interpolation weights are drawn again from the same seed for each evaluation."""
    torch.manual_seed(0)
    network = Discriminator((2, 4096), dim=1, kernel_size=9, phase_shuffle=PhaseShuffleSettings(shared=shared)).double()
    real, fake = normal(3, 2, 4096), normal(3, 2, 4096, seed=1)

    def penalty() -> Tensor:
        torch.manual_seed(7)
        return gradient_penalty(network, real, fake)

    penalty().backward()
    step, choice = 1e-6, torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert not gradient.any(), "piecewise linear: a bias moves no slope"
            continue
        assert parameter.grad is not None and parameter.grad.any()
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for place in torch.randint(len(flat), (5,), generator=choice).tolist():
            at = flat[place].item()
            flat[place] = at + step
            above = penalty().item()
            flat[place] = at - step
            below = penalty().item()
            flat[place] = at
            assert gradient[place].item() == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-7), name


def test_the_table_names_it():
    assert PENALTIES["gradient_penalty"] is gradient_penalty


# With D(x) = w · x the slope is w everywhere, so |g| = 5 for w = (3, 4) and 0.5 for a tenth of it.
LINEAR = {  # the penalty for |g| = 5 and for |g| = 0.5
    "gradient_penalty": (16, 0.25),
    "one_sided": (16, 0),
    "r1": (12.5, 0.125),
    "r2": (12.5, 0.125),
    "r1_r2": (25, 0.25),
}
SEEN = {"r1": "real", "r2": "fake", "r1_r2": "both", "gradient_penalty": "between", "one_sided": "between"}


def test_every_penalty_is_worked_by_hand():
    assert set(LINEAR) == set(SEEN) == set(PENALTIES)


@pytest.mark.parametrize("name", LINEAR)
def test_each_penalty_of_a_linear_discriminator(name):
    for scale, expected in zip((1, 0.1), LINEAR[name], strict=True):
        weight = scale * torch.tensor([[3.0, 4.0]], dtype=DOUBLE)
        value = PENALTIES[name](lambda x, w=weight: (x * w).sum(dim=(1, 2)), normal(6, 1, 2), normal(6, 1, 2, seed=1))
        assert value.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SEEN)
def test_where_each_penalty_looks(name):
    real, fake, seen = torch.zeros(3, 1, 4), torch.ones(3, 1, 4), []
    PENALTIES[name](lambda x: seen.append(x.detach()) or x.sum(dim=(1, 2)), real, fake)
    expected = {"real": real, "fake": fake, "both": torch.cat([real, fake])}
    if SEEN[name] == "between":
        assert seen[0].min() > 0 and seen[0].max() < 1 and len(seen[0]) == 3
    else:
        assert torch.equal(seen[0], expected[SEEN[name]])


def test_r1_and_r2_add_up_to_both():
    def discriminator(x: Tensor) -> Tensor:
        return (x**3).sum(dim=(1, 2))

    real, fake = normal(4, 2, 3), normal(4, 2, 3, seed=1)
    on_real, on_fake, both = (PENALTIES[name](discriminator, real, fake).item() for name in ("r1", "r2", "r1_r2"))
    assert both == pytest.approx(on_real + on_fake) and on_real != pytest.approx(on_fake)
    assert on_real == pytest.approx((3 * real**2).square().sum((1, 2)).mean().item() / 2)


@pytest.mark.parametrize("name", PENALTIES)
def test_each_penalty_by_finite_differences(name):
    """Compares its gradient by the parameters of a small smooth network with differences of its value."""
    real, fake = normal(3, 1, 4), normal(3, 1, 4, seed=1)
    weights = 3 * normal(5, 4, seed=2), normal(5, seed=3)

    def penalty(first: Tensor, second: Tensor) -> Tensor:
        torch.manual_seed(0)  # the same points for every value
        return PENALTIES[name](lambda x: torch.tanh(x.flatten(1) @ first.t()) @ second, real, fake)

    assert torch.autograd.gradcheck(penalty, tuple(weight.requires_grad_() for weight in weights))
