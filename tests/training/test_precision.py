"""Tests the choice of precision: by measurement, without a trace."""

import pytest
import torch

from wavegan.methods.base import Batch
from wavegan.training import precision
from wavegan.training.loop import train
from wavegan.training.precision import autocast, faster_precision


def weights(made) -> dict[tuple[str, str], torch.Tensor]:
    networks = made.method.networks.items()
    return {(name, key): value.clone() for name, network in networks for key, value in network.state_dict().items()}


def test_measuring_leaves_the_networks_alone(training, batches):
    made = training(batch_norm=True)
    before = weights(made)
    assert faster_precision(made.method, batches(0)) in precision.PRECISIONS
    after = weights(made)
    assert all(torch.equal(value, after[key]) for key, value in before.items()), "batch statistics included"
    for network in made.method.networks.values():
        assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


def test_measuring_leaves_the_training_alone(training, batches):
    plain, measured = training(shared=False), training(shared=False)
    faster_precision(measured.method, batches(0))
    for made in (plain, measured):
        train(made, batches, 2, after_step=lambda stats: True)
    after = weights(measured)
    assert all(torch.equal(value, after[key]) for key, value in weights(plain).items())


@pytest.mark.parametrize("fast", precision.PRECISIONS)
def test_the_faster_one_is_taken(training, batches, monkeypatch, fast):
    monkeypatch.setattr(precision, "_seconds", lambda method, clips, name: 1.0 if name == fast else 2.0)
    assert faster_precision(training().method, batches(0)) == fast


def test_each_is_measured_in_its_own_precision_on_a_few_clips(training, monkeypatch):
    made, seen = training(), []
    spy = made.method.phases[0].backward.__func__

    def watched(self, batch):
        seen.append((torch.is_autocast_enabled("cpu"), len(batch.x)))
        return spy(self, batch)

    monkeypatch.setattr(type(made.method), "discriminators_backward", watched)
    faster_precision(training().method, Batch(torch.zeros(64, 1, 4096)))
    assert {enabled for enabled, _ in seen} == {True, False} and {count for _, count in seen} == {4}


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
