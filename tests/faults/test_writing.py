"""Fills the disk at every write of every command: one sentence, nothing torn, and the command goes on afterwards."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from archive_server import served

from wavegan import atomic_write
from wavegan import recipe as recipes
from wavegan.audio import download
from wavegan.audio.corpus import load_corpus
from wavegan.audio.public_datasets import DATASETS, Dataset
from wavegan.commands.train import train
from wavegan.evaluation import classifier, classifier_training
from wavegan.training import checkpoint

PAGE = 4096  # bytes that a small file takes
RECIPE = """\
data: {{source: {source}, holdout: 0.4, clip_samples: 4096, sample_rate: 4000}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
training: {{steps: 3, batch_size: 2, checkpoint_every: 1, keep_last: 2, precision: fp32}}
monitor: {{log_every: 1, preview_every: 2, preview_count: 1, tensorboard: false}}
"""
KITS = """\
data: {{source: {source}/low, source_b: {source}/high, clip_samples: 4096, sample_rate: 4000}}
generator: {{name: translator, dim: 1, kernel_size: 5, blocks: 1}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
method: {{name: translation, objective: wasserstein, discriminator_steps: 1, cycle_weight: 1, identity_weight: 0}}
training: {{steps: 1, batch_size: 2, precision: fp32}}
monitor: {{preview_every: 0, tensorboard: false}}
"""
COMMANDS = {
    "train": "train mouse.yaml --run-dir disk/run",
    "cache": "train mouse.yaml --run-dir run",
    "wav": "generate model -n 5 --out disk/clips",
    "walk": "generate model -n 3 --interpolate --format flac --out disk/clips",
    "ogg": "generate model -n 5 --format ogg --out disk/clips",
    "evaluate": "evaluate model --count 16 --classifier none --out disk/judged",
    "classifier": "classifier train labelled --clip-samples 4096 --sample-rate 4000 --out disk/ears/ears.pt",
}
OTHERS = {  # tried in the long part only
    "translate": "translate kits labelled/low/0.wav labelled/low/2.wav labelled/low/4.wav --out disk/high",
    "compare": "compare model labelled --count 16 --classifier none --out disk/both/report.html",
    "doctor": "doctor labelled --recipe disk/my.yaml --force --out disk/checked --no-timing",
    "fetch": "fetch sc09 --to disk/data",
}
MOST_SIZES = {"evaluate": 8, "compare": 8, "doctor": 8}  # these take the longest


class Disk:
    """Is a small file system, of which a file takes all but so many bytes."""

    def __init__(self, path: Path):
        self.path = path

    @property
    def free(self) -> int:
        """Returns how many bytes are free."""
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_bsize

    def leave(self, size: int) -> None:
        """Takes space until `size` bytes are free."""
        with (self.path / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free - size)

    def give_back(self) -> None:
        """Frees all the space that `leave` took."""
        (self.path / "ballast").unlink()

    def empty(self) -> None:
        """Removes everything on it."""
        for path in self.path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with sound, a recipe and the run `model`, which no test writes into."""
    folder = tmp_path_factory.mktemp("home")
    time = np.arange(6000) / 4000
    for number in range(36):
        path = folder / "labelled" / ("low", "high")[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * (200 + 20 * number) * time), 4000)
    (folder / "mouse.yaml").write_text(RECIPE.format(source=folder / "labelled"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVEGAN_CACHE", str(folder / "cache"))
        train(recipes.load(folder / "mouse.yaml"), folder / "model", device="cpu")
        (folder / "kits.yaml").write_text(KITS.format(source=folder / "labelled"))
        train(recipes.load(folder / "kits.yaml"), folder / "kits", device="cpu")
    return folder


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes an empty folder `disk` beside links to what `home` holds the current one."""
    for name in ("labelled", "mouse.yaml", "model", "kits"):
        (tmp_path / name).symlink_to(home / name)
    (tmp_path / "disk").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAVEGAN_CACHE", str(home / "cache"))
    monkeypatch.setattr(classifier_training, "steps_for", lambda _: 2)
    return tmp_path


@pytest.fixture
def disk(here: Path) -> Iterator[Disk]:
    """Mounts a disk in memory at the folder `disk`; skips the test where only other users may."""
    path = here / "disk"
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system; the tests with limited files run all the same")
    yield Disk(path)
    subprocess.run(["umount", "-l", str(path)], check=True)


def refuse_torn(folder: Path, *, keeps_parts: bool = False) -> None:
    """Fails if a file with a final name is not whole, or if an unfinished one was left.

    keeps_parts: unfinished ones may stay, because the same command goes on with them.
    """
    for path in folder.rglob("*"):
        if keeps_parts and any(part.endswith(atomic_write.PARTIAL) for part in path.parts):
            continue
        assert not path.name.endswith(atomic_write.PARTIAL), f"{path} was left"
        if path.parent.name == "checkpoints":
            checkpoint.load(path)
        elif path.name == "ears.pt":
            classifier.load(path)
        elif path.suffix in (".wav", ".flac", ".ogg"):
            assert len(soundfile.read(path)[0]) > 0
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.name == "recipe.yaml":
            recipes.load(path)
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")


def contents(folder: Path) -> dict[str, object]:
    """Returns the content of all files that a run leaves on the disk, without clocks; of checkpoints the weights."""
    kept: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.parent.name == "checkpoints":
            weights = checkpoint.load(path)["networks"]
            kept[name] = {
                f"{network}.{key}": value.tolist() for network, part in weights.items() for key, value in part.items()
            }
        elif path.name == "log.jsonl":
            lines = [json.loads(line) | {"seconds": 0} for line in path.read_text().splitlines()]
            kept[name] = [line for line in lines if not {"start", "end"} & set(line)]
        elif path.suffix in (".wav", ".flac", ".ogg"):  # each OGG file draws a number of its own
            kept[name] = soundfile.read(path)[0].tolist()
        elif path.suffix == ".i16":
            kept[name] = path.read_bytes()
        elif path.is_file():
            kept[name] = "there"
    return kept


def prepare(kind: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the words of a command and empties what it may go on with."""
    if kind == "cache":
        monkeypatch.setenv("WAVEGAN_CACHE", str(here / "disk" / "cache"))
        shutil.rmtree(here / "run", ignore_errors=True)
    return (COMMANDS | OTHERS)[kind].split()


def check_sentence(outcome, place: str = "disk") -> None:
    """Fails if a command that the disk has stopped shows more or less than one sentence with the place."""
    assert outcome.code == 2, (outcome.code, outcome.err)
    assert "Traceback" not in outcome.err and "callback" not in outcome.err
    [error] = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    if "make room or choose another disk" in error:  # fetch knows beforehand how much it needs
        return
    assert place in error and any(word in error for word in ("No space left", "File too large")), error
    assert "free some space" in error


def fill_at(sizes: Callable[[int], list[int]], kind: str, here: Path, disk: Disk, command, monkeypatch) -> int:
    """Runs a command with so many bytes free as `sizes` lists of those it takes; returns how often it was stopped."""
    words = prepare(kind, here, monkeypatch)
    before = disk.free
    assert command(*words).code == 0
    expected, used = contents(disk.path), before - disk.free
    stopped = 0
    for size in sizes(used):
        prepare(kind, here, monkeypatch)
        disk.empty()
        disk.leave(size)
        outcome = command(*words)
        if outcome.code:
            stopped += 1
            check_sentence(outcome)
        refuse_torn(disk.path, keeps_parts=kind == "fetch")
        disk.give_back()
        assert command(*words).code == 0
        assert contents(disk.path) == expected
    return stopped


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_disk_that_fills(kind, here, disk, command, monkeypatch):
    def sizes(used: int) -> list[int]:
        return [used // 2 // PAGE * PAGE, *([] if kind == "evaluate" else [0])]  # evaluating takes the longest

    assert fill_at(sizes, kind, here, disk, command, monkeypatch) == 1 + (kind != "evaluate")


@pytest.fixture(scope="module")
def sc09() -> Iterator[Dataset]:
    """Serves a small data set on this machine."""
    with served() as dataset:
        yield dataset


@pytest.mark.long
@pytest.mark.parametrize("kind", [*COMMANDS, *OTHERS])
def test_a_disk_that_fills_at_every_page(kind, here, disk, command, monkeypatch, sc09):
    monkeypatch.setitem(DATASETS, "sc09", sc09)
    monkeypatch.setattr(download, "CHUNK_BYTES", 4000)

    def sizes(used: int) -> list[int]:
        most = MOST_SIZES.get(kind, 60)
        return list(range(0, used + 2 * PAGE, max(1, used // PAGE // most) * PAGE))

    stopped = fill_at(sizes, kind, here, disk, command, monkeypatch)
    print(f"{kind}: a full disk stopped it {stopped} times; each time it went on afterwards")
    assert stopped > 3


@pytest.mark.parametrize(("kind", "limit"), [("train", 8000), ("wav", 3000), ("classifier", 50_000)])
def test_a_file_that_may_not_grow(kind, limit, here, command, monkeypatch):
    """A limit on the size of files stops each write for any user, at the file's end, as a quota does."""
    words = prepare(kind, here, monkeypatch)
    if kind == "classifier":
        load_corpus("labelled", 4000, 1)  # larger than the classifier
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        outcome = command(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check_sentence(outcome)
    refuse_torn(here / "disk")
    assert command(*words).code == 0


def test_a_checkpoint_that_a_kill_left_half_written_makes_room_for_the_next(here, disk, command):
    """Otherwise it would keep the disk full, and the run could never go on."""
    assert command("train", "mouse.yaml", "--run-dir", "disk/run").code == 0
    [*_, newest] = (here / "disk/run/checkpoints").iterdir()
    left = here / "disk/run/checkpoints/step-00000004.pt.0123456789ab.partial"
    size = newest.stat().st_size
    left.write_bytes(bytes(3 * size))
    disk.leave(PAGE)
    atomic_write._cleared.clear()  # as in a new process
    assert command("train", "mouse.yaml", "--run-dir", "disk/run", "training.steps=4").code == 0
    assert not left.exists()


@pytest.mark.parametrize("moved", [True, False])
def test_a_run_folder_that_is_moved_or_removed_while_it_trains(here, command, monkeypatch, moved):
    run, save = Path("disk/run"), checkpoint.save

    def save_and_lose(*arguments, **options):
        path = save(*arguments, **options)
        run.rename("elsewhere") if moved else shutil.rmtree(run)
        return path

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_lose)
        outcome = command("train", "mouse.yaml", "--run-dir", run)
    assert outcome.code == 2 and "Traceback" not in outcome.err
    [error] = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: {run}") and "was moved or removed; put it back or name another" in error
    assert not run.exists(), "a second folder would split the run in two"
    if moved:
        Path("elsewhere").rename(run)
    assert command("train", "mouse.yaml", "--run-dir", run).code == 0


def test_a_full_standard_output_is_a_sentence(here):
    with open("/dev/full", "w") as full:
        words = ["-m", "wavegan", "generate", "model", "-n", "1", "--out", "disk/clips"]
        ended = subprocess.run([sys.executable, *words], stdout=full, stderr=-1, text=True)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "standard output: No space left on device; free some space" in ended.stderr
