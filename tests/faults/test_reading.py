"""Reads every file format after random damage: a normal result or a sentence, in bounded time and memory."""

import contextlib
import hashlib
import io
import json
import random
import resource
import shutil
import signal
import tarfile
import warnings
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from faults.mutations import mutated

from wavegan import generation
from wavegan import recipe as recipes
from wavegan.audio.corpus import load_corpus
from wavegan.audio.duplicates import clusters
from wavegan.audio.files import decode
from wavegan.audio.sources import open_source
from wavegan.commands.folder_record import RECORD, FolderRecord
from wavegan.commands.model_loading import load_model
from wavegan.commands.run_sound import sound_of_run
from wavegan.commands.train import train
from wavegan.errors import UserError
from wavegan.evaluation import classifier as classifiers
from wavegan.evaluation.listening_answers import ANSWERS_FORMAT, PROGRAM, identity_of_key, score_answers
from wavegan.training.monitor import Monitor
from wavegan.training.run_folder import evaluations, statistics

QUICK, WHOLE = 11, 280  # mutations of each format; a quarter of them where every one trains
MOST_SECONDS, MOST_BYTES = 20, 1 << 30
RATE = 16000


class TooLong(BaseException):
    """Says that a reader did not end in time; no handler of the package takes it for an error of a file."""


@dataclass(frozen=True)
class Format:
    """Says how a format is written and read: write(folder) returns the files to damage, read(folder) gives a result.

    is_checked: it has checksums, so that a result is never another one. is_slow: it takes fewer mutations.
    """

    write: Callable[[Path], list[Path]]
    read: Callable[[Path], Any]
    is_checked: bool = False
    is_slow: bool = False


def digest(*arrays: Any) -> str:
    return hashlib.blake2b(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def tones(folder: Path, ending: str = "wav", count: int = 6, form: str | None = None) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    time = np.arange(6000) / RATE
    paths = [folder / f"tone-{number}.{ending}" for number in range(count)]
    for number, path in enumerate(paths):
        soundfile.write(
            path, 0.5 * np.sin(2 * np.pi * (200 + 90 * number) * time) * np.exp(-5 * time), RATE, format=form
        )
    return paths


def sound(ending: str, form: str | None = None) -> Format:
    def read(folder: Path) -> Any:
        return digest(*decode(folder / f"tone-0.{ending}", RATE, 1))

    return Format(lambda folder: tones(folder, ending, 1, form), read)


RECIPE = """\
data: {{source: {source}, holdout: 0.4, clip_samples: 4096}}
generator: {{dim: 1, latent_dim: 4}}
discriminators: {{waveform: {{name: wavegan, dim: 1}}}}
optimizers: {{generator: {{name: {optimizer}, lr: 1e-3}}}}
training: {{steps: {steps}, batch_size: 2, checkpoint_every: 1, keep_last: 2, precision: fp32, ema: 0.9}}
monitor: {{log_every: 1, preview_every: 0, tensorboard: false}}
"""


def recipe_file(folder: Path, steps: int = 2, optimizer: str = "adam") -> Path:
    if not (folder / "sounds").exists():
        tones(folder / "sounds")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(source=folder / "sounds", steps=steps, optimizer=optimizer))
    return path


def run(folder: Path) -> list[Path]:
    train(recipes.load(recipe_file(folder)), folder / "run", device="cpu")
    return [folder / "run" / "checkpoints" / "step-00000002.pt"]


def lone_checkpoint(folder: Path) -> Any:
    loaded = load_model(folder / "run" / "checkpoints" / "step-00000002.pt", torch.device("cpu"))
    (clips,) = generation.generate(loaded.model, 2)
    return digest(clips.numpy())


def continued(folder: Path) -> Any:
    """Trains one step more; a damaged checkpoint gives way to the one before it, and the end is the same."""
    result = train(recipes.load(recipe_file(folder, steps=3)), folder / "run", device="cpu")
    network = torch.load(result.checkpoint, weights_only=True)["networks"]["generator"]
    return digest(*(values.numpy() for values in network.values()))


def log_lines(folder: Path) -> list[Path]:
    path = folder / "log.jsonl"
    lines = [{"step": step, "seconds": 1.0, "generator/loss": 0.5} for step in (2, 4, 6)]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"step": 6, "evaluation/kad_l": 0.1}]))
    return [path]


