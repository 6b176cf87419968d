"""Kills commands at each of their file operations; the same command again must give what it gives undisturbed.

`kill_host.py` has the shim that counts the operations and kills. The quick part takes a few operations of a command,
spread evenly; the whole, marked `long`, takes all of them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from archive_server import served

from wavegan.training import checkpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the shim finds a file's name in /proc")
KILLED = -9
RECIPE = """\
data: {source: ../sounds, holdout: 0.4, clip_samples: 4096}
generator: {dim: 1, latent_dim: 4}
discriminators: {waveform: {name: wavegan, dim: 1}}
method: {discriminator_steps: 1}
training: {steps: 4, batch_size: 2, checkpoint_every: 1, keep_last: 1, precision: fp32, ema: 0.9}
evaluation: {every: 2, count: 8}
monitor: {log_every: 1, preview_every: 2, preview_count: 1, tensorboard: false}
"""
KITS = """\
data: {source: ../sounds/low, source_b: ../sounds/high, clip_samples: 4096}
generator: {name: translator, dim: 1, kernel_size: 5, blocks: 1}
discriminators: {waveform: {name: wavegan, dim: 1}}
method: {name: translation, objective: wasserstein, discriminator_steps: 1, cycle_weight: 1, identity_weight: 0}
training: {steps: 1, batch_size: 2, precision: fp32}
monitor: {preview_every: 0, tensorboard: false}
"""
TRAIN = ("train", "../mouse.yaml", "--run-dir", "run", "--device", "cpu")
TRAIN_KITS = ("train", "../kits.yaml", "--run-dir", "kits", "--device", "cpu")
LOOPS = ("../sounds/low/0.wav", "../sounds/low/2.wav")


@dataclass(frozen=True)
class Case:
    """Describes a command, what must have run before, and which of its files have a final name only when whole."""

    words: tuple[str, ...]
    before: tuple[str, ...] = ()
    final: str = "$^"
    own_cache: bool = False


CASES = {
    "train": Case(TRAIN, final=r"run/(recipe\.yaml|corpus\.json|previews/.*\.(wav|png))"),
    "generate": Case(("generate", "run", "-n", "20", "--out", "clips"), TRAIN, r"clips/clip-\d+.wav"),
    "evaluate": Case(
        ("evaluate", "run", "--count", "8", "--out", "judged", "--classifier", "none"),
        TRAIN,
        r"judged/.*\.(json|html|png)",
    ),
    "corpus": Case(("corpus", "../sounds"), own_cache=True),
    "classifier": Case(
        ("classifier", "train", "../sounds", "--clip-samples", "1024", "--out", "named.pt"),
        final=r"named\.pt",
        own_cache=True,
    ),
    "translate": Case(("translate", "kits", *LOOPS, "--out", "high"), TRAIN_KITS, r"high/.*\.wav"),
    "compare": Case(
        ("compare", "run", "../sounds", "--count", "8", "--out", "both/report.html", "--classifier", "none"),
        TRAIN,
        r"both/.*\.(json|html|png)",
    ),
    "doctor": Case(
        ("doctor", "../sounds", "--recipe", "my.yaml", "--force", "--out", "checked", "--no-timing"),
        final=r"my\.yaml|checked/.*\.html",
    ),
    "fetch": Case(("fetch", "sc09", "--to", "data"), final="data/sc09/.*"),
}
UNCOMPARED = re.compile(r".*/lock|.*\.lock")  # a lock's file is empty and may stay


class Answer(NamedTuple):
    code: int
    counts: dict[str, int]
    said: str


class Host:
    """Holds the process that runs commands in forks, in one folder with the same beginning for each."""

    def __init__(self, root: Path, dataset: dict[str, Any]):
        self.here, self.dataset, self.cache = root / "here", dataset, root / "cache"
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("kill_host.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "no_proxy": "127.0.0.1"},
        )
        assert self.process.stdin and self.process.stdout
        self.jobs, self.answers = self.process.stdin, self.process.stdout
        assert self.answers.readline() == "ready\n"

    def run(self, case: Case, words: tuple[str, ...], kill: int = 0) -> Answer:
        cache = self.here / "cache" if case.own_cache else self.cache
        job = {"words": words, "folder": str(self.here), "environment": {"WAVEGAN_CACHE": str(cache)}, "kill": kill}
        self.jobs.write(json.dumps(job | {"dataset": self.dataset}) + "\n")
        self.jobs.flush()
        answer = Answer(**json.loads(self.answers.readline()))
        assert "Traceback" not in answer.said, answer.said
        return answer

    def prepare(self, case: Case) -> Path:
        """Returns a folder with what the case needs before it begins."""
        start = self.here.with_name("start")
        for folder in (start, self.here):
            shutil.rmtree(folder, ignore_errors=True)
        self.here.mkdir()
        if case.before:
            assert self.run(case, case.before).code == 0
        shutil.copytree(self.here, start)
        return start

    def begin(self, start: Path) -> None:
        shutil.rmtree(self.here)
        shutil.copytree(start, self.here)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    root = tmp_path_factory.mktemp("kills")
    time = np.arange(4800) / 16000
    for number in range(16):
        folder = root / "sounds" / ("low", "high")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        tone = np.sin(2 * np.pi * (200 + 1800 * (number % 2) + 50 * number) * time) * np.exp(-5 * time)
        soundfile.write(folder / f"{number}.wav", 0.5 * tone, 16000)
    (root / "mouse.yaml").write_text(RECIPE)
    (root / "kits.yaml").write_text(KITS)
    with served() as dataset:
        here = Host(root, asdict(dataset))
        yield here
        here.jobs.close()
        here.answers.close()
        here.process.wait(600)


def content(path: Path) -> Any:
    """Returns what is in a file, without the clock's seconds."""
    if path.match("checkpoints/*.pt"):
        return plain(checkpoint.load(path))
    if path.name == "log.jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines = [line for line in lines if not {"start", "end"} & set(line)]
        return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
    return path.read_bytes()


