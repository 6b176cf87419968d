"""Tests the decoded corpus: what it stores, when it decodes again, and builds that are killed or run twice at once."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import soundfile
import torch

from wavegan import file_lock
from wavegan.audio import corpus as corpus_module
from wavegan.audio import corpus_cache, files, sources
from wavegan.audio import decoding as decoding_module
from wavegan.audio.corpus import LONGEST_CLIP, Corpus, Reading, load_corpus
from wavegan.audio.files import OpenSound
from wavegan.audio.items import Item, Source
from wavegan.audio.listing import list_sound
from wavegan.audio.writing import to_int16
from wavegan.errors import DataError

RATE = 16000
Sounds = Callable[..., Path]
BROKEN_REASONS = {  # what shared/data/broken loses, read at 16 kHz in mono
    "01_zero_byte.wav": "is empty",
    "02_truncated.wav": "is truncated",
    "03_text_renamed.wav": "cannot be decoded",
    "04_nan_inf_float32.wav": "holds NaN",
    "13_header_only.wav": "is empty",
}


class Decoding:
    """Remembers which files were decoded, and breaks down at one of them when told to."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.breaks_at: str | None = None
        self._open = files.open_sound

    def __call__(self, path: Path, *, strict: bool) -> AbstractContextManager[OpenSound]:
        self.names.append(path.name)
        if path.name == self.breaks_at:
            raise KeyboardInterrupt
        return self._open(path, strict=strict)


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Decoding:
    """Records every decoding of a file during the test.

    Files are decoded one at a time, so it is certain what is done before a breakdown.
    """
    spy = Decoding()
    monkeypatch.setattr(sources, "open_sound", spy)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    return spy


def item_of(name: str, blocks: Callable[[], Iterator[np.ndarray]]) -> Item:
    """Makes an item whose sound is these blocks, at any rate."""

    @contextmanager
    def opened(sample_rate: int, channels: int) -> Iterator[OpenSound]:
        yield OpenSound(sample_rate, channels, blocks(), [])

    return Item(name, None, (name,), opened)


def give_source(monkeypatch: pytest.MonkeyPatch, items: list[Item]) -> None:
    """Lets every source hold these items."""
    monkeypatch.setattr(corpus_module, "open_source", lambda source, **settings: Source(tuple(items)))


def put(path: Path, *channels: list[float]) -> Path:
    """Writes a float WAV at 16 kHz with these samples, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.array(channels, float).T, RATE, subtype="FLOAT")
    return path


def sound(corpus: Corpus, name: str) -> np.ndarray:
    """Returns an item's int16 steps, (frames, channels)."""
    index = corpus.names.index(name)
    return corpus.samples.numpy()[corpus.starts[index] :][: corpus.lengths[index]]


def assert_same(corpus: Corpus, other: Corpus) -> None:
    assert torch.equal(corpus.samples, other.samples)
    for part in ("starts", "lengths", "labels"):
        assert np.array_equal(getattr(corpus, part), getattr(other, part)), part
    for part in ("names", "label_names", "skipped", "sample_rate"):
        assert getattr(corpus, part) == getattr(other, part), part


# What is stored


def test_items_lie_end_to_end_with_silence_behind(tmp_path: Path):
    put(tmp_path / "a.wav", [0.5, -0.25, 0.125])
    put(tmp_path / "b.wav", [1, -1])
    corpus = load_corpus(str(tmp_path), RATE, 1, normalize=False)
    assert corpus.samples.dtype == torch.int16
    assert corpus.samples.shape == (5 + LONGEST_CLIP, 1)
    assert corpus.samples[:5, 0].tolist() == [16384, -8192, 4096, 32767, -32767]
    assert not corpus.samples[5:].any()
    assert (corpus.starts.tolist(), corpus.lengths.tolist()) == ([0, 3], [3, 2])
    assert (corpus.names, corpus.labels.tolist(), corpus.label_names) == (("a.wav", "b.wav"), [-1, -1], ())
    assert (corpus.channels, corpus.seconds, corpus.sample_rate) == (1, 5 / RATE, RATE)


