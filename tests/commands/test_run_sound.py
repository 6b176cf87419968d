"""Tests that a run knows its sound by what it sounds like: moved, renamed, exchanged, or a stranger's of that name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavegan.audio import splits
from wavegan.training import checkpoint

RATE = 16000
RECIPE = """\
data: {source: sounds, holdout: 0.3, clip_samples: 4096}
generator: {dim: 1, latent_dim: 4}
discriminators: {waveform: {name: wavegan, dim: 1}}
training: {steps: 1, batch_size: 2, precision: fp32, compile: false}
monitor: {preview_every: 0, tensorboard: false}
evaluation: {count: 20}
"""


def write_tones(folder: Path, count: int, first: int = 0) -> None:
    """Writes decaying tones, another for each number."""
    folder.mkdir(parents=True, exist_ok=True)
    time = np.arange(4000) / RATE
    for number in range(first, first + count):
        noise = np.random.default_rng(number).normal(scale=0.05, size=4000)
        tone = (0.5 * np.sin(2 * np.pi * (200 + 31 * number) * time) + noise) * np.exp(-8 * time)
        soundfile.write(folder / f"tone-{number:03d}.wav", tone, RATE)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable) -> Path:
    """Returns a folder with 60 sounds and a run of one step; it is the current one."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    write_tones(Path("sounds"), 60)
    Path("mouse.yaml").write_text(RECIPE)
    assert command("train", "mouse.yaml", "--run-dir", "run", "--device", "cpu").code == 0
    return tmp_path / "home"


def train_on(command: Callable, *words: str) -> str:
    outcome = command("train", "mouse.yaml", "--run-dir", "run", "--device", "cpu", *words)
    return f"{outcome.code} {outcome.err}"


def parts() -> tuple[set[str], set[str]]:
    """Returns the hashes of the items learned from and held out, as corpus.json of the run has them."""
    items = json.loads(Path("run/corpus.json").read_text())["items"]
    return set(items["training"].values()), set(items["held_out"].values())


def test_run_and_checkpoint_know_the_same_items(home: Path):
    training, held_out = parts()
    state = checkpoint.load_newest(Path("run/checkpoints"))
    assert state and len(training | held_out) == 60 and len(held_out) > 5
    for name, hashes in (("training_items", training), ("held_out_items", held_out)):
        assert {f"{value:016x}" for value in state[name].numpy().view(np.uint64)} == hashes


def test_moved_and_renamed_sound_goes_on_without_a_word_and_keeps_its_parts(home: Path, command: Callable):
    before = parts()
    Path("elsewhere").mkdir()
    for number, path in enumerate(sorted(Path("sounds").iterdir())):
        path.rename(f"elsewhere/{(7 * number) % 60:02d} take.wav")
    told = train_on(command, "training.steps=2", "data.source=elsewhere/")
    assert told.startswith("0 ") and "going on from step 1" in told and "changed" not in told
    assert parts() == before, "renamed items stay in their part"


def test_sounds_with_another_label_are_told(home: Path, command: Callable):
    for label in "ab":
        Path("labelled", label).mkdir(parents=True)
    for number, path in enumerate(sorted(Path("sounds").iterdir())):
        path.rename(Path("labelled", "ab"[number % 2], path.name))
    words = ["--run-dir", "two", "--device", "cpu", "data.source=labelled"]
    assert command("train", "mouse.yaml", *words).code == 0
    told = command("train", "mouse.yaml", *words, "training.steps=2").err
    assert "another label" not in told, told
    learned = json.loads(Path("two/corpus.json").read_text())["labels"]
    moved = [name for name, label in learned.items() if label == "a"][:3]
    for name in moved:
        Path("labelled", name).rename(Path("labelled/b", Path(name).name))
    told = command("train", "mouse.yaml", *words, "training.steps=3").err
    assert f"3 of {len(learned)} sounds have another label than before (b/tone-" in told and "changed since" not in told


