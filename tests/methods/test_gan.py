"""Tests the adversarial game: which network learns in which phase, from what, and with which weights."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wavegan.dsp.representation import Waveform
from wavegan.methods import first_order
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models.inputs import Input
from wavegan.models.phase_shuffle import PhaseShuffle
from wavegan.models.wavegan import Discriminator, Generator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import gradient_penalty
from wavegan.settings import PhaseShuffleSettings
from wavegan.training.loop import Training, take_step

LATENT_DIM = 100
NO_SHUFFLE = PhaseShuffleSettings(radius=0)


class Linear(nn.Module):
    """Computes D(x) = <w, x>, and keeps its inputs."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.seen: list[Tensor] = []

    def forward(self, clips: Tensor) -> Tensor:
        self.seen.append(clips)
        return (clips * self.weight).sum(dim=(1, 2))


class Constant(nn.Module):
    """Describes a generator of one learned clip, which keeps its latents."""

    inputs = (Input("uniform", (LATENT_DIM,)),)
    labels = 0

    def __init__(self, clip: Tensor):
        super().__init__()
        self.output = Waveform()
        self.clip = nn.Parameter(clip)
        self.seen: list[Tensor] = []

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        self.seen.append(z)
        return self.clip * z.new_ones(len(z), 1, 1)


def game(generator: nn.Module, discriminator: nn.Module, *, steps: int = 1, **settings) -> GAN:
    standard = {"objective": OBJECTIVES["wasserstein"], "penalty": gradient_penalty, "penalty_weight": 10.0}
    adversary = Adversary(discriminator, **{**standard, **settings})
    return GAN(generator, {"waveform": adversary}, discriminator_steps=steps)


def small() -> GAN:
    torch.manual_seed(0)
    return game(Generator(4096, dim=1, latent_dim=LATENT_DIM), Discriminator((1, 4096), dim=1))


@pytest.mark.parametrize("weight", [10.0, 2.5, 0.0])
def test_the_discriminators_loss_by_hand(weight):
    """Guards against the latent size, here 100, passed as the penalty's weight."""
    judge = Linear(torch.tensor([[3.0, 4.0]]))  # a slope of 5: the penalty is 16
    gan = game(Constant(torch.tensor([[1.0, 0.5]])), judge, penalty_weight=weight)
    real = torch.tensor([[[1.0, 1.0]], [[0.0, -1.0]]])  # scores 7 and -4; each fake scores 5
    stats = {name: value.item() for name, value in gan.discriminators_backward(Batch(real)).items()}
    assert stats["waveform/wasserstein"] == 1.5 - 5
    assert stats["waveform/loss"] == pytest.approx(5 - 1.5 + weight * 16)
    assert stats.get("waveform/penalty") == (pytest.approx(16) if weight else None)
    # d/dw: mean fake - mean real + weight · 2 (1 - 1/5) w
    expected = torch.tensor([[1.0 - 0.5, 0.5 - 0.0]]) + weight * 1.6 * judge.weight.detach()
    torch.testing.assert_close(judge.weight.grad, expected)


def test_a_weight_of_zero_leaves_the_penalty_out():
    judge = Linear(torch.ones(1, 2))
    game(Constant(torch.ones(1, 2)), judge, penalty_weight=0).discriminators_backward(Batch(torch.zeros(2, 1, 2)))
    assert len(judge.seen) == 2


def test_the_generators_loss_by_hand():
    made = Constant(torch.tensor([[1.0, 0.5]]))
    stats = game(made, Linear(torch.tensor([[3.0, 4.0]]))).generator_backward(Batch(torch.full((2, 1, 2), torch.nan)))
    assert {name: value.item() for name, value in stats.items()} == {"loss": -5}
    assert made.clip.grad is not None and made.clip.grad.tolist() == [[-3, -4]]


def test_a_discriminator_update_holds_no_graph_of_the_generator():
    made, judge = Constant(torch.ones(1, 2)), Linear(torch.ones(1, 2))
    game(made, judge).discriminators_backward(Batch(torch.zeros(2, 1, 2)))
    real, fake, between = judge.seen
    assert not real.requires_grad and not fake.requires_grad
    assert between.requires_grad and between.is_leaf
    assert made.clip.grad is None


def test_statistics_hold_no_graph():
    gan, real = small(), Batch(torch.zeros(2, 1, 4096))
    for phase in gan.phases:
        assert all(value.shape == () and not value.requires_grad for value in phase.backward(real).values())


def test_phases_and_what_is_averaged():
    gan = game(Constant(torch.ones(1, 2)), Linear(torch.ones(1, 2)), steps=5)
    plan = [(phase.name, phase.networks, phase.times) for phase in gan.phases]
    assert plan == [("discriminators", ("discriminators.waveform",), 5), ("generator", ("generator",), 1)]
    assert gan.averaged == ("generator",) and set(gan.networks) == {"generator", "discriminators.waveform"}


