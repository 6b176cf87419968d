"""Defines what all tests share: a cache of their own, one thread, small generated sounds, and the command line."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from ranks import Ranks, starting

import wavegan
from wavegan import cli
from wavegan.cli.console import installed
from wavegan.dsp.librosa_door import librosa

RATE = 16000
LABELLED = """\
data: {{source: {source}, holdout: 0.2, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4, labels: auto}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
training: {{steps: 2, batch_size: 2, precision: fp32}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""
# Where no interval need mean anything; figures themselves are of all clips.
JUDGING = {"assemble", "cli", "commands", "export", "faults", "test_interface.py", "test_shipped_models.py"}

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and what nohup starts, with this one
torch.set_num_threads(1)  # small tensors are no faster on two, and results stay the same bit for bit
os.environ["OMP_NUM_THREADS"] = "1"  # nor are other processes, which would wait for each other's threads


def pytest_configure(config: pytest.Config) -> None:
    """Has librosa compiled once, before several workers need it at the same time."""
    if config.getoption("numprocesses", None):
        librosa()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a cache folder that no other test has used."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("WAVEGAN_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def few_resamples(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resamples figures 20 times, not 200, which takes most of the time; tests/evaluation tests the intervals."""
    if request.path.relative_to(Path(__file__).parent).parts[0] in JUDGING:
        from wavegan.evaluation.evaluate import Reference

        defaults = Reference.estimates.__kwdefaults__
        assert defaults
        monkeypatch.setitem(defaults, "count", 20)


@pytest.fixture
def sounds(tmp_path: Path) -> Callable[..., Path]:
    """sounds(count, seconds=…, rate=…, channels=…, labels=…) makes a folder of decaying tones, 200 Hz upwards."""

    def make(
        count: int = 6,
        *,
        seconds: float = 0.5,
        rate: int = RATE,
        channels: int = 1,
        labels: tuple[str, ...] = (),
        name: str = "sounds",
    ) -> Path:
        folder = tmp_path / name
        time = np.arange(round(seconds * rate)) / rate
        for number in range(count):
            tone = 0.5 * np.sin(2 * np.pi * (200 + 100 * number) * time) * np.exp(-5 * time)
            place = folder / labels[number % len(labels)] if labels else folder
            place.mkdir(parents=True, exist_ok=True)
            soundfile.write(place / f"tone-{number:03d}.wav", np.repeat(tone[:, None], channels, 1), rate)
        return folder

    return make


@pytest.fixture
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides GPUs from a test of what holds on a CPU: the same bits, its advice, its count of calls."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def run(sounds, tmp_path, monkeypatch) -> Path:
    """Returns the run of a small WaveGAN, called mouse, that knows kick and snare; goes into the folder around it."""
    (tmp_path / "mouse.yaml").write_text(LABELLED.format(source=sounds(20, seconds=0.3, labels=("kick", "snare"))))
    monkeypatch.chdir(tmp_path)
    return wavegan.train("mouse.yaml", device="cpu").run


@pytest.fixture
def console() -> Iterator[None]:
    """Sends the library's reports to stderr, as the command line sets it up."""
    with installed():
        yield


class Outcome(NamedTuple):
    """Holds the result of a command: its exit code, and its results and messages as text."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """command("train", "recipe.yaml", …) runs the command line in this process."""

    def run(*words: str | Path | int) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["wavegan", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        code = end.value.code
        assert isinstance(code, int), f"the exit code is {code!r}"
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """give_away(path) makes another user the owner of a file; who is not root becomes another user instead."""

    def give(path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, 4242, -1)
        else:
            monkeypatch.setattr(os, "getuid", lambda: 4242)

    return give


@pytest.fixture
def start(tmp_path: Path, cache: Path) -> Iterator[Callable[..., Ranks]]:
    """start(count, act, …) starts ranks that know of each other; with apart=True each has a folder and cache alone.

    Other keywords are variables of their environment.
    """
    with starting(tmp_path, cache) as begin:
        yield begin
