"""Checks that three steps of every shipped recipe, in float64, give the same numbers as when they were stored.

They were recorded before a GAN could hold several discriminators, so that a change of the structure that changes
results is noticed. Of each network: the sum of its weights and of their squares; and the last step's statistics.
A recipe without numbers here is newer and is passed over; to store its own, print what `three_steps` gives.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.audio import splits
from wavegan.training.loop import take_step

FOLDER = Path(__file__).parents[1] / "recipes"
STORED = json.loads((Path(__file__).parent / "results" / "three_steps.json").read_text())
LABELS = 10
SHRUNK = (
    "data.test=null", "generator.dim=1", "training.batch_size=2", "training.precision=fp32"
)  # fmt: skip


@pytest.fixture(autouse=True)
def float64(monkeypatch):
    monkeypatch.setattr(splits, "FEW_NAMES", 20)  # as it was, so that the same files are held out
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def noise_files(folder: Path, seed: int, rate: int, channels: int) -> Path:
    """Makes a labelled source of decaying noise, of whole numbers alone, so that it is the same on every machine."""
    random = np.random.default_rng(seed)
    for number in range(20):
        frames = 6000 + 500 * number
        sound = random.integers(-12000, 12000, (frames, channels)) * np.arange(frames, 0, -1)[:, None] // frames
        place = folder / f"label-{number % LABELS}"
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"noise-{number:02d}.wav", sound.astype(np.int16), rate)
    return folder


def three_steps(path: Path, folder: Path) -> dict:
    asked = recipes.load(path)
    rate, channels = asked.data.sample_rate, asked.data.channels
    words = [f"data.source={noise_files(folder / 'a', 0, rate, channels)}", *SHRUNK]
    words.append("encoder.dim=1" if asked.encoder else "discriminators.*.dim=1")
    if asked.data.source_b:
        words += [f"data.source_b={noise_files(folder / 'b', 1, rate, channels)}", "data.test_b=null"]
    recipe = recipes.load(path, words)
    cpu = torch.device("cpu")
    clips = assemble.training_clips(recipe, assemble.corpora(recipe))
    others = assemble.target_clips(recipe, assemble.target_corpora(recipe))
    training = assemble.training(recipe, cpu, clips)
    batches = assemble.batches(recipe, clips, cpu, others)
    stats = {}
    for _ in range(3):
        stats = take_step(training, lambda draw: batches(draw).map(Tensor.double))
        training.step += 1
    return {
        "statistics": {name: value.item() for name, value in stats.items()},
        "networks": {name: sums(network) for name, network in training.method.networks.items()},
        "averages": {name: sums(network) for name, network in training.averages.items()},
    }


def sums(network: nn.Module) -> list[float]:
    weights = [parameter.detach().double() for parameter in network.parameters()]
    return [
        math.fsum(weight.sum().item() for weight in weights),
        math.fsum(weight.square().sum().item() for weight in weights),
    ]


def test_numbers_are_stored_of_recipes_that_are_shipped():
    assert len(STORED) >= 17 and set(STORED) <= {path.stem for path in FOLDER.glob("*.yaml")}


@pytest.mark.parametrize("name", STORED)
def test_three_steps_are_what_they_were(name, tmp_path, monkeypatch):
    monkeypatch.chdir(FOLDER.parent)
    result, stored = three_steps(FOLDER / f"{name}.yaml", tmp_path), STORED[name]
    for kind in ("statistics", "networks", "averages"):
        assert result[kind].keys() == stored[kind].keys()
        for key, value in stored[kind].items():
            assert result[kind][key] == pytest.approx(value, rel=1e-7, abs=1e-9), f"{kind} {key}"
