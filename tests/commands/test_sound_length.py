"""Sounds of any length of a model that has learned short clips: their length, receipts, neighbours, and refusals."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import wavegan
from wavegan import recipe as recipes
from wavegan.audio import comments, writing
from wavegan.commands import generate as job
from wavegan.commands import kit as kits
from wavegan.commands import receipts
from wavegan.commands.train import train
from wavegan.errors import DataError, UserError
from wavegan.steering import points

RECIPE = """\
name: endless
data: {source: drum_machine, sample_rate: 4000, clip_samples: 1024, windows: random}
generator:
  {name: inverse_stft, dim: 4, latent_dim: 4, local_latents: 2, unbounded: true, window: 64, hop: 16, long_frames: 2}
discriminators: {waveform: {name: tiled_waveform, dim: 1, view: {name: low_rate, factor: 4}}}
training: {steps: 1, batch_size: 2, checkpoint_every: 1, precision: fp32}
monitor: {preview_every: 0, tensorboard: false}
"""


def is_marked_as_loop(path) -> bool:
    """Says whether all of a WAV is marked as a loop; checks its chunks, which end with the file."""
    content, chunks, at = Path(path).read_bytes(), {}, 12
    while at < len(content):
        name, size = struct.unpack("<4sI", content[at : at + 8])
        chunks[name] = content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8 == at - 8
    if b"smpl" not in chunks:
        return False
    sampler = struct.unpack("<15I", chunks[b"smpl"])
    assert sampler[2] == 1e9 / 4000 and sampler[7] == 1 and not sampler[14], "ns a frame; one loop, without end"
    return sampler[11:13] == (0, len(chunks[b"data"]) // 2 - 1)


@pytest.fixture(scope="module")
def endless(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "endless.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVEGAN_CACHE", str(folder / "cache"))
        train(recipes.load(folder / "endless.yaml"), folder / "endless", device="cpu")
    return folder / "endless"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_sounds_of_any_length_are_written_and_made_again(command, endless, monkeypatch):
    monkeypatch.setattr(job, "MOST_SAMPLES", 3 * 2000)  # three of the long ones, and five of the short ones at a time
    for seconds, samples in ((0.5, 2000), (0.1, 400)):
        outcome = command("generate", endless, "-n", 4, "--seconds", seconds, "--out", f"{samples}", "--json")
        assert outcome.code == 0, outcome.err
        values = json.loads(outcome.out)
        assert values["clip_samples"] == samples
        paths = [Path(path) for path in values["files"]]
        assert {len(soundfile.read(path)[0]) for path in paths} == {samples}
        receipt = receipts.of_file(paths[3])
        assert receipt.clip_samples == samples
        assert isinstance(receipt, receipts.ClipReceipt) and receipt.batch == ((3, 1) if samples == 2000 else (0, 4))
        again = command("regenerate", *paths, "--model", endless, "--json", "--out", f"again-{samples}")
        assert json.loads(again.out)["differences"] == [0, 0, 0, 0], again.err
    assert command("info", paths[0]).out.count("clip_samples  400") == 1


def test_the_same_folder_takes_no_clips_of_another_length(command, endless):
    assert command("generate", endless, "-n", 2, "--seconds", 0.5, "--out", "clips").code == 0
    outcome = command("generate", endless, "-n", 2, "--out", "clips")
    assert outcome.code == 2 and "--force" in outcome.err
    again = command("generate", endless, "-n", 3, "--seconds", 0.5, "--out", "clips")
    assert again.code == 0 and "2 of 3 clips are there" in again.err


def test_walks_and_neighbours_keep_the_length(command, endless):
    assert command("generate", endless, "-n", 2, "--seconds", 0.4, "--out", "clips").code == 0
    outcome = command("vary", "clips/clip-000001.wav", "-n", 1, "--model", endless, "--out", "varied")
    assert outcome.code == 0 and "nearest" not in outcome.err, outcome.err
    [path] = map(Path, outcome.out.split())
    assert len(soundfile.read(path)[0]) == 1600 and receipts.of_file(path).clip_samples == 1600
    walk = command("generate", endless, "-n", 2, "--seconds", 0.4, "--interpolate", "--out", "walk")
    [path] = map(Path, walk.out.split())
    assert len(soundfile.read(path)[0]) == 9 * 1600
    again = command("regenerate", path, "--model", endless, "--json")
    assert json.loads(again.out)["differences"] == [0], again.err


def test_sounds_of_two_lengths_are_not_mixed(command, endless):
    for seconds in (0.4, 0.2):
        assert command("generate", endless, "-n", 1, "--seconds", seconds, "--out", f"{seconds}").code == 0
    outcome = command("morph", "0.4/clip-000000.wav", "0.2/clip-000000.wav", "--model", endless)
    assert outcome.code == 2 and "lasts 0.20 s" in outcome.err and "--seconds 0.4" in outcome.err
    model = wavegan.load(endless)
    with pytest.raises(DataError, match="lasts 0.20 s; a sound of 0.40 s is needed here.*`seconds=0.4`"):
        model.morph("0.4/clip-000000.wav", "0.2/clip-000000.wav")
    own = points.numbered_point(model.loaded.model, 0)
    with pytest.raises(UserError, match="the point's latent has [0-9]+ numbers; that of a sound of 0.40 s has [0-9]+"):
        model.morph("0.4/clip-000000.wav", own)
    assert model.morph("0.4/clip-000000.wav", "0.4/clip-000000.wav", steps=3).shape == (3, 1, 1600)
    [near] = model.vary("0.4/clip-000000.wav", 1, amount=1e-6)
    written = soundfile.read("0.4/clip-000000.wav", dtype="float32")[0]
    np.testing.assert_allclose(near[0], written, atol=1e-3)


def test_an_edited_long_sound_is_not_searched_for_at_its_length(command, endless):
    """Inverting half a minute would take minutes."""
    assert command("generate", endless, "-n", 1, "--seconds", 0.4, "--out", "clips").code == 0
    path = Path("clips/clip-000000.wav")
    writing.write(path, np.random.default_rng(0).uniform(-1, 1, (1, 1600)), 4000, comments.read(path))
    with pytest.raises(DataError, match="lasts 0.40 s; a sound of 0.26 s is needed here"):
        wavegan.load(endless).vary(path, 1)


def test_python_makes_what_the_command_writes(command, endless):
    clips = wavegan.load(endless).generate(2, seed=3, seconds=0.5)
    assert clips.shape == (2, 1, 2000) and np.abs(clips).max() > 0
    assert command("generate", endless, "-n", 2, "--seed", 3, "--seconds", 0.5, "--out", "clips").code == 0
    written = [soundfile.read(f"clips/clip-00000{number}.wav", dtype="float32")[0] for number in range(2)]
    np.testing.assert_allclose(clips[:, 0], written, atol=2e-4)


def test_loops_are_written_made_again_and_varied(command, endless):
    outcome = command("generate", endless, "-n", 2, "--seconds", 0.5, "--loop", "--out", "loops")
    assert outcome.code == 0, outcome.err
    assert "a loop of endless lasts a multiple of 0.032 s, so 0.512 s in place of 0.5" in outcome.err
    paths = [Path(path) for path in outcome.out.split()]
    assert {len(soundfile.read(path)[0]) for path in paths} == {2048}
    again = command("regenerate", *paths, "--model", endless, "--json", "--out", "again")
    assert json.loads(again.out)["differences"] == [0, 0], again.err
    varied = command("vary", paths[0], "-n", 1, "--model", endless, "--out", "varied")
    assert varied.code == 0 and "nearest" not in varied.err, varied.err
    assert receipts.of_file(Path(varied.out.strip())).loop
    for path in [*paths, Path(varied.out.strip()), *Path("again").iterdir()]:
        assert is_marked_as_loop(path)
    model = wavegan.load(endless)
    clips = model.generate(2, seconds=0.512, loop=True)
    np.testing.assert_allclose(clips[1, 0], soundfile.read(paths[1], dtype="float32")[0], atol=2e-4)
    own = model.generate(1, loop=True)
    assert own.shape == (1, 1, 1024) and np.abs(own - model.generate(1)).max() > 0.01


def test_loops_and_other_sounds_are_not_mixed(command, endless):
    for words in (["--loop"], []):
        folder = "-".join(["clips", *words])
        assert command("generate", endless, "-n", 1, "--seconds", 0.512, *words, "--out", folder).code == 0
    both = "clips---loop/clip-000000.wav", "clips/clip-000000.wav"
    assert [is_marked_as_loop(path) for path in both] == [True, False]
    for number, path in enumerate(both):
        Path(path).rename(f"{number}.wav")
    again = command("regenerate", "0.wav", "1.wav", "--model", endless, "--json")
    assert json.loads(again.out)["differences"] == [0, 0], again.err
    for number, path in enumerate(both):
        Path(f"{number}.wav").rename(path)
    kept = command("generate", endless, "-n", 1, "--seconds", 0.512, "--out", "clips---loop")
    assert kept.code == 2 and "--force" in kept.err
    outcome = command("morph", "clips/clip-000000.wav", "clips---loop/clip-000000.wav", "--model", endless)
    assert outcome.code == 2 and "is a loop; no loop is needed here; generate it again without --loop" in outcome.err
    outcome = command("morph", "clips---loop/clip-000000.wav", "clips/clip-000000.wav", "--model", endless)
    assert outcome.code == 2 and "is no loop; a loop is needed here; generate it again with --loop" in outcome.err


def test_a_kit_of_loops_plays_as_long_as_a_key_is_held(command, endless):
    words = ("kit", endless, "--pads", 2, "--seconds", 0.512, "--loop", "--out", "kit", "--json")
    outcome = command(*words)
    assert outcome.code == 0, outcome.err
    values = json.loads(outcome.out)
    paths = list(values["sounds"].values())
    sounds = [soundfile.read(path)[0] for path in paths]
    assert {len(sound) for sound in sounds} == {2048} and all(map(is_marked_as_loop, paths)), "nothing is cut"
    again = command("regenerate", *paths, "--model", endless, "--json")
    assert json.loads(again.out)["differences"] == [0, 0], again.err
    pysfizz = pytest.importorskip("pysfizz", reason="sfizz renders the kit; pip install pysfizz")
    synth = pysfizz.Synth(sample_rate=4000, block_size=64)
    assert synth.load_sfz_file(values["file"])
    played = synth.render_note(37, 127, 2.0, 3.0)[0]  # the key is released after 2 s
    first, second = played[200:2048], played[200 + 2048 : 2 * 2048]
    assert np.abs(first).max() > 0.01 and np.corrcoef(first, second)[0, 1] > 0.99
    assert np.abs(played[9600:]).max() < 0.01 * np.abs(played).max(), "it stops"


def test_a_kit_of_loops_has_no_keys_and_replaces_one_of_pads(command, endless):
    outcome = command("kit", endless, "--loop", "--keys", "C3-C5")
    assert outcome.code == 2 and "--keys and --loop are given" in outcome.err and not Path("kit").exists()
    assert command("kit", endless, "--pads", 2, "--out", "kit", "--format", "decentsampler").code == 0
    outcome = command("kit", endless, "--pads", 2, "--loop", "--out", "kit", "--format", "decentsampler", "--force")
    assert outcome.code == 0 and 'loopEnabled="true"' in Path("kit/endless.dspreset").read_text()
    assert all(map(is_marked_as_loop, Path("kit/samples").iterdir()))


def test_fewer_sounds_are_compared_for_a_kit_of_long_ones(command, endless, monkeypatch):
    monkeypatch.setattr(kits, "SECONDS_PER_PAD", 2)
    for seconds, candidates in ((0.1, 20), (0.5, 4), (3, 2)):
        outcome = command("kit", endless, "--pads", 2, "--seconds", seconds, "--out", f"{seconds}", "--json")
        receipt = receipts.of_file(Path(json.loads(outcome.out)["sounds"]["37"]))
        assert isinstance(receipt, receipts.ClipReceipt) and receipt.clip_samples == round(4000 * seconds)
        assert sum(receipt.batch) == 2 * candidates or receipt.batch[1] == 16


def test_what_makes_no_loops_says_so(command, endless):
    outcome = command("generate", "digits", "--loop")
    assert outcome.code == 2 and "--loop is given, and digits makes clips of 1.024 s alone" in outcome.err
    outcome = command("generate", endless, "--loop", "--interpolate")
    assert outcome.code == 2 and "--loop stands beside --interpolate; a walk has an end" in outcome.err
    model = wavegan.load(endless)
    model.loaded.model.generator.pulses = torch.nn.Identity()
    with pytest.raises(UserError, match="makes pulses; loops have none"):
        model.generate(1, loop=True)


@pytest.mark.parametrize("seconds", [0, -1, 1e-3, 601, float("nan")])
def test_a_length_out_of_bounds_is_refused(endless, seconds):
    with pytest.raises(UserError, match="it must be from 0.01 to 600; try 30"):
        wavegan.load(endless).generate(1, seconds=seconds)


@pytest.mark.parametrize(
    ("windows", "unbounded", "is_told"), [("first", "true", True), ("all", "true", False), ("first", "false", False)]
)
def test_a_training_on_beginnings_is_told_that_no_place_is_known(tmp_path, caplog, windows, unbounded, is_told):
    text = RECIPE.replace("random", windows).replace("unbounded: true", f"unbounded: {unbounded}")
    Path("endless.yaml").write_text(text)
    train(recipes.load(Path("endless.yaml")), tmp_path / "run", device="cpu")
    assert ("attacks may come anywhere" in caplog.text) == is_told


def test_where_the_length_is_one_alone_is_told(command, endless):
    for kind, is_told in (("onnx", True), ("safetensors", False)):
        done = command("export", endless, "--format", kind, "--out", kind)
        assert done.code == 0 and ("makes clips of 0.26 s alone" in done.err) == is_told, done.err
    assert "of one length" not in Path("safetensors/README.md").read_text()
    assert json.loads(command("info", endless, "--json").out)["any_length"]


def test_a_model_of_one_length_says_so(command):
    outcome = command("generate", "drums", "--seconds", 5)
    assert outcome.code == 2 and "--seconds is 5, and drums makes clips of 1.024 s alone" in outcome.err
    assert not Path("generated").exists()
    done = command("generate", "drums", "--seconds", 1.024, "-n", 1, "--label", "kick,snare")
    assert done.code == 0, "as it says"
    assert done.err.count("kick,snare is a mix, in equal shares; for each label in turn") == 1
    assert len(soundfile.read("generated/drums/clip-000000.wav")[0]) == 16384
