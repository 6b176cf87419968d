"""Tests what `import wavegan` offers: quick to import, clips as the commands make them, figures, a callback."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pytest
import soundfile
import torch

import wavegan
from wavegan.audio import writing
from wavegan.cli import options
from wavegan.commands import arguments
from wavegan.commands.clip_arrays import checked_clip
from wavegan.commands.evaluate import as_json
from wavegan.commands.evaluate import evaluate as evaluate_command
from wavegan.commands.generate import generate as generate_command
from wavegan.commands.invert import read_sound
from wavegan.commands.judging_options import JudgingOptions
from wavegan.commands.sound_points import point_in
from wavegan.commands.train import TrainingResult
from wavegan.errors import DataError, RecipeError, RunError, UserError
from wavegan.steering import inversion
from wavegan.training import checkpoint
from wavegan.training.run_folder import RunFolder

RECIPE = """\
data: {{source: {source}, holdout: 0, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4, labels: {labels}}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
training: {{steps: 4, batch_size: 2, checkpoint_every: 2, precision: fp32}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""


@pytest.fixture
def mouse(sounds, tmp_path, monkeypatch) -> str:
    """Writes a recipe with two labels that trains in a tenth of a second."""
    folder = sounds(20, seconds=0.3, labels=("kick", "snare"))
    (tmp_path / "mouse.yaml").write_text(RECIPE.format(source=folder, labels="auto"))
    monkeypatch.chdir(tmp_path)
    return "mouse.yaml"


@pytest.fixture
def model(mouse) -> wavegan.Model:
    return wavegan.load(wavegan.train(mouse, device="cpu").run, device="cpu")


def test_the_import_is_quick_and_brings_no_heavy_library():
    program = (
        "import sys, wavegan\n"
        "assert {'load', 'train', 'evaluate', 'Model'} <= set(dir(wavegan)) and not hasattr(wavegan, 'lode')\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'yaml', 'pydantic', 'wavegan.interface'} & set(sys.modules)))\n"
        "wavegan.load\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True"]


def test_clips_are_those_of_the_command(model):
    assert (model.sample_rate, model.channels, model.clip_samples, model.step) == (16000, 1, 4096, 4)
    assert model.labels == ("kick", "snare")
    clips = model.generate(5, seed=7, label="snare", truncation=0.5)
    assert clips.dtype == np.float32 and clips.shape == (5, 1, 4096)
    written = generate_command(Path("runs/mouse"), 5, seed=7, labels=["snare"], truncation=0.5, device="cpu")
    for clip, path in zip(clips, written.files, strict=True):
        assert np.array_equal(writing.to_int16(clip[0]), soundfile.read(path, dtype="int16")[0])
    assert np.allclose(model.generate(2, seed=7, label=["snare"], truncation=0.5), clips[:2], atol=1e-5)
    assert not np.allclose(model.generate(5, seed=7, label="kick", truncation=0.5), clips, atol=1e-3)
    taking_turns = model.generate(2, seed=7, label=["kick", "snare"], truncation=0.5)
    assert np.allclose(taking_turns[1], clips[1], atol=1e-5)


def test_a_checkpoint_may_be_a_number(model):
    for step in (2, "2"):
        assert wavegan.load("runs/mouse", checkpoint=step, device="cpu").step == 2 < model.step
    with pytest.raises(RunError, match="`checkpoint` is 3; it must be newest, best or the step of"):
        wavegan.load("runs/mouse", checkpoint=3, device="cpu")


def test_sounds_are_varied_and_morphed(model, monkeypatch):
    monkeypatch.setattr(inversion, "PHASES", ((8, 6), (2, 6)))
    [made] = generate_command(Path("runs/mouse"), 1, seed=3, labels=["snare"], device="cpu").files
    near = model.vary(made, 2, amount=0.2)
    assert near.shape == (2, 1, 4096) and near.dtype == np.float32
    path = model.morph(made, model.invert(near[1], label="snare").point, steps=3)
    assert np.allclose(path[0], model.generate(1, seed=3, label="snare")[0], atol=1e-5) and len(path) == 3
    reached = model.invert(made)
    assert reached.distance < reached.random
    assert np.array_equal(model.vary(reached.point, 1), model.vary(reached.point, 3)[:1])
    with pytest.raises(UserError, match=r"the clip has the shape \(1, 9\); it must be \(1, 4096\) at 16,000 Hz"):
        model.vary(np.zeros((1, 9), np.float32))


def test_a_walk_passes_through_the_first_clip_of_each_seed(model):
    walk = model.interpolate([3, 9, 4], steps=4)
    assert walk.shape == (9, 1, 4096) and walk.dtype == np.float32
    for place, seed in ((0, 3), (4, 9), (8, 4)):
        assert np.allclose(walk[place], model.generate(1, seed=seed)[0], atol=1e-5)
    assert not np.allclose(walk[1], walk[0], atol=1e-4)
    changing = model.interpolate([3, 3], steps=2, label=["kick", "snare"])
    for place, label in ((0, "kick"), (2, "snare")):
        assert np.allclose(changing[place], model.generate(1, seed=3, label=label)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.generate(2, label="snar"), "`label` is snar; mouse knows kick, snare; try `label=snare`"),
        (lambda model: model.generate(0), "`n` is 0; it must be at least 1; try 16"),
        (lambda model: model.generate(2, truncation=2), "`truncation` is 2; it must be above 0 and at most 1; try 0.7"),
        (lambda model: model.interpolate([3]), "`seeds` holds 1; a walk joins two seeds or more"),
        (lambda model: model.interpolate([3, 4], steps=0), "`steps` is 0; it must be at least 1; try 8"),
        (lambda model: model.generate(2.5), "`n` is 2.5; it must be an integer; try 16"),
        (lambda model: model.generate("2"), "`n` is '2'; it must be an integer"),
        (lambda model: model.generate(True), "`n` is True; it must be an integer"),
        (lambda model: model.vary("nowhere.wav", 0), "`n` is 0; it must be at least 1; try 16"),
        (
            lambda model: model.morph("nowhere.wav", "nowhere.wav", steps=1),
            "`steps` is 1; it must be at least 2; try 8",
        ),
        (
            lambda model: model.interpolate([3, 9], label=["kick", "snare", "kick"]),
            "`seeds` holds 2 and there are 3 labels; a walk passes through each; name 3 seeds",
        ),
        (lambda model: model.interpolate(3), "`seeds` is 3; it must hold several whole numbers; try seeds=[3, 9]"),
        (lambda model: model.interpolate("39"), "`seeds` is '39'; it must hold several whole numbers"),
        (lambda model: model.interpolate([3, 1.5]), "`seeds` is 1.5; it must be an integer"),
        (lambda model: model.generate(2, label=3), "`label` is 3; it must be a name, several in a list, or weights"),
        (lambda model: model.generate(2, label=[3]), "`label` is [3]; it must be a name"),
        (lambda model: model.generate(2, label=np.array(3)), "`label` is 3; it must be a name"),
        (lambda model: model.generate(2, label={}), "`label` is {}; a mix has one label or more; try label="),
        (lambda model: model.generate(2, truncation="0.7"), "`truncation` is '0.7'; it must be a number; try 0.7"),
        (lambda model: model.generate(2, truncation=1.0000001), "`truncation` is 1.0000001; it must be above 0 and at"),
        (lambda model: model.generate(2, seconds="1"), "`seconds` is '1'; it must be a number; try 30"),
        (
            lambda model: model.generate(2, directions={"brightness": True}),
            "`directions` is {'brightness': True}; it must give amounts from -1 to 1 by name",
        ),
        (lambda model: model.interpolate([3, 9], truncation=None), "`truncation` is None; it must be a number"),
        (lambda model: model.vary("nowhere.wav", amount="0.3"), "`amount` is '0.3'; it must be a number; try 0.3"),
        (
            lambda model: model.generate(2, label={"kick": 0}),
            "`label` is kick:0; at least one weight must be above 0; try `label=kick`",
        ),
        (lambda model: model.generate(2, label={"kik": 0.5}), "`label` is kik:0.5; mouse knows kick, snare"),
        (
            lambda model: model.generate(2, directions="brightness"),
            "`directions` is 'brightness'; it must give amounts from -1 to 1 by name; try directions=",
        ),
        (
            lambda model: model.generate(2, directions={"brightness": "1"}),
            "`directions` is {'brightness': '1'}; it must",
        ),
        (lambda model: model.invert(np.zeros((1, 4096), np.int16)), "the clips are int16; samples are floats"),
        (lambda model: model.vary(np.full((1, 4096), 9.0)), "the clips have a peak of 9; samples lie in [-1, 1]"),
        (lambda model: model.invert(np.zeros((1, 4096))), "the clip is silence; "),
        (lambda model: model.invert([[0.0, 0.1], [0.2]]), "the clips make no array"),
        (
            lambda model: model.invert(np.zeros(4096)),
            "the clip has the shape (4096,); it must be (1, 4096) at 16,000 Hz; try clip[None]",
        ),
        (
            lambda model: model.invert([0.0] * 4096),
            "the clip has the shape (4096,); it must be (1, 4096) at 16,000 Hz; try np.asarray(clip)[None]",
        ),
        (
            lambda model: model.invert(np.zeros((4096, 1))),
            "the clip has the shape (4096, 1); it must be (1, 4096) at 16,000 Hz; try clip.T",
        ),
        (
            lambda model: model.invert(torch.zeros(1, 1, 4096)),
            "the clip has the shape (1, 1, 4096); it must be (1, 4096) at 16,000 Hz; try clip[0]",
        ),
        (
            lambda model: model.invert(np.zeros((2, 2048))),
            "the clip has the shape (2, 2048); it must be (1, 4096) at 16,000 Hz; cut or fill it up, or name a file",
        ),
        (lambda model: wavegan.load("runs/mouse", precision="fp16"), "`precision` is fp16; it must be fp32 or bf16"),
        (lambda model: wavegan.load("mouse", device=0), "the device is '0'; it must be auto, cpu"),  # pyright: ignore
        (lambda model: model.vary(None), "the clip is of the type NoneType; it must be floats, (1, 4096) at 16,000 Hz"),
        (
            lambda model: model.vary(object.__new__(inversion.Inversion)),
            "the sound is an inversion; it must be a file, a clip or a point; pass its .point",
        ),
    ],
)
def test_arguments_that_cannot_be_used(model, call, message):
    with pytest.raises(UserError) as caught:
        call(model)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        ("load", {"model": None}, "`model` is None; it must be text or a path; try model='drums'"),
        ("load", {"model": 5}, "`model` is 5; it must be text or a path"),
        ("load", {"model": b"drums"}, "`model` is b'drums'; it must be text or a path"),
        ("train", {"recipe": None}, "`recipe` is None; it must be text or a path; try recipe='quickstart'"),
        ("train", {"recipe": "quickstart", "run_dir": 5}, "`run_dir` is 5; it must be text or a path"),
        ("train", {"recipe": "quickstart", "overrides": None}, "`overrides` is None; it must hold words, or values"),
        ("train", {"recipe": "quickstart", "on_step": 5}, "`on_step` is 5; it must be a function of the number"),
        ("evaluate", {"clips": "clips", "reference": ["real"]}, "`reference` is ['real']; it must be text or a path"),
        ("evaluate", {"clips": "clips", "training": []}, "`training` is []; it must be text or a path"),
        ("evaluate", {"clips": "clips", "out": 5}, "`out` is 5; it must be text or a path"),
        ("evaluate", {"clips": "clips", "classifier": 5}, "`classifier` is 5; it must be text or a path"),
    ],
)
def test_arguments_of_another_kind(function, given, message):
    with pytest.raises(UserError) as caught:
        getattr(wavegan, function)(**given)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("seed", [1.5, 1.0, np.float32(1), None, True, np.bool_(True), "1", -1, 2**63, [1]])
