"""Tests vary, morph and invert on the command line, with made and with recorded sounds."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from wavegan.audio import writing
from wavegan.audio.sources import open_source
from wavegan.commands import invert as commands
from wavegan.commands import receipts
from wavegan.commands.model_loading import load_model
from wavegan.commands.receipts import ClipReceipt, PointReceipt
from wavegan.steering import inversion, points

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Returns the current folder; a search is short, as tests/steering/test_inversion.py tests how near it comes."""
    monkeypatch.setattr(inversion, "PHASES", ((8, 6), (2, 6)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def made(command, drummer) -> list[Path]:
    return [Path(line) for line in command("generate", drummer, "-n", 3, "--out", "made").out.splitlines()]


def samples(path: str | Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16")[0]


def tone(path: str, *, seconds: float = 0.5, rate: int = 4000, channels: int = 1, level: float = 0.5) -> str:
    time = np.arange(int(seconds * rate)) / rate
    sound = level * np.sin(2 * np.pi * 300 * time) * np.exp(-5 * time)
    soundfile.write(path, np.repeat(sound[:, None], channels, 1), rate)
    return path


def test_neighbours_are_made_with_receipts_and_made_again(command, drummer, made):
    outcome = command("vary", made[1], "-n", 3, "--amount", 0.2, "--model", drummer, "--json")
    assert outcome.code == 0, outcome.err
    files = json.loads(outcome.out)["files"]
    assert files[2] == f"{drummer}/varied/clip-000001-vary-002.wav"
    original, clip_receipt = points.numbered_point(load_model(drummer, CPU).model, 1), receipts.of_file(made[1])
    original_label = clip_receipt.label if isinstance(clip_receipt, ClipReceipt) else None
    for path in map(Path, files):
        receipt = receipts.of_file(path)
        assert isinstance(receipt, PointReceipt) and receipt.made_by == "vary"
        point = receipts.point_of(load_model(drummer, CPU).model, receipt)
        angle = torch.cosine_similarity(point.latent, original.latent, 0).arccos()
        assert 0.15 < angle < 0.5 and point.noise == original.noise and receipt.shares == {original_label: 1.0}
    outcome = command("regenerate", *files, "--json")
    assert json.loads(outcome.out)["differences"] == [0, 0, 0]
    assert "exists already" in command("vary", made[1], "-n", 3, "--model", drummer).err
    again = command("vary", files[0], "-n", 1, "--out", "grandchildren", "--model", drummer)
    assert again.code == 0, "a neighbour has neighbours"


def test_a_morph_goes_from_one_to_the_other(command, drummer, made):
    outcome = command("morph", made[0], made[2], "--steps", 5, "--model", drummer, "--out", "between")
    assert outcome.code == 0, outcome.err
    files = outcome.out.splitlines()
    assert files[4] == "between/clip-000000-to-clip-000002-004.wav" and len(files) == 5
    for end, clip in ((0, made[0]), (4, made[2])):
        assert np.abs(samples(files[end]).astype(int) - samples(clip)).max() <= 1
    assert json.loads(command("regenerate", files[2], "--model", drummer, "--json").out)["differences"] == [0]


REFUSED = {
    ("vary", "made/clip-000000.wav", "--amount", 0): "--amount is 0; it must be above 0 and at most 1",
    ("vary", "made/clip-000000.wav", "--amount", 1.5): "--amount is 1.5",
    ("morph", "made/clip-000000.wav", "made/clip-000001.wav", "--steps", 1): "--steps is 1; a morph has both ends",
    ("vary", "mine.wav"): "mine.wav has no receipt; so the model to look",
    ("vary", "gone.wav"): "gone.wav does not exist; a sound file is needed; check the spelling",
    ("vary", "made"): "made is a folder; a sound file is needed; name one in it, such as made/clip-000000.wav",
    ("vary", "digits"): "digits is a MODEL; a sound file is needed; make one: wavegan generate digits",
    ("vary", "mine.wav", "--model"): "Option '--model' requires an argument; see wavegan vary --help",
    ("vary", "walk/walk.wav"): "walk/walk.wav walks through many sounds",
}


@pytest.mark.parametrize("words", REFUSED, ids=str)
def test_what_cannot_be_done_is_refused(command, drummer, made, words):
    tone("mine.wav")
    command("generate", drummer, "-n", 2, "--interpolate", "--out", "walk")
    outcome = command(*[words[0], "--out", "new", *words[1:]])
    assert outcome.code == 2 and REFUSED[words] in outcome.err and not Path("new").exists()


def test_a_sound_of_no_model_is_brought_near_first(command, drummer, made):
    outcome = command("morph", tone("mine.wav"), made[0], "--steps", 2, "--model", drummer, "--out", "new")
    assert outcome.code == 0, outcome.err
    assert "mine.wav has no receipt; the sound of drummer that is nearest to it is taken" in outcome.err
    receipt = receipts.of_file(Path("new/mine-to-clip-000000-000.wav"))
    assert isinstance(receipt, PointReceipt) and receipt.shares
    assert sum(receipt.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("extension", ["wav", "ogg"])
def test_a_receipt_counts_as_long_as_the_sound_is_that_of_its_clip(command, drummer, extension):
    made = Path(command("generate", drummer, "-n", 1, "--out", "made", "--format", extension).out.strip())
    receipt = receipts.text_of(receipts.of_file(made))
    heard, rate = soundfile.read(made)
    quieter = 0.2 * np.concatenate([np.zeros(100), heard[:-400]])
    same = {"faded": quieter, "part": heard[300:900]}
    changed = same | {"edited": np.sin(np.arange(len(heard))), "backwards": heard[::-1]}
    for name, sound in changed.items():
        with writing.open_writer(Path(f"{name}.{extension}"), rate, 1, receipt) as file:
            file.write(sound.astype(np.float32))
        told = command("vary", f"{name}.{extension}", "-n", 1, "--model", drummer, "--out", name).err
        assert ("sounds otherwise than its receipt says" in told) == (name not in same), name


def test_a_sound_is_inverted_beside_its_nearest_training_clip(command, drummer):
    items = {item.name: item for item in open_source("drum_machine/test").items}
    run = load_model(drummer, CPU)
    tone("mine.wav", seconds=3, rate=22050, channels=2, level=0.25)
    with items["0005-" + _kind(items, "0005-")].open(4000, 1) as sound:
        soundfile.write("known.wav", np.concatenate(list(sound.blocks)), 4000, subtype="FLOAT")
    outcome = command("invert", drummer, "mine.wav", "known.wav", "--out", "near", "--json")
    assert outcome.code == 0, outcome.err
    told = "it is resampled from 22,050 Hz to 4,000 Hz; its channels (2) are mixed to mono; of its 3.00 s only the "
    assert f"mine.wav: {told}first 1.02 s are used; its peak of 0.2" in outcome.err
    mine, known = json.loads(outcome.out)["sounds"]
    assert known["nearest"].startswith("0005-") and known["nearest_distance"] < 0.05
    for reached in (mine, known):
        assert 0 < reached["distance"] < reached["random_distance"]
        original, inverted, nearest, picture = map(Path, reached["files"])
        assert samples(original).shape == samples(inverted).shape == samples(nearest).shape == (4096,)
        assert np.abs(samples(original)).max() == 32767 and Path(picture).read_bytes().startswith(b"\x89PNG")
        assert receipts.read(original) is None and receipts.of_file(inverted).made_by == "invert"
    inverted = [reached["files"][1] for reached in (mine, known)]
    outcome = command("regenerate", *inverted, "--model", drummer, "--json")
    assert json.loads(outcome.out)["differences"] == [0, 0]
    assert "exists already" in command("invert", drummer, "mine.wav", "--out", "near").err
    assert run.model.name == "drummer"


def test_a_sound_that_the_model_cannot_make_is_told(command, drummer, monkeypatch):
    tone("mine.wav")
    monkeypatch.setattr(commands, "CANNOT", 1.0)
    assert "cannot make" not in command("invert", drummer, "mine.wav", "--out", "a").out
    monkeypatch.setattr(commands, "CANNOT", 0.0)
    outcome = command("invert", drummer, "mine.wav", "--out", "b")
    assert outcome.code == 0 and outcome.out.endswith("the model cannot make this sound\n")
    outcome = command("vary", "mine.wav", "-n", 1, "--model", drummer, "--out", "c")
    assert outcome.code == 0 and "warning: drummer cannot make mine.wav: its nearest clip is " in outcome.err


def _kind(items: dict, start: str) -> str:
    return next(name.removeprefix(start) for name in items if name.startswith(start))


def test_silence_and_what_is_no_sound_are_refused_before_anything_is_written(command, drummer):
    tone("mine.wav")
    tone("silent.wav", level=1e-5)
    soundfile.write("late.wav", np.concatenate([np.zeros(9000), np.ones(9000) * 0.5]), 4000)
    Path("text.wav").write_text("words " * 50)
    refused = {
        "silent.wav": "silent.wav is silence",
        "late.wav": "late.wav begins with 1.02 s of silence",
        "text.wav": "text.wav ",
        "gone.wav": "gone.wav does not exist; a sound file is needed; check the spelling",
    }
    for name, words in refused.items():
        outcome = command("invert", drummer, "mine.wav", name, "--out", "near")
        assert outcome.code == 2 and words in outcome.err, outcome.err
    Path("other").mkdir()
    outcome = command("invert", drummer, "mine.wav", tone("other/mine.wav"), "--out", "near")
    told = "two of the results would have the name near/mine-original.wav; make one of them in another --out"
    assert outcome.code == 2 and told in outcome.err
    outcome = command("invert", drummer, "mine.wav", "--label", "gong", "--out", "near")
    assert outcome.code == 2 and "--label is gong" in outcome.err
    assert not Path("near").exists()
