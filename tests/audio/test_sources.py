"""Tests sources as lists of items: folders with labels, fetched sets, built-in instruments, refusals."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavegan.audio import drum_effects, drum_machine, sources, synth
from wavegan.audio.conversion import converted
from wavegan.audio.items import Item
from wavegan.audio.sources import data_folder, open_source
from wavegan.errors import DataError

RATE = 16000
Sounds = Callable[..., Path]


def labels(items: Sequence[Item]) -> dict[str, str | None]:
    return {item.name: item.label for item in items}


def sound(item: Item, sample_rate: int = RATE, channels: int = 1) -> np.ndarray:
    with item.open(sample_rate, channels) as opened:
        blocks = converted(opened.blocks, opened.sample_rate, opened.channels, sample_rate, channels)
        return np.concatenate(list(blocks))


def place(path: Path, level: float = 0.5) -> None:
    """Writes a file of ten equal samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(10, level), RATE, subtype="FLOAT")


# Folders


def test_labels_are_the_folders_that_hold_the_files(tmp_path: Path):
    for name in ("z.wav", "snare/b.wav", "kick/c.wav", "train/kick/a.wav", ".old/d.wav"):
        place(tmp_path / name)
    items = open_source(str(tmp_path)).items
    assert list(labels(items).items()) == [
        ("kick/c.wav", "kick"),
        ("snare/b.wav", "snare"),
        ("train/kick/a.wav", "kick"),
        ("z.wav", None),
    ]


def test_an_item_decodes_its_own_file_at_any_rate(tmp_path: Path):
    for number in range(3):
        place(tmp_path / f"{number}.wav", number / 4)
    items = open_source([str(tmp_path)]).items
    assert [sound(item, channels=2).tolist() for item in items] == [[[number / 4] * 2] * 10 for number in range(3)]
    assert sound(items[0], 2 * RATE).shape == (20, 1)


def test_a_stamp_changes_with_the_file_and_not_otherwise(tmp_path: Path):
    place(tmp_path / "a.wav")
    first, again = (open_source(str(tmp_path)).items[0].fingerprint for _ in range(2))
    place(tmp_path / "a.wav", 0.25)
    assert first == again
    assert open_source(str(tmp_path)).items[0].fingerprint != first


def test_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place(tmp_path / "sounds/a.wav")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(labels(open_source("~/sounds").items)) == ["a.wav"]


def test_a_link_to_nothing_is_an_item_that_says_so(tmp_path: Path):
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (item,) = open_source(str(tmp_path)).items
    with pytest.raises(DataError, match="is a link to .*nowhere.wav, which is not there"):
        sound(item)


# Several sources


def test_several_folders_are_told_apart_by_their_names(tmp_path: Path, sounds: Sounds):
    drums, piano = sounds(2, labels=("kick", "snare"), name="drums"), sounds(1, name="piano")
    items = open_source([str(drums), f"{piano}/", "drum_machine"]).items
    assert list(labels(items).items())[:3] == [
        ("drums/kick/tone-000.wav", "kick"),
        ("drums/snare/tone-001.wav", "snare"),
        ("piano/tone-000.wav", None),
    ]
    assert len(items) == 2003
    assert items[3].name == "drum_machine/0000-kick"


def test_folders_of_one_name_are_told_apart(tmp_path: Path):
    place(tmp_path / "a/train/0.wav", 0.25)
    place(tmp_path / "b/train/0.wav", 0.75)
    items = open_source([str(tmp_path / "a/train"), str(tmp_path / "b/train")]).items
    assert len(labels(items)) == 2
    assert [sound(item)[0, 0] for item in items] == [0.25, 0.75]


def test_one_folder_in_a_list_is_that_folder(sounds: Sounds):
    folder = str(sounds(2))
    assert (
        labels(open_source([folder]).items)
        == labels(open_source(folder).items)
        == {"tone-000.wav": None, "tone-001.wav": None}
    )


def test_one_wrong_folder_among_several_is_named(sounds: Sounds):
    with pytest.raises(DataError, match="the source nowhere does not exist"):
        open_source([str(sounds(1)), "nowhere"])


