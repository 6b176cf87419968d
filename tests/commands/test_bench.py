"""Tests `wavegan bench`: figures of a small recipe end to end, their parts, and the messages about them."""

import json
import os
from pathlib import Path

import pytest
import torch
from ranks import command_line

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.bench import measure
from wavegan.bench.baseline_timing import BaselineTiming, plain_networks
from wavegan.bench.measure import StopWatch, Times
from wavegan.cli import output
from wavegan.commands import baseline, bench, step_timing
from wavegan.commands.step_needs import Needs, step_needs
from wavegan.commands.step_timing import StepTiming
from wavegan.models.wavegan import parameter_count
from wavegan.recipe import Recipe

RECIPE = """\
data: {{source: {source}, holdout: 0, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4, kernel_size: 5}}
discriminators: {{waveform: {{name: wavegan, dim: 1, kernel_size: 5}}}}
method: {{discriminator_steps: 2}}
training: {{batch_size: 3, precision: fp32, compile: false}}
"""
PARTS = ["data", "generator_forward", "discriminator_update", "generator_update", "optimizer", "ema", "other", "total"]
PROMISED = {"step_seconds", "plain_step_seconds", "speedup", "floor_seconds", "peak_memory_bytes"}


def mouse(tmp_path: Path, *overrides: str, source: Path | str = "nowhere") -> Recipe:
    path = tmp_path / "mouse.yaml"
    path.write_text(RECIPE.format(source=source))
    return recipes.load(path, overrides)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """own(*overrides) times the step of a small recipe, on noise, in this very process."""
    monkeypatch.setattr(step_timing, "prepare_process", lambda: None)  # it would last for all other tests
    return lambda *overrides: StepTiming(mouse(tmp_path, *overrides), "cpu", 1, False)


@pytest.fixture
def brief(monkeypatch):
    """Reduces rates and blocks to less work than a real figure needs."""
    monkeypatch.setattr(measure, "MATRIX_SIZES", (64,))
    monkeypatch.setattr(measure, "MEMORY_BYTES", 1 << 16)
    monkeypatch.setattr(measure, "BLOCK_SECONDS", 0.01)


@pytest.mark.usefixtures("brief")
def test_figures_of_a_small_recipe(tmp_path, sounds, command):
    mouse(tmp_path, source=sounds(4))
    outcome = command(
        "bench", tmp_path / "mouse.yaml", "training.precision=bf16", "--repeats", 2, "--json", "--device", "cpu"
    )
    assert outcome.code == 0, outcome.err
    figures = json.loads(outcome.out)
    assert figures.keys() >= PROMISED
    numbers = [value for value in figures.values() if isinstance(value, int | float)]
    assert all(number > 0 for number in numbers)
    assert figures["speedup"] == figures["plain_step_seconds"] / figures["step_seconds"]
    assert figures["step_over_floor"] == figures["step_seconds"] / figures["floor_seconds"]
    assert figures["step_repeats"] == figures["plain_step_repeats"] == 2
    low, high = figures["step_seconds_quartiles"]
    assert low <= figures["step_seconds"] <= high

    assert list(figures["parts"]) == PARTS
    total = figures["parts"].pop("total")
    assert total == pytest.approx(sum(figures["parts"].values()))
    assert all(0 < seconds < total for seconds in figures["parts"].values())

    flops = 3 * (2 * (26_624 + 10 * 25_856) + 3 * 26_624 + 2 * 25_856)  # tests/benchmarks/test_work.py, latents of 4
    assert figures["flops"] == sum(figures["part_flops"].values()) == flops
    assert figures["floor_seconds"] == pytest.approx(
        flops / figures["matrix_flops_per_second"] + figures["optimizer_bytes"] / figures["memory_bytes_per_second"]
    )
    assert figures["flops_per_second"] == flops / figures["step_seconds"]

    assert figures["generation"].keys() == {"batch_64", "batch_1"}
    for seconds in figures["generation"].values():
        assert list(seconds) == ["bf16", "fp32", "plain", "speedup"]
        assert seconds["speedup"] == seconds["plain"] / seconds["bf16"]
    data = figures["data"]
    assert data["consumed_clips_per_second"] == pytest.approx(3 * 3 / figures["step_seconds"])
    assert data["ratio"] == data["clips_per_second"] / data["consumed_clips_per_second"]
    assert figures["notes"] == [] and figures["threads"] == torch.get_num_threads() and figures["device"] == "cpu"
    assert "timing the step in bf16" in outcome.err


