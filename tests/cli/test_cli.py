"""Tests the command line as its users meet it: results, messages, exit codes, and every mistake we could think of."""

import errno
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
import torch

from wavegan import __version__, assemble, cli
from wavegan import recipe as recipes
from wavegan.audio.writing import MP3_RATES
from wavegan.cli import options
from wavegan.commands.evaluate import Evaluation
from wavegan.commands.train import train
from wavegan.training import checkpoint

COMMANDS = (
    "doctor",
    "train",
    "generate",
    "info",
    "invert",
    "kit",
    "morph",
    "vary",
    "regenerate",
    "translate",
    "evaluate",
    "compare",
    "export",
    "push",
    "models",
    "classifier",
    "bench",
    "fetch",
    "recipes",
)
CLIP_SAMPLES = 4096
RECIPE = """\
# A recipe for mice
data:
  source: {source}
  holdout: 0.4
  clip_samples: 4096
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
training: {{steps: 2, batch_size: 2, checkpoint_every: 1, precision: fp32}}
monitor: {{preview_every: 0, tensorboard: false}}
"""


def write_tones(folder: Path, count: int = 8, *, rate: int = 16000, channels: int = 1) -> Path:
    """Writes a folder of decaying tones; `sounds` makes the same, but only for a single test."""
    folder.mkdir(parents=True)
    time = np.arange(rate // 4) / rate
    for number in range(count):
        tone = 0.5 * np.sin(2 * np.pi * (200 + 100 * number) * time) * np.exp(-9 * time)
        soundfile.write(folder / f"tone-{number}.wav", np.repeat(tone[:, None], channels, 1), rate)
    return folder


def trained(folder: Path, *overrides: str) -> Path:
    """Makes a folder with mouse.yaml, its sound and its run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVEGAN_CACHE", str(folder / "cache"))
        write_tones(folder / "tones", 16)
        path = folder / "mouse.yaml"
        path.write_text(RECIPE.format(source=folder / "tones"))
        train(recipes.load(path, overrides), folder / "runs" / "mouse", device="cpu")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Returns a folder where mouse.yaml was trained; no test writes into it."""
    return trained(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def model(home) -> Path:
    return home / "runs" / "mouse"


@pytest.fixture(scope="module")
def odd_model(tmp_path_factory) -> Path:
    """Trains a model of stereo sound at a rate that MP3 does not know."""
    odd = trained(tmp_path_factory.mktemp("odd"), "data.channels=2", "data.sample_rate=11000", "training.steps=1")
    return odd / "runs" / "mouse"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Makes every test work in a folder of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def everything_under(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What each command gives.


def test_train_gives_its_run_as_json(command, home, here):
    outcome = command("train", home / "mouse.yaml", "--json")
    assert outcome.code == 0
    values = json.loads(outcome.out)
    assert outcome.out.count("\n") == 1
    assert set(values) == {"run", "step", "seconds", "steps_per_second", "checkpoint"}
    assert (values["run"], values["step"]) == ("runs/mouse", 2)
    assert values["seconds"] > 0 and values["steps_per_second"] > 0
    assert (here / values["checkpoint"]).is_file()
    assert "learning from 10 files, 2.5 seconds at 16,000 Hz" in outcome.err and "held out: 6 files" in outcome.err


def test_sound_to_judge_by_that_is_of_another_kind_is_told(command, home, sounds):
    words = ("training.steps=1", "data.holdout=0", "--run-dir")
    told = command("train", home / "mouse.yaml", *words, "a", "data.test=drum_machine/test").err
    assert "data.test is drum_machine/test, and data.source other sound" in told and "set data.test=null" in told
    other = sounds(6, seconds=0.4, labels=("zero", "one"), name="digits")
    told = command("train", home / "mouse.yaml", *words, "b", f"data.test={other}").err
    assert "the held-out sound and data.source share no label" in told
    assert "would not say how good" not in command("train", home / "mouse.yaml", "training.steps=1").err


def test_a_translation_between_other_sounds_is_told_what_judges_it(command, sounds):
    small = ("training.steps=2", "generator.dim=1", "discriminators.*.dim=1", "monitor.preview_count=1")
    mine = f"data.source={sounds(4, seconds=0.4, name='mine')}"
    told = command("train", "translate_drums", *small, mine, "--run-dir", "a").err
    assert "data.test is drum_machine/room/test, and data.source other sound" in told
    assert "set data.test=null data.test_b=null" in told and "data.test_b is" not in told
    mine_b = f"data.source_b={sounds(4, seconds=0.4, name='mine_b')}"
    assert "data.test_b is drum_machine" in command("train", "translate_drums", *small, mine_b, "--run-dir", "b").err


def test_train_prints_its_checkpoint_and_nothing_else(command, home):
    outcome = command("train", home / "mouse.yaml", "training.steps=1", "--run-dir", "elsewhere")
    assert outcome.out == "elsewhere/checkpoints/step-00000001.pt\n"


def test_overrides_reach_the_run(command, home):
    command("train", home / "mouse.yaml", "training.steps=1", "name=rat", "training.seed=5", "generator.latent=normal")
    kept = recipes.load("runs/rat/recipe.yaml")
    assert (kept.training.seed, kept.generator.latent, kept.training.steps) == (5, "normal", 1)


def test_dry_run_resolves_the_recipe_counts_and_leaves_nothing(command, home, here):
    outcome = command("train", home / "mouse.yaml", "training.steps=7", "--dry-run")
    assert outcome.code == 0 and outcome.err == "" and list(here.iterdir()) == []
    recipe_text, _, counts = outcome.out.partition("\n# ")
    Path("again.yaml").write_text(recipe_text)
    again = recipes.load("again.yaml")
    assert again == recipes.load(home / "mouse.yaml", ["training.steps=7"])
    networks = assemble.method(again, torch.device("cpu")).networks
    sizes = {name: sum(parameter.numel() for parameter in network.parameters()) for name, network in networks.items()}
    assert f"# {counts}" == "".join(f"# {name}: {size:,} parameters\n" for name, size in sizes.items())
    as_json = json.loads(command("train", home / "mouse.yaml", "training.steps=7", "--dry-run", "--json").out)
    assert as_json == {"recipe": recipes.as_dict(again), "parameters": sizes}


def test_dry_run_of_the_largest_recipe_needs_no_memory(command, home):
    outcome = command(
        "train", home / "mouse.yaml", "generator.dim=1024", "data.clip_samples=65536", "--dry-run", "--json"
    )
    assert outcome.code == 0 and json.loads(outcome.out)["parameters"]["generator"] > 17e9


def test_generate_gives_its_files_as_json(command, model, here):
    outcome = command("generate", model, "-n", 3, "--out", "new/clips", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == {
        "out": "new/clips",
        "files": [f"new/clips/clip-00000{number}.wav" for number in range(3)],
        "sample_rate": 16000,
        "clip_samples": CLIP_SAMPLES,
    }
    names = [*(f"clip-00000{number}.wav" for number in range(3)), "clips.json"]
    assert sorted(everything_under(here)) == [here / "new/clips" / name for name in names]
    info = soundfile.info("new/clips/clip-000000.wav")
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (CLIP_SAMPLES, 16000, 1, "PCM_16")


def test_generate_prints_one_file_a_line(command, model):
    outcome = command("generate", model, "-n", 2, "--out", "new")
    assert outcome.out == "new/clip-000000.wav\nnew/clip-000001.wav\n"


def test_clips_go_beside_the_model_that_made_them(command, home, tmp_path):
    run = trained(tmp_path / "other", "training.steps=1") / "runs" / "mouse"
    lone = tmp_path / "lone" / "model.pt"
    lone.parent.mkdir()
    lone.write_bytes(next(run.glob("checkpoints/*")).read_bytes())
    places = [run, next(run.glob("checkpoints/*")), lone]
    outs = [json.loads(command("generate", place, "-n", 1, "--force", "--json").out)["out"] for place in places]
    assert outs == [f"{run}/generated", f"{run}/generated", f"{lone.parent}/generated"]


@pytest.mark.parametrize("extension", options.FORMATS)
def test_every_format_sounds_the_same(command, model, extension):
    command("generate", model, "-n", 2, "--out", "plain")
    outcome = command("generate", model, "-n", 2, "--out", "new", "--format", extension)
    assert outcome.code == 0, outcome.err
    sound, rate = soundfile.read(f"new/clip-000001.{extension}")
    plain, _ = soundfile.read("plain/clip-000001.wav")
    assert rate == 16000 and len(sound) == CLIP_SAMPLES
    assert np.abs(sound - plain).max() < (1e-4 if extension in ("wav", "flac") else 0.2)


def test_stereo(command, odd_model):
    for extension in ("wav", "flac", "ogg"):
        outcome = command("generate", odd_model, "-n", 2, "--out", "new", "--format", extension)
        assert outcome.code == 0, outcome.err
        sound, rate = soundfile.read(f"new/clip-000001.{extension}")
        assert sound.shape == (CLIP_SAMPLES, 2) and rate == 11000 not in MP3_RATES


def test_clip_k_is_the_same_for_any_count(command, model):
    for count in (1, 3, 40):  # one, some, and more than a batch
        command("generate", model, "-n", count, "--out", str(count), "--seed", 3)
    three = [soundfile.read(f"3/clip-00000{number}.wav")[0] for number in range(3)]
    for number in range(3):
        assert np.abs(soundfile.read(f"40/clip-00000{number}.wav")[0] - three[number]).max() < 1e-4
    assert np.abs(soundfile.read("1/clip-000000.wav")[0] - three[0]).max() < 1e-4
    assert np.abs(three[0] - three[1]).max() > 1e-3, "clips differ"
    command("generate", model, "-n", 1, "--out", "other", "--seed", 4)
    assert np.abs(soundfile.read("other/clip-000000.wav")[0] - three[0]).max() > 1e-3, "seeds differ"


def test_truncation_brings_clips_nearer_to_each_other(command, model):
    def spread(truncation: float) -> float:
        command("generate", model, "-n", 8, "--out", f"{truncation}", "--truncation", truncation)
        return float(np.std([soundfile.read(path)[0] for path in Path(f"{truncation}").glob("*.wav")], axis=0).mean())

    assert spread(0.01) < 0.1 * spread(1.0)


def test_a_walk_is_one_file_from_the_first_clip_to_the_last(command, model):
    outcome = command("generate", model, "-n", 3, "--interpolate", "--out", "new", "--format", "flac", "--json")
    assert json.loads(outcome.out)["files"] == ["new/walk.flac"]
    walk = soundfile.read("new/walk.flac")[0].reshape(-1, CLIP_SAMPLES)
    assert len(walk) == 17, "3 keyframes and 7 clips between each two"
    command("generate", model, "-n", 3, "--out", "clips")
    for number in range(3):
        clip = soundfile.read(f"clips/clip-00000{number}.wav")[0]
        assert np.abs(walk[8 * number] - clip).max() < 1e-3
    assert np.abs(walk[4] - walk[0]).max() > 1e-3


@pytest.mark.parametrize("walk", [(), ("--interpolate",)])
def test_nothing_is_written_over_or_beside_what_exists(command, model, here, walk):
    name = "walk.wav" if walk else "clip-000002.wav"
    Path("new").mkdir()
    Path("new", name).write_text("mine")
    outcome = command("generate", model, "-n", 4, "--out", "new", *walk)
    assert outcome.code == 2 and f"error: new/{name} exists already" in outcome.err and "--force" in outcome.err
    assert everything_under(here) == {here / "new" / name: b"mine"}
    assert command("generate", model, "-n", 4, "--out", "new", "--force", *walk).code == 0
    assert soundfile.info(f"new/{name}").frames >= CLIP_SAMPLES


def test_raw_weights_are_others(command, model):
    command("generate", model, "-n", 1, "--out", "averaged")
    command("generate", model, "-n", 1, "--out", "raw", "--raw")
    averaged, raw = (Path(folder, "clip-000000.wav").read_bytes() for folder in ("averaged", "raw"))
    assert averaged != raw


def test_evaluate_a_model_twice(command, model, here, monkeypatch):
    """Compares the figures of both times to the last bit, and checks that each file is where the command says."""
    monkeypatch.setattr("wavegan.evaluation.meaning.LEAST_CLIPS", 1)  # two clips are enough to see that
    words = ("evaluate", model, "--count", 2, "--classifier", "none", "--json", "--out")
    first, second = (command(*words, name) for name in ("one", "two"))
    assert first.code == second.code == 0
    values, again = json.loads(first.out), json.loads(second.out)
    assert {"metrics", "reference", "report"} < set(values)
    sets = ("metrics", "reference", "untrained", "training", "noise")
    assert set(values) == {*sets, "by_count", "facts", "labels", "labels_obeyed", "report", "spectrograms"}
    assert values["labels_obeyed"] is None
    for name in (*sets, "facts"):
        assert values[name] == again[name]
    for name in sets:
        score = values[name]["fad_l"]
        assert set(score) == {"value", "low", "high", "n"} and score["low"] <= score["value"] <= score["high"]
    assert values["noise"]["fad_l"]["value"] > values["reference"]["fad_l"]["value"]
    assert json.loads(Path("one/metrics.json").read_text()) == values
    assert sorted(path.name for path in here.joinpath("one").iterdir()) == [
        "metrics.json", "report.html", "spectrograms.png",
    ]  # fmt: skip
    assert values["report"] == "one/report.html" and values["spectrograms"] == "one/spectrograms.png"


def test_evaluate_says_how_many_labels_were_obeyed(command, monkeypatch):
    score = {"value": 0.5, "low": 0.0, "high": 1.0, "n": 4}
    figures = {name: {"kad_l": score} for name in ("generated", "real")}
    result = Evaluation(Path("e"), Path("report.html"), Path("grid.png"), figures, {}, None, labels_obeyed=0.753)
    monkeypatch.setattr("wavegan.commands.evaluate.evaluate", lambda *_, **__: result)
    assert command("evaluate", "drums").out.splitlines()[-3:] == ["labels obeyed: 0.75", "grid.png", "report.html"]


def test_evaluate_a_folder_of_audio(command, home, model):
    """Checks that any folder is judged alike; real sound is nearer to real sound than an untrained model."""
    command("generate", model, "-n", 8, "--out", "made")
    made = command("evaluate", "made", "--data", home / "tones", "--out", "judged")
    assert made.code == 0, made.err
    heads, first, *_, counts, picture, page = made.out.splitlines()
    assert heads.split() == ["generated", "real", "noise"] and first.split()[0] == "kad_l"
    assert counts == "clips of each set: 8"  # half of the sixteen tones
    assert (picture, page) == ("judged/spectrograms.png", "judged/report.html") and Path(page).is_file()
    values = json.loads(Path("judged/metrics.json").read_text())
    assert values["metrics"]["fad_l"]["value"] > values["reference"]["fad_l"]["value"]


def test_a_folder_is_judged_at_its_own_place_unless_told(command, home, monkeypatch):
    monkeypatch.setattr("wavegan.commands.evaluate.write_report", lambda *_, **__: None)
    outcome = command("evaluate", home / "tones", "--data", home / "tones", "--json")
    assert json.loads(outcome.out)["report"] == "evaluation/tones/report.html"
    shutil.copytree(home / "tones", "tones")
    outcome = command("evaluate", "tones", "--data", home / "tones", "--json")
    assert "evaluation/tones-2/report.html" in outcome.out, "tones of another folder"
    assert "evaluation/tones holds" in outcome.err


def test_python_m_wavegan_with_a_reader_that_leaves():
    """Runs the same program; a closed pipe (`| head -1`) is no error of ours to report."""
    program = f"{sys.executable} -m wavegan"
    done = subprocess.run(f"{program} --version", shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"wavegan, version {__version__}\n", "")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(f"{program} train --help", shell=True, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
    done = subprocess.run(f"{program} train nowhere.yaml", shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("error: nowhere.yaml: there is no such")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_two_examples_that_parse(command, name):
    outcome = command(name, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    text = outcome.out.partition("Examples:\n")[2].partition("\n\n")[0]
    examples = [line.split()[1:] for line in text.splitlines()]
    assert len(examples) == 2 and all(words[0] == name for words in examples)
    for words in examples:
        command, rest = cli.cli.commands[name], words[1:]
        while isinstance(command, click.Group):
            command, rest = command.commands[rest[0]], rest[1:]
        with command.make_context(name, rest) as context:
            assert context.params, "the example is understood"


def test_every_command_is_tested():
    assert sorted(cli.cli.commands) == sorted(COMMANDS)


def test_alone_it_shows_its_help(command):
    assert command() == command("--help") == command("-h")


# What users get wrong.


def one_error(outcome, *parts: str) -> str:
    """Returns the message of a refusal: one error, on stderr alone, that holds these parts in order."""
    assert outcome.code == 2, (outcome.code, outcome.err)
    assert outcome.out == "" and "Traceback" not in outcome.err
    message = outcome.err[outcome.err.index("error: ") :]
    assert outcome.err.count("error: ") == 1 and (outcome.err == message or outcome.err.endswith(f"\n{message}"))
    place = 0
    for part in parts:
        start = message.find(part, place)
        assert start >= 0, f"{part!r} is not in its turn in {message!r}"
        place = start + len(part)
    return message


# Each: the words, and what the message must say, in this order: the value, the rule, the remedy.
# {mouse}: a recipe; {model}: its run; {tones}: its sound; {tmp}: a folder with what `things` puts there.
MISTAKES: dict[str, tuple[str, tuple[str, ...]]] = {
    "unknown command": ("trian {mouse}", ("No such command", "'trian'", "wavegan --help")),
    "unknown option": ("train {mouse} --runn x", ("No such option '--runn'", "wavegan train --help")),
    "option without value": ("generate {model} --out", ("'--out' requires an argument", "wavegan generate --help")),
    "no recipe": ("train", ("Missing argument 'RECIPE|RUN'", "wavegan train --help")),
    "no model": ("generate", ("Missing argument 'MODEL'", "wavegan generate --help")),
    "one too many": ("generate {model} {model}", ("unexpected extra argument", "wavegan generate --help")),
    "missing recipe": ("train nowhere.yaml", ("nowhere.yaml", "there is no such file", "recipes near it")),
    "misspelt recipe": ("train {tmp}/mouze.yaml", ("mouze.yaml", "no such file", "did you mean", "mouse.yaml")),
    "directory as recipe": ("train {tmp}", ("{tmp}", "a recipe is a file", "mouse.yaml")),
    "sound as recipe": ("train {tones}/tone-0.wav", ("tone-0.wav", "not UTF-8", "save it as UTF-8")),
    "text as recipe": ("train {tmp}/notes.txt", ("notes.txt", "must hold sections", "begin with data:")),
    "empty recipe": ("train {tmp}/nothing", ("nothing", "empty; it must hold sections", "begin with data:")),
    "typo key": ("train {mouse} trainin.steps=3", ("unknown key trainin", "did you mean training?")),
    "typo in section": ("train {mouse} training.stpes=3", ("training.stpes", "did you mean training.steps?")),
    "bad value": ("train {mouse} training.steps=many", ("training.steps is many", "must be a whole number", "try 2")),
    "value too low": ("train {mouse} training.batch_size=0", ("training.batch_size is 0", "at least 1", "try 1")),
    "bad clip length": ("train {mouse} data.clip_samples=5000", ("5000", "wavegan is for 4096", "try 4096")),
    "override without =": ("train {mouse} steps", ("command line: steps", "write key.path=value", "training.steps=")),
    "home of nobody": ("info ~nobodyhere/run", ("~nobodyhere/run does not exist",)),
    "source of nobody": ("train {mouse} data.source=~nobodyhere/x", ("~nobodyhere/x does not exist",)),
    "missing source": ("train {mouse} data.source=nowhere", ("nowhere", "does not exist", "check the spelling")),
    "source is a file": ("train {mouse} data.source={tmp}/notes.txt", ("notes.txt", "is a file", "name the folder")),
    "empty source": ("train {mouse} data.source={tmp}/empty", ("empty holds no sound", "another folder")),
    "folder of texts": (
        "train {mouse} data.source={tmp}/texts",
        ("texts holds no sound", "are not sound but texts"),
    ),
    "all broken": ("train {mouse} data.source={tmp}/broken", ("none of the 2 files can be used", "repair", "a.wav: ")),
    "some broken": ("train {mouse} data.source={tmp}/mixed", ("1 of 3", "0.05", "raise data.max_bad", "bad.wav: ")),
    "not fetched yet": ("train {mouse} data.source=sc09", ("sc09", "downloaded once", "run: wavegan fetch sc09")),
    "missing test": ("train {mouse} data.test=nowhere", ("nowhere", "does not exist", "check the spelling")),
    "none for null": ("train {mouse} data.test=None", ("data.test is None; there is no such", "write data.test=null")),
    "off for null": ("train {mouse} data.test=off", ("data.test is off; there is no such", "write data.test=null")),
    "the old option": ("train {mouse} --run new", ("--run is new", "is called --run-dir now", "write --run-dir new")),
    "run is a file": ("train {mouse} --run-dir {tmp}/notes.txt", ("notes.txt", "is a file", "--run-dir")),
    "run is below a file": (
        "train {mouse} --run-dir {tmp}/notes.txt/run",
        ("notes.txt/run", "cannot be made", "--run-dir"),
    ),
    "run is other's": ("train {mouse} --run-dir {tones}", ("holds tone-0.wav", "a folder of its own", "--run-dir")),
    "fresh is other's": ("train {mouse} --run-dir {tones} --fresh", ("holds tone-0.wav", "its own", "--run-dir")),
    "run is here": ("train {mouse} --run-dir {tmp}/home/../texts", ("holds a.txt", "a folder of its own", "--run-dir")),
    "changed recipe": (
        "train {mouse} --run-dir {model} generator.dim=2",
        ("{model}", "keeps", "--fresh", "generator.dim: 1 → 2"),
    ),
    "unknown device": ("train {mouse} --device gpu", ("the device is 'gpu'", "cuda:N", "--device auto")),
    "a device of torch's": ("train {mouse} --device meta", ("the device is 'meta'", "cuda:N", "--device auto")),
    "no device": ("generate {model} --device=", ("the device is ''", "cuda:N", "--device auto")),
    "missing model": (
        "generate nowhere",
        ("nowhere does not exist", "a MODEL is a run folder, a checkpoint file", "spelling", "no run in runs/"),
    ),
    "info of no sound": ("info {tmp}/gone.wav", ("gone.wav does not exist", "a sound file, a MODEL", "spelling")),
    "an empty label": ("generate drums --label=", ("--label is empty", "drums knows")),
    "a path without a name": ("generate {model} --out=", ("--out", "it is empty", "name a path")),
    "empty model": ("generate {tmp}/empty", ("empty holds no checkpoint", "a MODEL is", "wavegan train")),
    "sound as model": ("generate {tones}", ("tones holds no checkpoint", "a MODEL is", "wavegan train")),
    "random model": (
        "generate {tmp}/random.pt",
        ("random.pt cannot be read", "damaged or not a checkpoint", "another"),
    ),
    "text as model": (
        "generate {tmp}/notes.txt",
        ("notes.txt cannot be read", "damaged or not a checkpoint", "another"),
    ),
    "nothing as model": (
        "generate {tmp}/nothing",
        ("nothing cannot be read", "damaged or not a checkpoint", "another"),
    ),
    "recipe as model": ("generate {mouse}", ("mouse.yaml is a recipe", "a MODEL is", "did you mean {model}?")),
    "a run's recipe as model": (
        "generate {model}/recipe.yaml",
        ("recipe.yaml is a recipe", "name the run folder {model}"),
    ),
    "misspelt model": ("generate {model}s", ("mouses does not exist", "a MODEL is", "did you mean {model}?")),
    "the folder of runs as model": ("generate {runs}", ("runs holds no checkpoint", "a MODEL is", "name {model}")),
    "zip as model": (
        "generate {tmp}/other.zip",
        ("other.zip cannot be read", "damaged or not a checkpoint", "another"),
    ),
    "tensor as model": (
        "generate {tmp}/tensor.pt",
        ("tensor.pt is not a checkpoint of this version", "name another file"),
    ),
    "truncated model": ("generate {tmp}/cut.pt", ("cut.pt cannot be read", "damaged or not a checkpoint", "another")),
    "flipped model": (
        "generate {tmp}/flipped.pt",
        ("flipped.pt cannot be read", "damaged or not a checkpoint", "another"),
    ),
    "no clips": ("generate {model} -n 0", ("'-n'", "0 is no whole number from 1 to ", "wavegan generate --help")),
    "too many clips": ("generate {model} -n 99999999999", ("'-n'", "is no whole number", "wavegan generate --help")),
    "half a clip": ("generate {model} -n 1.5", ("1.5 is no whole number from 1 to", "wavegan generate --help")),
    "a walk of one": ("generate {model} --interpolate -n 1", ("-n is 1", "two latents", "-n 8")),
    "unknown format": ("generate {model} --format aiff", ("'aiff' is not one of", "'flac'", "wavegan generate --help")),
    "negative seed": (
        "generate {model} --seed -1",
        ("'--seed'", "-1 is no whole number from 0 to", "wavegan generate --help"),
    ),
    "huge seed": (
        "evaluate {model} --seed 9223372036854775808",
        ("'--seed'", "is no whole number", "wavegan evaluate --help"),
    ),
    "no truncation": ("generate {model} --truncation 0", ("--truncation is 0", "above 0 and at most 1", "try 0.7")),
    "wide truncation": ("generate {model} --truncation 2", ("--truncation is 2", "at most 1", "try 0.7")),
    "nan truncation": ("generate {model} --truncation nan", ("--truncation is nan", "at most 1", "try 0.7")),
    "mp3 at 11000 Hz": ("generate {odd} --format mp3", ("11000 Hz", "1 or 2 at 8000, 11025", "choose wav or flac")),
    "out is a file": ("generate {model} --out {tmp}/notes.txt", ("notes.txt", "cannot be made", "--out")),
    "out below a file": ("generate {model} --out {tmp}/notes.txt/x", ("notes.txt/x", "cannot be made", "--out")),
    "judged below a file": ("evaluate {model} --out {tmp}/notes.txt", ("notes.txt", "cannot be made", "--out")),
    "missing target": ("evaluate nowhere", ("nowhere does not exist", "a folder of audio", "spelling")),
    "folder without data": ("evaluate {tones}", ("a folder of audio is no model", "must be named", "--data DIR")),
    "folder without sound": ("evaluate {tmp}/empty --data {tones}", ("empty holds no sound", "name another folder")),
    "file as target": (
        "evaluate {tones}/tone-0.wav",
        ("tone-0.wav is a sound file", "a folder of", "or for that its folder"),
    ),
    "the folder of runs as target": ("evaluate {runs}", ("runs is a folder of runs", "one run", "name {model}")),
    "a run as data": ("evaluate {model} --data {model}", ("{model} is a run", "real sound is needed", "name a folder")),
    "a run as training": ("evaluate {model} --training {model}", ("{model} is a run", "real sound", "name a folder")),
    "a run to classify": ("classifier train {model}", ("{model} is a run", "real sound is needed", "name a folder")),
    "a model's name as data": ("evaluate {tones} --data drums", ("drums is a shipped model", "name a folder")),
    "a model's name to classify": ("classifier train drums", ("drums is a shipped model", "real sound is needed")),
    "data empty": ("evaluate {model} --data {tmp}/empty", ("empty holds no sound", "another folder")),
    "data missing": ("evaluate {tones} --data nowhere", ("nowhere does not exist", "check the spelling")),
    "data broken": ("evaluate {tones} --data {tmp}/broken", ("none of the 2 files can be used", "repair")),
    "one clip of data": ("evaluate {model} --data {tmp}/single", ("held-out clips", "2 or more", "--data DIR")),
    "count of one": ("evaluate {model} --count 1", ("1 is no whole number of at least 2", "wavegan evaluate --help")),
    "unknown data set": ("fetch sc10 --to {tmp}", ("'sc10'", "known are sc09", "did you mean sc09?")),
    "fetch into a file": ("fetch sc09 --to {tmp}/notes.txt", ("notes.txt", "--to names another folder")),
}


@pytest.fixture(scope="module")
def things(tmp_path_factory, home, model) -> Path:
    """Makes a folder of files and folders that users name by mistake."""
    folder = tmp_path_factory.mktemp("things")
    (folder / "mouse.yaml").write_text((home / "mouse.yaml").read_text())
    (folder / "notes.txt").write_text("Dear diary")
    (folder / "nothing").touch()
    (folder / "random.pt").write_bytes(np.random.default_rng(0).bytes(4000))
    (folder / "empty").mkdir()
    (folder / "home").mkdir()
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("no sound")
    (folder / "broken").mkdir()
    (folder / "broken" / "a.wav").write_text("no sound")
    (folder / "broken" / "b.wav").touch()
    write_tones(folder / "mixed", 2).joinpath("bad.wav").write_text("no sound")
    write_tones(folder / "single", 1)
    with zipfile.ZipFile(folder / "other.zip", "w") as archive:
        archive.writestr("a.txt", "no checkpoint")
    torch.save(torch.zeros(3), folder / "tensor.pt")
    good = next(model.glob("checkpoints/*")).read_bytes()
    (folder / "cut.pt").write_bytes(good[: len(good) // 2])
    middle = len(good) // 2
    (folder / "flipped.pt").write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told(command, home, model, odd_model, things, here, mistake):
    words, parts = MISTAKES[mistake]
    names = {"mouse": home / "mouse.yaml", "tones": home / "tones", "model": model, "odd": odd_model, "tmp": things}
    names["runs"] = model.parent
    before = {path: everything_under(path) for path in (things, home, model)}
    outcome = command(*(word.format(**names) for word in words.split()))
    one_error(outcome, *(part.format(**names) for part in parts))
    assert {path: everything_under(path) for path in before} == before, "nothing was changed"
    assert set(everything_under(here)) <= {here / "runs/mouse/lock"}, "nothing was left behind"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_without_cuda(command, home, here, device):
    message = one_error(command("train", home / "mouse.yaml", "--device", device))
    assert f"the device is {device}" in message and "--device auto" in message
    assert list(here.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_out_that_cannot_be_written(command, model):
    Path("shut").mkdir(mode=0o500)
    one_error(command("generate", model, "--out", "shut"), "shut cannot be written to", "--out")


@pytest.mark.parametrize("words", ["generate {model} -n 1", "evaluate {model} --count 2", "train {mouse}"])
@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EROFS, errno.ESTALE])
def test_a_full_or_shut_disk_is_told(command, home, model, monkeypatch, words, kind):
    """Checks every write: if the disk refuses it, the message names the file and a way out."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(kind, os.strerror(kind), "some/place")

    for place in ("commands.generate.generate", "commands.evaluate.write_report", "commands.train.checkpoint.save"):
        monkeypatch.setattr(f"wavegan.{place}", refuse)
    outcome = command(*words.format(model=model, mouse=home / "mouse.yaml").split())
    one_error(outcome, f"some/place: {os.strerror(kind)}; ", "name another")


def test_whatever_the_system_refuses_is_one_sentence_with_the_place(command, monkeypatch):
    kinds = errno.errorcode.keys() - {errno.EPIPE, errno.ESHUTDOWN}  # the reader of stdout has gone
    for kind, place in zip(sorted(kinds), itertools.cycle(("some/place", b"some/place", None)), strict=False):

        def refuse(*_: object, kind: int = kind, place: str | bytes | None = place) -> None:
            raise OSError(kind, os.strerror(kind), place)

        monkeypatch.setattr("wavegan.recipe.load", refuse)
        message = one_error(command("train", "x"), f"{'some/place' if place else 'standard output'}: ")
        assert re.fullmatch(f"error: [^;]+: {re.escape(os.strerror(kind))}; [^\n]{{10,}}\n", message)


def test_an_error_of_a_library_that_only_poses_as_the_systems_is_a_bug(home, monkeypatch):
    def stumble(*_: object) -> None:
        raise OSError("no number")

    monkeypatch.setattr("wavegan.recipe.load", stumble)
    monkeypatch.setattr(sys, "argv", ["wavegan", "train", "x"])
    with pytest.raises(OSError, match="no number"):
        cli.main()


def test_too_little_memory_is_told(command, home, monkeypatch):
    monkeypatch.setattr("wavegan.assemble.assembly.batches", lambda *_: lambda _: torch.empty(2**58))
    outcome = command("train", home / "mouse.yaml")
    one_error(outcome, "too little memory", "training.batch_size")


def test_our_own_bugs_keep_their_traceback(home, monkeypatch):
    """Only a fault that a user can fix is reported without a traceback."""

    def stumble(*_: object, **__: object) -> None:
        raise RuntimeError("our bug")

    monkeypatch.setattr("wavegan.recipe.load", stumble)
    monkeypatch.setattr(sys, "argv", ["wavegan", "train", "x"])
    monkeypatch.setattr("warnings.showwarning", None)
    with pytest.raises(RuntimeError, match="our bug"):
        cli.main()


def test_all_faults_of_a_recipe_at_once(command, home):
    outcome = command("train", home / "mouse.yaml", "training.stpes=3", "generator.dim=0", "data.sorce=x")
    message = one_error(outcome, "data.sorce", "generator.dim is 0", "training.stpes")
    assert message.count("\n") == 3 and all(line for line in message.splitlines())


@pytest.mark.filterwarnings("default")
def test_a_damaged_checkpoint_is_warned_of(command, home, tmp_path):
    run = trained(tmp_path / "other") / "runs" / "mouse"
    newest = checkpoint.newest_path(run / "checkpoints")
    newest.write_bytes(newest.read_bytes()[:1000])
    outcome = command("generate", run, "-n", 1, "--out", "new")
    assert outcome.code == 0 and outcome.out == "new/clip-000000.wav\n"
    assert outcome.err.startswith(f"warning: {newest} cannot be read") and outcome.err.count("\n") == 1
    for path in run.glob("checkpoints/*"):
        path.write_bytes(b"spoilt")
    again = command("generate", run, "-n", 1, "--out", "newer")
    assert again.code == 2 and again.err.splitlines()[-1].startswith("error: none of the 2 checkpoints")
    assert not Path("newer").exists()


def test_a_run_folder_that_could_not_be_named(command, home, monkeypatch):
    """Trains with `--run-dir .` in a new folder; --fresh can move it aside, though "." has no name."""
    folder = Path("new").absolute()
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert command("train", home / "mouse.yaml", "training.steps=1", "--run-dir", ".").code == 0
    outcome = command("train", home / "mouse.yaml", "training.steps=1", "--run-dir", ".", "--fresh")
    assert outcome.code == 0 and f"moved the earlier run to {folder}.1" in outcome.err
    assert (folder / "recipe.yaml").is_file() and (folder.with_name("new.1") / "recipe.yaml").is_file()


def test_names_that_are_no_valid_text(command, home, tmp_path):
    """Reads files whose names are not UTF-8, as in old archives, and lists them in valid text."""
    tones = write_tones(tmp_path / "tones", 30)
    odd = os.fsencode(tones) + b"/caf\xe9.wav"
    try:
        os.rename(tones / "tone-0.wav", odd)
    except OSError:
        pytest.skip("this file system takes no such name")
    outcome = command("train", home / "mouse.yaml", f"data.source={tones}", "training.steps=1")
    assert outcome.code == 0, outcome.err
    report = json.loads(Path("runs/mouse/corpus.json").read_text())
    assert report["skipped"] == {} and r"caf\xe9.wav" in report["items"]["training"] | report["items"]["held_out"]