def test_each_phase_changes_exactly_its_own_network():
    """Guards against swapped optimisers."""
    gan, changes = small(), []
    optimizers = {name: torch.optim.Adam(network.parameters(), lr=0.01) for name, network in gan.networks.items()}

    def weights():
        return {name: copy.deepcopy(network.state_dict()) for name, network in gan.networks.items()}

    def note(name):
        now = weights()
        moved = {
            (network, key)
            for network in now
            for key in now[network]
            if not torch.equal(now[network][key], before[network][key])
        }
        changes.append((name, moved))
        before.update(now)

    before = weights()
    for name, optimizer in optimizers.items():
        optimizer.register_step_post_hook(lambda *_, name=name: note(name))
    take_step(Training(gan, optimizers, torch.device("cpu")), lambda draw: Batch(torch.randn(4, 1, 4096)))
    (first, judges), (second, makers) = changes
    assert (first, second) == ("discriminators.waveform", "generator")
    assert makers == {("generator", key) for key in before["generator"]}
    # A constant added to every score is no part of a Wasserstein distance, so the last bias has no gradient.
    judge = "discriminators.waveform"
    assert judges | {(judge, "dense.bias")} == {(judge, key) for key in before[judge]}


def test_an_update_draws_fresh_latents():
    made = Constant(torch.ones(1, 2))
    gan = game(made, Linear(torch.ones(1, 2)), steps=3)
    optimizers = {name: torch.optim.SGD(network.parameters(), lr=0) for name, network in gan.networks.items()}
    training = Training(gan, optimizers, torch.device("cpu"))
    for step in range(2):
        training.step = step
        take_step(training, lambda draw: Batch(torch.zeros(8, 1, 2)))
    assert len(made.seen) == 2 * (3 + 1)
    assert len({tuple(z.flatten().tolist()) for z in made.seen}) == len(made.seen)
    assert all(z.shape == (8, LATENT_DIM) for z in made.seen)


def test_phase_shuffle_is_drawn_afresh_for_real_fake_and_interpolated(monkeypatch):
    gan, drawn = small(), []
    randint = torch.randint
    monkeypatch.setattr(torch, "randint", lambda *a, **k: drawn.append(randint(*a, **k)) or drawn[-1])
    shuffles = sum(isinstance(layer, PhaseShuffle) for layer in gan.networks["discriminators.waveform"].modules())
    torch.manual_seed(0)
    for _ in range(100):
        gan.discriminators_backward(Batch(torch.zeros(1, 1, 4096)))
    shifts = torch.cat(drawn).view(100, 3 * shuffles).double()
    assert shuffles == 3 and set(shifts.unique().tolist()) == {-2, -1, 0, 1, 2}
    for first in range(3 * shuffles):
        for second in range(first):
            correlation = np.corrcoef(shifts[:, first], shifts[:, second])[0, 1]
            assert abs(correlation) < 0.4, (first, second)  # four standard deviations of 100 independent pairs


def test_the_penalty_shuffles_as_well():
    """The reference keeps phase shuffle on inside the penalty: it is the same discriminator, called once more."""
    calls = []
    gan, clips = small(), torch.zeros(2, 1, 4096)
    (first, *_) = [
        layer for layer in gan.networks["discriminators.waveform"].modules() if isinstance(layer, PhaseShuffle)
    ]
    first.register_forward_hook(lambda *_: calls.append(1))
    gan.adversaries["waveform"].plain_backward(clips, clips)
    assert len(calls) == 3


def judge(**settings) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator((1, 4096), **{"dim": 1, "kernel_size": 5, **settings})