def test_seeds_that_the_command_refuses(model, seed):
    """A text of them would be hashed, and give clips that no command makes."""
    assert arguments.LARGEST_SEED == options.LARGEST_SEED
    for call in (
        lambda: model.generate(1, seed=seed),
        lambda: model.interpolate([1, seed]),
        lambda: model.vary("nowhere.wav", 1, seed=seed),
        lambda: wavegan.evaluate("nowhere", seed=seed),
    ):
        with pytest.raises(
            UserError, match="^`seeds?` is .*; it must be (an integer|from 0 to 9,223,372,036,854,775,807)"
        ):
            call()


def test_numbers_and_labels_are_taken_in_any_form_that_means_the_same(model):
    clips = model.generate(2, seed=1, label="kick:0.7,snare:0.3")
    weights = {"kick": 0.7, "snare": np.float32(0.3)}
    for count, seed in ((2.0, np.int64(1)), (np.int32(2), torch.tensor(1)), (torch.tensor(2), np.array(1))):
        assert np.array_equal(model.generate(count, seed=seed, label=weights), clips)
    assert not np.allclose(model.generate(2, seed=1, label=["kick", "snare"]), clips, atol=1e-3)
    walk = model.interpolate([1, 2], steps=2)
    assert np.array_equal(model.interpolate(np.array([1, 2]), steps=2.0), walk)
    assert np.array_equal(model.interpolate(torch.tensor([1, 2]), steps=np.int64(2)), walk)
    for label in (np.array("kick"), np.array(["kick"])):
        assert np.array_equal(model.generate(1, label=label), model.generate(1, label="kick"))
    largest = model.generate(1, seed=2**63 - 1)
    assert np.array_equal(model.generate(1, seed=np.uint64(2**63 - 1)), largest)
    same = wavegan.load("runs/mouse", device=torch.device("cpu")).generate(2, seed=1, label=weights)
    assert np.array_equal(same, clips)