def test_channels_stay_in_their_places(tmp_path: Path):
    put(tmp_path / "wide.wav", [0.5, 0], [0.25, -0.25], [-1, 1])
    put(tmp_path / "mono.wav", [0.5, 1])
    corpus = load_corpus(str(tmp_path), RATE, 3, normalize=False)
    assert sound(corpus, "wide.wav").tolist() == [[16384, 8192, -32767], [0, -8192, 32767]]
    assert sound(corpus, "mono.wav").tolist() == [[16384] * 3, [32767] * 3]


def test_resampled_sound_is_stored_whole(tmp_path: Path):
    """Compares a file of another rate, longer than one copied block, with the decoder's output in one piece."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (700_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise, 22050, subtype="FLOAT")
    corpus = load_corpus(str(tmp_path), RATE, 2)
    whole = np.concatenate(list(files.decode(tmp_path / "noise.wav", RATE, 2)))
    assert len(whole) > decoding_module.COPY_FRAMES
    assert np.array_equal(sound(corpus, "noise.wav"), to_int16(whole * np.float32(1 / np.abs(whole).max())))


@pytest.mark.parametrize(
    ("peak", "stored"),
    [(0.5, 32767), (1, 32767), (3, 32767), (0.01, 32767), (1.1e-3, 32767), (3.2e-4, 10), (0, 0)],
    ids=["usual", "full scale", "over full scale", "-40 dB", "-59 dB", "-70 dB", "silence"],
)
def test_peaks_become_full_scale_but_silence_stays(tmp_path: Path, peak: float, stored: int):
    put(tmp_path / "a.wav", [0, peak, -peak / 2, 0])
    put(tmp_path / "other.wav", [0.25, 0])
    corpus = load_corpus(str(tmp_path), RATE, 1)
    assert sound(corpus, "a.wav")[:, 0].tolist() == [0, stored, -((stored + 1) // 2), 0]
    assert sound(corpus, "other.wav")[:, 0].tolist() == [32767, 0], "each file by its own peak"


def test_the_peak_is_that_of_all_channels_together(tmp_path: Path):
    put(tmp_path / "a.wav", [0.25, 0], [0, -0.5])
    assert load_corpus(str(tmp_path), RATE, 2).samples[:2].tolist() == [[16384, 0], [0, -32767]]


def test_without_normalisation_levels_stay_and_overs_clip(tmp_path: Path):
    put(tmp_path / "a.wav", [0.25, 1.5, -1.5])
    corpus = load_corpus(str(tmp_path), RATE, 1, normalize=False)
    assert sound(corpus, "a.wav")[:, 0].tolist() == [8192, 32767, -32767]


def test_labels_are_numbered_in_sorted_order_whatever_the_order_of_the_files(tmp_path: Path):
    rows = [("0.wav", "zebra"), ("1.wav", "ape"), ("2.wav", ""), ("3.wav", "mole"), ("4.wav", "ape")]
    for name, _ in rows:
        put(tmp_path / name, [0.5])
    (tmp_path / "metadata.csv").write_text("file_name,label\n" + "".join(f"{n},{label}\n" for n, label in rows))
    corpus = load_corpus(str(tmp_path), RATE, 1)
    assert corpus.label_names == ("ape", "mole", "zebra")
    assert corpus.names == tuple(name for name, _ in rows)
    assert corpus.labels.tolist() == [2, 0, -1, 1, 0]


def test_selecting_keeps_the_numbers_of_labels(sounds: Sounds):
    corpus = load_corpus(str(sounds(4, labels=("b", "a"))), RATE, 1)
    part = corpus.select(np.array([False, False, True, True]))
    assert part.names == ("b/tone-000.wav", "b/tone-002.wav")
    assert (part.labels.tolist(), part.label_names) == ([1, 1], ("a", "b"))
    assert np.array_equal(sound(part, "b/tone-002.wav"), sound(corpus, "b/tone-002.wav"))
    assert part.select(np.array([1])).names == ("b/tone-002.wav",)


def test_groups_are_read_anew_and_decode_nothing(tmp_path: Path, decoding: Decoding):
    """Sets groups after the sound is in the cache; a skipped file takes its group along."""
    put(tmp_path / "a.wav", [0.5])
    put(tmp_path / "c.wav", [0.5])
    table = "file_name,label,group\na.wav,x,{}\nb.wav,x,nobody\nc.wav,y,{}\n"
    (tmp_path / "metadata.csv").write_text(table.format("Jo", ""))
    assert load_corpus(str(tmp_path), RATE, 1).groups == ("Jo", None)
    decoded = len(decoding.names)
    (tmp_path / "metadata.csv").write_text(table.format("Li", "Mo"))
    corpus = load_corpus(str(tmp_path), RATE, 1)
    assert (corpus.groups, len(decoding.names)) == (("Li", "Mo"), decoded)
    assert corpus.select(np.array([False, True])).groups == ("Mo",)
    assert corpus.select(np.array([1, 0])).groups == ("Mo", "Li")


@pytest.mark.skipif(sys.platform == "win32", reason="files there have no owner's number")
def test_sound_that_another_user_decoded_is_used_and_told(sounds: Sounds, cache, give_away, caplog):
    folder = str(sounds(2))
    with caplog.at_level("INFO", "wavegan"):
        first = load_corpus(folder, RATE, 1)
        assert "another user" not in caplog.text
        (samples,) = cache.glob("corpora/*/samples.i16")
        give_away(samples)
        assert_same(load_corpus(folder, RATE, 1), first)
    assert f"another user decoded this sound into the cache {samples.parent}; set WAVEGAN_CACHE" in caplog.text


# What cannot be used


def test_a_listed_file_that_is_missing_is_passed_over_by_name(tmp_path: Path):
    put(tmp_path / "a.wav", [0.5])
    (tmp_path / "metadata.csv").write_text("file_name,label\nnone.wav,ghost\na.wav,ape\n")
    corpus = load_corpus(str(tmp_path), RATE, 1)
    assert (corpus.names, corpus.label_names) == (("a.wav",), ("ape",))
    assert ("none.wav",) in corpus.passed_over.values()


def test_a_bad_file_leaves_no_trace_among_the_samples(tmp_path: Path):
    """The bad file's first block is decoded before the NaN in its second is found."""
    put(tmp_path / "a.wav", [0.5])
    put(tmp_path / "b.wav", [0.5] * (files.BLOCK_FRAMES + 10) + [np.nan])
    put(tmp_path / "c.wav", [-0.5])
    corpus = load_corpus(str(tmp_path), RATE, 1)
    assert corpus.samples[:3, 0].tolist() == [32767, -32767, 0]
    assert corpus.skipped == {"b.wav": "holds NaN or infinite samples; export it again"}


