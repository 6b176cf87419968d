"""Loads checkpoints of format 2, written by the version before a GAN could hold several discriminators."""

from pathlib import Path
from typing import Any

import pytest
import torch

from wavegan import generation
from wavegan import recipe as recipes
from wavegan.commands.model_loading import load_model
from wavegan.commands.train import train
from wavegan.errors import RunError

RESULTS = Path(__file__).parent / "results"
KEPT = {
    # What the version that wrote them made of clips 0 and 1 of seed 1: mean power, and samples 1,000 to 1,003; and how
    # far a sample may be off. Rounding, which differs between processors, grows in the iterations that find phases.
    "wavegan": (
        [5.7e-05, 4.3e-05],
        [
            [-0.0020561693, -0.0001192847, 0.0007501339, 0.0001318782],
            [-0.0019967810, -0.0002045297, 0.0015040732, 0.0002890623],
        ],
        1e-6,
    ),
    "specgan": (
        [0.192055, 0.192633],
        [
            [-0.2435740680, -0.8406040072, -0.1883767843, 0.5612539053],
            [-0.1622502357, -0.7650064826, -0.3130024672, 0.0479808226],
        ],
        2e-3,
    ),
}

SPECTROGRAMS = [  # of SpecGAN, from which its phases are found: row 10, frames 20 to 23
    [0.001473935, 0.000348636, 0.001573257, 0.000297464],
    [0.000682611, -0.000211655, -0.000171241, 0.000388285],
]


@pytest.mark.parametrize("name", KEPT)
def test_an_old_checkpoint_makes_the_clips_that_it_made(name):
    loaded = load_model(RESULTS / f"format-2-{name}.pt", torch.device("cpu"))
    spectrograms: list[Any] = []
    loaded.model.generator.register_forward_hook(lambda *call: spectrograms.append(call[-1]))
    clips = torch.cat(list(generation.generate(loaded.model, 2, seed=1)))
    powers, samples, off = KEPT[name]
    if name == "specgan":
        torch.testing.assert_close(spectrograms[0][:, 0, 10, 20:24], torch.tensor(SPECTROGRAMS), rtol=1e-4, atol=1e-7)
    assert clips.double().square().mean((1, 2)).tolist() == pytest.approx(powers, abs=1e-6)
    torch.testing.assert_close(clips[:, 0, 1000:1004], torch.tensor(samples), rtol=1e-4, atol=off)
    assert loaded.recipe.generator.name == name and loaded.model.step == 2
    assert loaded.model.label_names == ("a", "b") and loaded.model.labels == (2 if name == "wavegan" else 0)


def test_an_old_checkpoint_is_judged(command, sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    real = sounds(8, name="real")
    judged = command(
        "evaluate", RESULTS / "format-2-wavegan.pt", "--data", real, "--classifier", "none", "--count", 2, "--out", "x"
    )
    assert judged.code == 0, judged.err


def test_no_training_goes_on_from_one(sounds, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").touch()
    content = (RESULTS / "format-2-specgan.pt").read_bytes()
    (tmp_path / "run" / "checkpoints" / "step-00000002.pt").write_bytes(content)
    path = tmp_path / "a.yaml"
    path.write_text(f"data: {{source: {sounds(4)}}}\ndiscriminators: {{waveform: {{name: wavegan, dim: 1}}}}\n")
    with pytest.raises(RunError, match="was trained by an earlier version .* generate and evaluate still read it"):
        train(recipes.load(path), tmp_path / "run", device="cpu")
