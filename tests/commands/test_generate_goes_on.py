"""Tests that wavegan generate goes on: clips of the same settings are kept, missing ones are made, others refused."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wavegan import recipe as recipes
from wavegan.commands import generate as job
from wavegan.commands.folder_record import RECORD
from wavegan.commands.train import train

RECIPE = """\
data: {source: drum_machine/test, clip_samples: 4096, sample_rate: 4000}
generator: {dim: 1, latent_dim: 4, labels: 10}
discriminators: {waveform: {name: wavegan, dim: 1}}
training: {steps: 2, batch_size: 2, checkpoint_every: 1, precision: fp32}
monitor: {preview_every: 0, tensorboard: false}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Returns a run with checkpoints at steps 1 and 2, which no test writes into."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "mouse.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVEGAN_CACHE", str(folder / "cache"))
        train(recipes.load(folder / "mouse.yaml"), folder / "run", device="cpu")
    return folder / "run"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clips(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.wav")}


def record(folder: str, pattern: str = "clip-*.wav") -> tuple[int, int]:
    content = json.loads(Path(folder, RECORD).read_text())[pattern]
    return content["finished"], content["begun"]


INTERRUPTED = """
import sys, time
from pathlib import Path
from wavegan import cli
from wavegan.audio import writing
def write_until_held(path, *arguments, write=writing.write, **options):
    if path.name == "clip-000020.wav":
        Path("held").touch()
        for _turn in range(60_000):
            time.sleep(0.01)  # a signal just before one long sleep would be heard after it
    write(path, *arguments, **options)
writing.write = write_until_held
cli.main()
"""


def test_an_interrupted_command_goes_on_and_gives_the_same_to_the_last_bit(command, model):
    words = ("generate", model, "-n", 60, "--seed", 3)
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *map(str, words), "--out", "new"],
        stdout=subprocess.DEVNULL,
        stderr=-1,
        text=True,
    )
    while not Path("held").exists():
        assert process.poll() is None, "it has ended before it was interrupted"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=600)[1]
    assert (process.returncode, told.lstrip()) == (130, "interrupted; the same command goes on where it can\n")
    assert len(clips("new")) == 20 and record("new") == (16, 16 + job.BATCH_SIZE)
    outcome = command(*words, "--out", "new")
    assert outcome.code == 0, outcome.err
    assert outcome.err == "new: 16 of 60 clips are there, made with the same settings, and kept\n"
    command(*words, "--out", "whole")
    assert clips("new") == clips("whole") and len(clips("new")) == 60
    assert record("new") == record("whole") == (60, 60)


def test_missing_clips_are_made_again_and_the_others_left_alone(command, model):
    command("generate", model, "-n", 37, "--out", "new")
    before, times = clips("new"), {path: path.stat().st_mtime_ns for path in Path("new").glob("*.wav")}
    for number in (3, 20, 36):
        Path(f"new/clip-{number:06d}.wav").unlink()
    outcome = command("generate", model, "-n", 37, "--out", "new")
    assert outcome.err == "new: 34 of 37 clips are there, made with the same settings, and kept\n"
    assert outcome.out.count("\n") == 37 and clips("new") == before
    changed = [path.name for path, then in times.items() if path.stat().st_mtime_ns != then]
    assert sorted(changed) == ["clip-000003.wav", "clip-000020.wav", "clip-000036.wav"]


def test_more_clips_of_the_same_series_are_added(command, model):
    command("generate", model, "-n", 5, "--out", "new")
    first = clips("new")
    assert command("generate", model, "-n", 40, "--out", "new").code == 0
    assert len(clips("new")) == 40 and first.items() <= clips("new").items()
    assert command("generate", model, "-n", 5, "--out", "new").code == 0 and len(clips("new")) == 40