def test_a_clip_may_be_a_tensor_a_list_or_a_view(model, monkeypatch):
    monkeypatch.setattr(inversion, "PHASES", ((8, 2), (2, 2)))
    clip = model.generate(1, seed=3, label="kick")[0]
    expected = model.invert(clip).distance
    tensor = torch.tensor(clip).requires_grad_()
    for sound in (tensor, clip.tolist(), clip.astype(">f8"), clip[:, ::-1].copy()[:, ::-1]):
        assert model.invert(sound).distance == pytest.approx(expected, rel=1e-3)
    assert np.allclose(model.vary(tensor, 1), model.vary(clip, 1), atol=1e-3)


def test_a_clip_gets_the_level_that_the_model_has_learned(model, caplog):
    clip = model.generate(1, seed=3, label="kick")[0]
    clip = clip / np.abs(clip).max()
    caplog.set_level("INFO")
    for normalize, factor, peak in ((True, 0.1, 1), (True, 3, 1), (False, 0.1, 0.1), (False, 3, 1)):
        caplog.clear()
        data = model.loaded.recipe.data.model_copy(update={"normalize": normalize})
        loaded = replace(model.loaded, recipe=model.loaded.recipe.model_copy(update={"data": data}))
        taken = checked_clip(factor * clip, loaded).numpy()
        np.testing.assert_allclose(taken, peak * clip, atol=1e-6)
        soundfile.write("clip.wav", factor * clip[0], 16000, subtype="FLOAT")
        if normalize:
            np.testing.assert_allclose(read_sound(loaded, Path("clip.wav")).numpy(), taken, atol=1e-4)
        assert ("to 1" in caplog.text) == (peak != factor)