def read_log(folder: Path) -> Any:
    log = folder / "log.jsonl"
    rows = [evaluations(log), statistics(log)]
    monitor = Monitor(log, step=4, steps=9)
    monitor.after_step(5, {"generator/loss": torch.tensor(1.0)})
    monitor.tell({"kad_l": 1.0})
    return repr(rows)


def classifier(folder: Path) -> list[Path]:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        network = classifiers.Network(3).eval()
    counts = classifiers.Accuracy(9, 10)
    kept = classifiers.Classifier(network, ("a", "b", "c"), RATE, 4096, 0, "tones", "by hand", 20, counts, counts)
    classifiers.save(kept, folder / "classifier.pt")
    return [folder / "classifier.pt"]


def classify(folder: Path) -> Any:
    kept = classifiers.load(folder / "classifier.pt")
    clips = torch.sin(torch.arange(4096) / 9).expand(2, 1, 4096)
    return digest(*kept.extract(clips, kept.sample_rate)), kept.name


def metadata(ending: str) -> Format:
    rows = [{"file_name": f"tone-{number}.wav", "label": f"kind {number % 2}"} for number in range(6)]

    def write(folder: Path) -> list[Path]:
        tones(folder / "sounds")
        path = folder / "sounds" / f"metadata.{ending}"
        as_csv = "file_name,label\n" + "".join(f"{row['file_name']},{row['label']}\n" for row in rows)
        path.write_text(as_csv if ending == "csv" else "".join(json.dumps(row) + "\n" for row in rows))
        return [path]

    return Format(write, lambda folder: [(item.name, item.label) for item in open_source(str(folder / "sounds")).items])


def cache_files(folder: Path) -> list[Path]:
    tones(folder / "sounds")
    corpus = load_corpus(str(folder / "sounds"), RATE, 1)
    clusters(corpus)
    assert corpus.folder
    return [path for path in sorted(corpus.folder.iterdir()) if path.name != "lock" and path.stat().st_size]


def cached(folder: Path) -> Any:
    corpus = load_corpus(str(folder / "sounds"), RATE, 1)
    parts = [
        corpus.samples[start : start + length] for start, length in zip(corpus.starts, corpus.lengths, strict=True)
    ]
    clusters(corpus)
    return digest(*parts)


def folder_record(folder: Path) -> list[Path]:
    FolderRecord(folder, "clip-*.wav", {"seed": 0}).write(finished=3, begun=4)
    return [folder / RECORD]


def read_folder_record(folder: Path) -> Any:
    noted = FolderRecord(folder, "clip-*.wav", {"seed": 0})
    assert 0 <= noted.finished <= noted.begun, "clips that cannot be"
    noted.write(finished=noted.finished, begun=noted.begun)
    return range(noted.finished)[:9]


def corpus_report(folder: Path) -> list[Path]:
    run(folder)
    return [folder / "run" / "corpus.json"]


def read_corpus_report(folder: Path) -> Any:
    loaded = load_model(folder / "run", torch.device("cpu"))
    sound_of_run(loaded.recipe, loaded.split, folder / "run")
    return continued(folder)


def shards(folder: Path) -> list[Path]:
    with tarfile.open(folder / "a.tar", "w") as tar:
        for number, path in enumerate(tones(folder / "sounds", count=3)):
            tar.add(path, f"{number:04d}.wav")
            header = tarfile.TarInfo(f"{number:04d}.cls")
            header.size = 1
            tar.addfile(header, io.BytesIO(str(number % 2).encode()))
    return [folder / "a.tar"]


def read_shards(folder: Path) -> Any:
    heard = []
    for item in open_source(str(folder / "a.tar")).items:
        with contextlib.suppress(UserError), item.open(RATE, 1) as opened:  # one member of several is passed over
            heard.append((item.name, item.label, digest(*opened.blocks)))
    return heard


def answers(folder: Path) -> list[Path]:
    plain = {"seed": 7, "candidates": ["x", "y", "z"]}
    trials = [[[a, 0], [b, 0]] for a, b in ((0, 1), (1, 2), (0, 2))]
    key = b64encode(json.dumps({**plain, "sounds": "", "trials": trials}).encode()).decode()
    head = {"program": PROGRAM, "format": ANSWERS_FORMAT, "key": key, "test": identity_of_key(key)}
    rest = {"session": "s", "listener": "Ann", "answers": ["A", "tie", None]}
    path = folder / "answers.json"
    path.write_text(json.dumps(head | plain | rest))
    return [path]