OTHERS = {
    "seed": ("--seed", 2),
    "truncation": ("--truncation", 0.5),
    "label": ("--label", "kick"),
    "precision": ("--precision", "bf16"),
    "checkpoint": ("--checkpoint", 1),
    "weights": ("--raw",),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("walk", [(), ("--interpolate",)])
def test_clips_of_other_settings_are_refused(command, model, other, walk):
    command("generate", model, "-n", 3, "--out", "new", *walk)
    before = clips("new")
    outcome = command("generate", model, "-n", 3, "--out", "new", *walk, *OTHERS[other])
    assert outcome.code == 2 and "exists already" in outcome.err and "--force" in outcome.err
    assert clips("new") == before
    assert command("generate", model, "-n", 3, "--out", "new", *walk, *OTHERS[other], "--force").code == 0
    assert clips("new") != before
    assert command("generate", model, "-n", 3, "--out", "new", *walk).code == 2, "the record is the new command's"


def test_a_file_of_somebody_else_after_the_own_ones_is_refused(command, model):
    command("generate", model, "-n", 3, "--out", "new")
    Path("new/clip-000004.wav").write_text("mine")
    outcome = command("generate", model, "-n", 8, "--out", "new")
    assert outcome.code == 2 and outcome.err.startswith("error: new/clip-000004.wav exists already (1 of ")
    assert Path("new/clip-000004.wav").read_text() == "mine"


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"clip-*.wav": 3}'])
def test_without_a_whole_record_clips_are_somebody_elses(command, model, damaged):
    command("generate", model, "-n", 2, "--out", "new")
    Path("new", RECORD).write_text(damaged)
    assert command("generate", model, "-n", 2, "--out", "new").code == 2
    assert command("generate", model, "-n", 2, "--out", "new", "--force").code == 0 and record("new") == (2, 2)


def test_a_forced_command_that_was_interrupted_takes_no_old_clip_for_its_own(command, model, monkeypatch):
    command("generate", model, "-n", 40, "--out", "new", "--seed", 1)

    def stopped(path, clip, sample_rate, comment="", *, write=job.writing.write, **options):
        if path.name == "clip-000020.wav":
            raise KeyboardInterrupt
        write(path, clip, sample_rate, comment, **options)

    with monkeypatch.context() as patch:
        patch.setattr(job.writing, "write", stopped)
        assert command("generate", model, "-n", 40, "--out", "new", "--force").code == 130
    assert record("new") == (16, 32)
    assert command("generate", model, "-n", 40, "--out", "new").code == 2, "clips 32 to 39 are of seed 1"
    Path("new/clip-000039.wav").unlink()
    for number in range(32, 39):
        Path(f"new/clip-{number:06d}.wav").unlink()
    assert command("generate", model, "-n", 40, "--out", "new").code == 0
    command("generate", model, "-n", 40, "--out", "whole")
    assert clips("new") == clips("whole")


def test_a_walk_is_kept_or_begins_anew(command, model, monkeypatch):
    words = ("generate", model, "-n", 3, "--interpolate", "--out", "new")
    with monkeypatch.context() as patch:
        patch.setattr(job.writing, "write_clip", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert command(*words).code == 130 and clips("new") == {}
    assert command(*words).code == 0
    walk = clips("new")
    outcome = command(*words)
    assert (outcome.code, outcome.out) == (0, "new/walk.wav\n") and clips("new") == walk
    assert "new/walk.wav is there, made with the same settings, and kept" in outcome.err
    assert command(*words, "-n", 4).code == 2, "a walk of other stations is another"


def test_formats_and_walks_share_a_folder(command, model):
    for words in (("--format", "flac"), (), ("--interpolate",), ("--format", "flac"), ()):
        assert command("generate", model, "-n", 3, "--out", "new", *words).code == 0
    assert len(list(Path("new").iterdir())) == 3 + 3 + 1 + 1
    shutil.move("new", "elsewhere")
    assert command("generate", model, "-n", 3, "--out", "elsewhere").code == 0, "the folder may move"
