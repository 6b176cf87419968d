"""Tests the choice of precision: by measurement of time and values, without a trace."""

import re

import pytest
import torch

from wavegan.methods.base import Batch
from wavegan.models.conv1d import Convolution, TransposedConvolution
from wavegan.training import precision
from wavegan.training.loop import train
from wavegan.training.precision import autocast, chosen_precision


def weights(made) -> dict[tuple[str, str], torch.Tensor]:
    networks = made.method.networks.items()
    return {(name, key): value.clone() for name, network in networks for key, value in network.state_dict().items()}


def fast_bf16(monkeypatch, *, bf16: float = 1.0, fp32: float = 2.0) -> None:
    """Makes the trials of this machine last so many seconds."""
    trial = precision.run_trial

    def timed(*arguments, **keywords):
        _, gradients = trial(*arguments, **keywords)
        return bf16 if torch.is_autocast_enabled("cpu") else fp32, gradients

    monkeypatch.setattr(precision, "run_trial", timed)


def test_the_trial_leaves_the_networks_alone(training, batches):
    made = training(batch_norm=True)
    before = weights(made)
    assert chosen_precision(made.method, batches(0), 0)[0] in precision.PRECISIONS
    after = weights(made)
    assert all(torch.equal(value, after[key]) for key, value in before.items()), "batch statistics included"
    for network in made.method.networks.values():
        assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
        assert not any(module._forward_pre_hooks for module in network.modules())


def test_the_trial_leaves_the_training_alone(training, batches):
    plain, tried = training(shared=False), training(shared=False)
    chosen_precision(tried.method, batches(0), 0)
    for made in (plain, tried):
        train(made, batches, 2, after_step=lambda stats: True)
    after = weights(tried)
    assert all(torch.equal(value, after[key]) for key, value in weights(plain).items())


@pytest.mark.parametrize(("fast", "seconds"), [("fp32", 3.0), ("fp32", 2.0), ("bf16", 1.0)])
def test_the_faster_one_is_taken(training, batches, monkeypatch, fast, seconds):
    fast_bf16(monkeypatch, bf16=seconds)
    assert chosen_precision(training().method, batches(0), 0) == (fast, f"{fast} is the faster one on this cpu")


@pytest.mark.parametrize(("first", "trials"), [(25.0, 1), (15.0, 2)])
def test_what_is_far_behind_in_its_first_trial_has_no_second(training, batches, monkeypatch, first, trials):
    given = iter([(0.5, {}), (2.0, {}), (first, {}), (3.0, {})])
    monkeypatch.setattr(precision, "run_trial", lambda *arguments, **keywords: next(given))
    assert chosen_precision(training().method, batches(0), 0)[0] == "fp32"
    assert len([*given]) == 2 - trials


def test_all_phases_are_tried_in_each_precision_on_a_few_clips(training, monkeypatch):
    made, seen = training(), []
    for phase in made.method.phases:
        spy = phase.backward.__func__

        def watched(self, batch, spy=spy):
            seen.append((spy.__name__, torch.is_autocast_enabled("cpu"), len(batch.x)))
            return spy(self, batch)

        monkeypatch.setattr(type(made.method), spy.__name__, watched)
    chosen_precision(training().method, Batch(torch.zeros(64, 1, 4096)), 0)
    assert {(enabled, count) for _, enabled, count in seen} == {(True, 4), (False, 4)}
    assert len({name for name, _, _ in seen}) == len(made.method.phases)