def test_changed_sound_is_counted(home: Path, command: Callable):
    write_tones(Path("more"), 3, first=100)
    for number, path in enumerate(sorted(Path("more").iterdir())):
        shutil.copy(path, f"sounds/tone-{number:03d}.wav")  # another sound under an old name
    Path("sounds/tone-050.wav").unlink()
    write_tones(Path("sounds"), 2, first=200)
    told = train_on(command, "training.steps=2")
    assert "of 60 items 1 are gone, 3 sound different and 2 are new" in told and told.startswith("0 ")


def test_names_that_both_parts_use_are_no_change(home: Path, command: Callable):
    write_tones(Path("test"), 20)
    for number, path in enumerate(sorted(Path("test").iterdir())):
        path.unlink()
        write_tones(Path("test"), 1, first=500 + number)
        Path(f"test/tone-{500 + number}.wav").rename(path)
    for steps in (1, 2):
        words = ("--run-dir", "both", "--device", "cpu", "data.test=test", f"training.steps={steps}")
        outcome = command("train", "mouse.yaml", *words)
        assert outcome.code == 0 and "changed" not in outcome.err
    assert "going on from step 1" in outcome.err


def test_other_sound_under_another_name_is_refused(home: Path, command: Callable):
    write_tones(Path("other"), 60, first=300)
    told = train_on(command, "training.steps=2", "data.source=other")
    assert told.startswith("2 ") and f"only 0 of 60 sounds of {home}/other are the same" in told and "--fresh" in told