FORMS = {  # a discriminator, and whether it is piecewise linear and can be taken apart
    "as shipped": (lambda: judge(), True),
    "without phase shuffle": (lambda: judge(phase_shuffle=NO_SHUFFLE), True),
    "with batch norm": (lambda: judge(batch_norm=True), False),
    "without stages": (lambda: nn.Sequential(judge()), False),
    "of another kind": (lambda: Linear(torch.ones(1, 4096)), False),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_the_first_order_form_is_taken_where_it_is_exact(name, weight, monkeypatch):
    """Takes the plain form elsewhere; either leaves a gradient in every parameter, and the same statistics' names."""
    make, piecewise_linear = FORMS[name]
    gan, taken = game(Constant(torch.rand(1, 4096)), make(), penalty_weight=weight), []
    first, plain = first_order.discriminator_backward, gan.adversaries["waveform"].plain_backward
    monkeypatch.setattr(first_order, "discriminator_backward", lambda *a, **k: taken.append(True) or first(*a, **k))
    monkeypatch.setattr(gan.adversaries["waveform"], "plain_backward", lambda *a: taken.append(False) or plain(*a))
    stats = gan.discriminators_backward(Batch(torch.randn(3, 1, 4096)))
    assert taken == [piecewise_linear]
    names = {"wasserstein", "loss"} | ({"penalty"} if weight else set())
    assert stats.keys() == {f"waveform/{stat}" for stat in names}
    for parameter in gan.networks["discriminators.waveform"].parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
    assert all(parameter.grad is None for parameter in gan.networks["generator"].parameters())


def test_with_batch_norm_the_update_is_autograds():
    """Writes the update out once more, without our penalty; the penalty's points are a batch of their own."""
    network, real, fake = (
        judge(batch_norm=True, phase_shuffle=NO_SHUFFLE).double(),
        torch.randn(4, 1, 4096),
        torch.rand(1, 4096),
    )
    real, fake = real.double(), fake.double()
    gan = game(Constant(fake), network)
    torch.manual_seed(5)
    gan.discriminators_backward(Batch(real))
    computed = [parameter.grad for parameter in network.parameters()]
    torch.manual_seed(5)
    torch.rand(4, LATENT_DIM)  # the latents come first
    points = torch.lerp(real, fake.expand(4, 1, -1), torch.rand(4, 1, 1, dtype=torch.float64)).requires_grad_()
    (slope,) = torch.autograd.grad(network(points).sum(), points, create_graph=True)
    loss = network(fake.expand(4, 1, -1)).mean() - network(real).mean()
    loss = loss + 10 * (slope.square().sum((1, 2)).sqrt() - 1).square().mean()
    for gradient, expected in zip(computed, torch.autograd.grad(loss, list(network.parameters())), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_both_forms_show_the_generators_clips_in_the_type_of_the_real_ones(batch_norm):
    made, network = (
        Generator(4096, dim=1, latent_dim=LATENT_DIM),
        judge(batch_norm=batch_norm, phase_shuffle=NO_SHUFFLE).double(),
    )
    real = torch.randn(3, 1, 4096, dtype=torch.float64)
    torch.manual_seed(2)
    stats = game(made, network).discriminators_backward(Batch(real))
    torch.manual_seed(2)
    with torch.no_grad():
        fake = made(torch.rand(3, LATENT_DIM) * 2 - 1).double()
        expected = network(real).mean() - network(fake).mean()
    torch.testing.assert_close(stats["waveform/wasserstein"], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("held_out", "expected"), [(2.0, 0.0), (1.0, 0.5), (0.0, 1.0), (3.0, -0.5)])
def test_overfitting_is_where_held_out_clips_lie_between_training_and_generated_ones(held_out, expected):
    """The score of a clip is its sum: 2 for training clips, 0 for generated ones."""
    method = game(Constant(torch.zeros(1, 4)), Linear(torch.ones(1, 4)))
    training, unheard = ([Batch(torch.full((8, 1, 4), size / 4))] * 2 for size in (2.0, held_out))
    assert method.overfitting(training, unheard) == {"waveform": pytest.approx(expected)}


def test_a_discriminator_that_prefers_generated_clips_has_no_overfitting():
    method = game(Constant(torch.ones(1, 4)), Linear(torch.ones(1, 4)))
    silent = [Batch(torch.zeros(8, 1, 4))]
    assert method.overfitting(silent, silent) == {}


@pytest.mark.parametrize(("made", "is_clear"), [(0.7, True), (0.8, False)])
def test_a_distance_within_half_the_spread_of_scores_is_none(made, is_clear):
    """Training clips have scores of 0.5 and 1.5, so a standard deviation of 0.5."""
    method = game(Constant(torch.full((1, 4), made / 4)), Linear(torch.ones(1, 4)))
    spread = torch.tensor([0.5, 1.5]).repeat(32)[:, None, None].expand(-1, 1, 4) / 4
    assert bool(method.overfitting([Batch(spread)], [Batch(spread)])) == is_clear


def test_overfitting_hears_what_the_discriminator_hears_and_leaves_it_as_it_is():
    torch.manual_seed(0)
    seen: list[tuple[bool, Tensor]] = []

    class Judge(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(1)

        def forward(self, clips: Tensor, labels: Tensor | None = None) -> Tensor:
            seen.append((self.training, clips))
            return self.norm(clips).sum((1, 2)) if labels is None else (clips.mean((1, 2)) * labels[:, 0])

    method = game(Constant(torch.zeros(1, 4)), Judge(), view=nn.Upsample(scale_factor=2), augment=Never())
    labels = torch.tensor([[1.0, 0.0]]).expand(8, 2)
    batches = [[Batch(torch.full((8, 1, 4), size), labels)] for size in (1.0, 0.25)]
    assert method.overfitting(*batches) == {"waveform": pytest.approx(0.75)}
    assert [clips.shape for _, clips in seen] == [(8, 1, 8)] * 3 and not any(training for training, _ in seen)
    judge = method.adversaries["waveform"].discriminator
    assert judge.training and not judge.norm.num_batches_tracked  # type: ignore[union-attr]


class Never(nn.Module):
    """Describes an augmentation that must not be applied."""

    def forward(self, clips: Tensor) -> Tensor:
        raise AssertionError("clips are augmented")