# Built in and fetched


@pytest.mark.parametrize(
    ("name", "kit", "seed", "clips"),
    [
        ("drum_machine", "plain", 0, 2000),
        ("drum_machine/test", "plain", 1, 400),
        ("drum_machine/dry", "dry", 0, 2000),
        ("drum_machine/dry/test", "dry", 1, 400),
        ("drum_machine/room", "room", 0, 2000),
        ("drum_machine/room/test", "room", 1, 400),
    ],
)
def test_the_drum_machine_is_a_labelled_source(name: str, kit: str, seed: int, clips: int):
    items = open_source(name).items
    assert len({item.name for item in items}) == len(items) == clips
    voices = len({item.label for item in items})
    assert [item.label for item in items] == [drum_machine.label(index) for index in range(clips)]
    assert voices == len(drum_machine.DRUMS)
    for channels in (1, 2, 3):
        expected = drum_effects.render(7, RATE, channels=channels, seed=seed, kit=kit)
        assert expected.shape[1] == channels and np.array_equal(sound(items[7], channels=channels), expected)
    if kit == "plain":
        assert np.array_equal(sound(items[7])[:, 0], drum_machine.render(7, RATE, seed=seed))


def test_the_drum_machine_tests_with_other_drums():
    training, test = open_source("drum_machine").items, open_source("drum_machine/test").items
    assert not {item.fingerprint for item in training} & {item.fingerprint for item in test}
    assert not np.array_equal(sound(training[0]), sound(test[0]))


def test_the_fingerprints_of_the_drum_machine_tell_kits_and_versions_apart(monkeypatch: pytest.MonkeyPatch):
    names = ["drum_machine", "drum_machine/dry", "drum_machine/room"]
    fingerprints = [
        item.fingerprint for name in [*names, *(f"{name}/test" for name in names)] for item in open_source(name).items
    ]
    assert len(set(fingerprints)) == len(fingerprints) == 3 * 2400
    for module in (drum_machine, drum_effects):
        before = open_source("drum_machine").items[0].fingerprint
        monkeypatch.setattr(module, "VERSION", 99)
        assert open_source("drum_machine").items[0].fingerprint != before


def test_two_kits_are_told_apart_by_their_names():
    items = open_source(["drum_machine/dry/test", "drum_machine/room/test"]).items
    assert items[0].name == "drum_machine/dry/test/0000-kick" and len(labels(items)) == 800


@pytest.mark.parametrize(("name", "seed", "clips"), [("synth", 0, 2400), ("synth/test", 1, 600)])
def test_the_synthesiser_is_labelled_by_timbre_and_note(name: str, seed: int, clips: int):
    items = open_source(name).items
    assert len({item.name for item in items}) == len(items) == clips
    counts = Counter(item.label for item in items)
    assert set(counts) == {f"{timbre}-{note}" for timbre in synth.TIMBRES for note in synth.NOTES}
    assert set(counts.values()) == {clips // 60} and {item.group for item in items} == {None}
    assert items[5].name == "0005-pluck-Db4"
    for channels in (1, 2):
        assert np.array_equal(sound(items[7], channels=channels)[:, 0], synth.render(7, RATE, seed=seed))


def test_other_pitches_are_labelled_by_timbre_and_grouped_by_pitch():
    """They lie between the notes, so no part that is learned from has them."""
    items = open_source("synth/pitches").items
    assert Counter(item.label for item in items) == dict.fromkeys(synth.TIMBRES, 120)
    assert Counter(item.group for item in items) == {f"{note}+50": 50 for note in synth.NOTES}
    assert (items[5].name, items[5].group) == ("0005-pluck", "Db4+50")
    assert np.array_equal(sound(items[5])[:, 0], synth.render(5, RATE, seed=2, cents=50))


def test_the_fingerprints_of_the_synthesiser_tell_parts_and_versions_apart(monkeypatch: pytest.MonkeyPatch):
    names = ["synth", "synth/test", "synth/pitches"]
    fingerprints = {item.fingerprint for name in names for item in open_source(name).items}
    assert len(fingerprints) == 3600
    monkeypatch.setattr(synth, "VERSION", 99)
    assert not fingerprints & {item.fingerprint for name in names for item in open_source(name).items}


@pytest.mark.parametrize(("name", "split"), [("sc09", "train"), ("sc09/test", "test")])
def test_a_fetched_set_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, split: str):
    monkeypatch.setenv("WAVEGAN_DATA", str(tmp_path))
    place(tmp_path / "sc09" / split / "zero/a.wav")
    assert labels(open_source(name).items) == {"zero/a.wav": "zero"}


