"""Tests translation: which judge sees which clips, each term by hand, and that the two directions are not confused."""

import pytest
import torch
from torch import Tensor, nn

from wavegan.audio.augmentation import Noise
from wavegan.methods.adversary import Adversary
from wavegan.methods.base import Batch
from wavegan.methods.translation import Translation
from wavegan.models.translator import Translator
from wavegan.models.wavegan import Discriminator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES
from wavegan.training.loop import Training, take_step

JUDGES = "discriminators_a.waveform", "discriminators_b.waveform"
PLAIN = {"cycle_weight": 1.0, "identity_weight": 0.0, "discriminator_steps": 1}


class Gain(nn.Module):
    """Multiplies clips by one number, and keeps its inputs."""

    def __init__(self, gain: float):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return x * self.gain


class Judge(nn.Module):
    """Computes D(x) = <w, x>, and keeps its inputs."""

    def __init__(self, *weight: float):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.seen: list[Tensor] = []

    def forward(self, clips: Tensor, labels: Tensor | None = None) -> Tensor:
        self.seen.append(clips)
        return (clips * self.weight).sum(dim=(1, 2))


def adversary(judge: nn.Module, **settings) -> Adversary:
    return Adversary(judge, objective=OBJECTIVES["wasserstein"], **settings)


def method(a_to_b: nn.Module, b_to_a: nn.Module, **settings) -> Translation:
    """Makes a translation with judges of clips of two samples: A's weighs them 3 and 4, B's 1 and -2."""
    standard = {"cycle_weight": 10.0, "identity_weight": 5.0, "discriminator_steps": 1}
    adversaries = {"waveform": adversary(Judge(3.0, 4.0))}, {"waveform": adversary(Judge(1.0, -2.0))}
    return Translation(a_to_b, b_to_a, *adversaries, **{**standard, **settings})


A = torch.tensor([[[0.5, 0.25]], [[0.0, -0.25]]])
B = torch.tensor([[[0.2, 0.6]], [[-0.8, 0.4]]])
BATCH = Batch(A, None, B)


def values(stats: dict[str, Tensor]) -> dict[str, float]:
    assert all(value.shape == () and not value.requires_grad for value in stats.values())
    return {name: value.item() for name, value in stats.items()}


def the_phase_alone(translation: Translation, name: str, batch: Batch) -> dict[str, float]:
    """Runs one phase's backward with the other networks frozen, as the training loop does."""
    (phase,) = (phase for phase in translation.phases if phase.name == name)
    for other, network in translation.networks.items():
        network.requires_grad_(other in phase.networks)
        network.zero_grad()
    return values(phase.backward(batch))


def test_every_term_of_the_translators_by_hand():
    """A to B doubles, and B to A multiplies by 0.25: a cycle leaves a half. Mean |A| is 0.25, mean |B| 0.5."""
    translation = method(Gain(2.0), Gain(0.25))
    stats = values(translation.generators_backward(BATCH))
    score_of_fake_b = 2 * ((0.5 - 2 * 0.25) + (0.0 + 2 * 0.25)) / 2
    score_of_fake_a = 0.25 * ((3 * 0.2 + 4 * 0.6) + (3 * -0.8 + 4 * 0.4)) / 2
    assert stats["adversarial"] == pytest.approx(-score_of_fake_b - score_of_fake_a)
    assert stats["cycle"] == pytest.approx(0.5 * 0.25 + 0.5 * 0.5)
    assert stats["identity"] == pytest.approx(0.75 * 0.25 + 1.0 * 0.5)  # back of A, and there of B
    assert stats["loss"] == pytest.approx(stats["adversarial"] + 10 * stats["cycle"] + 5 * stats["identity"])


def test_the_translators_gradients_by_hand():
    """The loss has gains g, h: -<w_b, A> g - <w_a, B> h + 10 (|A| + |B|) |1 - g·h| + 5 (|A| |1 - h| + |B| |1 - g|)."""
    there, back = Gain(2.0), Gain(0.25)
    method(there, back).generators_backward(BATCH)
    size_a, size_b = 0.25, 0.5
    score_a, score_b = 1.1, 0.25  # <w_a, B> and <w_b, A>, means over the batch
    assert there.gain.grad is not None and back.gain.grad is not None
    assert there.gain.grad.item() == pytest.approx(-score_b - 10 * (size_a + size_b) * 0.25 + 5 * size_b)
    assert back.gain.grad.item() == pytest.approx(-score_a - 10 * (size_a + size_b) * 2.0 - 5 * size_a)