@pytest.fixture
def one_bad_in_four(sounds: Sounds) -> str:
    folder = sounds(3)
    (folder / "zero.wav").touch()
    return str(folder)


def test_a_share_of_bad_files_up_to_the_limit_is_accepted(one_bad_in_four: str):
    assert len(load_corpus(one_bad_in_four, RATE, 1, max_bad_fraction=0.25).names) == 3


def test_too_many_bad_files_are_refused_by_name(one_bad_in_four: str):
    load_corpus(one_bad_in_four, RATE, 1)
    with pytest.raises(DataError) as refusal:  # also from the cache
        load_corpus(one_bad_in_four, RATE, 1, max_bad_fraction=0.24)
    assert "1 of 4 files cannot be used; at most data.max_bad_fraction = 0.24" in str(refusal.value)
    assert "\n  zero.wav: is empty" in str(refusal.value)


def test_the_limit_is_exact(monkeypatch: pytest.MonkeyPatch):
    """Checks a share that floating point misses: 0.29 · 100 is less than 29."""

    def blocks(number: int) -> Iterator[np.ndarray]:
        if number < 29:
            raise DataError("is bad")
        yield np.zeros((1, 1), np.float32)

    give_source(monkeypatch, [item_of(f"{number}", lambda number=number: blocks(number)) for number in range(100)])
    assert len(load_corpus("any", RATE, 1, max_bad_fraction=0.29).skipped) == 29
    with pytest.raises(DataError, match="29 of 100"):
        load_corpus("any", RATE, 1, max_bad_fraction=0.289)


def test_a_corpus_without_one_good_file_is_always_refused(tmp_path: Path):
    for folder in ("a/train", "b/train"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "zero.wav").touch()
    with pytest.raises(DataError, match="none of the 2 files can be used") as refusal:
        load_corpus([str(tmp_path / "a/train"), str(tmp_path / "b/train")], RATE, 1, max_bad_fraction=1)
    assert "a/train/zero.wav and 1 more: is empty" in str(refusal.value)


