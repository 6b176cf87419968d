"""Compares first-order gradients behind every view, by every penalty and objective, with autograd's."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavegan.dsp.views import VIEWS
from wavegan.methods import first_order
from wavegan.methods.adversary import Adversary
from wavegan.models import mlp
from wavegan.models.spectrogram import Discriminator
from wavegan.objectives.adversarial import OBJECTIVES
from wavegan.objectives.penalties import PENALTIES

CLOSE = 1e-10
CHANNELS, SAMPLES = 2, 150
SETTINGS = {
    "waveform": {},
    "low_rate": {"factor": 4},  # 38 samples
    "period": {"period": 7},  # 22 columns
    "log_magnitude": {"window": 18, "hop": 7},  # 9 bins, 22 frames
    "log_mel": {"sample_rate": 8000, "window": 64, "hop": 11, "bands": 6, "coordinate": True},  # 14 frames
    "complex": {"window": 26, "hop": 13},  # 13 bins, 12 frames
}


def clips(seed: int) -> Tensor:
    """Returns (3, 2, 150) in float64: at full scale, at 1e-4, and a silent one."""
    noise = torch.randn(3, CHANNELS, SAMPLES, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (noise / 4 * torch.tensor([1, 1e-4, 0], dtype=torch.float64)[:, None, None]).clamp(-1, 1)


def judge_behind(view: nn.Module, name: str, classes: int) -> nn.Module:
    """Makes a discriminator in float64, with biases that are not zero."""
    torch.manual_seed(0)
    shape = view.shape(CHANNELS, SAMPLES)  # pyright: ignore[reportCallIssue]
    judge = (
        mlp.Discriminator(shape, dim=1, labels=classes)
        if VIEWS[name].gives == "waveform"
        else Discriminator(shape, dim=2, kernel_size=3, labels=classes)
    ).double()
    for key, parameter in judge.named_parameters():
        if key.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return judge


def test_every_view_is_tried():
    assert SETTINGS.keys() == VIEWS.keys()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("penalty", [*PENALTIES, None])
@pytest.mark.parametrize("name", VIEWS)
def test_the_first_order_gradients_are_autograds(name, penalty, objective, classes, monkeypatch):
    """Compares every parameter's gradient to 1e-10 of its largest number, and every statistic, at the same points."""
    view = VIEWS[name](**SETTINGS[name])
    view.measure([clips(5).float()])
    judge = judge_behind(view, name, classes)
    real, fake = view(clips(0)).detach(), view(clips(1)).detach()
    labels = F.one_hot(torch.tensor([0, 2, 0]), 3).double() if classes else None
    adversary = Adversary(
        judge,
        objective=OBJECTIVES[objective],
        penalty=PENALTIES[penalty] if penalty else None,
        penalty_weight=10.0 if penalty else 0.0,
    )
    calls, original = [], first_order.discriminator_backward
    monkeypatch.setattr(first_order, "discriminator_backward", lambda *a, **k: calls.append(1) or original(*a, **k))
    torch.manual_seed(5)
    expected_stats = adversary.plain_backward(real, fake, labels)
    expected = {key: parameter.grad for key, parameter in judge.named_parameters()}
    judge.zero_grad(set_to_none=True)
    assert not calls
    torch.manual_seed(5)
    stats = adversary.backward(real, fake, labels)
    assert calls == [1]
    assert stats.keys() == expected_stats.keys() == {"wasserstein", "loss", *(["penalty"] if penalty else [])}
    for key, value in expected_stats.items():
        assert stats[key].item() == pytest.approx(value.item(), rel=CLOSE, abs=CLOSE), key
    scale = max(wanted.abs().max().item() for wanted in expected.values() if wanted is not None)
    for key, parameter in judge.named_parameters():
        wanted = expected[key]
        assert parameter.grad is not None and wanted is not None, key
        assert wanted.any() or key.endswith("bias")  # which real and fake may move in opposite ways
        allowed = CLOSE * max(wanted.abs().max().item(), 1e-3 * scale)  # a gradient of zero is not quite zero
        torch.testing.assert_close(parameter.grad, wanted, rtol=0, atol=allowed)


@pytest.mark.parametrize("name", VIEWS)
def test_a_generator_hears_of_every_sample_through_a_view(name):
    """Checks silence as well: no gradient is zero, none is infinite."""
    view = VIEWS[name](**SETTINGS[name])
    view.measure([clips(5).float()])
    judge = judge_behind(view, name, 0)
    fake = clips(1).requires_grad_()
    adversary = Adversary(judge, objective=OBJECTIVES["wasserstein"])
    (slope,) = torch.autograd.grad(adversary.generator_loss(view(fake), view(clips(0))), fake)
    assert slope.isfinite().all() and (slope != 0).all()
