"""Tests one pass of the generator for both updates: its gradients are those of two passes with the same fakes."""

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from toy_networks import Judge, Maker, plain, values

from wavegan.dsp.views import LogMagnitude
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models.spectrogram import Discriminator as SpectrogramDiscriminator
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.settings import PhaseShuffleSettings
from wavegan.training import checkpoint
from wavegan.training.loop import Training, take_step, train

LABELS = 3
NO_SHUFFLE = PhaseShuffleSettings(radius=0)


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Louder(nn.Module):
    """Describes an augmentation by gains that it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.gains: list[Tensor] = []

    def forward(self, clips: Tensor) -> Tensor:
        self.gains.append(torch.rand(len(clips), 1, 1) + 0.5)
        return clips * self.gains[-1]

    def advance(self, step: int) -> None:
        pass

    def statistics(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {}

    def after_update(self, stats: Mapping[str, Tensor]) -> None:
        pass


class Whole(nn.Module):
    """Describes a discriminator that cannot be taken apart."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Discriminator((1, 4096), dim=1, kernel_size=9, phase_shuffle=NO_SHUFFLE, labels=LABELS)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return torch.tanh(self.network(x, labels))


def game(objective: str, penalty: str, *, reuses_fakes: bool = True) -> GAN:
    """Makes a conditional GAN of three adversaries: of the waveform, of a view in first order, one by autograd only."""
    torch.manual_seed(0)
    settings = {
        "objective": OBJECTIVES[objective], "penalty": PENALTIES.get(penalty), "penalty_weight": 2.0, "weight": 0.5
    }  # fmt: skip
    view = LogMagnitude(64, 32)
    waveform = Discriminator((1, 4096), dim=1, kernel_size=9, phase_shuffle=NO_SHUFFLE, labels=LABELS)
    adversaries = {
        "waveform": Adversary(waveform, augment=Louder(), **settings),
        "fine": Adversary(SpectrogramDiscriminator((1, 32, 128), dim=1, labels=LABELS), view=view, **settings),
        "whole": Adversary(Whole(), augment=Louder(), **settings),
    }
    generator = Generator(4096, dim=1, latent_dim=4, kernel_size=9, labels=LABELS)
    return GAN(generator, adversaries, discriminator_steps=1, reuses_fakes=reuses_fakes)


def batch(draw: int, count: int = 3) -> Batch:
    random = torch.Generator().manual_seed(draw)
    clips = torch.rand(count, 1, 4096, generator=random) * 2 - 1
    return Batch(clips, torch.eye(LABELS)[torch.arange(count) % LABELS])


def training_of(gan: GAN, **settings) -> Training:
    optimizers = {
        name: torch.optim.Adam(network.parameters(), 1e-3, (0.0, 0.99)) for name, network in gan.networks.items()
    }
    return Training(gan, optimizers, torch.device("cpu"), **settings)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None
    }