def test_evaluate_finds_the_sound_where_the_training_was_started(
    home: Path, command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    outcome = command("evaluate", home / "run", "--classifier", "none", "--device", "cpu")
    assert outcome.code == 0 and f"the sound is that of {home}" in outcome.err


def test_evaluate_takes_no_strangers_sound_of_that_name(
    home: Path, command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_tones(Path("sounds"), 60, first=300)
    told = command("evaluate", home / "run", "--classifier", "none", "--device", "cpu")
    assert told.code == 0 and f"the sound is that of {home}" in told.err
    shutil.rmtree(home / "sounds")
    told = command("evaluate", home / "run", "--classifier", "none", "--device", "cpu")
    assert told.code == 2 and "mouse has learned from or held out 0 of 60 sounds in sounds" in told.err
    told = command("evaluate", home / "run", "--classifier", "none", "--device", "cpu", "--data", "sounds")
    assert told.code == 0 and "the sound that mouse has learned from is not here" in told.err


def test_a_training_finds_the_sound_where_it_was_started(
    home: Path, command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    for steps in (2, 3):  # the second time by what the first has written
        told = command("train", home / "run", "--device", "cpu", f"training.steps={steps}")
        assert told.code == 0 and f"going on from step {steps - 1}" in told.err and "changed" not in told.err
        assert (f"the sound is that of {home}" in told.err) == (steps == 2)


def test_a_training_takes_no_strangers_sound_of_that_name(
    home: Path, command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_tones(Path("sounds"), 60, first=300)
    words = ("train", home / "run", "--device", "cpu")
    told = command(*words, "training.steps=2")
    assert told.code == 0 and f"the sound is that of {home}" in told.err and "changed" not in told.err
    shutil.rmtree(home / "sounds")
    told = command(*words, "training.steps=3", "data.source=sounds")
    reason = f"learned from {home}/sounds, and only 0 of 60 sounds of {tmp_path}/sounds are the same"
    assert told.code == 2 and reason in told.err and "--fresh" in told.err


def test_sound_that_is_gone_is_told_with_its_remedies(home: Path, command: Callable):
    shutil.move(home / "sounds", home / "elsewhere")
    told = command("train", home / "run", "--device", "cpu", "training.steps=2")
    assert told.code == 2 and f"data.source of {home}/run is sounds, and nothing lies there; name" in told.err
    assert told.err.endswith(f"new place: wavegan train {home}/run data.source=FOLDER\n")
    told = command("train", home / "run", "--device", "cpu", "training.steps=2", "data.source=elsewhere")
    assert told.code == 0, told.err


def test_sound_that_is_there_and_cannot_be_used_is_not_called_gone(
    home: Path, command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for path in (home / "sounds").rglob("*.wav"):
        path.write_text("no sound")
    for folder in (home, tmp_path):
        monkeypatch.chdir(folder)
        told = command("train", home / "run", "--device", "cpu", "training.steps=2")
        assert told.code == 2 and "nothing lies there" not in told.err, told.err


def test_sound_that_was_exchanged_in_its_own_folder_brings_a_warning(home: Path, command: Callable):
    shutil.rmtree("sounds")
    write_tones(Path("sounds"), 60, first=300)
    told = train_on(command, "training.steps=2")
    assert told.startswith("0 ") and "of 60 items 60 are gone" in told


@pytest.fixture
def by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets names alone choose what is held out, as they did in versions without a record."""
    monkeypatch.setattr(splits, "FEW_NAMES", 0)


def test_an_older_run_without_a_record_goes_on_and_keeps_its_split(by_name: None, home: Path, command: Callable):
    before = parts()
    path = checkpoint.newest_path(Path("run/checkpoints"))
    state = checkpoint.load(path)
    for key in ("training_items", "held_out_items"):
        del state[key]
    checkpoint.save(Path("run/checkpoints"), state)
    told = train_on(command, "training.steps=2")
    assert told.startswith("0 ") and "changed" not in told and parts() == before


def test_moved_sound_does_not_judge_the_model_that_has_learned_from_it(home: Path, command: Callable):
    Path("sounds").rename("moved")
    outcome = command("evaluate", "run", "--data", "moved", "--classifier", "none", "--out", "judged")
    learned, held_out = parts()
    again = command("train", "mouse.yaml", "data.source=moved", "--run-dir", "run", "--device", "cpu")
    assert "a finished run keeps its data.source; wavegan evaluate RUN --data DIR judges by another" in again.err
    told = f"{len(learned)} of 60 sounds of moved are also learned from, so they are not used to judge"
    assert outcome.code == 0 and told in outcome.err and len(held_out) == 60 - len(learned)
    write_tones(Path("others"), 30, first=70)
    words = ("evaluate", "run", "--data", "moved", "--training", "others", "--classifier", "none", "--out", "again")
    outcome = command(*words)
    assert outcome.code == 0 and told in outcome.err, "the run has learned from it, whatever --training names"
    assert command("export", "run", "--out", "exported").code == 0
    outcome = command("evaluate", "exported", "--data", "moved", "--classifier", "none", "--out", "third")
    assert outcome.code == 0 and told in outcome.err, "an exported model knows it, too"


@pytest.mark.parametrize("name", ["test", "validation"])
def test_a_part_that_the_source_calls_so_judges_and_is_not_learned_from(home: Path, command: Callable, name: str):
    write_tones(Path("parted/train/kick"), 6)
    write_tones(Path(f"parted/{name}/kick"), 4, first=50)
    outcome = command("train", "mouse.yaml", "data.source=parted", "--run-dir", "parts", "--device", "cpu")
    assert outcome.code == 0 and f"the source's own {name} part" in outcome.err
    items = json.loads(Path("parts/corpus.json").read_text())["items"]
    assert {part: len(hashes) for part, hashes in items.items()} == {"training": 6, "held_out": 4}
    assert all(item.startswith(name) for item in items["held_out"])


def test_what_is_also_learned_from_does_not_judge(home: Path, command: Callable):
    write_tones(Path("test"), 4, first=58)
    words = ("train", "mouse.yaml", "--device", "cpu", "--run-dir", "judged")
    outcome = command(*words, "data.test=test")
    assert (
        outcome.code == 0
        and "2 of 4 sounds of data.test: test are also learned from, so they are not used to judge" in outcome.err
    )
    assert json.loads(Path("judged/corpus.json").read_text())["held_out_files"] == ["tone-060.wav", "tone-061.wav"]
    outcome = command(*words, "data.test=sounds", "--fresh")
    assert outcome.code == 2 and "every sound of data.test: sounds is also learned from" in outcome.err
