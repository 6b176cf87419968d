"""Tests the running average in closed form, and that it leaves everything else alone."""

import math

import pytest
import torch
from torch import nn

from wavegan.training.ema import averaged_copy, half_life_decay, update_average
from wavegan.training.loop import take_step, train


def line(value: float) -> nn.Linear:
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, value)
    nn.init.constant_(network.bias, -value)
    return network


def number(network: nn.Module, name: str = "weight") -> float:
    return network.state_dict()[name].item()


def test_the_first_averages_by_hand():
    """Uses decays of 0.1, then 2/11: 0 → 0.9 · 10 = 9 → 2/11 · 9 + 9/11 · 20 = 18."""
    average, network = averaged_copy(line(0.0)), line(10.0)
    update_average(average, network, decay=0.999, step=0)
    assert number(average) == pytest.approx(9)
    nn.init.constant_(network.weight, 20.0)
    update_average(average, network, decay=0.999, step=1)
    assert number(average) == pytest.approx(18)
    assert number(average, "bias") == pytest.approx(-(9 * 2 / 11 + 10 * 9 / 11))


def test_an_average_keeps_no_graph_of_the_steps():
    """A graph would grow with every step, and hold the weights of all of them."""
    average, network = averaged_copy(line(0.0)), line(10.0)
    assert all(parameter.requires_grad for parameter in network.parameters())
    for step in range(2):
        update_average(average, network, decay=0.5, step=step)
    assert [(parameter.requires_grad, parameter.grad_fn) for parameter in average.parameters()] == [(False, None)] * 2


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_the_average_in_closed_form(decay):
    """For a network that stands at 1, the average misses the product of all decays so far."""
    average, network, missing = averaged_copy(line(0.0)), line(1.0), 1.0
    for step in range(100):
        update_average(average, network, decay=decay, step=step)
        missing *= min(decay, (1 + step) / (10 + step))
        assert number(average) == pytest.approx(1 - missing, rel=1e-5)
    nn.init.constant_(network.weight, 2.0)
    before = number(average)
    update_average(average, network, decay=decay, step=1000)  # far behind the rise: the decay itself
    assert number(average) == pytest.approx(decay * before + (1 - decay) * 2, rel=1e-6)


def test_by_half_life_the_average_forgets_a_half_in_so_many_steps():
    """Halves an old value within the half-life, or near the start within a tenth of the steps so far."""
    for half_life, start, steps in ((50.0, 100_000, 50), (1e9, 100_000, 10_517)):  # the tenth grows on the way
        remembered = math.prod(half_life_decay(half_life, step) for step in range(start, start + steps))
        assert remembered == pytest.approx(0.5, rel=0.02)
    assert half_life_decay(100.0, 0) == 0, "at first the average is the network"
    decays = [half_life_decay(100.0, step) for step in range(5000)]
    assert decays == sorted(decays) and decays[-1] == 0.5**0.01


def test_a_training_averages_by_half_life(training, batches):
    made = training(ema_half_life=2.0)
    network, average = made.method.networks["generator"], made.averages["generator"]
    train(made, batches, 2, after_step=lambda stats: True)
    torch.testing.assert_close(average.dense.weight, network.dense.weight)
    before, made.step = average.dense.weight.clone(), 1000
    take_step(made, batches)
    torch.testing.assert_close(average.dense.weight, torch.lerp(before, network.dense.weight, 1 - 0.5**0.5))


def test_every_step_counts(training, batches):
    """Guards against an average moved only at checkpoints. It is compared with one kept here in float64."""
    made = training(ema=0.3)
    network, average = made.method.networks["generator"], made.averages["generator"]
    mine = network.dense.weight.detach().double().clone()

    def after_step(stats) -> bool:
        decay = min(0.3, made.step / (9 + made.step))  # the step is counted by now
        mine.mul_(decay).add_(network.dense.weight.detach().double(), alpha=1 - decay)
        torch.testing.assert_close(average.dense.weight.double(), mine, rtol=1e-5, atol=1e-7)
        return True

    train(made, batches, 6, after_step=after_step)
    assert not torch.equal(average.dense.weight, network.dense.weight)
    assert set(made.averages) == {"generator"}


def test_buffers_are_copied(training, batches):
    made = training(ema=0.9, batch_norm=True)
    train(made, batches, 2, after_step=lambda stats: True)
    network, average = made.method.networks["generator"], made.averages["generator"]
    held = dict(average.named_buffers())
    assert held and held["blocks.0.running_mean"].any() and held["blocks.0.num_batches_tracked"] == 2 * 2
    for name, buffer in network.named_buffers():
        assert torch.equal(held[name], buffer) and held[name] is not buffer


def test_the_copy_learns_nothing_and_shares_nothing():
    network = line(1.0)
    average = averaged_copy(network)
    assert not any(parameter.requires_grad for parameter in average.parameters()) and network.weight.requires_grad
    nn.init.constant_(network.weight, 5.0)
    assert number(average) == 1


def test_a_decay_of_zero_keeps_no_average(training):
    assert training(ema=0.0).averages == {} and training(ema=0.0).state()["averages"] == {}
