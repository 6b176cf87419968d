"""Tests a discriminator with its objective: every pair of objective and penalty, labels, noise and clipped weights."""

import pytest
import torch
from torch import Tensor, nn

from wavegan.audio.augmentation import Noise
from wavegan.methods import first_order
from wavegan.methods.adversary import Adversary
from wavegan.models.activations import Dropout
from wavegan.models.wavegan import Discriminator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES, geometric
from wavegan.settings import PhaseShuffleSettings

LABELS = 3
NO_SHUFFLE = PhaseShuffleSettings(radius=0)


def clips(*, seed: int, count: int = 3) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 4096, generator=draw, dtype=torch.float64) * 2 - 1


def rows(*labels: int) -> Tensor:
    return nn.functional.one_hot(torch.tensor(labels), LABELS).double()


def judge(**settings) -> Discriminator:
    torch.manual_seed(0)
    network = Discriminator((1, 4096), **{"dim": 1, "kernel_size": 9, "phase_shuffle": NO_SHUFFLE, **settings}).double()
    for parameter in network.parameters():  # so that neither biases nor rows of labels are all alike
        nn.init.normal_(parameter, std=0.2)
    return network


def gradients(network: nn.Module) -> dict[str, Tensor]:
    by_name = {
        name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None
    }
    network.zero_grad()
    return by_name


@pytest.mark.parametrize("labels", [None, rows(0, 2, 2)], ids=["no labels", "labels"])
@pytest.mark.parametrize("penalty", [None, *PENALTIES])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_first_order_form_is_exact_for_every_pair(objective, penalty, labels, monkeypatch):
    network = judge(labels=0 if labels is None else LABELS)
    adversary = Adversary(
        network, objective=OBJECTIVES[objective], penalty=PENALTIES.get(penalty or ""), penalty_weight=2.5
    )
    real, fake = clips(seed=1), clips(seed=2)
    torch.manual_seed(3)
    stats = adversary.backward(real, fake, labels)
    ours = gradients(network)
    monkeypatch.setattr(first_order, "discriminator_backward", None)  # what follows is autograd's
    torch.manual_seed(3)
    plain = adversary.plain_backward(real, fake, labels)
    theirs = gradients(network)
    assert ours.keys() == theirs.keys() == dict(network.named_parameters()).keys() and stats.keys() == plain.keys()
    scale = max(gradient.abs().max().item() for gradient in theirs.values())
    for name, expected in theirs.items():
        torch.testing.assert_close(
            ours[name], expected, rtol=1e-9, atol=1e-11 * scale, msg=lambda m, n=name: f"{n}: {m}"
        )
    for name, expected in plain.items():
        torch.testing.assert_close(stats[name], expected, rtol=1e-9, atol=1e-12)


def test_labels_choose_their_row_of_weights():
    """Checks D(x, y) = (w + V_y) · φ(x) + b: the label's own row is added to the one that all share."""
    network, x = judge(labels=LABELS), clips(seed=1)
    features = network.blocks(x).transpose(1, 2).flatten(1)
    shared, *own = network.dense.weight
    scores = network(x, rows(2, 0, 2))
    for clip, (label, feature) in enumerate(zip((2, 0, 2), features, strict=True)):
        expected = (shared + own[label]) @ feature + network.dense.bias[0]
        torch.testing.assert_close(scores[clip], expected)
    halves = network(x, rows(2, 0, 2) / 2 + rows(0, 2, 0) / 2)  # a mixed label is the mean of its scores
    torch.testing.assert_close(halves, (scores + network(x, rows(0, 2, 0))) / 2)


def test_a_row_that_no_clip_is_labelled_with_learns_nothing():
    network = judge(labels=LABELS)
    adversary = Adversary(network, objective=OBJECTIVES["hinge"], penalty=PENALTIES["r1"], penalty_weight=1.0)
    adversary.backward(clips(seed=1), clips(seed=2), rows(0, 2, 2))
    norms = gradients(network)["dense.weight"].norm(dim=1)
    assert (norms[[0, 1, 3]] > 0).all() and norms[2] == 0