def test_a_cache_that_cannot_be_written_says_what_to_do(
    sounds: Sounds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WAVEGAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"the cache folder .* cannot be used \(.+\).*WAVEGAN_CACHE"):
        load_corpus(str(sounds(1)), RATE, 1)


@pytest.mark.skipif("WAVEGAN_TEST_DATA" not in os.environ, reason="WAVEGAN_TEST_DATA names no folder of real audio")
def test_of_the_broken_files_the_usable_are_used_and_the_others_named():
    folder = Path(os.environ["WAVEGAN_TEST_DATA"], "broken")
    present = {path.name for path in list_sound(folder).paths}
    corpus = load_corpus(str(folder), RATE, 1)
    assert corpus.skipped.keys() == BROKEN_REASONS.keys()
    assert all(corpus.skipped[name].startswith(reason) for name, reason in BROKEN_REASONS.items())
    assert set(corpus.names) == present - BROKEN_REASONS.keys()
    assert len(corpus.names) == 10
    peaks = {name: int(np.abs(sound(corpus, name)).max()) for name in corpus.names}
    assert peaks.pop("10_all_silent.wav") == 0
    assert set(peaks.values()) == {32767}


@pytest.mark.skipif("WAVEGAN_TEST_DATA" not in os.environ, reason="WAVEGAN_TEST_DATA names no folder of real audio")
def test_of_the_broken_files_in_stereo_six_channels_are_skipped_too():
    corpus = load_corpus(str(Path(os.environ["WAVEGAN_TEST_DATA"], "broken")), RATE, 2)
    assert corpus.skipped.keys() == {*BROKEN_REASONS, "08_six_channel_16k.wav"}
    assert corpus.skipped["08_six_channel_16k.wav"].startswith("has 6 channels where data.channels is 2")


# When it is decoded again


def test_a_second_load_decodes_nothing(sounds: Sounds, decoding: Decoding):
    folder = str(sounds(3))
    first = load_corpus(folder, RATE, 1)
    assert len(decoding.names) == 3
    assert_same(first, load_corpus(folder, RATE, 1, max_bad_fraction=0))
    assert len(decoding.names) == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_rate": 8000, "channels": 1},
        {"sample_rate": RATE, "channels": 2},
        {"sample_rate": RATE, "channels": 1, "normalize": False},
    ],
)
def test_other_settings_are_another_corpus(sounds: Sounds, decoding: Decoding, settings: dict):
    folder = str(sounds(2))
    first = load_corpus(folder, RATE, 1)
    other = load_corpus(folder, **settings)
    assert len(decoding.names) == 4
    assert other.samples.shape != first.samples.shape or not torch.equal(other.samples, first.samples)
    load_corpus(folder, RATE, 1)
    assert len(decoding.names) == 4, "the first is still there"


def change_content(folder: Path) -> None:
    put(folder / "tone-000.wav", [0.5] * 3)


def change_time_only(folder: Path) -> None:
    os.utime(folder / "tone-000.wav", (1, 1))


def add(folder: Path) -> None:
    put(folder / "new.wav", [0.5])


def remove(folder: Path) -> None:
    (folder / "tone-000.wav").unlink()


def rename(folder: Path) -> None:
    (folder / "tone-000.wav").rename(folder / "tone-00.wav")


def change_content_and_reset_its_time(folder: Path) -> None:
    path = folder / "tone-000.wav"
    before = path.stat()
    samples, _ = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[::-1], RATE)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize(
    "change", [change_content, change_content_and_reset_its_time, change_time_only, add, remove, rename]
)
def test_changed_files_are_decoded_anew(sounds: Sounds, decoding: Decoding, change: Callable[[Path], None]):
    folder = sounds(2)
    load_corpus(str(folder), RATE, 1)
    change(folder)
    decoding.names.clear()
    corpus = load_corpus(str(folder), RATE, 1)
    assert sorted(decoding.names) == sorted(Path(name).name for name in corpus.names)


def test_new_labels_decode_nothing(sounds: Sounds, decoding: Decoding):
    folder = sounds(2)
    load_corpus(str(folder), RATE, 1)
    (folder / "metadata.csv").write_text("file_name,label\ntone-000.wav,a\ntone-001.wav,b\n")
    corpus = load_corpus(str(folder), RATE, 1)
    assert (corpus.label_names, corpus.labels.tolist(), len(decoding.names)) == (("a", "b"), [0, 1], 2)


