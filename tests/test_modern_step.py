"""Tests a recipe with every key of the modern step: trained, continued exactly, and reported in its log."""

from pathlib import Path
from typing import Any

import pytest
import torch

from wavegan import recipe as recipes
from wavegan.commands.train import train
from wavegan.training import checkpoint
from wavegan.training.run_folder import statistics

RECIPE = """\
data: {{source: {source}, clip_samples: 4096, holdout: 0}}
generator: {{dim: 1, latent_dim: 4, labels: 3}}
discriminators:
  waveform: {{name: wavegan, dim: 1, phase_shuffle: {{radius: 0}}, penalty_every: 2}}
  fine: {{name: spectrogram, dim: 1, kernel_size: 3, view: {{name: log_magnitude, window: 64, hop: 32}}}}
method:
  objective: relativistic
  penalty: r1_r2
  penalty_weight: 5
  penalty_every: 3
  penalty_floor: 0.1
  discriminator_steps: 1
  reuse_generated: true
  augment: {{name: adaptive, probability: 0.2, ramp_clips: 100}}
optimizers: {{generator: {{lr: 1e-3, betas: [0, 0.99]}}, discriminator: {{lr: 1e-3, betas: [0, 0.99]}}}}
training:
  steps: 6
  batch_size: 4
  precision: bf16
  ema: 0
  ema_half_life: 100
  lr_decay: cosine
  lr_floor: 0.02
  checkpoint_every: 3
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""


def numbers(state: Any, path: str = "") -> dict[str, Any]:
    if isinstance(state, dict | list | tuple):
        pairs = state.items() if isinstance(state, dict) else enumerate(state)
        parts = [numbers(value, f"{path}/{key}") for key, value in pairs if key != "seconds"]
        return {key: value for part in parts for key, value in part.items()}
    return {path: state}


@pytest.fixture
def recipe(sounds, tmp_path, monkeypatch) -> Path:
    path = tmp_path / "modern.yaml"
    path.write_text(RECIPE.format(source=sounds(9, seconds=0.3, labels=("a", "b", "c"))))
    monkeypatch.chdir(tmp_path)
    return path


def test_a_run_that_is_continued_is_the_same_run(recipe):
    loaded, count = recipes.load(recipe), iter(range(9))
    train(loaded, Path("whole"), device="cpu")
    train(loaded, Path("parts"), device="cpu", stop=lambda: next(count) == 3)
    assert checkpoint.newest_path(Path("parts/checkpoints")).name == "step-00000004.pt"
    train(loaded, Path("parts"), device="cpu")
    whole, parts = (numbers(checkpoint.load(Path(run, "checkpoints/step-00000006.pt"))) for run in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]) if isinstance(value, torch.Tensor) else value == parts[name], name
    rates = [value for name, value in whole.items() if name.startswith("/optimizers") and name.endswith("/lr")]
    assert len(rates) == 3 and all(0.02e-3 < rate < 0.1e-3 for rate in rates)
    lines = statistics(Path("whole/log.jsonl"))
    for name, every in (("waveform", 2), ("fine", 3)):
        taken = [f"discriminators/{name}/penalty" in line for line in lines]
        assert taken == [step % every == 0 for step in range(6)]
        assert lines[0][f"discriminators/{name}/augmented"] == pytest.approx(0.2)
        assert lines[5][f"discriminators/{name}/augmented"] == pytest.approx(0.2 - 5 * 4 / 100, abs=1e-6)
