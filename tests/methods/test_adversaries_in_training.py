"""Tests named adversaries in training: one is the plain game bit for bit, and their state survives a resume."""

import copy

import pytest
import torch
from torch import nn
from toy_networks import Gains, Judge, Maker, PairMeans, plain, values

from wavegan.methods import first_order
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.seeding import seed_torch
from wavegan.settings import PhaseShuffleSettings
from wavegan.training import checkpoint
from wavegan.training.loop import Training, take_step, train

CPU = torch.device("cpu")
EACH_ITS_OWN = PhaseShuffleSettings(shared=False)


def networks(*names: str) -> tuple[Generator, dict[str, Adversary]]:
    torch.manual_seed(0)
    generator = Generator(4096, dim=1, latent_dim=4, kernel_size=9)
    penalty = {"penalty": PENALTIES["gradient_penalty"], "penalty_weight": 10.0}
    discriminators = (Discriminator((1, 4096), dim=1, kernel_size=9, phase_shuffle=EACH_ITS_OWN) for _ in names)
    return generator, {name: plain(judge, **penalty) for name, judge in zip(names, discriminators, strict=True)}


def training_of(gan: GAN, seed: int = 3) -> Training:
    optimizers = {name: adam(network) for name, network in gan.networks.items()}
    return Training(gan, optimizers, CPU, seed=seed)


def adam(network: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.5, 0.9))


def batches(draw: int) -> Batch:
    return Batch(torch.rand(3, 1, 4096, generator=torch.Generator().manual_seed(draw)) * 2 - 1)


def assert_equal(ours: nn.Module, theirs: nn.Module) -> None:
    for (name, tensor), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(tensor, other), name


def test_one_adversary_is_the_plain_game_bit_for_bit():
    """Writes out two steps of two discriminator updates each: seeds, order of draws and order of operations."""
    generator, adversaries = networks("waveform")
    plain_generator = copy.deepcopy(generator)
    judge = copy.deepcopy(adversaries["waveform"].discriminator)
    assert isinstance(judge, Discriminator)
    training = training_of(GAN(generator, adversaries, discriminator_steps=2))
    train(training, batches, 2, after_step=lambda stats: True)

    for_generator, for_judge, draw = adam(plain_generator), adam(judge), 0
    for step in range(2):
        for update in range(2):
            seed_torch(3, step, f"discriminator {update}")
            with torch.no_grad():
                fake = plain_generator(torch.rand(3, 4) * 2 - 1)
            assert judge.stages is not None
            objective, penalty = OBJECTIVES["wasserstein"], PENALTIES["gradient_penalty"]
            first_order.discriminator_backward(judge.stages, batches(draw).x, fake, objective, penalty, 10.0)
            for_judge.step()
            for_judge.zero_grad()
            draw += 1
        seed_torch(3, step, "generator 0")
        judge.requires_grad_(False)
        (-judge(plain_generator(torch.rand(3, 4) * 2 - 1)).mean()).backward()
        judge.requires_grad_(True)
        for_generator.step()
        for_generator.zero_grad()
        draw += 1
    assert_equal(generator, plain_generator)
    assert_equal(training.method.networks["discriminators.waveform"], judge)


def test_each_network_learns_and_the_logs_names_tell_whose_loss_it_is():
    generator, adversaries = networks("waveform", "mel")
    gan = GAN(generator, adversaries, discriminator_steps=1)
    before = copy.deepcopy(dict(gan.networks))
    stats = take_step(training_of(gan), batches)
    by_judge = [f"discriminators/{name}/{stat}" for name in adversaries for stat in ("wasserstein", "penalty", "loss")]
    assert list(stats) == [*by_judge, "generator/waveform/loss", "generator/mel/loss", "generator/loss"]
    for name, network in gan.networks.items():
        assert any(
            not torch.equal(now, was) for now, was in zip(network.parameters(), before[name].parameters(), strict=True)
        ), name


def test_a_second_adversary_leaves_the_firsts_update_as_it_was():
    alone, both = (training_of(GAN(*networks(*names), discriminator_steps=2)) for names in (("a",), ("a", "b")))
    for training in (alone, both):
        take_step(training, batches)
    assert_equal(alone.method.networks["discriminators.a"], both.method.networks["discriminators.a"])


# Memory.


def adaptive(start: int = 0, scale: float = 1.0) -> Training:
    """Makes two adversaries, each with an augmentation that adapts; the second has a view with a measured scale."""
    torch.manual_seed(start)
    maker = Maker(1.0 + start)
    adversaries = {
        "waveform": plain(Judge(*torch.randn(4).tolist()), augment=Gains()),
        "pairs": plain(Judge(*torch.randn(2).tolist()), view=PairMeans(scale), augment=Gains()),
    }
    return training_of(GAN(maker, adversaries, discriminator_steps=2))


def short_batches(draw: int) -> Batch:
    return Batch(torch.rand(3, 1, 4, generator=torch.Generator().manual_seed(draw)))


def gains_of(training: Training) -> dict[str, Gains]:
    assert isinstance(training.method, GAN)
    augmentations = {name: adversary.augment for name, adversary in training.method.adversaries.items()}
    return {name: gains for name, gains in augmentations.items() if isinstance(gains, Gains)}


def test_an_augmentation_is_told_each_step_and_the_statistics_of_its_own_adversary():
    """Checks the statistics after every update, as they stand in the log."""
    training, logged = adaptive(), []
    train(training, short_batches, 2, after_step=lambda stats: not logged.append(stats))
    for name, gains in gains_of(training).items():
        assert gains.steps == [0, 1] and len(gains.stats) == 4
        for own, stats in zip(gains.stats[1::2], logged, strict=True):  # the log has the last of two updates
            start = f"discriminators/{name}/"
            assert own == {key.removeprefix(start): stats[key].item() for key in stats if key.startswith(start)}
        assert gains.strength.item() == pytest.approx(sum(0.25 * abs(own["wasserstein"]) for own in gains.stats))
    first, second = gains_of(training).values()
    assert first.stats != second.stats and min(first.strength, second.strength) > 0.01


def test_a_resumed_game_remembers_its_augmentations_and_views(tmp_path):
    whole, first, second = adaptive(scale=3.0), adaptive(scale=3.0), adaptive(start=1)
    seen: dict[str, list] = {"whole": [], "again": []}
    train(whole, short_batches, 6, after_step=lambda stats: not seen["whole"].append(values(stats)))
    train(first, short_batches, 3, after_step=lambda stats: True)
    assert set(first.state()["method"]) == {"waveform", "pairs"}
    path = checkpoint.save(tmp_path, first.state())
    second.restore(checkpoint.load(path))
    for name, gains in gains_of(second).items():
        assert torch.equal(gains.strength, gains_of(first)[name].strength) and gains.strength > 0.01
    train(second, short_batches, 6, after_step=lambda stats: not seen["again"].append(values(stats)))
    assert seen["whole"][3:] == seen["again"]
    for name, network in whole.method.networks.items():
        assert_equal(network, second.method.networks[name])
    for name, gains in gains_of(whole).items():
        assert torch.equal(gains.strength, gains_of(second)[name].strength)
    assert isinstance(second.method, GAN)
    assert second.method.adversaries["pairs"].state()["view"] == {"scale": torch.tensor(3.0)}