def test_other_files_beside_the_sound_change_nothing(sounds: Sounds, decoding: Decoding):
    folder = sounds(2)
    load_corpus(str(folder), RATE, 1)
    (folder / "notes.txt").touch()
    (folder / ".hidden.wav").touch()
    load_corpus(str(folder), RATE, 1)
    assert len(decoding.names) == 2


# Builds that are killed


@pytest.fixture
def mixed(sounds: Sounds) -> Path:
    """Makes a folder of six short files, one of them bad."""
    folder = sounds(5, seconds=0.03, labels=("b", "a"))
    (folder / "a/tone-002-bad.wav").write_text("no sound")
    return folder


@pytest.fixture
def whole(mixed: Path) -> Corpus:
    """Returns the uninterrupted corpus of `mixed`."""
    corpus = load_corpus(str(mixed), RATE, 1)
    return replace(corpus, samples=corpus.samples.clone())  # the tests tear the mapped file


def build_of(cache: Path) -> Path:
    (folder,) = (cache / "corpora").iterdir()
    return folder


@pytest.mark.parametrize("finished", range(6))
def test_a_breakdown_costs_only_what_was_not_finished(
    mixed: Path, whole: Corpus, decoding: Decoding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: int
):
    monkeypatch.setenv("WAVEGAN_CACHE", str(tmp_path / "cache"))
    order = [Path(path).name for path in list_sound(mixed).paths]
    decoding.breaks_at = order[finished]
    with pytest.raises(KeyboardInterrupt):
        load_corpus(str(mixed), RATE, 1)
    decoding.names.clear()
    decoding.breaks_at = None
    assert_same(load_corpus(str(mixed), RATE, 1), whole)
    assert decoding.names == order[finished:]


def snapshots(build: Callable[[], object], folder: Path, into: Path) -> list[Path]:
    """Copies the build folder as a kill before each line of `_interrupted` and `_build` leaves it, each state once."""
    states: dict[str, Path] = {}

    def trace(frame: FrameType, event: str, _: object):
        if frame.f_code not in (corpus_cache._build.__code__, corpus_cache._interrupted.__code__):
            return None
        contents = [path.name.encode() + path.read_bytes() for path in sorted(folder.glob("*[!k]"))]  # but the lock
        state = hashlib.sha1(b"\0".join(contents)).hexdigest()
        if state not in states:
            states[state] = into / state
            shutil.copytree(folder, states[state])
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        build()
    finally:
        sys.settrace(before)
    return list(states.values())


@pytest.mark.parametrize("torn", [False, True], ids=["first build", "torn build"])
def test_a_build_killed_before_any_line_goes_on_from_there(
    mixed: Path,
    whole: Corpus,
    cache: Path,
    decoding: Decoding,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    torn: bool,
):
    folder = build_of(cache)
    (folder / "complete").unlink()
    if torn:  # the build under test mends a journal and samples first
        for name in ("items.jsonl", "samples.i16"):
            os.truncate(folder / name, 5 * (folder / name).stat().st_size // 9)
    else:
        (folder / "items.jsonl").unlink()
        (folder / "samples.i16").unlink()
    left = snapshots(lambda: load_corpus(str(mixed), RATE, 1), folder, tmp_path / "states")
    seen = set()
    for number, state in enumerate(left):
        other_cache = tmp_path / f"cache-{number}"
        shutil.copytree(state, other_cache / "corpora" / folder.name)
        monkeypatch.setenv("WAVEGAN_CACHE", str(other_cache))
        journal = state / "items.jsonl"
        finished = journal.read_text().count("\n") if journal.exists() else 0
        seen.add(finished)
        decoding.names.clear()
        assert_same(load_corpus(str(mixed), RATE, 1), whole)
        if not torn or number > 0:
            assert len(decoding.names) == 6 - finished
    assert seen >= set(range(3 if torn else 0, 7)), "each item is on disk as soon as it is done"


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999, 1])
@pytest.mark.parametrize("name", ["items.jsonl", "samples.i16"])
def test_a_file_that_lost_its_end_is_mended(
    mixed: Path, whole: Corpus, cache: Path, decoding: Decoding, name: str, share: float
):
    folder = build_of(cache)
    lines = (folder / "items.jsonl").read_text().splitlines(keepends=True)
    ends = {  # of each item, in bytes
        "items.jsonl": np.cumsum([len(line) for line in lines]),
        "samples.i16": np.cumsum([2 * json.loads(line).get("length", 0) for line in lines]),
    }[name]
    kept = int(share * ends[-1])
    os.truncate(folder / name, kept)
    (folder / "complete").unlink()
    assert_same(load_corpus(str(mixed), RATE, 1), whole)
    assert len(decoding.names) == (ends > kept).sum()
    assert (folder / "items.jsonl").read_text() == "".join(lines)