def plain(state: Any) -> Any:
    if isinstance(state, torch.Tensor):
        return str(state.dtype), state.tolist()
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items() if key != "seconds"}
    return [plain(value) for value in state] if isinstance(state, list | tuple) else state


def contents(folder: Path, final: str = ".*") -> dict[str, Any]:
    """Returns the contents of those files whose names match, by name."""
    names = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: content(path)
        for name, path in names.items()
        if re.fullmatch(final, name) and not UNCOMPARED.fullmatch(name)
    }


def unequal(seen: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Names the files that are there on one side only, or with another content."""
    return [name for name in sorted(seen.keys() | expected.keys()) if seen.get(name) != expected.get(name)]


def faults_of(host: Host, name: str, kills: int | None) -> tuple[list[str], Counter[str], int]:
    """Kills a command at `kills` operations, at all if None.

    Returns what was wrong after that, the operations by kind, and the number of kills.
    """
    case = CASES[name]
    start = host.prepare(case)
    whole = host.run(case, case.words)
    assert whole.code == 0, whole.said
    expected = contents(host.here)
    operations = sum(whole.counts.values())
    moments = range(1, operations + 1) if kills is None else np.linspace(1, operations, kills).round().astype(int)
    wrong = []
    for moment in map(int, moments):
        host.begin(start)
        assert host.run(case, case.words, moment).code == KILLED, f"{name} was not killed at operation {moment}"
        torn = contents(host.here, case.final)
        wrong += [f"{moment}: {file} is torn" for file in torn if torn[file] != expected.get(file)]
        again = host.run(case, case.words)
        if again.code:
            wrong.append(f"{moment}: exit code {again.code}: {again.said}")
        wrong += [f"{moment}: {file} differs" for file in unequal(contents(host.here), expected)]
    return wrong, Counter(whole.counts), len(moments)


QUICK = {"train": 5, "generate": 4, "corpus": 4, "fetch": 3}


@pytest.mark.parametrize("name", QUICK)
def test_a_command_killed_at_some_file_operations_is_done_by_the_same_command_again(host, name):
    wrong, _, kills = faults_of(host, name, QUICK[name])
    assert (wrong, kills) == ([], QUICK[name])


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_a_command_killed_at_any_file_operation_is_done_by_the_same_command_again(host, name, capsys):
    wrong, counts, kills = faults_of(host, name, None)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    with capsys.disabled():
        print(f"\nkills of {name}: {kills} ({kinds}); {len(wrong)} faults")
        print(*wrong, sep="\n")
    assert wrong == [] and counts["write"] and counts["rename"]