def test_a_model_without_labels_and_paths_that_are_no_model(sounds, mouse):
    Path("cat.yaml").write_text(RECIPE.format(source=sounds(4, name="more"), labels=0))
    model = wavegan.load(wavegan.train("cat.yaml", device="cpu").checkpoint, device="cpu")
    assert model.labels == () and model.interpolate([1, 2], steps=1).shape == (2, 1, 4096)
    with pytest.raises(UserError, match="`label` is kick, and cat knows no labels"):
        model.generate(1, label="kick")
    with pytest.raises(RunError, match="runs/mouse does not exist"):
        wavegan.load("runs/mouse")


def roughness(clips: torch.Tensor, sample_rate: int) -> torch.Tensor:
    assert sample_rate == 16000
    return clips.diff(dim=2).abs().double().mean(2)


def test_figures_are_those_of_the_command_for_an_array_as_for_its_files(model, sounds):
    """Keeps nothing of an array unless a folder is named."""
    real = str(sounds(60, seconds=0.3, name="real"))
    clips = model.generate(40, seed=1, label="kick")  # 30 are judged, which the seed draws
    clips[30:] = model.generate(10, seed=1, label="snare")  # some of these too, although they are the last
    clips[3] *= 0.25  # a quiet one is made louder, as in a folder
    Path("clips").mkdir()
    for number, clip in enumerate(clips):
        writing.write(Path("clips") / f"{number:03d}.wav", clip, model.sample_rate)
    options = JudgingOptions(data=Path(real), classifier="none", device="cpu")
    expected = as_json(evaluate_command(Path("clips"), options))["metrics"]
    before = sorted(Path().rglob("*"))
    tensor = torch.tensor(clips).requires_grad_()
    rate: Any = 16000.0
    figures = wavegan.evaluate(tensor, real, sample_rate=rate, classifier="none", device=torch.device("cpu"))
    assert figures["report"] is None and sorted(Path().rglob("*")) == before
    of_path = wavegan.evaluate("clips", real, classifier="none", device="cpu", out="judged")
    assert of_path["metrics"] == expected and of_path["report"] == "judged/report.html"
    assert len(expected) > 10 and set(figures["metrics"]) == set(expected)
    for name, score in expected.items():
        assert figures["metrics"][name]["value"] == pytest.approx(score["value"], rel=1e-3, abs=1e-3), name
    judge = partial(wavegan.evaluate, reference=real, classifier="none", device="cpu", embedding=roughness)
    kept = judge(clips, out="kept")  # the reference's rate is taken
    assert kept["metrics"]["kad_l"] == figures["metrics"]["kad_l"] and Path(kept["report"]).is_file()
    assert kept["metrics"]["kad_e"]["value"] > 10 * abs(kept["reference"]["kad_e"]["value"])
    again = judge("clips", out="again")
    assert again["metrics"]["kad_e"]["value"] == pytest.approx(kept["metrics"]["kad_e"]["value"], rel=1e-2)
    json.dumps(kept)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (
            np.zeros((3, 4096)),
            "the clips have the shape (3, 4096); it must be (n, channels, samples), with 8 channels at most; "
            "try clips[:, None]",
        ),
        (
            [[0.0] * 4096] * 3,
            "the clips have the shape (3, 4096); it must be (n, channels, samples), with 8 channels at most; "
            "try np.asarray(clips)[:, None]",
        ),
        (np.zeros((0, 1, 4096)), "the clips have the shape (0, 1, 4096)"),
        (
            np.zeros((3, 4096, 2)),
            "the clips have the shape (3, 4096, 2); it must be (n, channels, samples), with 8 channels at most; "
            "try np.swapaxes(clips, 1, 2)",
        ),
        (np.zeros((3, 9, 4096)), "the clips have the shape (3, 9, 4096)"),
        (np.full((3, 1, 4096), np.nan), "the clips hold NaN or infinity"),
        (np.full((3, 1, 4096), -np.inf), "the clips hold NaN or infinity"),
        (
            np.zeros((3, 1, 4096), np.int16),
            "the clips are int16; samples are floats in [-1, 1]; divide them by their full scale, 16-bit ones as "
            "clips / 32768",
        ),
        (torch.zeros(3, 1, 4096, dtype=torch.uint8), "the clips are uint8; samples are floats"),
        (np.full((3, 1, 4096), "1"), "the clips are <U1; samples are floats"),
        (np.full((3, 1, 4096), 9.0), "the clips have a peak of 9; samples lie in [-1, 1]; divide them by their full"),
        (torch.full((3, 1, 4096), -32768.0), "the clips have a peak of 32768; samples lie in [-1, 1]"),
        (np.full((3, 1, 4096), 1e300), "the clips have a peak of 1e+300"),
        (object(), "the clips are of the type object; they must be floats, (n, channels, samples); give the path"),
        ([np.zeros((1, 5)), np.zeros((1, 6))], "the clips make no array; they must be one, (n, channels, samples);"),
        (torch.zeros(3, 1, 4096, dtype=torch.bfloat16).requires_grad_(), "`reference` is None"),
        (np.full((3, 1, 4096), 8.0), "`reference` is None"),
        (np.zeros((3, 1, 4096)), "`reference` is None; clips are judged by real sound"),
    ],
)
def test_arrays_that_cannot_be_judged(clips, message):
    with pytest.raises(UserError) as caught:
        wavegan.evaluate(clips)
    assert str(caught.value).startswith(message)