CHILD = """
import os, sys, time
from pathlib import Path
from wavegan.audio import corpus, sources
opened = []
def open_until_held(*arguments, **options):
    opened.append(arguments)
    while len(opened) > 8 and not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    return open_sound(*arguments, **options)
open_sound, sources.open_sound = sources.open_sound, open_until_held
os.cpu_count = lambda: 1
corpus.load_corpus(sys.argv[1], 16000, 1)
"""


@contextmanager
def building_elsewhere(source: Path, cache: Path, *, lines: int, go: Path) -> Iterator[subprocess.Popen]:
    """Starts another process that builds the corpus, and yields it when this many lines are done.

    The process opens eight items, and the others when the file `go` is there.
    """
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(source), str(go)])
    try:
        deadline = time.monotonic() + 600
        while sum(path.read_text().count("\n") for path in cache.glob("corpora/*/items.jsonl")) < lines:
            assert process.poll() is None and time.monotonic() < deadline, "the other process builds"
            time.sleep(0.005)
        yield process
    finally:
        process.kill()
        process.wait()


def test_kill_9_costs_only_what_was_not_finished(
    sounds: Sounds, cache: Path, decoding: Decoding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = sounds(16, seconds=0.03)
    with building_elsewhere(folder, cache, lines=3, go=tmp_path / "never") as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (build_of(cache) / "complete").exists()
    finished = (build_of(cache) / "items.jsonl").read_text().count("\n")
    assert 3 <= finished < 16
    resumed = load_corpus(str(folder), RATE, 1)
    assert decoding.names == [path.name for path in list_sound(folder).paths][finished:]
    monkeypatch.setenv("WAVEGAN_CACHE", str(tmp_path / "cache"))
    assert_same(resumed, load_corpus(str(folder), RATE, 1))


def test_a_second_process_waits_and_decodes_nothing(
    sounds: Sounds, cache: Path, decoding: Decoding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = sounds(12, seconds=0.03)
    go = tmp_path / "go"
    monkeypatch.setattr(file_lock, "SECONDS_BEFORE_LINE", 0)
    monkeypatch.setattr(file_lock.logger, "info", lambda text: go.touch())  # as soon as it says that it waits
    with building_elsewhere(folder, cache, lines=1, go=go) as process:
        shared = load_corpus(str(folder), RATE, 1)
        assert go.exists(), "it has not waited"
        assert process.wait() == 0
    assert decoding.names == []
    monkeypatch.setenv("WAVEGAN_CACHE", str(tmp_path / "cache"))
    assert_same(shared, load_corpus(str(folder), RATE, 1))


# Memory


def test_only_a_few_items_are_decoded_ahead(monkeypatch: pytest.MonkeyPatch):
    started: list[int] = []

    def decode(number: int) -> Iterator[np.ndarray]:
        started.append(number)
        if number == 0:
            time.sleep(0.2)
            assert len(started) <= 5, "what waits for a slow item is held in memory"
        yield np.full((1, 1), 0.5, np.float32)

    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    give_source(monkeypatch, [item_of(f"{number}", lambda number=number: decode(number)) for number in range(50)])
    assert len(load_corpus("any", RATE, 1).names) == 50


MEMORY_OF_A_CORPUS = """
import os, sys, tracemalloc
from pathlib import Path
from wavegan.audio.corpus import load_corpus
from wavegan.audio.windows import Windows

def private_bytes():  # memory of this process that is no mapped file; 0 where the system does not tell
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

def use(folder):
    corpus = load_corpus(folder, 16000, 1)
    windows = Windows(corpus, 16384, "random")
    for draw in range(40):
        windows.batch(draw, 64)
    return corpus.seconds

os.cpu_count = lambda: 1
short, long = sys.argv[1:]
use(short)  # what any corpus takes
tracemalloc.start()
before = private_bytes()
print(use(long), tracemalloc.get_traced_memory()[1], private_bytes() - before)
"""


@pytest.mark.parametrize(("count", "seconds"), [(1, 1200), (60, 20)], ids=["one long file", "many files"])
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, count: int, seconds: int):
    """Checks that at most 24 MiB are held; twenty minutes are 77 MB of float32 and 38 MB of int16.

    It measures in a process of its own, as memory that other tests freed is given back at an unknown time.
    """
    second = np.random.default_rng(0).integers(-9999, 10000, RATE, dtype=np.int16)
    for name, length, number in [("short", 2, 1), ("long", seconds, count)]:
        (tmp_path / name).mkdir()
        for index in range(number):
            soundfile.write(tmp_path / name / f"{index:02d}.wav", np.tile(second, length), RATE)
    command = [sys.executable, "-c", MEMORY_OF_A_CORPUS, str(tmp_path / "short"), str(tmp_path / "long")]
    at_once = {"MALLOC_MMAP_THRESHOLD_": "131072"}  # else glibc keeps up to 64 MiB of what was freed
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | at_once)
    decoded, traced, private = map(float, done.stdout.split())
    assert decoded == 1200
    assert traced < 24 << 20
    assert private < 24 << 20