FORMATS = {
    "checkpoint": Format(run, lone_checkpoint),
    "resumed run": Format(run, continued, is_slow=True),
    "classifier": Format(classifier, classify),
    "answers": Format(answers, lambda folder: repr(score_answers([folder / "answers.json"]))),
    "log": Format(log_lines, read_log),
    "recipe": Format(lambda folder: [recipe_file(folder)], lambda folder: repr(recipes.load(folder / "recipe.yaml"))),
    "metadata.csv": metadata("csv"),
    "metadata.jsonl": metadata("jsonl"),
    "cache": Format(cache_files, cached, is_checked=True),
    "clips.json": Format(folder_record, read_folder_record),
    "corpus.json": Format(corpus_report, read_corpus_report, is_checked=True, is_slow=True),
    "tar": Format(shards, read_shards),
    **{ending: sound(ending) for ending in ("wav", "flac", "ogg", "mp3", "aiff", "au", "w64", "caf")},
}
tally: dict[str, Counter[str]] = {}


@pytest.fixture(scope="module", autouse=True)
def figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Prints, at the end, how many mutations were refused, gave the same, and gave another result."""
    tally.clear()
    yield
    total = sum(tally.values(), Counter())
    line = ", ".join(f"{total[kind]:,} {kind}" for kind in ("refused", "same", "other"))
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\nreading: {total.total():,} mutations of {len(tally)} formats: {line}")


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises TooLong after these seconds of the processor, or after thirty times as many of the clock."""

    def end(*_: object) -> None:
        raise TooLong(f"not read within {seconds} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    timers = ((signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, 30 * seconds))
    handlers = [signal.signal(number, end) for _, number, _ in timers]
    for timer, _, delay in timers:
        signal.setitimer(timer, delay)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, handlers, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MOST_BYTES, f"reading took {grown:,} bytes"


def outcome(form: Format, folder: Path, whole: Any) -> str:
    try:
        with limited(MOST_SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = form.read(folder)
    except UserError as error:
        assert str(error), "an error without words"
        return "refused"
    return "same" if result == whole else "other"


def mutate(name: str, mutations: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damages fresh copies of a format's files, one mutation at a time, and reads each."""
    form, place = FORMATS[name], tmp_path / "place"
    monkeypatch.setenv("WAVEGAN_CACHE", str(place / "cache"))
    place.mkdir()
    paths = form.write(place)
    shutil.copytree(place, tmp_path / "whole")  # copies have their own times, so sources keep their place instead
    whole = form.read(place)
    counts = tally.setdefault(name, Counter())
    for number in mutations[:: 4 if form.is_slow else 1]:
        chance = random.Random(zlib.crc32(f"{name} {number}".encode()))
        path = chance.choice(paths)
        restore(tmp_path / "whole", place)
        path.write_bytes(mutated(path, chance))
        damaged = path.read_bytes()
        try:
            counts[kind := outcome(form, place, whole)] += 1
        except BaseException as error:
            (tmp_path / "damaged").write_bytes(damaged)
            error.add_note(f"mutation {number} of {name}, in {path.name}; kept as {tmp_path / 'damaged'}")
            raise
        assert kind != "other" or not form.is_checked, f"mutation {number} of {name}: another result in silence"


def restore(whole: Path, place: Path) -> None:
    """Brings a folder back to what it was; files that are as they were keep their times, so the cache knows them."""
    for path in sorted(place.rglob("*"), reverse=True):
        if not (whole / path.relative_to(place)).exists():
            path.rmdir() if path.is_dir() else path.unlink()
    for path in whole.rglob("*"):
        here = place / path.relative_to(whole)
        if path.is_file() and not (here.exists() and here.read_bytes() == path.read_bytes()):
            here.parent.mkdir(parents=True, exist_ok=True)
            here.write_bytes(path.read_bytes())


@pytest.mark.parametrize("name", FORMATS)
def test_some_damage_ends_in_a_result_or_a_sentence(name, tmp_path, monkeypatch):
    mutate(name, range(QUICK), tmp_path, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_much_damage_ends_in_a_result_or_a_sentence(name, tmp_path, monkeypatch):
    mutate(name, range(QUICK, QUICK + WHOLE), tmp_path, monkeypatch)
