"""Tests the loop: exact resume, and each of its duties by closed form on a toy method of one number."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.methods.base import Batch, Phase
from wavegan.training import checkpoint
from wavegan.training.loop import Training, take_step, train

CPU = torch.device("cpu")
JUDGE = "discriminators.waveform"
EVERYTHING = {
    "batch_norm": True,
    "shared": False,
    "updates": 2,
    "ema": 0.9,
    "gradient_clip": 0.5,
    "decay_steps": 10,
}


def go_on(stats) -> bool:
    return True


def flat(state) -> dict:
    """Flattens nested dicts and lists into one dict of paths to leaves."""
    if isinstance(state, dict | list | tuple):
        pairs = state.items() if isinstance(state, dict) else enumerate(state)
        return {(key, *path): leaf for key, value in pairs for path, leaf in flat(value).items()}
    return {(): state.clone() if isinstance(state, torch.Tensor) else state}


def assert_same(first: dict, second: dict) -> None:
    first, second = flat(first), flat(second)
    assert first.keys() == second.keys()
    for path, leaf in first.items():
        assert torch.equal(leaf, second[path]) if isinstance(leaf, torch.Tensor) else leaf == second[path], path


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["plain", "everything"])
def test_a_resumed_training_equals_the_uninterrupted_one(training, batches, tmp_path, precision, settings):
    """The state goes through a file, into networks that started elsewhere: nothing may be left out of it."""
    whole = training(precision=precision, **settings)
    seen = []
    train(whole, batches, 6, after_step=lambda stats: seen.append(flat(stats)) or True)

    first = training(precision=precision, **settings)
    train(first, batches, 3, after_step=go_on)
    path = checkpoint.save(tmp_path, first.state())
    torch.manual_seed(99)
    second = training(start=1, precision=precision, **settings)
    second.restore(checkpoint.load(path))
    assert second.step == 3
    again = []
    train(second, batches, 6, after_step=lambda stats: again.append(flat(stats)) or True)
    assert_same(whole.state(), second.state())
    assert_same({"stats": seen[3:]}, {"stats": again})


def test_restore_brings_back_everything_that_state_gave(training, batches, tmp_path):
    first = training(**EVERYTHING)
    train(first, batches, 2, after_step=go_on)
    path = checkpoint.save(tmp_path, first.state())
    second = training(start=1, **EVERYTHING)
    second.restore(checkpoint.load(path))
    assert_same(first.state(), second.state())
    assert set(first.state()) == {"step", "precision", "threads", "networks", "averages", "optimizers", "method"}


def test_seeds_decide(training, batches):
    states = {}
    for name, seed in {"one": 0, "same": 0, "other": 1}.items():
        made = training(seed=seed)
        train(made, batches, 2, after_step=go_on)
        states[name] = made.state()
    assert_same(states["one"], states["same"])
    weight = ("networks", "generator", "dense.weight")
    assert not torch.equal(flat(states["one"])[weight], flat(states["other"])[weight])


def test_steps_and_phases_draw_differently(training, batches):
    """A learning rate of zero leaves only the randomness of latents, interpolation and shuffle to differ."""
    made, seen = training(updates=2), []
    for optimizer in made.optimizers.values():
        optimizer.param_groups[0]["lr"] = 0.0
    made.method.networks["generator"].register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    train(made, lambda draw: batches(0), 3, after_step=go_on)
    assert len(seen) == 9 and len({tuple(z.flatten().tolist()) for z in seen}) == 9


def test_torchs_global_generator_is_left_as_found(training, batches):
    torch.manual_seed(5)
    before, expected = torch.get_rng_state(), torch.rand(3)
    torch.manual_seed(5)
    train(training(), batches, 2, after_step=go_on)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.rand(3), expected)


def test_the_global_generator_has_no_say(training, batches):
    first, second = training(), training()
    train(first, batches, 2, after_step=go_on)
    torch.manual_seed(77)
    train(second, batches, 2, after_step=lambda stats: torch.rand(9) is not None)
    assert_same(first.state(), second.state())


class HostReads(TorchDispatchMode):
    """Counts calls that make the host wait for the device: .item(), float(), bool(), shapes that depend on values."""

    READS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix("aten::").split(".")[0]
        if name in self.READS:
            self.calls.append(name)
        return func(*args, **(kwargs or {}))


class HostCopies(TorchFunctionMode):
    """Counts calls that take values to the host without an operator of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in ("tolist", "numpy", "cpu", "__array__"):
            self.calls.append(name)
        return func(*args, **(kwargs or {}))


def host_reads(act) -> list[str]:
    with HostCopies() as copies, HostReads() as reads:
        act()
    return copies.calls + reads.calls


def test_the_counters_of_host_reads_count():
    x = torch.ones(2)
    assert host_reads(lambda: x.sum().item()) == ["_local_scalar_dense"]
    assert host_reads(lambda: bool(x.all())) == ["_local_scalar_dense"]
    assert host_reads(lambda: x.tolist()) == ["tolist"]
    assert host_reads(lambda: x.nonzero()) == ["nonzero"]
    assert host_reads(lambda: x + 1) == []


