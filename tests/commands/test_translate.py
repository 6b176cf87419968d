"""Tests `wavegan translate` and labels on the command line, with models trained for two steps."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from wavegan import recipe as recipes
from wavegan.commands.model_loading import TRANSLATORS, load_model
from wavegan.commands.train import train
from wavegan.errors import DataError, RunError
from wavegan.training import checkpoint

RATE = 16000
SMALL = [
    "data.clip_samples=4096", "generator.dim=1", "generator.kernel_size=9", "discriminators.waveform.name=wavegan",
    "discriminators.waveform.dim=1", "discriminators.waveform.kernel_size=9", "training.batch_size=2",
    "training.steps=2", "training.precision=fp32", "data.holdout=0", "monitor.preview_count=1",
    "monitor.tensorboard=false",
]  # fmt: skip


def tones(folder: Path, pitch: float) -> Path:
    """Writes six decaying tones."""
    folder.mkdir(parents=True)
    time = np.arange(RATE // 2) / RATE
    for number in range(6):
        tone = np.sin(2 * np.pi * (pitch + 10 * number) * time) * np.exp(-5 * time)
        soundfile.write(folder / f"tone-{number}.wav", 0.5 * tone, RATE)
    return folder


def trained(folder: Path, *settings: str) -> Path:
    path = folder / "a.yaml"
    path.write_text(f"data: {{source: {tones(folder / 'sounds' / 'low', 200).parent}}}\n")
    tones(folder / "sounds" / "high", 2000)
    train(recipes.load(path, [*SMALL, *settings]), folder / "run", device="cpu")
    return folder / "run"


@pytest.fixture(scope="module")
def translator(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("translator")
    other = tones(folder / "b", 1000)
    return trained(
        folder, "method.name=translation", "generator.name=translator", "generator.blocks=0", f"data.source_b={other}"
    )


@pytest.fixture(scope="module")
def conditional(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("conditional"), "generator.labels=2")


@pytest.fixture
def loop(tmp_path) -> Path:
    """Writes a sound of an odd length at another rate, in stereo, with its peak at 0.25."""
    path = tmp_path / "loop.flac"
    noise = np.random.default_rng(0).uniform(-1, 1, (22050 + 77, 2)) * np.linspace(1, 0, 22127)[:, None]
    soundfile.write(path, 0.25 * noise / np.abs(noise).max(), 22050)
    return path


def test_a_file_of_any_length_is_translated(command, translator, loop, tmp_path):
    done = command("translate", translator, loop, "--to", "B", "--out", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result == {
        "out": str(tmp_path / "out"), "files": [str(tmp_path / "out" / "loop-to-B.wav")], "sample_rate": RATE,
    }  # fmt: skip
    sound, rate = soundfile.read(tmp_path / "out" / "loop-to-B.wav")
    assert rate == RATE and sound.ndim == 1 and len(sound) == pytest.approx(22127 * RATE / 22050, abs=2)
    assert 0.02 < np.abs(sound).max() < 0.5, "at the level of the file"
    assert f"{loop}: it is resampled from 22,050 Hz to 16,000 Hz; its channels (2) are mixed to mono" in done.err
    assert "lowered" not in done.err


def test_a_sound_beyond_full_scale_is_made_softer_as_a_whole(command, translator, tmp_path):
    time = np.arange(RATE // 2) / RATE
    tone = np.sin(2 * np.pi * 300 * time)
    for peak in (0.5, 3):
        soundfile.write(tmp_path / f"{peak}.wav", peak * tone, RATE, subtype="FLOAT")
    done = command("translate", translator, tmp_path / "0.5.wav", tmp_path / "3.wav", "--out", tmp_path / "out")
    assert done.code == 0 and done.err.count("is lowered to 1, as a file would cut it off") == 1, done.err
    soft, loud = (soundfile.read(tmp_path / "out" / f"{peak}-to-B.wav")[0] for peak in (0.5, 3))
    assert np.abs(loud).max() > 0.999 and np.corrcoef(soft, loud)[0, 1] > 0.9999, "nothing is cut off"


def test_a_sound_is_converted_as_what_the_model_learned_from(command, tmp_path):
    sounds = tones(tmp_path / "b", 1000)
    settings = ("data.channel=2", "data.remove_dc=true", "method.name=translation", "generator.name=translator")
    run = trained(tmp_path, *settings, "generator.blocks=0", f"data.source_b={sounds}")
    left, right = np.random.default_rng(0).uniform(-0.2, 0.2, (2, 8000))
    for name, sound in {"stereo": np.stack([left, right + 0.3], 1), "right": right - right.mean()}.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype="FLOAT")
    done = command("translate", run, tmp_path / "stereo.wav", tmp_path / "right.wav", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    stereo, alone = (soundfile.read(tmp_path / "out" / f"{name}-to-B.wav")[0] for name in ("stereo", "right"))
    assert np.abs(stereo - alone).max() < 1e-3, "the right channel alone, without its offset"
    assert "stereo.wav: channel 2 of 2 is taken\n" in done.err and "right.wav:" not in done.err


def test_the_two_directions_are_two_networks(command, translator, loop, tmp_path):
    for to in ("A", "B"):
        assert command("translate", translator, loop, "--to", to, "--out", tmp_path).code == 0
    there, back = (soundfile.read(tmp_path / f"loop-to-{to}.wav")[0] for to in ("B", "A"))
    assert there.shape == back.shape and np.abs(there - back).max() > 1e-3


@pytest.mark.parametrize(("to", "name"), [("B", "a_to_b"), ("A", "b_to_a")])
def test_each_direction_is_the_network_that_was_trained_for_it(translator, to, name):
    model = load_model(translator, torch.device("cpu")).models[TRANSLATORS[to]]
    trained_weights = checkpoint.load(checkpoint.newest_path(translator / "checkpoints"))["averages"]
    weights = model.generator.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in trained_weights[name].items())
    other = trained_weights["b_to_a" if to == "B" else "a_to_b"]
    assert not all(torch.equal(value, weights[key]) for key, value in other.items())


def test_several_files_at_once_and_nothing_else_is_written_over(command, translator, loop, tmp_path):
    other = tmp_path / "again.wav"
    soundfile.write(other, np.zeros(100), RATE)  # silence, and shorter than a window
    words = ("translate", translator, loop, other, "--out", tmp_path / "out")
    done = command(*words)
    assert done.out.splitlines() == [str(tmp_path / "out" / f"{name}-to-B.wav") for name in ("loop", "again")]
    assert len(soundfile.read(tmp_path / "out" / "again-to-B.wav")[0]) == 100
    written = [path.read_bytes() for path in sorted((tmp_path / "out").iterdir())]
    (tmp_path / "out" / "again-to-B.wav").unlink()  # as after a kill
    goes_on = command(*words)
    assert goes_on.code == 0 and "1 of 2 are there, made of the same sounds, and kept" in goes_on.err
    assert [path.read_bytes() for path in sorted((tmp_path / "out").iterdir())] == written
    soundfile.write(other, np.full(100, 0.1), RATE)
    refused = command(*words)
    assert refused.code == 2 and "again-to-B.wav exists already (1 of 1 files do)" in refused.err
    assert command(*words, "--force").code == 0


def test_a_broken_file_is_told_of_before_anything_is_written(command, translator, loop, tmp_path):
    text = tmp_path / "notes.wav"
    text.write_text("Dear diary")
    done = command("translate", translator, loop, text, "--to", "b", "--out", tmp_path / "out")
    assert done.code == 2 and "notes.wav cannot be decoded" in done.err and not (tmp_path / "out").exists()


def test_a_walk_passes_through_every_label(command, conditional, tmp_path):
    words = ("--label", "high", "--label", "low", "--label", "high", "--interpolate", "--out", tmp_path)
    done = command("generate", conditional, "-n", 2, *words)
    assert done.code == 2 and "-n is 2 and there are 3 labels; a walk passes through each; try -n 3" in done.err


def test_both_sources_are_told_of(translator):
    report = json.loads((translator / "corpus.json").read_text())
    assert report["files"] == 12 and report["source_b"]["files"] == 6 and report["source_b"]["skipped"] == {}


def test_a_run_keeps_the_sound_that_it_translates_to(translator, tmp_path):
    changes = [f"data.source_b={tones(tmp_path / 'c', 3000)}", "training.steps=3"]
    recipe = recipes.load(translator / "recipe.yaml", changes)
    with pytest.raises(RunError, match="/b, and only 0 of 6 sounds of .*/c are the same; a run keeps its sound"):
        train(recipe, translator, device="cpu")


def test_a_conditional_run_keeps_its_labels(tmp_path):
    run = trained(tmp_path, "generator.labels=2", "training.checkpoint_every=1", "training.steps=1")
    low = tmp_path / "sounds" / "low"
    low.rename(low.with_name("zzz"))
    path = tmp_path / "a.yaml"
    with pytest.raises(DataError, match="the labels were high, low and are high, zzz; a run keeps its labels"):
        train(recipes.load(path, [*SMALL, "generator.labels=2", "training.checkpoint_every=1"]), run, device="cpu")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing.wav"], "missing.wav does not exist; a sound file is needed; check the spelling"),
        (["{loop}", "{loop}"], "loop-to-B.wav; make one of them in another --out"),
        (["{text}"], "notes.wav cannot be decoded (Format not recognised); it is damaged or no sound; if another"),
        ([], "Missing argument 'SOUND…'"),
        (["{loop}", "--to", "C"], "'C' is not one of"),
    ],
)
def test_mistakes(command, translator, loop, tmp_path, words, sentence):
    text = tmp_path / "notes.wav"
    text.write_text("Dear diary")
    done = command(
        "translate", translator, *(word.format(loop=loop, text=text) for word in words), "--out", tmp_path / "o"
    )
    assert done.code == 2 and sentence in done.err and not list((tmp_path / "o").glob("*"))


def test_each_command_refuses_the_others_model(command, translator, conditional, loop):
    done = command("generate", translator)
    assert done.code == 2 and f"try wavegan translate {translator} SOUND" in done.err
    done = command("translate", conditional, loop)
    assert done.code == 2 and "was trained by method.name: gan" in done.err and "try wavegan generate" in done.err


def test_clips_of_a_label(command, conditional, tmp_path):
    for label in ("low", "high"):
        done = command("generate", conditional, "-n", 3, "--label", label, "--out", tmp_path / label)
        assert done.code == 0, done.err
    low, high = (soundfile.read(tmp_path / name / "clip-000001.wav")[0] for name in ("low", "high"))
    assert np.abs(low - high).max() > 0
    both = command("generate", conditional, "-n", 3, "--label", "high", "--label", "low", "--out", tmp_path / "both")
    assert both.code == 0
    turn, alone = (soundfile.read(tmp_path / name / "clip-000001.wav")[0] for name in ("both", "low"))
    assert np.array_equal(turn, alone)
    walk = command(
        "generate", conditional, "-n", 2, "--label", "high", "--label", "low", "--interpolate", "--out", tmp_path
    )
    assert walk.code == 0 and len(soundfile.read(tmp_path / "walk.wav")[0]) == 9 * 4096


def test_a_label_that_is_not_known(command, conditional, translator, tmp_path):
    done = command("generate", conditional, "--label", "hihg", "--out", tmp_path / "o")
    assert done.code == 2 and "--label is hihg; a knows high, low; try --label high" in done.err
    assert not (tmp_path / "o").exists()


def test_a_translation_is_judged_by_its_goal(command, translator, tmp_path):
    """Compares translations of A's clips with B's: real clips are B's, and the untrained start is near to A."""
    source = tmp_path / "b"
    tones(source, 1000)
    done = command(
        "evaluate", translator, "--data", source, "--classifier", "none", "--count", 3, "--out", tmp_path, "--json"
    )
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["metrics"]["kad_l"]["n"] == 3 and "untrained" in result