def test_a_models_name_is_no_reference():
    with pytest.raises(DataError, match="^drums is a shipped model; real sound is needed; name a folder of real"):
        wavegan.evaluate(np.zeros((3, 1, 4096)), "drums")


def test_files_and_models_have_a_rate_of_their_own():
    told = "`sample_rate` is 8000; an array needs it, and clips has its own; leave it out"
    with pytest.raises(UserError, match=re.escape(told)):
        wavegan.evaluate("clips", "real", sample_rate=8000)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sample_rate": 0}, "`sample_rate` is 0; it must be from 1,000 to 192,000; try 16000"),
        ({"sample_rate": 16}, "`sample_rate` is 16; it must be from 1,000"),
        ({"sample_rate": 441_000}, "`sample_rate` is 441000; it must be from 1,000"),
        ({"sample_rate": 16000.5}, "`sample_rate` is 16000.5; it must be an integer"),
        ({"sample_rate": "16k"}, "`sample_rate` is '16k'; it must be an integer"),
        ({"count": 1}, "`count` is 1; it must be at least 2"),
        (
            {"embedding": "clap"},
            "`embedding` is 'clap'; it must be a function of clips (N, C, T) and their sample rate",
        ),
    ],
)
def test_numbers_of_a_judgement_are_refused_before_anything_is_read(values, message):
    with pytest.raises(UserError) as caught:
        wavegan.evaluate(np.zeros((3, 1, 4096)), "nowhere", **values)
    assert str(caught.value).startswith(message)


