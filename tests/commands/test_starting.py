"""Tests that a new run begins with the weights of a MODEL, and says what it takes."""

import shutil
from pathlib import Path

import pytest
import torch

from wavegan import recipe as recipes
from wavegan.commands import export
from wavegan.training import checkpoint

RECIPE = """\
data: {source: SOUNDS, test: null, holdout: 0.2, clip_samples: 4096, sample_rate: 4000}
generator: {name: inverse_stft, dim: 8, latent_dim: 8, labels: auto, window: 64, hop: 32}
discriminators: {waveform: {name: wavegan, dim: 1}, second: {name: wavegan, dim: 1}}
optimizers: {generator: {lr: 1.0e-12}, discriminator: {lr: 1.0e-12}}
training: {steps: 1, batch_size: 2, precision: fp32, ema: 0.9}
monitor: {preview_every: 0, tensorboard: false}
"""


@pytest.fixture
def cub(sounds, tmp_path, monkeypatch) -> str:
    """Writes a recipe of the drummer's form for two labels, one of which the drummer knows; it learns nothing."""
    folder = sounds(20, seconds=0.3, labels=("kick", "squeak"))
    (tmp_path / "cub.yaml").write_text(RECIPE.replace("SOUNDS", str(folder)))
    monkeypatch.chdir(tmp_path)
    return "cub.yaml"


def weights_of(run: Path) -> dict[str, dict[str, torch.Tensor]]:
    content = checkpoint.load_newest(run / "checkpoints")
    assert content is not None
    return content["networks"] | {f"average {name}": weights for name, weights in content["averages"].items()}


def alike(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], name: str) -> bool:
    return torch.allclose(ours[name], theirs[name], atol=1e-6)


def test_a_run_begins_with_the_weights_of_another(command, cub, drummer):
    outcome = command("train", cub, f"training.start_from={drummer}", "--run-dir", "run")
    assert outcome.code == 0, outcome.err
    told = f"training.start_from: weights of {drummer} for generator, discriminators.waveform; random ones for "
    assert f"{told}discriminators.second\n" in outcome.err
    assert f"labels that {drummer} does not know begin as the mean of those that it knows: squeak\n" in outcome.err
    ours, theirs = weights_of(Path("run")), weights_of(drummer)
    for name in ("generator", "average generator"):
        assert alike(ours[name], theirs["average generator"], "mapping.1.weight"), name
        kick = theirs["average generator"]["latent.weight"][:, 8 + 5]
        assert torch.allclose(ours[name]["latent.weight"][:, 8], kick, atol=1e-6), name
    waveform = theirs["discriminators.waveform"]
    assert alike(ours["discriminators.waveform"], waveform, "blocks.3.weight")
    assert not alike(ours["discriminators.second"], waveform, "blocks.3.weight")
    assert not alike(ours["generator"], theirs["generator"], "start_levels")  # measured on the new sound


def test_a_run_that_goes_on_reads_no_other_model(command, cub, drummer, tmp_path):
    folder = tmp_path / "exported"
    export.export(drummer, out=folder)
    words = ("train", cub, "training.start_from=exported", "--run-dir", "run", "training.steps=1")
    begun = command(*words)
    assert "weights of exported for generator; random ones for discriminators.waveform, " in begun.err
    (folder / "model.safetensors").unlink()
    assert command(*words[:-1], "training.steps=2").code == 0
    refused = command(*words[:2], *words[3:], "training.steps=2")
    assert refused.code == 2 and "training.start_from: exported → null" in refused.err
    shutil.rmtree(folder)  # the card names it still
    assert command("export", "run", "--out", "card").code == 0
    assert "began with the weights of exported, whose sound" in Path("card/README.md").read_text()


def test_what_cannot_pass_on_its_weights_is_refused_before_a_run_is_moved(command, cub, drummer):
    text = Path(cub).read_text()
    other_kind = text.replace("inverse_stft", "wavegan").replace(", window: 64, hop: 32", "")
    assert command("train", cub, "--run-dir", "run").code == 0
    for recipe, start, told in (
        (text, "nowhere", "training.start_from: nowhere does not exist; a MODEL is a run folder"),
        (text, "sounds", "training.start_from is sounds, which holds no model; a MODEL is a run folder"),
        (text, "hub:", "training.start_from: "),
        (text.replace("dim: 8", "dim: 4"), drummer, "has another form (generator.dim: 8 → 4; generator.latent_dim: 8 "),
        (text.replace("auto", "2").replace("dim: 8", "dim: 4"), drummer, "has another form (generator.dim: 8 → 4"),
        (other_kind, drummer, "has another form (generator.name: inverse_stft → wavegan); only networks of one form"),
    ):
        Path(cub).write_text(recipe)
        outcome = command("train", cub, f"training.start_from={start}", "--run-dir", "run", "--fresh")
        assert outcome.code == 2 and told in outcome.err
        assert list(Path("run").glob("checkpoints/*")) and not Path("run.1").exists()
        outcome = command("train", cub, f"training.start_from={start}", "--dry-run")
        assert outcome.code == 2 and told in outcome.err


