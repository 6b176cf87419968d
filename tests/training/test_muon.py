"""Tests Muon: kernels take orthogonal steps of a known size, all other weights take Adam's."""

import copy

import pytest
import torch
from torch import nn

from wavegan.models.conv1d import Convolution
from wavegan.training.muon import RMS, Muon, orthogonal

SETTINGS = {"lr": 0.1, "betas": (0.0, 0.99), "eps": 1e-8, "fused": True}


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(Convolution(32, 48, 5), nn.Flatten(), nn.Linear(48 * 8, 3))


def backward(network: nn.Sequential, seed: int) -> list[torch.Tensor]:
    """Leaves the gradients of one batch, and returns copies of them."""
    chance = torch.Generator().manual_seed(seed)
    network.zero_grad()
    network(torch.randn(64, 32, 8, generator=chance)).square().sum().backward()
    return [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (32, 32)])
def test_the_polynomial_keeps_singular_vectors_and_makes_values_one(shape):
    torch.manual_seed(1)
    left, values, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.linspace(0.05, 1, len(values)) * 1e-30  # gradients may be so small that their squares are zero
    made = left.mT @ orthogonal(left * values @ right) @ right.mT
    torch.testing.assert_close(made, torch.diag(made.diagonal()), atol=1e-3, rtol=0)
    assert made.diagonal().min() > 0.6 and made.diagonal().max() < 1.25


def test_products_have_the_type_of_autocast():
    matrix = torch.randn(24, 40, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = orthogonal(matrix)
    assert rounded.dtype == torch.float32 and torch.equal(rounded, rounded.bfloat16().float())
    assert not torch.equal(orthogonal(matrix), orthogonal(matrix).bfloat16().float())


def test_no_gradient_makes_no_step():
    assert not orthogonal(torch.zeros(20, 30)).any()


def test_a_kernels_step_has_the_promised_size_and_goes_down_the_gradient(network):
    kernel = network[0].weight
    before = kernel.detach().clone()
    optimizer = Muon(network.parameters(), momentum=0.0, **SETTINGS)
    kernel.grad = gradient = torch.randn_like(kernel) * 1e-4
    optimizer.step()
    step = kernel.detach() - before
    assert step.square().mean().sqrt().item() == pytest.approx(0.1 * RMS, rel=0.15)
    expected = -0.1 * RMS * (32 * 5) ** 0.5 * orthogonal(gradient.flatten(1)).view_as(kernel)
    torch.testing.assert_close(step, expected, rtol=1e-4, atol=1e-6)
    assert (step * gradient).sum() < 0


def test_other_weights_move_as_by_adam(network):
    twin = copy.deepcopy(network)
    ours = Muon(network.parameters(), momentum=0.5, **SETTINGS)
    adam = torch.optim.Adam(list(twin[2].parameters()) + [twin[0].bias], **SETTINGS)
    for seed in range(3):
        twin[0].load_state_dict({"weight": network[0].weight, "bias": twin[0].bias})  # so that the gradients are alike
        backward(network, seed)
        backward(twin, seed)
        ours.step()
        adam.step()
    own_weights, others = [*network[2].parameters(), network[0].bias], [*twin[2].parameters(), twin[0].bias]
    for own, other in zip(own_weights, others, strict=True):
        torch.testing.assert_close(own, other)


def test_momentum_steps_along_the_mean_of_gradients_with_the_newest_once_more(network):
    optimizer = Muon(network.parameters(), momentum=0.75, **SETTINGS)
    first = backward(network, 0)[0]
    optimizer.step()
    before, second = network[0].weight.detach().clone(), backward(network, 1)[0]
    optimizer.step()
    mean = 0.75 * (0.25 * first) + 0.25 * second
    direction = 0.25 * second + 0.75 * mean
    expected = -0.1 * RMS * (32 * 5) ** 0.5 * orthogonal(direction.flatten(1)).view_as(before)
    torch.testing.assert_close(network[0].weight.detach() - before, expected, rtol=1e-3, atol=1e-5)


def test_a_restored_optimiser_goes_on_the_same(network):
    optimizer = Muon(network.parameters(), momentum=0.5, **SETTINGS)
    backward(network, 0)
    optimizer.step()
    twin = copy.deepcopy(network)
    again = Muon(twin.parameters(), momentum=0.1, **SETTINGS)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for made in ((network, optimizer), (twin, again)):
        backward(made[0], 1)
        made[1].step()
    assert all(torch.equal(own, other) for own, other in zip(network.parameters(), twin.parameters(), strict=True))


def test_weights_without_gradients_stay(network):
    optimizer = Muon(network.parameters(), momentum=0.5, **SETTINGS)
    before = copy.deepcopy(network.state_dict())
    optimizer.step()
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