@pytest.mark.parametrize("shared", [True, False])
def test_a_step_reads_nothing_on_the_host(training, batches, shared):
    made = training(updates=2, shared=shared, batch_norm=True, ema=0.9, gradient_clip=0.5, precision="bf16")
    clips = batches(0)
    assert host_reads(lambda: take_step(made, lambda draw: clips)) == []


class Toy:
    """Trains two numbers: `slow` follows the batch's mean by x²/2, `fast` likewise; each in a phase of its own."""

    averaged = ("slow",)
    form = None

    def __init__(self, *, times: int = 1):
        self.networks = {name: nn.Linear(1, 1, bias=False) for name in ("fast", "slow")}
        for network in self.networks.values():
            nn.init.constant_(network.weight, 8.0)
        self.phases = (
            Phase("first", ("fast",), lambda batch: self.pull("fast", batch.x), times=times),
            Phase("second", ("slow",), lambda batch: self.pull("slow", batch.x)),
        )
        self.learning: list[tuple[bool, ...]] = []
        self.told: list[int] = []

    def pull(self, name, clips):
        self.learning.append(tuple(network.weight.requires_grad for network in self.networks.values()))
        loss = (self.networks[name].weight - clips.mean()).square().sum() / 2
        loss.backward()
        return {"loss": loss.detach()}

    def advance(self, step: int) -> None:
        self.told.append(step)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        assert state == {}


def silence(draw: int) -> Batch:
    return Batch(torch.zeros(1, 1, 1))


def gradient(network: nn.Module) -> torch.Tensor:
    """Returns all of its gradients in one row."""
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])


def value(made: Training, name: str) -> float:
    return made.method.networks[name].state_dict()["weight"].item()


def toy(*, times: int = 1, lr: float = 0.5, **settings) -> Training:
    method = Toy(times=times)
    optimizers = {name: torch.optim.SGD(network.parameters(), lr=lr) for name, network in method.networks.items()}
    return Training(method, optimizers, CPU, **settings)


def test_gradients_start_from_zero_at_every_update():
    """Halving the way to 0 leaves 8 · 2⁻ⁿ after n updates; gradients that pile up would overshoot."""
    made = toy(times=3)
    train(made, silence, 2, after_step=go_on)
    assert (value(made, "fast"), value(made, "slow")) == (8 * 2**-6, 8 * 2**-2)


def test_every_update_sees_a_fresh_batch_and_resuming_goes_on_with_the_next():
    draws, made = [], toy(times=3)
    train(made, lambda draw: draws.append(draw) or silence(draw), 2, after_step=go_on)
    assert draws == list(range(2 * 4))
    train(made, lambda draw: draws.append(draw) or silence(draw), 3, after_step=go_on)
    assert draws == list(range(3 * 4))


def test_only_the_networks_of_a_phase_require_gradients():
    made = toy(times=2)
    take_step(made, silence)
    assert isinstance(made.method, Toy)
    assert made.method.learning == [(True, False), (True, False), (False, True)]


def test_statistics_carry_the_phases_name_and_the_last_update():
    stats = take_step(toy(times=2), lambda draw: Batch(torch.full((1, 1, 1), float(draw))))
    # fast: 8 → towards 0 → 4 → towards 1: loss (4 - 1)² / 2; slow: (8 - 2)² / 2
    assert {name: statistic.item() for name, statistic in stats.items()} == {"first/loss": 4.5, "second/loss": 18}


def test_the_method_is_told_each_step_before_it_is_taken():
    made = toy(times=2)
    train(made, silence, 3, after_step=go_on)
    assert isinstance(made.method, Toy) and made.method.told == [0, 1, 2]


def test_what_follows_an_update_follows_each_of_its_phase():
    """Calls it for a phase that is taken three times, after the optimiser, whose result it sees."""
    made, seen = toy(times=3), []
    assert isinstance(made.method, Toy)
    first, second = made.method.phases
    made.method.phases = (replace(first, after_update=lambda stats: seen.append(value(made, "fast"))), second)
    take_step(made, silence)
    assert seen == [4.0, 2.0, 1.0]


def test_training_counts_a_step_before_it_tells_and_stops_when_told():
    made, told = toy(), []
    train(made, silence, 10, after_step=lambda stats: told.append(made.step) or made.step < 3)
    assert told == [1, 2, 3] and made.step == 3
    train(made, silence, 3, after_step=lambda stats: told.append(made.step) or True)
    assert told == [1, 2, 3], "a training that is complete takes no step"


@pytest.mark.parametrize("clip", [0.25, 100.0, None])
def test_clipping_bounds_the_gradients_norm_and_keeps_its_direction(clip):
    made, norms = toy(gradient_clip=clip), []
    network = made.method.networks["fast"]
    made.optimizers["fast"].register_step_pre_hook(lambda *_: norms.append(gradient(network).item()))
    stats = take_step(made, silence)
    assert norms[0] == pytest.approx(min(8, clip or 8), rel=1e-4)
    told = {"first/loss": 32, "second/loss": 32} | ({"fast/gradient_norm": 8, "slow/gradient_norm": 8} if clip else {})
    assert [(name, value.item()) for name, value in stats.items()] == list(told.items())


