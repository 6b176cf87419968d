"""Tests `wavegan kit`: the sounds, their receipts, and the kit as a real sampler plays it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr
import torch

from wavegan.commands import kit as commands
from wavegan.commands import receipts
from wavegan.commands.generate import chosen_labels
from wavegan.commands.model_loading import load_model


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_kit_has_sounds_of_all_labels_with_receipts(command, drummer):
    outcome = command("kit", drummer, "--pads", 12, "--out", "kit", "--json")
    assert outcome.code == 0, outcome.err
    values = json.loads(outcome.out)
    notes = [39, 82, 63, 64, 56, 49, 42, 36, 37, 70, 38, 41]  # as drum tracks have them; the second clap beyond these
    assert values["file"] == "kit/drummer.sfz" and list(values["sounds"]) == [str(note) for note in notes]
    regions = [line for line in Path("kit/drummer.sfz").read_text().splitlines() if "tom" in line or "hihat" in line]
    assert [line.split("key=")[1] for line in regions] == [
        *(f"{key} group=1 off_by=1" for key in (42, 44, 46)), *map(str, (41, 43, 45, 47, 48, 50))
    ]  # fmt: skip
    names = [Path(path).name for path in values["sounds"].values()]
    assert names[:5] == ["01-clap.wav", "02-clap.wav", "03-conga.wav", "04-conga.wav", "05-cowbell.wav"]
    numbers = set()
    for name, path in zip(names, values["sounds"].values(), strict=True):
        receipt = receipts.of_file(Path(path))
        assert isinstance(receipt, receipts.ClipReceipt) and receipt.cut and receipt.label == name[3:-4]
        numbers.add(receipt.number)
        sound = soundfile.read(path)[0]
        assert len(sound) == receipt.cut.length and np.abs(sound).max() < 0.892 and sound[-1] == 0
    assert len(numbers) == 12 and max(numbers) < 240
    outcome = command("regenerate", *values["sounds"].values(), "--model", drummer, "--json")
    assert json.loads(outcome.out)["differences"] == [0] * 12
    assert "kit exists; what it holds is kept" in command("kit", drummer, "--out", "kit").err


def at_32_kilohertz(path: str) -> np.ndarray:
    return soxr.resample(soundfile.read(path)[0], 4000, 32000)


def test_a_sampler_plays_each_sound_whole_at_its_key(command, drummer):
    pysfizz = pytest.importorskip("pysfizz", reason="sfizz renders the kit; pip install pysfizz")
    outcome = command("kit", drummer, "--pads", 4, "--label", "kick", "--label", "snare", "--out", "kit", "--json")
    sounds = {int(note): path for note, path in json.loads(outcome.out)["sounds"].items()}
    synth = pysfizz.Synth(sample_rate=32000, block_size=64)
    assert synth.load_sfz_file("kit/drummer.sfz") and list(synth.playable_keys) == [35, 36, 38, 40] == sorted(sounds)
    for note, path in sounds.items():
        played = synth.render_note(note, 127, 0.02, 2.0)[0]  # the key is released after 20 ms
        sound, likeness = at_32_kilohertz(path), {}
        for other, other_path in sounds.items():
            theirs = at_32_kilohertz(other_path)
            product = scipy.signal.correlate(played, theirs).max()
            likeness[other] = product / np.linalg.norm(played) / np.linalg.norm(theirs)
        assert max(likeness, key=lambda key: likeness[key]) == note and likeness[note] > 0.9
        tail = len(sound) // 2
        assert np.abs(played[tail : len(sound)]).max() > 0.1 * np.abs(sound[tail:]).max() > 0, "it is not cut off"


@pytest.mark.parametrize("kind", ["decentsampler", "folder"])
def test_other_formats_hold_the_same_sounds(command, drummer, kind):
    for name in ("sfz", kind):
        assert command("kit", drummer, "--pads", 2, "--format", name, "--out", name).code == 0
    files = sorted(str(path.relative_to(kind)) for path in Path(kind).rglob("*") if path.is_file())
    sounds = ["01-clap.wav", "02-conga.wav"]
    if kind == "folder":
        assert files == sounds
    else:
        assert files == ["drummer.dspreset", *(f"samples/{name}" for name in sounds)]
        preset = Path("decentsampler/drummer.dspreset").read_text()
        assert all(f'path="samples/{name}"' in preset for name in sounds)
    for name in sounds:
        place = Path(kind, name) if kind == "folder" else Path(kind, "samples", name)
        assert place.read_bytes() == Path("sfz/samples", name).read_bytes()


@pytest.mark.parametrize("kind", ["sfz", "decentsampler", "folder"])
def test_a_forced_kit_replaces_the_whole_earlier_one_and_nothing_else(command, drummer, kind):
    for earlier, pads in (("sfz", 4), ("folder", 3)):
        assert command("kit", drummer, "--pads", pads, "--format", earlier, "--out", "kit", "--force").code == 0
    own = [Path("kit", name) for name in ("notes.txt", "01-mine.wav", "mine.sfz", "samples/02-mine.wav")]
    own[-1].parent.mkdir(exist_ok=True)
    for path in own:
        path.write_text("mine")
    outcome = command("kit", drummer, "--pads", 2, "--format", kind, "--out", "kit", "--force", "--json")
    assert outcome.code == 0, outcome.err
    assert "kit: files of an earlier kit that are removed: 3" in outcome.err or kind == "folder"
    values = json.loads(outcome.out)
    written = {Path(path) for path in (values["file"], *values["sounds"].values()) if path}
    assert {path for path in Path("kit").rglob("*") if path.is_file()} == {*own, *written}


def test_what_makes_no_kit_is_refused_before_anything_is_written(command, drummer, monkeypatch):
    refused = {
        ("--pads", 0): "--pads is 0; a kit has 1 to 92, one for each note from 36 up",
        ("--pads", 93): "--pads is 93",
        ("--label", "gong"): "--label is gong",
        ("--truncation", 2): "--truncation is 2",
    }
    for words, told in refused.items():
        outcome = command("kit", drummer, "--out", "kit", *words)
        assert outcome.code == 2 and told in outcome.err
    monkeypatch.setattr(commands.kits, "is_heard", lambda clips: np.zeros(len(clips), bool))
    outcome = command("kit", drummer, "--pads", 2, "--out", "kit")
    assert outcome.code == 2 and "of 20 clips that drummer made for 1 pads, 0 can be heard" in outcome.err
    assert not Path("kit").exists()


def test_a_row_begins_at_36_and_other_sounds_have_no_keys_of_drums(command, drummer):
    outcome = command("kit", drummer, "--pads", 8, "--layout", "row", "--out", "kit", "--json")
    assert list(json.loads(outcome.out)["sounds"]) == [str(note) for note in range(36, 44)]
    assert "group" not in Path("kit/drummer.sfz").read_text(), "key 42 is no hi-hat here"
    outcome = command("kit", "digits", "--pads", 2, "--label", "nine", "--out", "words", "--json")
    assert list(json.loads(outcome.out)["sounds"]) == ["36", "37"]
    refused = command("kit", "digits", "--label", "nine", "--layout", "general-midi", "--out", "more")
    assert refused.code == 2 and "it has keys for drums alone, and none for nine; try --layout row" in refused.err
    refused = command("kit", "piano", "--layout", "general-midi", "--out", "more")
    assert refused.code == 2 and "none for sounds without labels" in refused.err
    refused = command("kit", "digits", "--keys", "C2-A2", "--layout", "row", "--out", "more")
    assert refused.code == 2 and "--keys and --layout are given" in refused.err and not Path("more").exists()


def test_labels_without_a_pad_are_told(command, drummer):
    outcome = command("kit", drummer, "--pads", 9, "--out", "kit")
    assert "9 pads hold clap, conga" in outcome.err and "tom have none, unless --pads is more" in outcome.err


def test_a_pattern_stands_for_the_labels_that_it_matches(command, drummer):
    outcome = command("kit", drummer, "--pads", 3, "--label", "C*p", "--label", "kick", "--out", "kit", "--json")
    names = [Path(path).name for path in json.loads(outcome.out)["sounds"].values()]
    assert {name[3:-4] for name in names} == {"clap", "kick"}
    outcome = command("generate", drummer, "--label", "*O*", "-n", 6, "--out", "clips", "--json")
    found = [receipts.of_file(Path(path)) for path in json.loads(outcome.out)["files"]]
    assert [getattr(receipt, "label", None) for receipt in found] == ["conga", "cowbell", "tom"] * 2
    for label in ("x*", "k*:0.5,snare", "[kc]lap*"):
        refused = command("generate", drummer, "--label", label, "--out", "none")
        told = f"--label is {label}; no label of drummer matches it, and a mix has no patterns; it knows clap, conga, "
        assert refused.code == 2 and told in refused.err and not Path("none").exists()
    few = command("generate", drummer, "--label", "*", "-n", 2, "--out", "few")
    assert "2 clips are of the first 2 of 10 labels" in few.err
    short = command("generate", drummer, "--label", "*", "-n", 2, "--interpolate", "--out", "none")
    assert short.code == 2 and "-n is 2 and there are 10 labels" in short.err and not Path("none").exists()


def test_a_label_that_holds_the_sign_of_a_pattern_is_itself(drummer):
    model = load_model(drummer, torch.device("cpu")).model
    odd = replace(model, label_names=("a*", "b?", *model.label_names[2:]))
    assert chosen_labels(odd, ["b?", "a*"]) == ("b?", "a*")


def test_one_sound_is_spread_over_keys(command):
    outcome = command("kit", "digits", "--label", "nine", "--keys", "C2-A2", "--out", "kit", "--json")
    assert outcome.code == 0, outcome.err
    values = json.loads(outcome.out)
    assert list(values["sounds"]) == ["37", "40", "43"], "C#2, E2 and G2"
    made = [receipts.of_file(Path(path)) for path in values["sounds"].values()]
    made = [receipt for receipt in made if isinstance(receipt, receipts.ClipReceipt)]
    assert [receipt.pitch for receipt in made] == pytest.approx([69.30, 82.41, 98.00], abs=0.01)
    assert len({receipt.number for receipt in made}) == 1 and {receipt.label for receipt in made} == {"nine"}
    regions = [line for line in Path("kit/digits.sfz").read_text().splitlines() if line.startswith("<region>")]
    spans = ((36, 37, 38), (39, 40, 41), (42, 43, 45))
    expected = [f"lokey={low} hikey={high} pitch_keycenter={own}" for low, own, high in spans]
    assert [line.split(" ", 2)[2] for line in regions] == expected
    again = command("regenerate", *values["sounds"].values(), "--json")
    assert json.loads(again.out)["differences"] == [0] * 3


def test_each_key_has_the_label_of_its_note(command):
    outcome = command(
        "kit", "tones", "--label", "flute-*", "--keys", "C4-A4", "--format", "folder", "--out", "kit", "--json"
    )
    assert outcome.code == 0 and "beyond" not in outcome.err, outcome.err
    names = [Path(path).name for path in json.loads(outcome.out)["sounds"].values()]
    assert names == ["061-flute-Db4.wav", "064-flute-E4.wav", "067-flute-G4.wav"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--keys", "C2"), "it must be the lowest and the highest note, such as C2-C5; try --keys C3-C5"),
        (("--keys", "C4-C3"), "it must be the lowest and the highest note"),
        (("--keys", "C1-C7"), "digits makes pitches from 62.5 to 1,000.0 Hz"),
        (("--keys", "C2-C3", "--pads", 4), "--pads and --keys are given; a kit has either"),
        (("--keys", "C2-C3", "--label", "one", "--label", "two"), "one sound is spread over the keys; try --label one"),
    ],
)
def test_keys_that_are_none_are_refused_before_anything_is_written(command, options, said):
    outcome = command("kit", "digits", *options, "--out", "kit")
    assert outcome.code == 2 and said in outcome.err and not Path("kit").exists()


def test_a_model_that_draws_no_pitches_has_no_keys(command, drummer):
    outcome = command("kit", drummer, "--keys", "C2-C3", "--out", "kit")
    assert outcome.code == 2 and "drummer draws no pitches" in outcome.err


def test_labels_of_several_timbres_are_no_instrument(command):
    outcome = command("kit", "tones", "--keys", "C4-A4", "--out", "kit")
    assert outcome.code == 2 and "--label are brass-Db4, flute-Db4" in outcome.err and not Path("kit").exists()
    assert "name those of one timbre, by a pattern such as 'flute-*'" in outcome.err


@pytest.mark.parametrize(
    ("keys", "spans"),
    [
        ("C2-C2", [(36, 36, 36)]),
        ("C2-C#2", [(37, 36, 37)]),
        ("c2 - D2", [(37, 36, 38)]),
        ("C2-Eb2", [(37, 36, 39)]),
        ("C2-E2", [(37, 36, 38), (40, 39, 40)]),
    ],
)
def test_each_third_key_has_a_sound_and_the_last_keys_one_too(keys, spans):
    assert commands._spans(load_model(Path("digits"), torch.device("cpu")), keys) == spans
