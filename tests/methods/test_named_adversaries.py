"""Tests a GAN of several discriminators: what each sees, what it learns by, and what the generator learns from all."""

from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toy_networks import REAL, Gains, Judge, Maker, PairMeans, plain, values

from wavegan.dsp.representation import Waveform
from wavegan.methods import first_order
from wavegan.methods.base import Batch
from wavegan.methods.gan import GAN
from wavegan.models.wavegan import Discriminator
from wavegan.objectives.penalties import PENALTIES
from wavegan.settings import PhaseShuffleSettings


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Makes latents the same in every run."""
    torch.manual_seed(0)


# What they see.


@pytest.mark.parametrize("count", [2, 3])
def test_all_see_the_same_fakes_and_the_same_real_clips(count):
    judges = {name: Judge(1.0, -2.0, 3.0, 4.0) for name in islice(("mel", "waveform", "complex"), count)}
    maker = Maker()
    gan = GAN(maker, {name: plain(judge) for name, judge in judges.items()}, discriminator_steps=3)
    assert list(gan.networks) == ["generator", *(f"discriminators.{name}" for name in judges)]
    plan = [(phase.name, phase.networks, phase.times) for phase in gan.phases]
    assert plan == [
        ("discriminators", tuple(f"discriminators.{name}" for name in judges), 3),
        ("generator", ("generator",), 1),
    ]
    gan.discriminators_backward(Batch(REAL))
    gan.generator_backward(Batch(REAL))
    for_judges, for_maker = maker.clips
    for judge in judges.values():
        assert [seen.tolist() for seen in judge.seen] == [clips.tolist() for clips in (REAL, for_judges, for_maker)]
    assert not for_judges.requires_grad and for_maker.requires_grad


class Halves(Waveform):
    """Encodes clips as half of their value."""

    def encode(self, clips: Tensor) -> Tensor:
        return clips / 2


def test_real_clips_are_shown_as_the_generators_output_encodes_them():
    """Checks all discriminators, before their views, in both phases.

    In the generator's phase a paired objective needs the real clips.
    """
    maker, judges = Maker(), (Judge(1.0, -2.0), Judge(1.0, -2.0, 3.0, 4.0))
    maker.output = Halves()
    adversaries = {
        "pairs": plain(judges[0], "relativistic", view=PairMeans()),
        "waveform": plain(judges[1], "relativistic"),
    }
    gan = GAN(maker, adversaries, discriminator_steps=1)
    gan.discriminators_backward(Batch(REAL))
    gan.generator_backward(Batch(REAL))
    for judge, expected in zip(judges, (torch.tensor([[[1.0, 0.5]], [[0.0, 0.5]]]), REAL / 2), strict=True):
        real, _, _, again = judge.seen  # real and fake, then the generator's fake and its real partner
        assert torch.equal(real, expected) and torch.equal(again, expected)


def test_a_view_changes_what_one_sees_and_its_penalty_acts_on_what_it_gives():
    """R1 is half the square of D's slope.

    By the view's numbers it is (3² + 4²) / 2, and by the clips' 9 / 8 of that.
    """
    viewing, other = Judge(3.0, 4.0), Judge(1.0, 0.0, 0.0, 2.0)
    r1 = {"penalty": PENALTIES["r1"], "penalty_weight": 2.0}
    adversaries = {"pairs": plain(viewing, view=PairMeans(1.5), **r1), "waveform": plain(other, **r1)}
    maker = Maker()
    gan = GAN(maker, adversaries, discriminator_steps=1)
    stats = values(gan.discriminators_backward(Batch(REAL)))
    (fake,) = maker.clips
    pairs = torch.tensor([[[3.0, 1.5]], [[0.0, 1.5]]])  # of REAL, times 1.5
    halves = 1.5 * (fake[..., ::2] + fake[..., 1::2]) / 2
    for seen, expected in zip(viewing.seen, (pairs, halves, pairs), strict=True):  # the last for the penalty
        torch.testing.assert_close(seen, expected)
    assert [seen.tolist() for seen in other.seen] == [clips.tolist() for clips in (REAL, fake, REAL)]
    assert stats["pairs/penalty"] == pytest.approx(25 / 2) and stats["waveform/penalty"] == pytest.approx(5 / 2)
    difference = halves.mean(0) - pairs.mean(0)
    assert stats["pairs/loss"] == pytest.approx((difference * torch.tensor([3.0, 4.0])).sum().item() + 25)
    assert viewing.weight.grad is not None  # 2 · w from the penalty
    torch.testing.assert_close(viewing.weight.grad, difference[0] + 2 * torch.tensor([3.0, 4.0]))


def test_the_generator_learns_through_a_view():
    """The loss is -<w, view(gain · z)>, so its slope by the gain is that of the view of z."""
    maker = Maker(2.0)
    GAN(maker, {"pairs": plain(Judge(3.0, 4.0), view=PairMeans(1.5))}, discriminator_steps=1).generator_backward(
        Batch(REAL)
    )
    z = maker.clips[0].detach() / 2
    halves = 1.5 * (z[..., ::2] + z[..., 1::2]) / 2
    assert maker.gain.grad is not None
    assert maker.gain.grad.item() == pytest.approx(-(3 * halves[..., 0] + 4 * halves[..., 1]).mean().item(), abs=1e-6)


@pytest.mark.parametrize("penalty", ["gradient_penalty", "r1_r2", None])
def test_the_first_order_form_is_exact_behind_a_view_and_an_augmentation(penalty, monkeypatch):
    torch.manual_seed(0)
    judge = Discriminator((1, 4096), dim=1, kernel_size=9, phase_shuffle=PhaseShuffleSettings(radius=0)).double()
    real, fake = (torch.randn(3, 1, 8192, dtype=torch.float64) for _ in range(2))
    parts = {"view": PairMeans(3.0), "augment": Gains(0.5), "penalty": PENALTIES.get(penalty or "")}
    adversary, results = plain(judge, "hinge", penalty_weight=2.5, **parts), []
    for form in (adversary.backward, adversary.plain_backward):
        torch.manual_seed(3)
        stats = form(real, fake)
        results.append(
            (stats, [parameter.grad.clone() for parameter in judge.parameters() if parameter.grad is not None])
        )
        judge.zero_grad()
        monkeypatch.setattr(first_order, "discriminator_backward", None)  # what follows is autograd's
    (stats, ours), (expected, theirs) = results
    assert ("penalty" in stats) == (penalty is not None) and len(ours) == len(list(judge.parameters()))
    for gradient, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(stats, expected, rtol=1e-9, atol=1e-12)


def test_an_augmentation_comes_before_the_view_for_real_and_fake_alike_from_the_seeded_generators():
    """Draws come in order: latents, then for each adversary the gains of real clips, then those of fakes."""
    first, second = Judge(3.0, 4.0), Judge(1.0, 0.0, 0.0, 2.0)
    adversaries = {
        "pairs": plain(first, view=PairMeans(2.0), augment=Gains(0.5)),
        "waveform": plain(second, augment=Gains(1.0)),
    }
    gan = GAN(Maker(), adversaries, discriminator_steps=1)
    torch.manual_seed(5)
    gan.discriminators_backward(Batch(REAL))
    torch.manual_seed(5)
    fake = (torch.rand(2, 4) * 2 - 1)[:, None]
    for judge, strength, view in ((first, 0.5, PairMeans(2.0)), (second, 1.0, nn.Identity())):
        for seen, clips in zip(judge.seen, (REAL, fake), strict=True):
            torch.testing.assert_close(seen, view(clips * (1 + strength * torch.rand(2, 1, 1))))


def test_the_generator_learns_through_an_augmentation():
    maker, judge = Maker(2.0), Judge(1.0, 2.0, 3.0, 4.0)
    gan = GAN(maker, {"waveform": plain(judge, augment=Gains(0.5))}, discriminator_steps=1)
    torch.manual_seed(5)
    gan.generator_backward(Batch(REAL))
    torch.manual_seed(5)
    z, gains = torch.rand(2, 4) * 2 - 1, 1 + 0.5 * torch.rand(2, 1)
    assert maker.gain.grad is not None
    assert maker.gain.grad.item() == pytest.approx(
        -(gains * z @ torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None]).mean().item(), abs=1e-6
    )


def test_an_augmentation_cuts_before_a_view_that_does_not_commute():
    """Cuts clips to ±1 before taking the means of pairs: the other order would leave larger means."""

    class Cut(Gains):
        def forward(self, clips: Tensor) -> Tensor:
            return clips.clamp(-1, 1)

    adversary = plain(Judge(1.0, 1.0), view=PairMeans(), augment=Cut())
    assert adversary.see(REAL).tolist() == [[[1.0, 0.5]], [[0.0, 0.5]]]


# What they learn by.


def test_each_has_its_own_objective_and_penalty_and_statistics_by_name():
    judges = {name: Judge(*weight) for name, weight in WEIGHTS.items()}
    adversaries = {
        "waveform": plain(judges["waveform"], penalty=PENALTIES["gradient_penalty"], penalty_weight=10.0),
        "mel": plain(judges["mel"], "hinge", penalty=PENALTIES["r1"], penalty_weight=0.5),
        "complex": plain(judges["complex"], "least_squares"),
    }
    maker = Maker()
    stats = values(GAN(maker, adversaries, discriminator_steps=1).discriminators_backward(Batch(REAL)))
    assert list(stats) == [
        "waveform/wasserstein", "waveform/penalty", "waveform/loss",
        "mel/wasserstein", "mel/penalty", "mel/loss",
        "complex/wasserstein", "complex/loss",
    ]  # fmt: skip
    scores = {
        name: tuple((clips * torch.tensor(WEIGHTS[name])).sum((1, 2)) for clips in (REAL, maker.clips[0]))
        for name in WEIGHTS
    }
    for name, (real, fake) in scores.items():
        assert stats[f"{name}/wasserstein"] == pytest.approx((real.mean() - fake.mean()).item(), abs=1e-6)
    real, fake = scores["waveform"]
    assert stats["waveform/penalty"] == pytest.approx((5 - 1) ** 2)
    assert stats["waveform/loss"] == pytest.approx((fake.mean() - real.mean()).item() + 160)
    real, fake = scores["mel"]
    assert stats["mel/penalty"] == pytest.approx(2**2 / 2)
    assert stats["mel/loss"] == pytest.approx(((1 - real).relu().mean() + (1 + fake).relu().mean()).item() + 1)
    real, fake = scores["complex"]
    assert stats["complex/loss"] == pytest.approx(((real - 1).square().mean() + fake.square().mean()).item() / 2)


WEIGHTS = {"waveform": (3.0, 0.0, 4.0, 0.0), "mel": (0.0, 2.0, 0.0, 0.0), "complex": (1.0, -1.0, 0.5, 0.0)}


@pytest.mark.parametrize("names", [("waveform", "mel"), ("waveform", "mel", "complex")], ids=len)
def test_the_generators_loss_is_the_weighted_sum_of_its_adversaries(names):
    """Uses each adversary's own objective; the last one is judged against the real clips."""
    objectives = {"waveform": "wasserstein", "mel": "non_saturating", "complex": "relativistic"}
    factors = {"waveform": 1.0, "mel": 0.5, "complex": 3.0}
    maker = Maker(2.0)
    adversaries = {name: plain(Judge(*WEIGHTS[name]), objectives[name], weight=factors[name]) for name in names}
    stats = values(GAN(maker, adversaries, discriminator_steps=1).generator_backward(Batch(REAL)))

    gain = torch.tensor(2.0, requires_grad=True)
    fake = gain * (maker.clips[0].detach() / 2)
    real_scores = (REAL * torch.tensor(WEIGHTS["complex"])).sum((1, 2))
    scores = {name: (fake * torch.tensor(WEIGHTS[name])).sum((1, 2)) for name in names}
    parts = {"waveform": -scores["waveform"].mean(), "mel": 0.5 * F.softplus(-scores["mel"]).mean()}
    if "complex" in names:
        parts["complex"] = 3 * F.softplus(real_scores - scores["complex"]).mean()
    expected = torch.stack(list(parts.values())).sum()
    expected.backward()
    assert stats == pytest.approx(
        {**{f"{name}/loss": part.item() for name, part in parts.items()}, "loss": expected.item()}
    )
    assert maker.gain.grad is not None and gain.grad is not None
    torch.testing.assert_close(maker.gain.grad, gain.grad)