def test_clips_too_short_for_spectra_are_refused(sounds):
    with pytest.raises(UserError, match="the clips have 100 samples; spectra need 1,024 or more"):
        wavegan.evaluate(np.ones((30, 1, 100)), sounds(30), sample_rate=16000)


def test_loud_clips_are_scaled_as_files_of_floats_are(sounds):
    real, clips = sounds(30), np.random.default_rng(0).normal(scale=0.2, size=(30, 1, 4096)).clip(-0.9, 0.9)
    figures = [wavegan.evaluate(factor * clips, real, classifier="none", sample_rate=16000) for factor in (1, 6)]
    first, loud = (figure["metrics"]["kad_attack"]["value"] for figure in figures)
    assert loud == pytest.approx(first, abs=0.05)


def test_a_point_of_another_model_is_refused(model, mouse):
    point = point_in(model.loaded, generate_command(Path("runs/mouse"), 1, device="cpu").files[0])
    assert model.vary(point, 2).shape == (2, 1, 4096)
    wavegan.train(mouse, {"training.seed": 1}, run_dir="other", device="cpu")
    other = wavegan.load("other", device="cpu")
    told = r"the point is one of mouse at step 4 \(weights \w+\); the model is mouse at step 4 \(weights \w+\), and its"
    with pytest.raises(UserError, match=told):
        other.vary(point, 2)


# Training.


@pytest.mark.parametrize(
    "overrides",
    [
        {"training.steps": np.int64(2), "training.batch_size": np.float64(2)},
        {"training.steps": torch.tensor(2)},
        {"training": {"steps": np.array(2)}},
        "training.steps=2",
    ],
)
def test_overrides_in_any_form(mouse, overrides):
    result = wavegan.train(mouse, overrides, device=torch.device("cpu"))
    assert result.step == 2 and "steps: 2\n" in Path("runs/mouse/recipe.yaml").read_text()


def test_a_callback_is_told_each_step_once_and_stops(mouse):
    told: list[int] = []
    result = wavegan.train(
        mouse, {"training.steps": 6}, on_step=lambda step: told.append(step) or step == 3, device="cpu"
    )
    assert (result.run, result.step, result.is_stopped, told) == (Path("runs/mouse"), 3, True, [1, 2, 3])
    result = wavegan.train(mouse, ["training.steps=6"], on_step=told.append, device="cpu")
    assert (result.step, result.is_stopped, told) == (6, False, [1, 2, 3, 4, 5, 6])
    assert wavegan.train(mouse, {"training.steps": 6}, on_step=told.append, device="cpu").step == 6 == len(told)


def test_a_callback_that_raises_ends_the_training_and_the_next_call_goes_on(mouse):
    def stumble(step: int) -> None:
        if step == 3:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="^mine$"):
        wavegan.train(mouse, on_step=stumble, run_dir="run", device="cpu")
    assert list(checkpoint.steps(RunFolder(Path("run")).checkpoints)) == [2]
    assert wavegan.train(mouse, run_dir="run", device="cpu").step == 4