# Conversion and measurements


def item_record(corpus: Corpus, name: str) -> np.ndarray:
    return corpus.measured[corpus.names.index(name)]


def test_silence_at_both_ends_is_cut_but_ten_milliseconds(tmp_path: Path):
    sound_samples = [0.5, -0.5] * 100
    put(tmp_path / "a.wav", [0.0] * 5000 + sound_samples + [0.001] * 50 + [1e-5] * 4000)
    corpus = load_corpus(str(tmp_path), RATE, 1, reading=Reading(trim_silence=True))
    assert corpus.lengths.tolist() == [160 + 200 + 50 + 160]
    assert sound(corpus, "a.wav")[160:162, 0].tolist() == [32767, -32767]
    assert item_record(corpus, "a.wav")["lead"] == pytest.approx(0.01)
    whole = load_corpus(str(tmp_path), RATE, 1)
    assert whole.lengths.tolist() == [9250] and item_record(whole, "a.wav")["lead"] == pytest.approx(5000 / RATE)


def test_the_mean_is_subtracted_before_the_peak_becomes_full_scale(tmp_path: Path):
    put(tmp_path / "a.wav", [0.7, 0.5, 0.6, 0.6])
    corpus = load_corpus(str(tmp_path), RATE, 1, reading=Reading(remove_dc=True))
    assert sound(corpus, "a.wav")[:, 0].tolist() == pytest.approx([32767, -32767, 0, 0], abs=1)
    assert item_record(corpus, "a.wav")["offset"] == pytest.approx(0.6)


def test_one_channel_is_taken_in_place_of_the_mean(tmp_path: Path):
    put(tmp_path / "wide.wav", [0.5, 0.25], [-0.5, -0.25])
    put(tmp_path / "mono.wav", [0.5, 0.1])
    with pytest.raises(DataError, match="wide.wav: has channels that cancel .*data.channel=1"):
        load_corpus(str(tmp_path), RATE, 1, max_bad_fraction=0)
    for channel, first in ((1, 32767), (2, -32767)):
        corpus = load_corpus(str(tmp_path), RATE, 1, reading=Reading(channel=channel))
        assert sound(corpus, "wide.wav")[0, 0] == first
        assert item_record(corpus, "wide.wav")["correlation"] == pytest.approx(-1)
        assert np.isnan(item_record(corpus, "mono.wav")["correlation"])
    refused = load_corpus(str(tmp_path), RATE, 1, reading=Reading(channel=3)).skipped
    assert refused == {"wide.wav": "has 2 channels where data.channel is 3; set data.channel to 2 or less"}


