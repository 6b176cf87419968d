"""Tests that evaluation mode ends with the block, and that each module then has its own mode again."""

import pytest
import torch
from torch import nn

from wavegan.models.evaluation_mode import evaluation_mode


def network() -> nn.Sequential:
    """Makes a network that learns, except for one frozen batch norm and the inside of a frozen block."""
    built = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    built[1].eval()
    built[2].eval()
    return built


def modes(built: nn.Module) -> list[bool]:
    return [module.training for module in built.modules()]


def test_every_module_has_its_own_mode_again():
    built = network()
    before = modes(built)
    assert before == [True, True, False, False, False, False]
    with evaluation_mode(built):
        assert not any(modes(built))
        built(torch.randn(8, 2))
    assert modes(built) == before
    assert built[0].num_batches_tracked == 0, "evaluation moves no statistics"
    with evaluation_mode(built.eval()):
        pass
    assert not any(modes(built))


def test_an_error_gives_the_modes_back_as_well():
    built = network()
    before = modes(built)
    with pytest.raises(KeyboardInterrupt), evaluation_mode(built):
        raise KeyboardInterrupt
    assert modes(built) == before
