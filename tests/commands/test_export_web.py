"""Tests `wavegan export --format web`: what it writes of a trained model, and what it refuses, leaving nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from wavegan import recipe as recipes
from wavegan.commands import export as exporting
from wavegan.commands.model_loading import load_model
from wavegan.commands.train import train
from wavegan.errors import RunError
from wavegan.export.web import page

SMALL = [
    "data.clip_samples=4096", "data.holdout=0.2", "discriminators.waveform.name=wavegan",
    "discriminators.waveform.dim=1", "training.batch_size=2", "training.steps=1", "training.precision=fp32",
    "monitor.preview_every=0", "monitor.tensorboard=false",
]  # fmt: skip
MODERN = ["generator.name=inverse_stft", "generator.labels=2", "generator.latent_dim=4", "generator.window=128"]
NETWORKS = {
    "modern": [*MODERN, "generator.hop=32", "generator.dim=4"],
    "wavegan": ["generator.dim=1"],
    "translation": ["method.name=translation", "generator.name=translator", "generator.dim=1", "generator.blocks=0"],
}


@pytest.fixture
def trained(sounds, tmp_path, monkeypatch) -> Callable[[str], Path]:
    monkeypatch.chdir(tmp_path)

    def train_one_step(network: str) -> Path:
        source = sounds(10, seconds=0.3, labels=("kick", "snare"))
        other = [f"data.source_b={sounds(10, seconds=0.3, name='b')}"] if network == "translation" else []
        (tmp_path / "small.yaml").write_text(f"data: {{source: {source}}}\n")
        recipe = recipes.load(tmp_path / "small.yaml", [*SMALL, *NETWORKS[network], *other])
        return train(recipe, tmp_path / "run", device="cpu").run

    return train_one_step


def test_the_page_holds_the_run_and_its_labels(trained, command):
    run = trained("modern")
    done = command("export", run, "--format", "web", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    path = run / "export" / "web" / "instrument.html"
    assert result == {"out": str(path.parent), "files": [str(path)], "max_difference": 0}
    generator = load_model(run, torch.device("cpu")).model.generator
    read = page.read_weights(path)
    assert read.keys() == generator.state_dict().keys()
    assert torch.equal(read["head.weight"], generator.state_dict()["head.weight"])
    assert '"labels": ["kick", "snare"]' in path.read_text()
    done = command("export", run, "--format", "web")
    assert done.code == 2 and "web exists" in done.err


def test_an_exported_folder_becomes_an_instrument_too(trained, command):
    assert command("export", trained("modern"), "--out", "folder").code == 0
    assert command("export", "folder", "--format", "web", "--out", "page").code == 0
    assert Path("page/instrument.html").stat().st_size > 50_000


@pytest.mark.parametrize(
    ("network", "words", "message"),
    [
        ("wavegan", [], "small is no inverse_stft generator; the instrument computes these only"),
        ("translation", [], "translates sound"),
        ("modern", ["--precision", "fp16"], "--precision is fp16; the instrument holds fp32"),
    ],
)
def test_what_no_page_can_play_is_refused_and_nothing_is_left(trained, command, network, words, message):
    done = command("export", trained(network), "--format", "web", "--out", "page", *words)
    assert done.code == 2 and message in done.err
    assert not Path("page").exists()


def test_a_page_with_other_weights_is_not_kept(trained, monkeypatch):
    run, read = trained("modern"), page.read_weights
    monkeypatch.setattr(page, "read_weights", lambda path: {name: 1.1 * part for name, part in read(path).items()})
    with pytest.raises(RunError, match="the exported model's clips differ"):
        exporting.export(run, "web", out=Path("page"))
    assert not Path("page").exists()