def test_an_item_is_known_by_its_samples(tmp_path: Path):
    """Checks the hash against an independent one; another name, level and time are the same sound."""
    put(tmp_path / "a.wav", [0.5, -0.25])
    put(tmp_path / "b/c.wav", [0.25, -0.125])
    put(tmp_path / "d.wav", [0.5, -0.3])
    corpus = load_corpus(str(tmp_path), RATE, 1)
    stored = np.array([32767, -16384], np.int16).tobytes()
    expected = int(hashlib.blake2b(stored, digest_size=8).hexdigest(), 16)
    assert corpus.hashes[:2].tolist() == [expected, expected] and corpus.hashes[2] != expected
    assert item_record(corpus, "b/c.wav")["peak"] == pytest.approx(0.25)
    assert corpus.select(np.array([2])).hashes.tolist() == [corpus.hashes[2]]
    assert corpus.select(np.array([1])).measured["peak"].tolist() == [0.25]


# A cache that is damaged, or that remembers what has passed


def test_a_failure_that_may_pass_is_tried_again(sounds: Sounds, decoding: Decoding, monkeypatch: pytest.MonkeyPatch):
    folder = sounds(4)
    fails, open_sound = {"tone-001.wav"}, sources.open_sound

    def failing(path: Path, *, strict: bool) -> AbstractContextManager[OpenSound]:
        if path.name in fails:
            raise files.TemporaryError("cannot be read now (Permission denied)")
        return open_sound(path, strict=strict)

    monkeypatch.setattr(sources, "open_sound", failing)
    first = load_corpus(str(folder), RATE, 1)
    assert set(first.skipped) == {"tone-001.wav"} and len(first.names) == 3
    sizes = [path.stat().st_size for path in cache_of(first)]
    again = load_corpus(str(folder), RATE, 1)
    assert set(again.skipped) == {"tone-001.wav"} and [path.stat().st_size for path in cache_of(again)] == sizes
    fails.clear()
    decoding.names.clear()
    mended = load_corpus(str(folder), RATE, 1)
    assert (decoding.names, mended.skipped, len(mended.names)) == (["tone-001.wav"], {}, 4)
    assert mended.names == tuple(sorted(mended.names))
    fresh = {name: sound(mended, name).tolist() for name in mended.names}
    assert fresh == {name: sound(load_corpus(str(folder), RATE, 1), name).tolist() for name in mended.names}
    assert torch.equal(first.samples[:100], mended.samples[:100]), "what another process reads stays in place"
    assert not mended.samples[-LONGEST_CLIP:].any()


def cache_of(corpus: Corpus) -> list[Path]:
    assert corpus.folder
    return [corpus.folder / name for name in ("samples.i16", "items.jsonl")]


@pytest.mark.parametrize("place", [10, 9000])
def test_damaged_samples_are_decoded_again(sounds: Sounds, decoding: Decoding, caplog, place: int):
    folder = sounds(4)
    before = load_corpus(str(folder), RATE, 1)
    expected = {name: sound(before, name).tolist() for name in before.names}
    samples, _ = cache_of(before)
    del before
    with samples.open("r+b") as file:
        file.seek(2 * place)
        file.write(b"\x55" * 20)
    decoding.names.clear()
    after = load_corpus(str(folder), RATE, 1)
    assert len(decoding.names) == 1 and "is damaged; items decoded again: 1" in caplog.text
    assert {name: sound(after, name).tolist() for name in after.names} == expected
    decoding.names.clear()
    load_corpus(str(folder), RATE, 1)
    assert decoding.names == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "words", "complete"])
def test_a_damaged_journal_heals(sounds: Sounds, damage: str):
    folder = sounds(4)
    before = load_corpus(str(folder), RATE, 1)
    expected = {name: sound(before, name).tolist() for name in before.names}
    _, journal = cache_of(before)
    text = journal.read_bytes()
    changed = {
        "flip": text.replace(b'"start": 8000', b'"start": 9000'),
        "cut": text[:-30],
        "empty": b"",
        "words": b"no journal\n" + text,
        "complete": text,
    }[damage]
    journal.write_bytes(changed)
    if damage == "complete":
        (journal.parent / "complete").write_text("{")
    after = load_corpus(str(folder), RATE, 1)
    assert {name: sound(after, name).tolist() for name in after.names} == expected
    assert after.skipped == {}


def test_a_complete_cache_is_read_without_rights_to_write(sounds: Sounds, monkeypatch: pytest.MonkeyPatch):
    folder = sounds(2)
    load_corpus(str(folder), RATE, 1)
    monkeypatch.setattr(corpus_cache, "locked", None)
    assert len(load_corpus(str(folder), RATE, 1).names) == 2