@pytest.mark.usefixtures("brief")
def test_without_its_sound_a_recipe_is_timed_on_noise(tmp_path, command):
    mouse(tmp_path)
    outcome = command("bench", tmp_path / "mouse.yaml", "--repeats", 1, "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert "clips of noise stand in for the sound" in outcome.err and "nowhere does not exist" in outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "mouse: 2 + 1 updates, 3 clips of 4,096 samples, d = 1, fp32 on cpu, threads: 1"
    rows = {line[:22].strip(): line[22:].split() for line in lines[3:10]}
    assert list(rows) == [name for part, name in output.PARTS.items() if part != "averaging"]
    assert rows["data"] == ["-", "-", "-"]
    assert sum(float(cells[1].rstrip("%")) for cells in rows.values() if cells[1] != "-") == pytest.approx(100, abs=1)
    for name in ("step", "plain step, fp32", "floor", "speed-up", "peak memory", "generating 64", "generating 1"):
        assert sum(line[:22].strip() == name for line in lines) == 1
    assert lines[-1].startswith("bound by ")


def test_what_it_cannot_bench_is_refused(tmp_path, command):
    mouse(tmp_path)
    outcome = command("bench", tmp_path / "mouse.yaml", "generator.dimm=3")
    assert outcome.code == 2 and "generator.dimm" in outcome.err
    assert command("bench", tmp_path / "mouse.yaml", "--repeats", 0).code == 2
    assert command("bench", tmp_path / "other.yaml").code == 2


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        (
            "data.channels=2",
            "generator.kernel_size=9",
            "discriminators.waveform.kernel_size=7",
            "generator.latent_dim=7",
        ),
        ("data.clip_samples=8192", "generator.dim=3", "discriminators.waveform.dim=2"),
        ("data.clip_samples=16384", "generator.upsample=nearest"),
        ("data.clip_samples=32768", "generator.kernel_size=25"),
    ],
)
def test_the_plain_networks_have_the_recipes_shapes(tmp_path, overrides):
    recipe = mouse(tmp_path, *overrides)
    plain = plain_networks(baseline.plain_settings(recipe))
    assert [parameter_count(network) for network in plain] == [
        parameter_count(network) for network in assemble.method(recipe, torch.device("cpu")).networks.values()
    ]
    assert plain[0].nearest == (recipe.generator.upsample == "nearest")
    clips = plain[0](torch.zeros(2, recipe.generator.latent_dim))
    assert clips.shape == (2, recipe.data.channels, recipe.data.clip_samples)


def test_the_plain_step_takes_over_the_recipes_settings(tmp_path):
    recipe = mouse(
        tmp_path,
        "optimizers.generator.lr=1e-3",
        "optimizers.generator.betas=[0.1, 0.2]",
        "optimizers.discriminator.lr=1e-2",
        "optimizers.discriminator.betas=[0.3, 0.4]",
        "method.penalty_weight=7",
        "generator.latent=normal",
    )
    timing = BaselineTiming(baseline.plain_settings(recipe), "cpu", 1)
    settings = [
        (group["lr"], tuple(group["betas"]), group["params"][0])
        for optimizer in (timing.plain.generator_optimizer, timing.plain.discriminator_optimizer)
        for group in optimizer.param_groups
    ]
    made, judge = next(timing.plain.generator.parameters()), next(timing.plain.discriminator.parameters())
    assert [setting[:2] for setting in settings] == [(1e-3, (0.1, 0.2)), (1e-2, (0.3, 0.4))]
    assert settings[0][2] is made and settings[1][2] is judge
    assert timing.plain.penalty_weight == 7
    assert timing.real.shape == (3, 1, 4096) and timing.real.min() < -0.9 and timing.real.max() > 0.9
    assert timing._latents(999).abs().max() > 1.5, "normal ones, not uniform"