def test_a_run_may_begin_with_its_own_earlier_weights(command, cub, monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    assert command("train", cub, "--run-dir", "run").code == 0
    outcome = command("train", cub, "training.start_from=~/run", "--run-dir", "run", "--fresh")
    assert outcome.code == 0
    assert "weights of ~/run for generator, discriminators.waveform, discriminators.second\n" in outcome.err
    assert alike(weights_of(Path("run"))["generator"], weights_of(Path("run.1"))["average generator"], "head.weight")
    monkeypatch.chdir("run.1")
    assert command("train", "../cub.yaml", "training.start_from=.", "--run-dir", "../here").code == 0
    export.export(Path("../here"), out=Path("../out"))
    assert '"start_from": "run.1"' in Path("../out/config.json").read_text()


def test_a_discriminator_that_hears_otherwise_begins_anew(command, cub):
    text, view = Path(cub).read_text(), "{name: log_magnitude, window: 64, hop: 32, floor_db: -90}"
    old, new = "waveform: {name: wavegan, dim: 1}", f"waveform: {{name: tiled_spectrum, dim: 4, view: {view}}}"
    text = text.replace(old, new)
    Path(cub).write_text(text)
    assert command("train", cub, "--run-dir", "run").code == 0
    Path(cub).write_text(text.replace("-90", "-60"))
    outcome = command("train", cub, "training.start_from=run", "--run-dir", "next")
    assert "for generator, discriminators.second; random ones for discriminators.waveform\n" in outcome.err


def test_what_matters_in_stereo_alone_is_no_other_form_in_mono(command, cub):
    text, view = Path(cub).read_text(), "{name: log_magnitude, window: 64, hop: 32, floor_db: -90}"
    old, new = "waveform: {name: wavegan, dim: 1}", f"waveform: {{name: tiled_spectrum, dim: 4, view: {view}}}"
    Path(cub).write_text(text.replace(old, new))
    assert command("train", cub, "--run-dir", "run").code == 0
    beside = "discriminators.waveform.view.differences_beside=true"
    outcome = command("train", cub, beside, "training.start_from=run", "--run-dir", "next")
    assert "weights of run for generator, discriminators.waveform, discriminators.second\n" in outcome.err


def test_labels_that_one_side_lacks_are_told(command, cub):
    assert command("train", cub, "generator.labels=0", "--run-dir", "run").code == 0
    outcome = command("train", cub, "training.start_from=run", "--run-dir", "next")
    assert "run knows no labels, so what tells them apart begins at random\n" in outcome.err
    outcome = command("train", cub, "generator.labels=0", "training.start_from=next", "--run-dir", "last")
    assert "this run has no labels, and begins with the mean of those that next knows\n" in outcome.err


def test_an_exported_run_names_no_folder_of_its_start(command, cub, drummer):
    command("train", cub, f"training.start_from={drummer}", "--run-dir", "run")
    export.export(Path("run"), out=Path("out"))
    assert str(drummer) not in Path("out/config.json").read_text()
    assert '"start_from": "drummer"' in Path("out/config.json").read_text()
    assert "; it began with the weights of drummer, whose sound is in it, too." in Path("out/README.md").read_text()


def test_other_settings_are_told(command, cub, drummer):
    words = (f"training.start_from={drummer}", "generator.detuned_bins=true", "--run-dir", "run")
    outcome = command("train", cub, *words)
    assert f"settings that differ from those of {drummer}: generator.detuned_bins: false → true" in outcome.err
    assert recipes.load("run/recipe.yaml").training.start_from == str(drummer)


def test_a_model_of_another_rate_passes_on_the_bins_of_its_frequencies(command, cub, drummer):
    wide = ("data.sample_rate=8000", "data.clip_samples=8192", "generator.window=128", "generator.hop=64")
    outcome = command("train", cub, f"training.start_from={drummer}", *wide, "--run-dir", "run")
    told = "settings that differ from those of DRUMMER: data.sample_rate: 4000 → 8000, data.clip_samples: 4096 → 8192, "
    assert outcome.code == 0 and told.replace("DRUMMER", str(drummer)) in outcome.err
    ours, theirs = weights_of(Path("run"))["generator"], weights_of(drummer)["average generator"]
    own_levels, levels = ours["head.weight"][1:66], theirs["head.weight"][1:34]
    assert torch.allclose(own_levels[:33], levels, atol=1e-6), "those up to 2 kHz are the same"
    assert torch.allclose(own_levels[33:], levels[:-1].flip(0), atol=1e-6), "those above are mirrored"
