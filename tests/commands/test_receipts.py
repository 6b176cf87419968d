"""Tests that a sound file says how it was made, and that it can be made again from that alone, bit for bit."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from filelock import FileLock

from wavegan import generation
from wavegan.audio import comments, writing
from wavegan.commands import receipts
from wavegan.commands.arguments import label_texts
from wavegan.commands.model_loading import load_model
from wavegan.errors import DataError, UserError

CPU = torch.device("cpu")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def generated(command, model, *words) -> list[Path]:
    outcome = command("generate", model, "--out", "clips", *words)
    assert outcome.code == 0, outcome.err
    return [Path(line) for line in outcome.out.splitlines()]


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16")[0]


@pytest.mark.parametrize("words", [(), ("--label", "kick:0.7,snare:0.3", "--label", "tom"), ("--precision", "bf16")])
def test_clips_are_made_again_bit_for_bit(command, here, drummer, words):
    paths = generated(command, drummer, "-n", 19, "--seed", 7, "--truncation", 0.8, *words)
    chosen = [paths[3], paths[17], paths[18]]  # of a whole batch and of the last one, which has three clips
    outcome = command("regenerate", *chosen, "--model", drummer, "--json")
    assert outcome.code == 0, outcome.err
    values = json.loads(outcome.out)
    assert values["differences"] == [0, 0, 0]
    for path, again in zip(chosen, values["files"], strict=True):
        np.testing.assert_array_equal(samples(path), samples(Path(again)))
        assert comments.read(Path(again)) == comments.read(path), "it can be made again from the copy too"
    assert not np.array_equal(samples(paths[3]), samples(paths[17]))


def test_a_receipt_says_how_and_names_no_folder(command, here, drummer):
    paths = generated(command, drummer, "-n", 18, "--seed", 7, "--truncation", 0.8, "--label", "kick:3,snare:1")
    values = json.loads(command("info", paths[17], "--json").out)
    model = load_model(drummer, CPU).model
    assert values.pop("weights") == receipts.maker_of(model)["weights"]
    assert values == {
        "file": str(paths[17]), "wavegan": "0.1.0", "model": "drummer", "step": 2, "precision": "fp32",
        "made_by": "generate", "seed": 7, "number": 17, "label": "kick:0.75,snare:0.25", "labels": ["kick:3,snare:1"],
        "truncation": 0.8, "batch": [16, 2],
    }  # fmt: skip
    assert "/" not in comments.read(paths[17])
    assert re.search(r"^label +kick:0.75,snare:0.25$", command("info", paths[17]).out, re.MULTILINE)


@pytest.mark.usefixtures("on_a_cpu")
@pytest.mark.parametrize("extension", ["wav", "flac", "ogg"])  # MP3 holds no 4,000 Hz
def test_a_sound_is_made_again_from_any_format(command, here, drummer, extension):
    [path] = generated(command, drummer, "-n", 1, "--format", extension)
    outcome = command("regenerate", path, "--model", drummer, "--format", "flac", "--json")
    assert json.loads(outcome.out)["differences"] == [None if extension == "ogg" else 0]
    outcome = command("regenerate", path, "--model", drummer, "--format", extension, "--out", "same", "--json")
    assert json.loads(outcome.out)["differences"] == [0]
    [original] = next(generation.generate(load_model(drummer, CPU).model, 1))
    np.testing.assert_array_equal(samples(Path("regenerated/clip-000000.flac")), writing.to_int16(original[0].numpy()))


def test_a_walk_is_made_again(command, here, drummer):
    [path] = generated(command, drummer, "-n", 3, "--interpolate", "--seed", 4)
    outcome = command("regenerate", path, "--model", drummer)
    assert outcome.out == "regenerated/walk.wav  the same, bit for bit\n"
    np.testing.assert_array_equal(samples(path), samples(Path("regenerated/walk.wav")))


def test_the_model_is_looked_for_where_it_may_be(command, here, drummer):
    run = shutil.copytree(drummer, here / "runs" / "renamed")
    outcome = command("generate", "runs/renamed", "-n", 2)  # into the run folder
    assert command("regenerate", *outcome.out.splitlines()).code == 0
    [path] = generated(command, run, "-n", 1, "--checkpoint", 1)
    assert command("regenerate", path, "--out", "a").code == 0, "runs/ is searched by the name in each recipe"
    assert command("export", run, "--out", "taken").code == 0
    shutil.rmtree("runs")
    outcome = command("regenerate", path, "--out", "b")
    assert outcome.code == 2 and "no model of that name was found" in outcome.err
    shutil.copy(path, "clip.wav")
    newest = generated(command, "taken", "-n", 1, "--force")[0]
    assert command("regenerate", newest, "--model", "taken", "--out", "c").code == 0
    outcome = command("regenerate", "clip.wav", "--model", "taken", "--out", "d")
    assert outcome.code == 2 and "taken (step 2) has other weights" in outcome.err
    assert not Path("d").exists()


def test_another_model_is_named_with_the_one_that_has_the_weights(command, here, drummer):
    shutil.copytree(drummer, "runs/drummer")
    Path("one.pt").write_bytes(Path("runs/drummer/checkpoints/step-00000001.pt").read_bytes())
    [path] = generated(command, drummer, "-n", 1)
    outcome = command("regenerate", path, "--model", "one.pt")
    assert outcome.code == 2 and "one.pt has other weights" in outcome.err
    assert outcome.err.rstrip().endswith("name runs/drummer with --model")


DAMAGED = {
    "cut": lambda text: text[:90],
    "no number": lambda text: text.replace('"number":0', '"number":"x"'),
    "another batch": lambda text: text.replace('"batch":[0,1]', '"batch":[0,0]'),
    "another kind": lambda text: text.replace('"generate"', '"magic"'),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_receipt_is_refused_before_anything_is_written(command, here, drummer, damage):
    [path] = generated(command, drummer, "-n", 1)
    text = comments.read(path)
    assert DAMAGED[damage](text) != text
    writing.write(here / "damaged.wav", np.zeros((1, 64), np.float32), 4000, DAMAGED[damage](text))
    for words in (("regenerate", path, "damaged.wav"), ("info", "damaged.wav")):
        outcome = command(*words)
        assert outcome.code == 2 and "the receipt in damaged.wav is cut off or changed" in outcome.err
    assert not Path("regenerated").exists()


def test_a_sound_without_a_receipt_is_refused(command, here):
    writing.write(here / "mine.wav", np.zeros((1, 64), np.float32), 4000, "recorded in the kitchen")
    outcome = command("regenerate", "mine.wav")
    assert outcome.code == 2 and outcome.err.startswith("error: mine.wav has no receipt")
    Path("text.wav").write_text("no sound")
    assert "text.wav cannot be read as sound" in command("info", "text.wav").err


def test_a_file_is_not_written_over(command, here, drummer):
    [path] = generated(command, drummer, "-n", 1)
    before = path.read_bytes()
    assert "would be written over by itself" in command("regenerate", path, "--out", "clips", "--force").err
    assert "two of the results would have the name" in command("regenerate", path, path).err
    assert command("regenerate", path, "--model", drummer).code == 0
    assert "exists already" in command("regenerate", path, "--model", drummer).err
    assert path.read_bytes() == before


def test_info_tells_what_a_model_is(command, here, drummer):
    values = json.loads(command("info", drummer, "--json").out)
    assert values["name"] == "drummer" and values["step"] == 2 and values["latent_dim"] == 8
    assert values["seconds_of_clip"] == 1.024 and "kick" in values["labels"]
    assert values["weights"] == receipts.maker_of(load_model(drummer, CPU).model)["weights"]
    assert command("info", "nowhere").code == 2


def test_mixes_of_labels_are_read(drummer):
    model = load_model(drummer, CPU).model
    assert generation.label_mix(model, "kick") == {"kick": 1}
    assert generation.label_mix(model, "kick:3, snare") == {"kick": 0.75, "snare": 0.25}
    assert generation.label_mix(model, "KICK : 3,Snare") == {"kick": 0.75, "snare": 0.25}
    assert generation.label_mix(model, " Kick") == {"kick": 1} == generation.label_mix(model, "kick,snare:0.0")
    odd = torch.nn.Module()
    drums = generation.Model(odd, 1, 1, 1, "odd", 0, ("snare", "snare, rim", "kick"))
    assert generation.label_mix(drums, "snare, rim:0.5,kick:0.5") == {"snare, rim": 0.5, "kick": 0.5}
    assert generation.label_mix(drums, "snare,kick") == {"snare": 0.5, "kick": 0.5}
    named = generation.Model(odd, 1, 1, 1, "odd", 0, ("a", "a:2", "b,c"))
    assert generation.label_mix(named, "a:2") == {"a:2": 1} and generation.label_mix(named, "b,c") == {"b,c": 1}
    assert generation.label_mix(named, "a:2:1,a:3") == {"a:2": 0.25, "a": 0.75}
    assert generation.label_mix(named, "b,c:3,a") == {"b,c": 0.75, "a": 0.25} == generation.label_mix(named, "a,B,C:3")
    [of_mapping] = label_texts({"b,c": 0.75, "a:2": 0.25})
    assert generation.label_mix(named, of_mapping) == {"b,c": 0.75, "a:2": 0.25}
    row = generation.numbered_labels(model, [0, 1], only=["kick:3,snare", "tom"])
    assert row is not None and row[0].sum() == 1 and row[0].max() == 0.75 and row[1].max() == 1
    for text, words in (("kik:2,snare", "is kik:2; .* try `labels=kick`"), ("kick:-1,snare", "weight '-1'"),
                        ("kick:0,snare:0", "must be above 0; try `labels=snare`"),
                        ("kick:nan", "weight 'nan'"), ("kick:", "weight ''")):  # fmt: skip
        with pytest.raises(UserError, match=words):
            generation.label_mix(model, text)


def test_a_latent_that_does_not_fit_is_refused(drummer):
    model = load_model(drummer, CPU).model
    maker = receipts.maker_of(model)
    point = receipts.numbered_point(model, 3)
    receipt = receipts.of_point(model, maker, point, "vary")
    assert torch.equal(receipts.point_of(model, receipt).latent, point.latent)
    for latent in (receipt.latent[:-4], "?", ""):
        with pytest.raises(DataError):
            receipts.point_of(model, receipt.model_copy(update={"latent": latent}))


def test_info_lists_the_runs_of_a_folder_the_newest_first(command, here, drummer):
    for name, step, age in (("old", 300, 60), ("a-new-one", 7, 1), ("mute", None, 0)):
        Path("runs", name, "checkpoints").mkdir(parents=True)
        start = {"time": (datetime.now(UTC) - timedelta(seconds=age)).isoformat(), "steps": 1200}
        if step:
            Path("runs", name, "log.jsonl").write_text(
                json.dumps({"step": 0, "seconds": 0, "start": start})
                + "\n"
                + json.dumps({"step": step, "seconds": 0, "evaluation/kad_l": 0.123})
                + "\n"
            )
    lines = command("info").out.splitlines()
    assert lines[0].startswith("runs/a-new-one  step 7 of 1,200    kad_l 0.12 at step 7    ")
    assert lines[1].startswith("runs/old        step 300 of 1,200  kad_l 0.12 at step 300  ")
    assert re.fullmatch("runs/mute +no log", lines[2])
    runs = json.loads(command("info", "runs", "--json").out)["runs"]
    assert [run["status"].get("step") for run in runs] == [7, 300, None]


@pytest.mark.parametrize("is_there", [False, True])
def test_info_without_any_run_says_how_to_get_one(command, here, is_there):
    if is_there:
        Path("runs").mkdir()
    outcome = command("info")
    assert outcome.code == 2 and outcome.err == (
        "error: there is no run in runs yet; train one: wavegan train RECIPE, "
        "or name a run, a model or a sound file: wavegan info drums\n"
    )


def test_info_tells_how_a_run_goes_also_before_its_first_checkpoint(command, here, drummer):
    status = json.loads(command("info", drummer, "--json").out)["status"]
    assert (status["step"], status["steps"], status["running"]) == (2, 2, False)
    assert status["state"] == "ended: all steps are taken" and status["go_on"] == "", "there is nothing left to do"
    assert status["where"]["processes"] == 1 and status["where"]["device"] == "cpu" and status["figures"]
    shutil.copytree(drummer, "young", ignore=lambda *_: ["checkpoints"])
    log = Path("young/log.jsonl")
    log.write_text("".join(line for line in log.read_text().splitlines(True) if '"end"' not in line))
    text = command("info", "young").out
    assert re.search(r"^no_model +young holds no checkpoint$", text, re.MULTILINE)
    assert re.search(r"^reached +step 2 of 2 in 0:0\d$", text, re.MULTILINE) and "it was killed" in text
    assert re.search(
        r"^to go on +cd .* && wavegan train \S+/young/recipe.yaml --run-dir \S+/young$", text, re.MULTILINE
    )
    log.unlink()
    assert command("info", "young").code == 2
    with FileLock("young/lock"):
        assert "is being trained, and has logged nothing yet" in command("info", "young").err


def test_models_of_earlier_versions_keep_their_hashes():
    """Or their sounds could not be made again: a generator has pitches of labels since, zeros where it has none."""
    digits, tones = (load_model(Path(name), torch.device("cpu")).model for name in ("digits", "tones"))
    assert digits.weights_hash == "1c972e31380e960e3a7c816a"
    before = tones.weights_hash
    tones.generator.drawn_pitches.of_labels[0] += 0.01  # type: ignore[union-attr, index, operator]
    assert generation.weights_hash(tones.generator) != before, "where it has some they count"