def test_identities_have_neither_cycle_nor_identity_loss():
    stats = values(method(nn.Sequential(Gain(1.0)), nn.Sequential(Gain(1.0))).generators_backward(BATCH))
    assert stats["cycle"] == stats["identity"] == 0
    assert stats["loss"] == stats["adversarial"] == pytest.approx(-0.25 - 1.1)


def test_inverses_have_no_cycle_loss_but_one_for_identity():
    stats = values(method(Gain(4.0), Gain(0.25)).generators_backward(BATCH))
    assert stats["cycle"] == 0 and stats["identity"] == pytest.approx(3 * 0.5 + 0.75 * 0.25)


def test_an_identity_weight_of_zero_leaves_the_term_out():
    there, back = Gain(2.0), Gain(0.25)
    stats = values(method(there, back, identity_weight=0.0).generators_backward(BATCH))
    assert stats.keys() == {"adversarial", "cycle", "loss"}
    assert stats["loss"] == pytest.approx(stats["adversarial"] + 10 * stats["cycle"])
    assert len(there.seen) == len(back.seen) == 2


def test_who_translates_and_who_judges_what():
    there, back = Gain(2.0), Gain(0.25)
    translation = method(there, back)
    translation.discriminators_backward(BATCH)
    judges = [translation.networks[name] for name in JUDGES]
    assert all(isinstance(judge, Judge) for judge in judges)
    of_a, of_b = (judge.seen for judge in judges if isinstance(judge, Judge))
    assert [clips.tolist() for clips in of_a] == [A.tolist(), (B * 0.25).tolist()]
    assert [clips.tolist() for clips in of_b] == [B.tolist(), (A * 2).tolist()]
    assert not any(clips.requires_grad for clips in [*of_a, *of_b])
    assert torch.equal(there.seen[0], A) and torch.equal(back.seen[0], B) and len(there.seen) == len(back.seen) == 1


def test_the_discriminators_losses_and_gradients_by_hand():
    translation = method(Gain(2.0), Gain(0.25))
    stats = the_phase_alone(translation, "discriminators", BATCH)
    real_a, fake_a = (2.5 - 1.0) / 2, 0.25 * 1.1
    real_b, fake_b = (-1.0 - 1.6) / 2, 2 * 0.25
    expected = {"a": fake_a - real_a, "b": fake_b - real_b}
    assert {f"{name}/waveform/loss": pytest.approx(value) for name, value in expected.items()}.items() <= stats.items()
    assert stats["a/waveform/wasserstein"] == pytest.approx(real_a - fake_a)
    for name, real, fake in (("a", A, B * 0.25), ("b", B, A * 2)):
        (weight,) = translation.networks[f"discriminators_{name}.waveform"].parameters()
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, (fake.mean(0) - real.mean(0))[0])


def test_what_translators_say_in_bf16_is_judged_in_the_clips_type():
    translation = method(nn.Sequential(Gain(2.0), Rough()), nn.Sequential(Gain(0.5), Rough()))
    for phase in translation.phases:
        assert all(value.dtype == torch.float32 for value in phase.backward(BATCH).values())
    judges = [translation.networks[name] for name in JUDGES]
    assert {clips.dtype for judge in judges if isinstance(judge, Judge) for clips in judge.seen} == {torch.float32}


class Rough(nn.Module):
    """Rounds to bf16, as autocast does."""

    def forward(self, x: Tensor) -> Tensor:
        return x.bfloat16()


def small(**settings) -> Translation:
    torch.manual_seed(0)
    judged = {"penalty": PENALTIES["gradient_penalty"], "penalty_weight": 10.0}
    return Translation(
        Translator(dim=2, kernel_size=5, blocks=1),
        Translator(dim=2, kernel_size=5, blocks=1),
        *({"waveform": adversary(Discriminator((1, 4096), dim=1, kernel_size=5), **judged)} for _ in range(2)),
        **{"cycle_weight": 10.0, "identity_weight": 5.0, "discriminator_steps": 1, **settings},
    )


def two_sources() -> Batch:
    return Batch(0.1 * torch.randn(2, 1, 4096), None, 0.3 * torch.rand(2, 1, 4096))