@pytest.mark.parametrize("clip", [0.01, None])
def test_clipping_bounds_the_total_norm_of_each_network(training, batches, clip):
    made, norms = training(gradient_clip=clip, updates=2), []
    for name, network in made.method.networks.items():
        note = lambda *_, network=network: norms.append(gradient(network).double().norm().item())  # noqa: E731
        made.optimizers[name].register_step_pre_hook(note)
    train(made, batches, 2, after_step=go_on)
    assert len(norms) == 6
    assert all(norm <= 0.01 * (1 + 1e-4) for norm in norms) == (clip is not None), norms


def test_the_learning_rate_falls_in_a_line_to_zero_and_stays_there():
    made, rates = toy(times=2, lr=0.5, decay_steps=4), []
    made.optimizers["fast"].register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    train(made, silence, 6, after_step=go_on)
    assert rates == [0.5, 0.5, 0.375, 0.375, 0.25, 0.25, 0.125, 0.125, 0, 0, 0, 0]


def test_a_cosine_falls_to_the_floor():
    made, rates = toy(lr=0.5, decay_steps=8, decay="cosine", lr_floor=0.1), []
    made.optimizers["slow"].register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    train(made, silence, 10, after_step=go_on)
    cosine = [0.25 + 0.25 * math.cos(math.pi * step / 8) for step in range(8)]
    assert rates == pytest.approx([*cosine[:-1], 0.05, 0.05, 0.05]) and cosine[-1] < 0.05 < cosine[-2]


def test_without_decay_the_learning_rate_stands():
    made, rates = toy(lr=0.5), []
    made.optimizers["fast"].register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    train(made, silence, 3, after_step=go_on)
    assert rates == [0.5] * 3


def test_decay_goes_on_from_the_first_rate_after_a_resume():
    first = toy(lr=0.5, decay_steps=4)
    train(first, silence, 2, after_step=go_on)
    second = toy(lr=0.5, decay_steps=4)
    second.restore(first.state())
    take_step(second, silence)
    assert second.optimizers["fast"].param_groups[0]["lr"] == 0.25


def test_the_optimisers_are_the_papers_and_each_holds_its_own_network():
    """Takes the settings of a recipe: Adam 1e-4, 0.5 and 0.9, one for each network."""
    path = Path(__file__).parents[2] / "recipes" / "sc09.yaml"
    made = assemble.training(recipes.load(path, ["generator.dim=1", f"{JUDGE}.dim=1"]), CPU)
    assert made.optimizers.keys() == made.method.networks.keys() == {"generator", JUDGE}
    for name, optimizer in made.optimizers.items():
        assert isinstance(optimizer, torch.optim.Adam)
        (group,) = optimizer.param_groups
        assert (group["lr"], tuple(group["betas"]), group["weight_decay"]) == (1e-4, (0.5, 0.9), 0)
        held = {id(parameter) for parameter in group["params"]}
        assert held == {id(parameter) for parameter in made.method.networks[name].parameters()}
    assert [(phase.name, phase.times) for phase in made.method.phases] == [("discriminators", 5), ("generator", 1)]


def test_adams_first_update_moves_every_weight_by_the_learning_rate(training, batches):
    """At first m / √v is the gradient's sign, whatever the betas. A weight without a gradient stays."""
    made = training()
    network = made.method.networks["generator"]
    before = network.dense.weight.detach().clone()
    seen = []
    made.optimizers["generator"].register_step_pre_hook(lambda *_: seen.append(network.dense.weight.grad))
    take_step(made, batches)
    moved, (gradient,) = network.dense.weight.detach() - before, seen
    clear = gradient.abs() > 1e-5
    assert clear.sum() > 100
    torch.testing.assert_close(moved[clear], -1e-3 * gradient[clear].sign(), rtol=1e-2, atol=0)
    assert not moved[gradient == 0].any()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_optimisers_multiply_in_the_precision_of_the_training(training, batches, precision):
    made, seen = training(precision=precision), []
    for optimizer in made.optimizers.values():
        optimizer.register_step_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    take_step(made, batches)
    assert seen == 2 * [precision == "bf16"]


def test_no_phase_leaves_gradients_behind(training, batches):
    made = training()
    held = []
    for name, optimizer in made.optimizers.items():
        optimizer.register_step_post_hook(lambda *_, name=name: held.append((name, gradients_held(made))))
    take_step(made, batches)
    assert held == [(JUDGE, {JUDGE}), ("generator", {"generator"})]
    assert gradients_held(made) == set()


def gradients_held(made: Training) -> set[str]:
    networks = made.method.networks.items()
    return {name for name, network in networks if any(parameter.grad is not None for parameter in network.parameters())}


def test_networks_that_hold_nan_are_named(training):
    made = training(batch_norm=True)
    assert made.spoilt_networks() == []
    made.method.networks["generator"].blocks[0].running_mean[0] = torch.inf
    assert made.spoilt_networks() == ["generator"]
    with torch.no_grad():
        made.method.networks[JUDGE].dense.weight[0, 0] = torch.nan
    assert made.spoilt_networks() == ["generator", JUDGE]