def test_a_set_that_was_not_fetched_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WAVEGAN_DATA", str(tmp_path / "sets"))
    with pytest.raises(
        DataError, match=rf"sets/sc09/train does not exist.* run: wavegan fetch sc09 --to {tmp_path}/se"
    ):
        open_source("sc09")


def test_fetched_sets_lie_in_data_by_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WAVEGAN_DATA", raising=False)
    assert data_folder() == Path("data")


# Nothing to open


def test_a_source_without_sound_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no sound")
    with pytest.raises(DataError, match=rf"{tmp_path} holds no sound file that can be read; .*\n  1 that are"):
        open_source(str(tmp_path))


def test_a_source_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(
        DataError,
        match=r"nowhere does not exist; .* drum_machine, synth, .*, sc09, or a part of them such as synth/test; check",
    ):
        open_source(str(tmp_path / "nowhere"))


def test_a_model_is_no_source():
    with pytest.raises(DataError, match=r"the source drums is a shipped model; .*: wavegan info drums$"):
        open_source("drums")


def test_a_built_in_source_with_a_slip_is_suggested():
    with pytest.raises(DataError, match=r"piano_piece does not exist; .*; did you mean piano_pieces\?$"):
        open_source("piano_piece")


def test_a_source_that_is_a_file_is_refused(tmp_path: Path):
    place(tmp_path / "a.wav")
    with pytest.raises(DataError, match=r"a\.wav is a file; .*; name the folder"):
        open_source(str(tmp_path / "a.wav"))


@pytest.mark.parametrize(
    "name",
    [
        "drum_machine/test",
        "synth/pitches",
        "spoken_digits",
        "piano_pieces",
        "instrument_notes",
        "ambience_recordings",
        "drum_recordings",
        "sc09",
        "sc09/test",
    ],
)
def test_a_source_with_a_name_is_called_the_same_everywhere(name):
    assert sources.is_named(name)
    assert not sources.is_named(f"my/{name}") and not sources.is_named(f"{name}s")


def test_the_names_of_several_folders_are_the_labels(tmp_path: Path):
    for name in ("kick/1", "kick/2", "snare/1"):
        place(tmp_path / f"{name}.wav")
    folders = [f"{tmp_path}/kick/", f"{tmp_path}/snare"]
    source = open_source(folders)
    assert labels(source.items) == {"kick/1.wav": "kick", "kick/2.wav": "kick", "snare/1.wav": "snare"}
    [note] = source.notes
    assert note == "The names of the folders are the labels: kick, snare; generator.labels=0 learns without them."
    assert set(labels(open_source(folders[0]).items).values()) == {None}


@pytest.mark.parametrize("names", [("a/pack", "b/pack"), ("train", "other"), ("Kick", "kick "), ("kick", "synth")])
def test_folders_that_are_no_kinds_give_no_labels(tmp_path: Path, names: tuple[str, str]):
    for name in names:
        place(tmp_path / name / "1.wav")
    places = ["synth" if name == "synth" else str(tmp_path / name) for name in names]
    given = {item.name: item.label for item in open_source(places).items if "wav" in item.name}
    assert set(given.values()) == {None}, given


def test_labels_inside_of_several_folders_stay(tmp_path: Path):
    place(tmp_path / "one/kick/1.wav")
    place(tmp_path / "two/2.wav")
    assert labels(open_source([str(tmp_path / "one"), str(tmp_path / "two")]).items) == {
        "one/kick/1.wav": "kick",
        "two/2.wav": None,
    }