@pytest.mark.parametrize("name", ["discriminators", "generators"])
def test_gradients_reach_the_phases_networks_alone(name):
    translation = small()
    the_phase_alone(translation, name, two_sources())
    (phase,) = (phase for phase in translation.phases if phase.name == name)
    for other, network in translation.networks.items():
        for parameter in network.parameters():
            if other in phase.networks:
                assert parameter.grad is not None and parameter.grad.isfinite().all()
            else:
                assert parameter.grad is None


def test_phases_and_what_is_averaged():
    translation = method(Gain(1.0), Gain(1.0), discriminator_steps=3)
    assert [(phase.name, phase.networks, phase.times) for phase in translation.phases] == [
        ("discriminators", JUDGES, 3),
        ("generators", ("a_to_b", "b_to_a"), 1),
    ]
    assert translation.averaged == ("a_to_b", "b_to_a")
    assert set(translation.networks) == {"a_to_b", "b_to_a", *JUDGES}
    assert translation.phases[1].after_update is None


def test_only_the_discriminator_with_a_bound_is_cut():
    of_a, of_b = Judge(3.0, -4.0), Judge(1.0, -2.0)
    bounded = adversary(of_b, weight_clip=0.5)
    translation = Translation(Gain(1.0), Gain(1.0), {"waveform": adversary(of_a)}, {"waveform": bounded}, **PLAIN)
    after = translation.phases[0].after_update
    assert after is not None and translation.phases[1].after_update is None
    after({})
    assert of_a.weight.tolist() == [3, -4] and of_b.weight.tolist() == [0.5, -0.5]


def test_both_discriminators_are_told_the_step():
    noisy = [Noise(deviation=0.8, fade_steps=4) for _ in range(2)]
    translation = Translation(
        Gain(1.0), Gain(1.0), *({"waveform": adversary(Judge(1.0, 1.0), augment=noise)} for noise in noisy), **PLAIN
    )
    translation.advance(3)
    assert [noise.deviation.item() for noise in noisy] == pytest.approx([0.2, 0.2])


def test_a_batch_of_one_source_is_a_fault():
    with pytest.raises(AssertionError, match="two sources"):
        method(Gain(1.0), Gain(1.0)).generators_backward(Batch(A))


def test_each_phase_changes_exactly_its_own_networks():
    """Runs through the loop: a discriminator phase, then one of translators."""
    translation = small()
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=0.01) for name, network in translation.networks.items()
    }
    moved: list[set[str]] = []

    def weights():
        return {
            name: nn.utils.parameters_to_vector(network.parameters()) for name, network in translation.networks.items()
        }

    def note():
        now = weights()
        moved.append({name for name in now if not torch.equal(now[name], before[name])})
        before.update(now)

    def batches(draw):
        note()
        return two_sources()

    before = weights()
    stats = take_step(Training(translation, optimizers, torch.device("cpu")), batches)
    note()
    assert moved == [set(), set(JUDGES), {"a_to_b", "b_to_a"}]
    assert {"discriminators/a/waveform/loss", "discriminators/b/waveform/loss", "generators/cycle"} <= stats.keys()


def test_a_level_is_translated():
    """B is A three times as loud: from gains of 1 the translators find 3 and a third."""
    there, back = Gain(1.0), Gain(1.0)

    class Power(nn.Module):
        """Scores by mean square, with a learned sign and size of at most 1."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, clips: Tensor, labels: Tensor | None = None) -> Tensor:
            return self.weight * clips.square().mean(dim=(1, 2))

    bounded = [{"waveform": adversary(Power(), weight_clip=1.0)} for _ in range(2)]
    settings = {"cycle_weight": 0.5, "identity_weight": 0.0, "discriminator_steps": 5}
    translation = Translation(there, back, *bounded, **settings)
    optimizers = {
        name: torch.optim.SGD(network.parameters(), lr=0.05) for name, network in translation.networks.items()
    }
    training = Training(translation, optimizers, torch.device("cpu"))
    clips = torch.sin(torch.arange(64) / 4)[None, None] * torch.linspace(0.5, 1.0, 8)[:, None, None]
    gains = []
    for _ in range(400):
        take_step(training, lambda draw: Batch(clips, None, 3 * clips.flip(0)))
        training.step += 1
        gains.append((there.gain.item(), back.gain.item()))
    levels = torch.tensor(gains[-100:]).mean(0).tolist()
    assert levels[0] == pytest.approx(3, rel=0.2) and levels[1] == pytest.approx(1 / 3, rel=0.2)