def test_the_plain_step_has_the_recipes_updates(tmp_path, monkeypatch):
    timing = BaselineTiming(baseline.plain_settings(mouse(tmp_path, "method.discriminator_steps=3")), "cpu", 1)
    diary, before = [], [parameter.clone() for parameter in timing.plain.generator.parameters()]
    real_update = timing.plain.update_generator
    monkeypatch.setattr(timing.plain, "update_discriminator", lambda *_: diary.append("discriminator"))
    monkeypatch.setattr(timing.plain, "update_generator", lambda *a: (diary.append("generator"), real_update(*a)))
    assert timing.steps(2) > 0
    assert diary == ["discriminator", "discriminator", "discriminator", "generator"] * 2
    assert any(
        (parameter != was).any() for parameter, was in zip(timing.plain.generator.parameters(), before, strict=True)
    )


@pytest.mark.parametrize(
    ("shuffle", "shape", "reach"),
    [
        (("radius=2", "shared=true"), (1,), 2),
        (("radius=3", "shared=false"), (64,), 3),
        (("radius=0",), (1,), 0),
    ],
)
def test_the_plain_step_shuffles_as_the_recipe_says(tmp_path, shuffle, shape, reach):
    timing = BaselineTiming(
        baseline.plain_settings(
            mouse(tmp_path, *(f"discriminators.waveform.phase_shuffle.{setting}" for setting in shuffle))
        ),
        "cpu",
        1,
    )
    draws = [timing._shift(0, 64) for _ in range(100)]
    assert {shift.shape for shift in draws} == {shape}
    assert set(torch.cat(draws).tolist()) == set(range(-reach, reach + 1))


def test_the_parts_of_a_step_by_a_clock_that_ticks_when_it_is_read(own, monkeypatch):
    """Counts ticks with two discriminator updates: each span is one tick.

    A discriminator update holds three spans, two of them its own.
    """
    ticks = iter(range(1000))
    monkeypatch.setattr(StopWatch, "now", lambda self: float(next(ticks)))
    assert own().parts(1) == {
        "data": 3, "generator_forward": 2, "discriminator_update": 4, "generator_update": 1, "optimizer": 3,
        "ema": 1, "other": 9, "total": 23,
    }  # fmt: skip
    assert own().parts(2) == {
        "data": 6, "generator_forward": 4, "discriminator_update": 8, "generator_update": 2, "optimizer": 6,
        "ema": 2, "other": 18, "total": 46,
    }  # fmt: skip
    assert own("training.ema=0").parts(1)["ema"] == 0


def test_taking_a_step_apart_changes_nothing(own, monkeypatch):
    apart, whole = own(), own()
    whole.batches = apart.batches  # the noise is drawn anew for each
    batches, networks, backwards = apart.batches, dict(apart.training.method.networks), apart.training.backwards
    apart.parts(2)
    whole.steps(2)
    assert apart.training.step == whole.training.step == 2
    for measured, expected in zip(
        apart.training.state()["networks"].values(), whole.training.state()["networks"].values(), strict=True
    ):
        assert all(torch.equal(measured[name], expected[name]) for name in expected)
    assert apart.batches is batches and apart.training.backwards is backwards
    assert all(apart.training.method.networks[name] is network for name, network in networks.items())
    monkeypatch.delattr(StopWatch, "now")
    assert apart.steps(1) > 0, "nobody reads the watch any more"


def test_generating_leaves_the_training_as_it_was(own):
    made = own("generator.batch_norm=true", "training.ema=0")
    before = {name: value.clone() for name, value in made.training.method.networks["generator"].state_dict().items()}
    assert made.generations(2, "bf16", 1) > 0
    after = made.training.method.networks["generator"]
    assert after.training and all(torch.equal(before[name], value) for name, value in after.state_dict().items())


def test_what_a_recipe_needs(tmp_path):
    def flops(*words: str) -> int:
        return sum(step_needs(mouse(tmp_path, *words)).flops.values())

    made, judge = 26_624, 25_856
    assert flops() == 3 * (2 * (made + 10 * judge) + 3 * made + 2 * judge)
    unpenalised = flops("method.penalty_weight=0", "method.weight_clip=1")
    assert unpenalised == 3 * (2 * (made + 6 * judge) + 3 * made + 2 * judge)
    assert flops("training.batch_size=6") == 2 * flops()
    counts = [
        parameter_count(network) for network in assemble.method(mouse(tmp_path), torch.device("cpu")).networks.values()
    ]
    assert step_needs(mouse(tmp_path)).optimizer_bytes == 28 * (counts[0] + 2 * counts[1])


def test_the_floor_adds_products_and_traffic():
    needs = Needs({"one": 600, "other": 400}, 50)
    assert needs.floor_seconds(bench.Machine(500, 100)) == 2.5


