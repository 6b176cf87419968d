"""Tests that an exported model makes the clips of the original, tells of it on a card, and leaves nothing half done."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import wavegan
from wavegan import assemble, shipped
from wavegan import recipe as recipes
from wavegan.commands.evaluation_data import model_candidate, real_sound_of_recipe
from wavegan.commands.export import FORMATS, ExportOptions, content_of, export
from wavegan.commands.model_loading import load_model
from wavegan.commands.train import train
from wavegan.errors import DataError, RunError
from wavegan.export import onnx_file
from wavegan.export.card import figures_of


def test_the_folder_makes_the_clips_of_the_run(run, command):
    done = command("export", run, "--out", "out", "--licence", "cc0-1.0", "--json")
    assert done.code == 0 and json.loads(done.out)["max_difference"] == 0
    assert {Path(name).name for name in json.loads(done.out)["files"]} == {path.name for path in files_of(Path("out"))}
    original, exported = wavegan.load(run, device="cpu"), wavegan.load("out", device="cpu")
    assert exported.labels == ("kick", "snare") and exported.step == 2 and exported.sample_rate == 16000
    np.testing.assert_array_equal(
        exported.generate(5, seed=3, label="snare"), original.generate(5, seed=3, label="snare")
    )
    sample, _ = soundfile.read("out/samples/clip-000001.wav", dtype="float32")
    np.testing.assert_allclose(sample, original.generate(2, label=["kick", "snare"])[1, 0], atol=1e-4)
    assert command("generate", "out", "-n", "2").code == 0 and Path("out/generated/clip-000001.wav").exists()


@pytest.mark.usefixtures("run")
def test_labels_stay_as_frequent_as_in_the_sound(sounds, caplog):
    caplog.set_level("INFO", "wavegan")
    source = sounds(20, seconds=0.3, labels=("kick", "kick", "snare", "kick"), name="uneven")
    recipe = assemble.with_label_count(recipes.load("mouse.yaml", {"data.source": str(source), "data.holdout": 0}), 2)
    parts = assemble.corpora(recipe)
    while_it_trains = assemble.assembled(recipe, parts, parts, torch.device("cpu")).current()
    uneven = train(recipe, Path("uneven_run"), device="cpu").run
    exported = export(uneven).out
    for model in (while_it_trains, *(load_model(path, torch.device("cpu")).model for path in (uneven, exported))):
        assert model.label_counts == (3, 1)
    data = sounds(4, seconds=0.3, name="held out")
    candidate = model_candidate(uneven)
    assert candidate.model
    for model, is_told in ((candidate.model, False), (replace(candidate.model, label_counts=()), True)):
        real_sound_of_recipe(recipe, data, None, seed=0, candidate=replace(candidate, model=model))
        assert ("does not know how frequent its labels were" in caplog.text) == is_told
    newest = uneven / "checkpoints" / "step-00000002.pt"
    for counts in ([3], [0, 0]):
        content = torch.load(newest, weights_only=True) | {"label_counts": counts}
        torch.save(content, newest)
        with pytest.raises(RunError, match="label_counts: there are "):
            wavegan.load(newest, device="cpu")


@pytest.mark.usefixtures("on_a_cpu")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_its_sample_clips_are_made_again_from_their_receipts(run, command, precision):
    """By the exported model, whose weights are others than the run's where they are stored in fewer bits."""
    assert command("export", run, "--out", "out", "--precision", precision).code == 0
    done = command("regenerate", "out/samples/clip-000000.wav", "out/samples/clip-000001.wav", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["differences"] == [0, 0]


def test_the_export_tells_of_no_folder_of_its_maker(run):
    result = export(run)
    assert result.out == run / "export" / "safetensors"
    for path in (result.out / "config.json", result.out / "README.md"):
        assert "sounds" in path.read_text() and str(run.parent.parent.resolve()) not in path.read_text()


def test_an_exported_model_is_judged_by_its_own_sound(run, command):
    export(run, out=Path("out"))
    done = command("evaluate", "out", "--classifier", "none", "--data", "sounds", "--count", "4")
    assert done.code == 0 and Path("out/evaluation/step-00000002/report.html").exists()


def test_the_card_holds_labels_figures_and_licence(run):
    figures = {"kad_l": {"value": 1.25, "low": 1.0, "high": 1.5, "n": 9}, "am": {"value": None, "reason": "none"}}
    metrics = {
        "metrics": figures,
        "reference": figures | {"kad_l": {"value": 0.5, "low": 0, "high": 1, "n": 9}},
        "labels_obeyed": 0.75,
        "facts": {"step": "2", "weights": "running average", "held out": "data.holdout: 0.2"},
    }
    other = run / "evaluation" / "old" / "metrics.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps(metrics | {"facts": {"step": "1"}}))
    loaded = load_model(run, torch.device("cpu"))
    assert content_of(loaded, ExportOptions())["figures"] is None
    assert "was not evaluated" in wavegan.load(run, device="cpu").card
    other.with_name("metrics.json").write_text(json.dumps(metrics))
    result = export(run, out=Path("out"), options=ExportOptions(licence="cc0-1.0"))
    card = (result.out / "README.md").read_text()
    for text in (
        "license: cc0-1.0",
        "Labels: kick, snare.",
        "| 1.25 (1.00 to 1.50) | 0.500 |",
        "0.750",
        "label='kick'",
    ):
        assert text in card or text.replace("'", '"') in card, f"{text} is not in {card}"
    assert "(`am`)" not in card and "has no licence" not in card
    assert json.loads((result.out / "config.json").read_text())["figures"] == figures_of(metrics)
    assert wavegan.load("out", device="cpu").card.count("1.25 (1.00 to 1.50)") == 1
    assert "1.25" not in wavegan.load(run, device="cpu", raw=True).card, "figures of other weights"
    export(run, out=Path("raw"), raw=True)
    assert load_model(Path("raw"), torch.device("cpu")).weights == "as they learn"


def test_a_folder_with_files_is_kept_unless_forced(run):
    export(run, out=Path("out"))
    before = Path("out/README.md").read_text()
    Path("out/README.md").write_text("mine")
    with pytest.raises(DataError, match="out exists.*force=True"):
        export(run, out=Path("out"))
    assert Path("out/README.md").read_text() == "mine"
    export(run, out=Path("out"), force=True)
    assert Path("out/README.md").read_text() == before


@pytest.mark.parametrize("failure", [RunError("no"), KeyboardInterrupt(), 0.5])
def test_after_a_failure_nothing_is_left(run, monkeypatch, failure):
    def write(loaded, folder, options):
        (folder / "half").write_text("written")
        if isinstance(failure, float):
            return failure
        raise failure

    monkeypatch.setitem(FORMATS, "safetensors", write)  # type: ignore[arg-type]
    with pytest.raises(RunError if isinstance(failure, float) else type(failure)):
        export(run, out=Path("out"))
    assert not Path("out").exists()


def test_weights_of_another_network_are_refused(run, command):
    export(run, out=Path("out"))
    from wavegan.export import folder

    content = folder.read(Path("out"))
    content["networks"]["generator"].popitem()
    folder.write(Path("out"), {key: content[key] for key in content if key not in ("library_name", "format")})
    done = command("generate", "out")
    assert done.code == 2 and "out cannot be used (networks.generator lacks" in done.err


@pytest.mark.parametrize(("option", "words"), [(("--raw",), "--raw"), (("--checkpoint", "best"), "--checkpoint best")])
def test_an_exported_model_has_no_choice_of_weights(run, command, option, words):
    export(run, out=Path("out"))
    done = command("generate", "out", *option)
    assert done.code == 2 and f"leave {words} out" in done.err


@pytest.fixture
def box(run, tmp_path, monkeypatch) -> Path:
    """Puts the run's model into the box of shipped models, by the name drums."""
    data = tmp_path / "shipped"
    export(run, out=data / "models" / "drums")
    monkeypatch.setattr(shipped, "folder", lambda name: data if name == "data" else tmp_path / name)
    return data


def test_a_shipped_model_goes_by_its_name(box, run, command):
    assert command("generate", "drums", "-n", "2").code == 0
    assert sorted(path.name for path in Path("generated/drums").iterdir())[0] == "clip-000000.wav"
    np.testing.assert_array_equal(
        wavegan.load("drums", device="cpu").generate(2), wavegan.load(run, device="cpu").generate(2)
    )
    done = command("generate", "dums")
    assert done.code == 2 and "did you mean drums?" in done.err


def test_a_folder_of_sound_with_the_name_is_told_and_not_written_to(box, sounds, command):
    folder = sounds(12, seconds=0.3, name="drums")
    done = command("generate", "drums", "-n", "2")
    assert done.code == 0 and "the shipped model of this name is taken" in done.err
    assert Path("generated/drums/clip-000001.wav").exists() and not (folder / "generated").exists()
    done = command("evaluate", "drums", "--data", "sounds", "--classifier", "none", "--count", "4", "--json")
    assert done.code == 0 and "folder" in json.loads(done.out)["facts"]
    assert "drums is a folder here; to judge the shipped model of this name, go to another folder" in done.err


def test_models_are_listed_and_shown(box, command):
    done = command("models")
    assert done.code == 0 and done.out.startswith("drums")
    assert command("models", "--show", "drums").out.startswith("---\nlibrary_name: wavegan")
    assert json.loads(command("models", "--json").out)["models"][0]["labels"] == ["kick", "snare"]
    done = command("models", "--show", "drum")
    assert done.code == 2 and "did you mean drums?" in done.err


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_onnx_is_written_by_the_command_and_is_no_model(run, command, monkeypatch):
    done = command("export", run, "--format", "onnx", "--out", "out", "--licence", "mit", "--json")
    assert done.code == 0 and json.loads(done.out)["max_difference"] < 1e-5, done.err
    assert set(files_of(Path("out"))) == {Path("out", name) for name in ("config.json", "generate.py", "model.onnx")}
    config = json.loads(Path("out/config.json").read_text())
    assert config["labels"] == ["kick", "snare"] and config["sample_rate"] == 16000 and config["licence"] == "mit"
    done = command("generate", "out")
    assert (done.code, done.err) == (
        2,
        "error: out holds a model as ONNX; wavegan reads safetensors; run generate.py there, or export that kind\n",
    )
    refused = command("export", run, "--format", "onnx", "--out", "other", "--precision", "fp16")
    assert refused.code == 2 and "--precision is fp16; an ONNX file holds fp32; leave it out" in refused.err
    monkeypatch.setattr(onnx_file, "_largest_difference", lambda model, path: 2e-4)
    refused = command("export", run, "--format", "onnx", "--out", "other")
    assert refused.code == 2 and "differ from the original's by up to 0.0002; at most 0.0001 is kept" in refused.err
    assert not Path("other").exists()