class Identity(nn.Module):
    """Computes D(x) = w · mean x, and keeps its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return self.weight * x.mean((1, 2))


def test_the_generator_is_judged_alone_or_against_its_real_partner():
    real, fake = torch.full((2, 1, 4), 3.0), torch.full((2, 1, 4), 1.0, requires_grad=True)
    judges = Identity(), Identity()
    alone, paired = (
        Adversary(network, objective=OBJECTIVES[name])
        for network, name in zip(judges, ("wasserstein", "relativistic"), strict=True)
    )
    assert alone.generator_loss(fake, real).item() == -2 and len(judges[0].seen) == 1
    assert paired.generator_loss(fake, real).item() == pytest.approx(
        nn.functional.softplus(torch.tensor(6.0 - 2)).item()
    )
    assert len(judges[1].seen) == 2


def test_weights_are_cut_to_their_bound():
    network = nn.Linear(2, 2)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.5, -0.5], [0.005, -0.02]]))
        network.bias.copy_(torch.tensor([1.0, 0.0]))
    Adversary(network, objective=OBJECTIVES["wasserstein"], weight_clip=0.01).after_update({})
    torch.testing.assert_close(network.weight.detach(), torch.tensor([[0.01, -0.01], [0.005, -0.01]]))
    assert network.bias.tolist() == pytest.approx([0.01, 0.0])


@pytest.mark.parametrize(("step", "deviation"), [(0, 0.5), (25, 0.375), (50, 0.25), (100, 0.0), (200, 0.0)])
def test_instance_noise_fades_in_a_line(step, deviation):
    network = Identity()
    adversary = Adversary(network, objective=OBJECTIVES["hinge"], augment=Noise(deviation=0.5, fade_steps=100))
    adversary.advance(step)
    torch.manual_seed(0)
    zeros = torch.zeros(50, 1, 400)
    adversary.plain_backward(zeros, zeros)
    adversary.generator_loss(zeros, zeros)
    assert [round(shown.std().item(), 2) for shown in network.seen] == pytest.approx([deviation] * 3, abs=0.011)
    if deviation:
        assert not torch.equal(network.seen[0], network.seen[1]), "real and fake have noise of their own"


def test_instance_noise_stays_where_no_steps_are_given():
    network = Identity()
    adversary = Adversary(network, objective=OBJECTIVES["hinge"], augment=Noise(deviation=0.5))
    adversary.advance(10**6)
    adversary.generator_loss(torch.zeros(50, 1, 400), torch.zeros(1))
    assert network.seen[0].std().item() == pytest.approx(0.5, abs=0.02)


def test_both_forms_see_noisy_clips():
    """Checks the piecewise linear form as well: without noise its gradients would be those of the clips themselves."""
    network, by_deviation = judge(), {}
    for deviation in (0.0, 0.3):
        noise = Noise(deviation=deviation) if deviation else None
        adversary = Adversary(network, objective=OBJECTIVES["hinge"], augment=noise)
        torch.manual_seed(0)
        adversary.backward(clips(seed=1), clips(seed=2))
        by_deviation[deviation] = gradients(network)["blocks.0.weight"]
    assert (by_deviation[0.0] - by_deviation[0.3]).norm() > 0.01 * by_deviation[0.0].norm()


@pytest.mark.parametrize(
    ("settings", "penalty", "has_remark"),
    [({}, "r1", False), ({"batch_norm": True}, None, False), ({"dropout": 0.2}, "r1", True), ({}, None, False)],
)
def test_a_slower_penalty_says_why(settings, penalty, has_remark):
    made = PENALTIES.get(penalty or "")
    adversary = Adversary(judge(**settings), objective=OBJECTIVES["hinge"], penalty=made, penalty_weight=1.0)
    assert adversary.remark("waveform").startswith("the discriminator waveform is not piecewise" if has_remark else "")
    assert bool(adversary.remark("waveform")) == has_remark


def test_dropout_leaves_out_its_share_while_training():
    network = judge(dropout=0.4)
    (first, *_) = [layer for layer in network.blocks if isinstance(layer, Dropout)]
    shown = []
    first.register_forward_hook(lambda _, given, made: shown.append((made == 0).double().mean().item()))
    torch.manual_seed(0)
    network.train()(clips(seed=1, count=8))
    network.eval()(clips(seed=1, count=8))
    assert shown[0] == pytest.approx(0.4, abs=0.02) and shown[1] < 0.01


@pytest.mark.parametrize("form", ["backward", "plain_backward"])
def test_a_penalty_now_and_then_weighs_as_much_more_and_its_weight_falls(form):
    """Interpolates between the gradients without a penalty and with one of weight 1: they are linear in the weight."""
    network, real, fake = judge(), clips(seed=1), clips(seed=2)

    def gradient_with(penalty_weight: float, step: int = 0, **settings) -> tuple[Tensor, set[str]]:
        adversary = Adversary(
            network, objective=OBJECTIVES["hinge"], penalty=PENALTIES["r1"], penalty_weight=penalty_weight, **settings
        )
        adversary.advance(step)
        stats = getattr(adversary, form)(real, fake)
        return torch.cat([gradient.flatten() for gradient in gradients(network).values()]), set(stats)

    without, with_one = gradient_with(0.0)[0], gradient_with(1.0)[0]
    share = geometric(0.01, 10)
    for step in range(12):
        result, names = gradient_with(0.25, step, penalty_every=4, penalty_share=share)
        weight = 0.01 ** min(1, step / 8) if step % 4 == 0 else 0.0
        assert ("penalty" in names) == bool(weight)
        torch.testing.assert_close(result, torch.lerp(without, with_one, weight), rtol=1e-5, atol=1e-7)


class Joined(nn.Module):
    """Describes a smooth discriminator that counts its passes."""

    joins_batches = True

    def __init__(self) -> None:
        super().__init__()
        self.network, self.passes = judge(labels=LABELS), []

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        self.passes.append(len(x))
        return torch.tanh(self.network(x, labels))


@pytest.mark.parametrize("penalty", [None, *PENALTIES])
def test_one_pass_serves_real_and_fake_clips_and_a_penalty_at_them(penalty):
    network, real, fake, results = Joined(), clips(seed=1), clips(seed=2), []
    for joins in (True, False):
        network.joins_batches, network.passes = joins, []
        adversary = Adversary(
            network, objective=OBJECTIVES["relativistic"], penalty=PENALTIES.get(penalty or ""), penalty_weight=2.5
        )
        torch.manual_seed(3)
        results.append((adversary.backward(real, fake, rows(0, 2, 2)), gradients(network), sum(network.passes)))
    (stats, ours, passed), (expected_stats, theirs, passed_apart) = results
    assert stats.keys() == expected_stats.keys() and ours.keys() == theirs.keys()
    for computed, wanted in ((stats, expected_stats), (ours, theirs)):
        for name, expected in wanted.items():
            torch.testing.assert_close(computed[name], expected, rtol=1e-9, atol=1e-12)
    more = {None: 0, "r1_r2": 6}.get(penalty, 3)
    assert (passed, passed_apart) == (6 + (3 if penalty in ("gradient_penalty", "one_sided") else 0), 6 + more)