def test_what_the_plain_step_leaves_out_is_said(tmp_path):
    assert baseline.plain_omissions(mouse(tmp_path)) == []
    asked = (
        "generator.batch_norm=true",
        "discriminators.waveform.batch_norm=true",
        "generator.post_filter=8",
        "method.penalty_weight=0",
        "method.weight_clip=0.01",
    )
    notes = baseline.plain_omissions(mouse(tmp_path, *asked, "training.gradient_clip=1"))
    assert [note.removeprefix("the plain step leaves out ") for note in notes] == [
        "generator.batch_norm", "discriminators.waveform.batch_norm", "generator.post_filter", "training.gradient_clip",
        "method.weight_clip",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "flops", "words"),
    [
        ({"data": 4, "optimizer": 5, "ema": 0}, 10, "bound by data: 40%"),
        ({"data": 3, "optimizer": 3, "ema": 1}, 10, "bound by the optimisers' memory traffic: 40%"),
        ({"data": 3, "optimizer": 2, "ema": 1}, 60, "bound by matrix products: 60%"),
        ({"data": 0, "optimizer": 0, "ema": 0}, 50, "bound by memory traffic and small operations: 50%"),
    ],
)
def test_the_verdict(parts, flops, words):
    """Judges a step of 10 s where the matrix rate is 10 FLOP/s."""
    assert bench.bottleneck({**parts, "total": 10.0}, flops, 10).startswith(words)


class Fake:
    """Replaces the process of a step: returns the parts that it was told, one after the other."""

    def __init__(self, totals: list[float]):
        self.totals, self.counts = iter(totals), []

    def call(self, method: str, count: int) -> dict[str, float]:
        self.counts.append(count)
        total = next(self.totals)
        return {"data": total / 4, "total": total}


def test_the_parts_are_those_of_the_median_step():
    fake = Fake([9, 1, 5])
    assert bench._parts(fake, 0.125, 3) == {"data": 5 / 4 / 2, "total": 2.5}  # type: ignore[arg-type]
    assert fake.counts == [2, 2, 2], "two steps fill a block"
    slow = Fake([30, 20])
    assert bench._parts(slow, 14, 5)["total"] == 20  # type: ignore[arg-type]
    assert slow.counts == [1, 1], "as many as fit into the limit"


def test_supply_and_demand_of_clips():
    assert bench._data(Times((0.01,)), 16, 6, 2.0) == {
        "clips_per_second": 1600, "consumed_clips_per_second": 48, "ratio": 1600 / 48
    }  # fmt: skip


MANY_BYTES = 10**12


def bench_briefly(*words: str) -> None:
    """Runs a rank's `wavegan bench` with less work than a real figure needs; rank 1 is slow."""
    measure.MATRIX_SIZES, measure.MEMORY_BYTES, measure.BLOCK_SECONDS = (64,), 1 << 16, 0.01
    if os.environ["RANK"] == "1":
        StepTiming.peak_memory = lambda timing: MANY_BYTES  # pyright: ignore
        StepTiming.draws = lambda timing, count: 1000.0 * count  # pyright: ignore
    command_line(*words)


def test_processes_time_their_shares_and_the_slowest_counts(tmp_path, start, sounds):
    mouse(tmp_path, source=sounds(4))
    recipe = tmp_path / "mouse.yaml"
    ranks = start(2, bench_briefly, "bench", recipe, "training.batch_size=4", "--repeats", 2, "--json")
    assert ranks.codes == [0, 0], ranks.said("err")
    first, second = ranks.said("out")
    figures = json.loads(first)
    assert second == "" and "timing the step" not in ranks.said("err")[1], "one process reports"
    assert (figures["processes"], figures["batch_size"], figures["plain_step_seconds"]) == (2, 4, None)
    assert figures["peak_memory_bytes"] == MANY_BYTES and figures["data"]["clips_per_second"] == 4 / 1000
    assert figures["parts"]["averaging"] > 0
    assert figures["parts"]["total"] == pytest.approx(sum(figures["parts"].values()) - figures["parts"]["total"])
    assert any("time it in one process to compare" in note for note in figures["notes"])
    assert figures["floor_seconds"] == pytest.approx(
        figures["flops"] / figures["matrix_flops_per_second"]
        + figures["optimizer_bytes"] / figures["memory_bytes_per_second"]
    )