@pytest.mark.parametrize("penalty", ["none", "gradient_penalty", "r1_r2"])
@pytest.mark.parametrize("objective", ["non_saturating", "relativistic"])
def test_gradients_are_those_of_two_passes_with_the_same_fakes(objective, penalty):
    """Writes the generator's gradients out by autograd, after an update of the discriminators."""
    gan, given = game(objective, penalty), batch(0)
    generator, before = gan.networks["generator"], copy.deepcopy(gan.adversaries)
    inputs, steps = [], []
    generator.register_forward_pre_hook(lambda _, args: inputs.append(args))
    training = training_of(gan)
    training.optimizers["generator"].register_step_pre_hook(lambda *_: steps.append(gradients(generator)))
    weights = copy.deepcopy(generator.state_dict())
    stats = take_step(training, lambda draw: given)
    assert len(inputs) == 1

    twin = game(objective, penalty).networks["generator"]
    twin.load_state_dict(weights)
    fakes, loss = twin(*inputs[0]), torch.zeros(())
    for name, adversary in gan.adversaries.items():
        seen_real, seen = given.x, fakes
        if isinstance(adversary.augment, Louder):
            for_real, for_fake = adversary.augment.gains
            seen_real, seen = seen_real * for_real, fakes * for_fake
        if adversary.view:
            seen_real, seen = adversary.view(seen_real), adversary.view(seen)
        scores = adversary.discriminator(seen, given.labels)
        real_scores = before[name].discriminator(seen_real, given.labels).detach()
        part = (scores - real_scores) if objective == "relativistic" else scores
        loss = loss + 0.5 * nn.functional.softplus(-part).mean()
    loss.backward()
    assert stats["generator/loss"].item() == pytest.approx(loss.item(), rel=1e-12)
    expected = gradients(twin)
    assert steps[0].keys() == expected.keys() == dict(twin.named_parameters()).keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(steps[0][name], gradient, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("penalty", ["none", "gradient_penalty", "r1_r2"])
def test_the_discriminators_learn_as_without_it(penalty):
    """With the same fakes and draws, the discriminators' part does not depend on the graph of the fakes."""
    results = []
    for reuses_fakes in (False, True):
        gan = game("relativistic", penalty, reuses_fakes=reuses_fakes)
        torch.manual_seed(1)
        stats = gan.discriminators_backward(batch(0))
        networks = {name: network for name, network in gan.networks.items() if name != "generator"}
        results.append((values(stats), [gradients(network) for network in networks.values()]))
        assert gradients(gan.networks["generator"]) == {}
    (stats, theirs), (other_stats, ours) = results
    assert stats == other_stats
    for expected, computed in zip(theirs, ours, strict=True):
        assert expected.keys() == computed.keys() and all(torch.equal(expected[key], computed[key]) for key in expected)


def test_a_step_takes_one_batch_and_one_pass():
    maker, draws = Maker(), []
    gan = GAN(maker, {"one": plain(Judge(1.0, 2.0, 3.0, 4.0))}, discriminator_steps=1, reuses_fakes=True)
    training = training_of(gan)

    def batches(draw: int) -> Batch:
        draws.append(draw)
        return Batch(torch.zeros(2, 1, 4))

    train(training, batches, 3, after_step=lambda stats: True)
    training.step = 7
    take_step(training, batches)
    assert draws == [0, 1, 2, 7] and len(maker.clips) == 4
    assert gan.adversaries["one"].kept is None, "the graph goes with the step"


def test_fakes_serve_one_update_each():
    gan = GAN(Maker(), {"one": plain(Judge(1.0, 2.0, 3.0, 4.0))}, discriminator_steps=1, reuses_fakes=True)
    gan.discriminators_backward(Batch(torch.zeros(2, 1, 4)))
    gan.generator_backward(Batch(torch.zeros(2, 1, 4)))
    with pytest.raises(AssertionError, match="their loss was taken already"):
        gan.generator_backward(Batch(torch.zeros(2, 1, 4)))
    with pytest.raises(AssertionError, match="the fakes of one update"):
        GAN(Maker(), {"one": plain(Judge(1.0))}, discriminator_steps=2, reuses_fakes=True)


def test_a_resumed_training_equals_the_uninterrupted_one(tmp_path):
    whole, first, second = (training_of(game("relativistic", "r1_r2"), ema_half_life=2.0) for _ in range(3))
    train(whole, batch, 4, after_step=lambda stats: True)
    train(first, batch, 2, after_step=lambda stats: True)
    second.restore(checkpoint.load(checkpoint.save(tmp_path, first.state())))
    train(second, batch, 4, after_step=lambda stats: True)
    for name, network in whole.method.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, second.method.networks[name].state_dict()[key]), f"{name} {key}"
    for average, resumed in zip(
        whole.averages["generator"].parameters(), second.averages["generator"].parameters(), strict=True
    ):
        assert torch.equal(average, resumed)
