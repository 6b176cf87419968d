"""Tests a recipe with three discriminators, of the waveform and of two spectra: trained, continued, timed and used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from ranks import Ranks, command_line
from torch import Tensor

from wavegan import recipe as recipes
from wavegan.bench import measure
from wavegan.commands.train import train
from wavegan.training import checkpoint
from wavegan.training.run_folder import statistics

RECIPE = """\
data: {{source: {source}, clip_samples: 4096, holdout: 0}}
generator: {{dim: 1, latent_dim: 4, labels: 3}}
discriminators:
  waveform: {{name: wavegan, dim: 1, phase_shuffle: {{radius: 2, shared: false}}}}
  fine: {{name: spectrogram, dim: 1, kernel_size: 3, view: {{name: log_magnitude, window: 64, hop: 32}}, weight: 0.5}}
  coarse:
    name: spectrogram
    dim: 1
    kernel_size: 3
    view: {{name: log_mel, window: 512, hop: 200, bands: 20}}
    objective: hinge
    penalty: r1
    penalty_weight: 1
    optimizer: {{name: sgd, lr: 1e-3}}
method: {{discriminator_steps: 2, augment: {{name: noise, deviation: 0.01, fade_steps: 3}}}}
training: {{steps: 4, batch_size: 4, checkpoint_every: 1, keep_last: 9, precision: bf16, ema: 0.9, compile: false}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""
NAMES = ("waveform", "fine", "coarse")


@pytest.fixture
def recipe(sounds, tmp_path, monkeypatch) -> Path:
    path = tmp_path / "three.yaml"
    path.write_text(RECIPE.format(source=sounds(9, seconds=0.3, labels=("a", "b", "c"))))
    monkeypatch.chdir(tmp_path)
    return path


def trained(path: Path, run: str, *words: str) -> dict[str, Any]:
    train(recipes.load(path, words), Path(run), device="cpu")
    return newest(run)


def newest(run: str) -> dict[str, Any]:
    return checkpoint.load(checkpoint.newest_path(Path(run, "checkpoints")))


def trained_by_two(start: Callable[..., Ranks], path: Path, run: str, *words: str) -> dict[str, Any]:
    together = start(2, command_line, "train", path, "--run-dir", run, "--device", "cpu", *words)
    assert together.codes == [0, 0], together.said("err")
    return newest(run)


def differing(first: Any, second: Any, path: str = "") -> list[str]:
    """Returns the places where two checkpoints differ in a number, without the clock."""
    if isinstance(first, dict) and isinstance(second, dict):
        assert first.keys() == second.keys(), path
        return [
            where for key in first if key != "seconds" for where in differing(first[key], second[key], f"{path}/{key}")
        ]
    if isinstance(first, list | tuple):
        assert len(first) == len(second), path
        return [where for place, pair in enumerate(zip(first, second, strict=True))
                for where in differing(*pair, f"{path}/{place}")]  # fmt: skip
    same = torch.equal(first, second) if isinstance(first, Tensor) else first == second
    return [] if same else [path]


def test_a_stop_changes_nothing(recipe):
    whole = trained(recipe, "whole")
    trained(recipe, "parts", "training.steps=2")
    assert differing(whole, trained(recipe, "parts")) == []
    assert whole["networks"].keys() == {"generator", *(f"discriminators.{name}" for name in NAMES)}
    statistics = whole["method"]["coarse"]["view"]
    assert statistics["means"].shape == (20,) and (statistics["deviations"] != 1).all()
    first = checkpoint.load(checkpoint.path_of(Path("whole/checkpoints"), 1))
    moved = {path.split("/")[2] for path in differing(first["networks"], whole["networks"], "/networks")}
    assert moved == set(whole["networks"]), "every network learns"


def test_two_processes_stopped_and_continued_are_two_that_were_not(recipe, start):
    whole = trained_by_two(start, recipe, "whole")
    trained_by_two(start, recipe, "parts", "training.steps=2")
    assert differing(whole, trained_by_two(start, recipe, "parts")) == []


def test_two_processes_are_one(recipe, start):
    """Raises Adam's eps, or it would take whole steps for gradients that are nothing but rounding."""
    words = ("training.precision=fp32", "optimizers.generator.eps=1e-5", "optimizers.discriminator.eps=1e-5")
    state = trained(recipe, "one", *words)
    two = trained_by_two(start, recipe, "two", *words)
    for name, network in state["networks"].items():
        for key, value in network.items():
            torch.testing.assert_close(two["networks"][name][key], value, rtol=0, atol=1e-5)


def test_the_log_names_every_adversary(recipe):
    trained(recipe, "run", "training.steps=1")
    (line,) = statistics(Path("run/log.jsonl"))
    told = {f"discriminators/{name}/{stat}" for name in NAMES for stat in ("wasserstein", "loss", "penalty")}
    told |= {"generator/loss", *(f"generator/{name}/loss" for name in NAMES)}
    assert told == set(line) - {"step", "seconds"}


def test_its_model_makes_clips_by_label_and_is_judged(recipe, command):
    trained(recipe, "run")
    made = command("generate", "run", "--label", "b", "-n", 2, "--out", "clips")
    assert made.code == 0 and soundfile.info("clips/clip-000001.wav").frames == 4096
    judged = command("evaluate", "run", "--data", "sounds", "--classifier", "none", "--count", 2, "--json")
    assert judged.code == 0 and "kad_l" in json.loads(judged.out)["metrics"]


def test_its_step_is_timed_without_a_plain_one(recipe, command, monkeypatch):
    monkeypatch.setattr(measure, "BLOCK_SECONDS", 0.001)
    monkeypatch.setattr(measure, "MATRIX_SIZES", (64,))
    monkeypatch.setattr(measure, "MEMORY_BYTES", 1 << 16)
    timed = command("bench", recipe, "--repeats", 1, "--device", "cpu", "--json")
    assert timed.code == 0, timed.err
    figures = json.loads(timed.out)
    assert figures["step_seconds"] > 0 and figures["plain_step_seconds"] is figures["speedup"] is None
    assert figures["parts"]["discriminator_update"] > 0 and figures["floor_seconds"] > 0
    (note,) = figures["notes"]
    assert note == "there is no plain step to compare with: the number of discriminators is 3, and its is 1"
    assert note in timed.err


def test_one_is_taken_away_and_all_are_set_on_the_command_line(recipe):
    less = recipes.load(recipe, ["discriminators.coarse=null", "discriminators.*.dim=3"])
    assert {name: adversary.dim for name, adversary in less.discriminators.items()} == {"waveform": 3, "fine": 3}