def test_it_trains_in_a_thread_and_inside_an_event_loop(mouse):
    async def train(name: str):
        return await asyncio.to_thread(wavegan.train, mouse, run_dir=name, device="cpu")

    async def both():
        outside = wavegan.train(mouse, run_dir="plain", device="cpu")
        return [outside, await train("first"), await train("second")]

    threads = threading.active_count()
    results = asyncio.run(both())
    assert [result.step for result in results] == [4, 4, 4] and threading.active_count() <= threads + 2
    clips = [wavegan.load(result.run, device="cpu").generate(2) for result in results]
    assert np.array_equal(clips[0], clips[1]) and np.array_equal(clips[0], clips[2])


def test_recipes_and_sound_that_are_wrong(mouse):
    with pytest.raises(RecipeError, match="override training.stpes: unknown key training.stpes; did you mean"):
        wavegan.train(mouse, {"training.stpes": 6})
    with pytest.raises(RecipeError, match="quickstrat: there is no such file; did you mean quickstart or"):
        wavegan.train("quickstrat")
    with pytest.raises(DataError, match="the source nowhere does not exist"):
        wavegan.train(mouse, {"data.source": "nowhere"}, device="cpu")
    assert not Path("runs").exists()


# The state of the process.

USE = """\
import asyncio, sys
import matplotlib.pyplot, sympy, torch._dynamo, torch.utils.tensorboard, scipy.stats  # imports that set something
from process_state import process_state
import wavegan
import wavegan.interface
from wavegan.evaluation import classifier_training
from wavegan.evaluation.evaluate import Reference

classifier_training.FEWEST_STEPS = classifier_training.MOST_STEPS = 3
Reference.estimates.__kwdefaults__.update(count=5)  # resamples; no figure need mean anything
def stumble(step):
    if step == 2:
        raise ValueError("mine")

def work(run):
    try:
        wavegan.train("mouse.yaml", run_dir=run, on_step=stumble)
    except ValueError:
        pass
    wavegan.train("mouse.yaml", run_dir=run, on_step=lambda step: step == 3)
    result = wavegan.train("mouse.yaml", run_dir=run)
    clips = wavegan.load(result.run).generate(12, seed=1)
    wavegan.evaluate(clips, "real")
    wavegan.evaluate(result.run, out=f"{run}-judged", count=8)

async def in_a_thread():
    await asyncio.to_thread(work, "event-loop")

before = process_state()
for use in (lambda: asyncio.run(in_a_thread()), lambda: work("main-thread")):
    use()
    after = process_state()
    print({name: (before[name], after[name]) for name in before if before[name] != after[name]})
"""


def test_no_state_of_the_process_is_changed(mouse, sounds):
    """Runs a program that uses all of the interface, with previews, evaluations and a callback that raises.

    It does so inside an event loop, then in the main thread.
    """
    sounds(40, seconds=0.3, labels=("kick", "snare"), name="real")
    text = Path(mouse).read_text().replace("precision: fp32", "ema: 0.9, on_collapse: rollback")
    text = text.replace("preview_every: 0, tensorboard: false", "preview_every: 2, preview_count: 1")
    Path(mouse).write_text(text.replace("holdout: 0", "holdout: 0.4") + "evaluation: {every: 2, count: 8}\n")
    Path("use.py").write_text(USE)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "use.py"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{}\n{}\n"
    for run in ("event-loop", "main-thread"):
        previews = sorted(path.name for path in Path(run, "previews").glob("*.wav"))
        assert previews == ["step-00000002.wav", "step-00000004.wav"]
        assert Path(f"{run}-judged/report.html").is_file()


def test_an_editor_knows_the_types(model: wavegan.Model):
    """pyright, which `make test` runs, holds assert_type to the types that an editor completes by."""
    assert assert_type(wavegan.load("runs/mouse", device="cpu"), wavegan.Model).labels == model.labels
    assert len(assert_type(model.generate(2), np.ndarray)) == 2
    assert assert_type(model.interpolate([1, 2], steps=1), np.ndarray).ndim == 3
    assert assert_type(assert_type(wavegan.train("mouse.yaml", device="cpu"), TrainingResult).step, int) == 4