@pytest.mark.parametrize(
    ("layer", "is_backward", "told"),
    [
        (Convolution, False, r"the output of discriminators\.waveform\.blocks\.\d+ differs by \d\d"),
        (Convolution, True, r"the gradient of input 0 of discriminators\.waveform\.blocks\.\d+ differs by \d\d"),
        (TransposedConvolution, False, r"the output of generator\.blocks\.\d+ differs by \d\d"),
        (TransposedConvolution, True, r"the gradient of input 0 of generator\.blocks\.\d+ differs by \d\d"),
    ],
)
def test_a_wrong_convolution_in_bf16_is_told_and_not_taken(training, batches, monkeypatch, layer, is_backward, told):
    """Plants a fault as libraries had it: in bf16 every second sample comes out half as large."""
    compute = layer.compute

    def wrong(self, x, weight, bias):
        y = compute(self, x, weight, bias)
        if x.dtype != torch.bfloat16:
            return y
        share = torch.ones_like(y)
        share[:, ::2] = 0.5
        return (y * share + (y * (1 - share)).detach()) if is_backward else y * share

    fast_bf16(monkeypatch)
    made = training()
    assert chosen_precision(made.method, batches(0), 0)[0] == "bf16"
    monkeypatch.setattr(layer, "compute", wrong)
    taken, reason = chosen_precision(made.method, batches(0), 0)
    assert taken == "fp32" and re.match(f"fp32, because bf16 computes wrongly on this cpu: {told}", reason), reason


@pytest.mark.parametrize("seed", range(4))
def test_rounding_alone_is_within_the_bound(training, batches, monkeypatch, seed):
    """Each layer is within half of the bound; the mean error of rounding alone is 0.4 times 2^-8."""
    fast_bf16(monkeypatch)
    differences, difference = [], precision._difference
    monkeypatch.setattr(
        precision, "_difference", lambda *both: differences.append(difference(*both)) or difference(*both)
    )
    assert chosen_precision(training(start=seed, batch_norm=True).method, batches(seed), seed)[0] == "bf16"
    assert len(differences) > 30 and 0.1 * 2**-8 < max(differences) < precision.MOST_DIFFERENCE / 2


def test_a_device_without_bf16_takes_fp32(training, batches, monkeypatch):
    compute = Convolution.compute

    def fails(self, x, *rest):
        if x.dtype == torch.bfloat16:
            raise TypeError("BFloat16 is not supported\nand more")
        return compute(self, x, *rest)

    monkeypatch.setattr(Convolution, "compute", fails)
    chosen = chosen_precision(training().method, batches(0), 0)
    assert chosen == ("fp32", "fp32, because bf16 fails on this cpu (BFloat16 is not supported)")


def test_nan_in_bf16_is_not_taken(training, batches, monkeypatch):
    fast_bf16(monkeypatch)
    compute = Convolution.compute
    monkeypatch.setattr(
        Convolution,
        "compute",
        lambda self, x, *rest: compute(self, x, *rest) * (torch.nan if x.dtype == torch.bfloat16 else 1),
    )
    assert "differs by nan%" in chosen_precision(training().method, batches(0), 0)[1]


def test_autocast_computes_in_bf16_and_keeps_weights_in_fp32():
    layer = torch.nn.Linear(4, 4)
    for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items():
        with autocast(name, torch.device("cpu")):
            assert layer(torch.ones(1, 4)).dtype == dtype
    assert layer.weight.dtype == torch.float32


def test_training_in_bf16_follows_fp32(training, batches):
    """Compares the first step, to the three digits that bf16 has; both leave fp32 weights and finite numbers."""
    stats_of = {}
    for name in precision.PRECISIONS:
        made = training(precision=name)
        train(made, batches, 1, after_step=lambda stats, name=name: stats_of.update({name: stats}) or True)
        assert all(value.dtype == torch.float32 for value in weights(made).values())
    for name, value in stats_of["fp32"].items():
        assert stats_of["bf16"][name].item() == pytest.approx(value.item(), rel=0.05, abs=0.02), name
    assert (
        stats_of["bf16"]["discriminators/waveform/wasserstein"]
        != stats_of["fp32"]["discriminators/waveform/wasserstein"]
    )


@pytest.mark.parametrize("has_bf16", [False, True])
def test_on_cuda_the_gpu_says_whether_bf16_is_faster(monkeypatch, has_bf16):
    """Gives a trial that says the opposite: it timed the launches of kernels."""
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16 and not including_emulation
    )
    seconds = {"fp32": 2.0 - has_bf16, "bf16": 1.0 + has_bf16}
    assert precision._is_faster(seconds, torch.device("cuda")) == has_bf16
    assert precision._is_faster(seconds, torch.device("cpu")) != has_bf16
