"""Tests the linear discriminator of the mean spectrum: what it sees, and its gradients without a double backward."""

import pytest
import torch

from wavegan.methods.adversary import Adversary
from wavegan.models.mean_spectrum import Discriminator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES


def judge(shape: tuple[int, int, int] = (2, 5, 7), **settings) -> Discriminator:
    """Makes a discriminator in float64 whose weights are not zero."""
    network = Discriminator(shape, **settings).double()
    for number, parameter in enumerate(network.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    return network


def spectra(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_score_is_a_weighted_sum_of_the_mean_of_each_row():
    network, x = judge(labels=3), spectra(4, 0)
    weights = network.dense.weight.view(5, 2)
    expected = [sum(weights[row, channel] * one[channel, row].mean() for row in range(5) for channel in range(2))
                + network.dense.bias[0] for one in x]  # fmt: skip
    torch.testing.assert_close(network(x, torch.eye(3)[[0, 1, 2, 0]]), torch.stack(expected))
    torch.testing.assert_close(network(x[..., torch.randperm(7)]), network(x))


def test_it_begins_with_scores_of_zero_and_as_an_encoder_gives_several_numbers():
    assert (Discriminator((2, 5, 7))(spectra(4, 0).float()) == 0).all()
    encoder = judge(outputs=6)
    assert encoder(spectra(4, 0)).shape == (4, 6) and encoder.stages is None


@pytest.mark.parametrize("penalty", [*PENALTIES, None])
def test_the_first_order_gradients_are_autograds(penalty):
    network, real, fake = judge(), spectra(3, 1), spectra(3, 2)
    adversary = Adversary(
        network,
        objective=OBJECTIVES["relativistic"],
        penalty=PENALTIES[penalty] if penalty else None,
        penalty_weight=2.0 if penalty else 0.0,
    )
    assert not adversary.remark("spectrum")
    results = []
    for backward in (adversary.plain_backward, adversary.backward):
        torch.manual_seed(0)
        stats = backward(real, fake)
        results.append([*stats.values(), *(parameter.grad for parameter in network.parameters())])
        network.zero_grad(set_to_none=True)
    for expected, own in zip(*results, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-10, atol=1e-12)


def test_a_generator_learns_from_it_to_leave_a_tone_out():
    """A line in one row of all generated clips is told from real ones, and the generator's loss falls without it."""
    torch.manual_seed(0)
    network = Discriminator((1, 64, 4))
    adversary = Adversary(network, objective=OBJECTIVES["relativistic"], penalty=PENALTIES["r1_r2"], penalty_weight=0.1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, betas=(0.0, 0.99))
    line = torch.zeros(1, 1, 64, 1)
    line[0, 0, 20] = 1.0
    for _ in range(60):
        optimizer.zero_grad()
        adversary.backward(torch.randn(8, 1, 64, 4), torch.randn(8, 1, 64, 4) + line)
        optimizer.step()
    assert int(network.dense.weight.argmin()) == 20
    fake = (torch.randn(8, 1, 64, 4) + line).requires_grad_()
    (slope,) = torch.autograd.grad(adversary.generator_loss(fake, torch.randn(8, 1, 64, 4)), fake)
    assert slope[:, 0, 20].min() > 0
