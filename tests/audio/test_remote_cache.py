"""Fetches from stores in memory, from a faulty one and over http, into the cache folder."""

import contextlib
import errno
import functools
import io
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import namedtuple
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile
from fsspec.registry import _registry
from remote_shop import Shop

from wavegan.audio import remote_cache, remote_copy
from wavegan.audio.corpus import load_corpus
from wavegan.audio.files import TemporaryError
from wavegan.audio.listing import list_sound
from wavegan.audio.remote_cache import is_address, mirror
from wavegan.audio.shards import is_shards, list_shards
from wavegan.errors import DataError

PATIENCE_SECONDS = 600  # for what will come, on a machine that does much else


def sound(number: int = 0) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.5 * np.sin(np.arange(800) * 0.02 * (number + 1)), 16_000, format="WAV")
    return buffer.getvalue()


SOUNDS = {"kick/a.wav": sound(0), "kick/b.flac": sound(1), "snare/a.wav": sound(2)}


@pytest.fixture(autouse=True)
def shop(monkeypatch):
    monkeypatch.setattr(remote_copy, "RETRY_PAUSES_SECONDS", (0, 0))
    Shop.reset()
    yield Shop
    Shop.reset()


def fill(files: dict[str, bytes], address: str = "shop://sounds") -> str:
    system, path = fsspec.url_to_fs(address)
    for name, content in files.items():
        system.pipe_file(f"{path}/{name}", content)
    return address


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_addresses_are_told_from_paths():
    for source in ("s3://bucket/x", "hf://datasets/a/b", "memory://x", "https://a.org/b", "gs://b/s-{0..9}.tar"):
        assert is_address(source)
    for source in ("sounds", "/a/b", "C:\\sounds", "a/b://c", "drum_machine/dry", "shard-{000..099}.tar"):
        assert not is_address(source)


@pytest.mark.parametrize("address", ["memory://wavegan-test/sounds", "shop://sounds", "shop://sounds/"])
def test_a_folder_is_fetched_as_it_is(address, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    fill(
        SOUNDS | {"metadata.csv": b"file_name\n", "README.md": b"words", "kick/.hidden.wav": b"x"}, address.rstrip("/")
    )
    result = mirror(address, tmp_path)
    assert content_of(result.folder) == SOUNDS | {"metadata.csv": b"file_name\n"}
    assert result.passed_over == {
        remote_cache.OTHER_KINDS: ("README.md",),
        remote_cache.listing.HIDDEN: ("kick/.hidden.wav",),
    }
    assert f"fetching 4 files (0.0 MB) of {address}" in caplog.text
    assert len(list_sound(result.folder).paths) == 3
    if address.startswith("memory"):
        fsspec.filesystem("memory").rm("/wavegan-test", recursive=True)


def test_a_second_call_reads_nothing_and_a_change_reads_what_changed(shop, tmp_path):
    address = fill(SOUNDS)
    folder = mirror(address, tmp_path).folder
    assert sorted(shop.read) == [f"/sounds/{name}" for name in SOUNDS]
    shop.read.clear()
    assert mirror(address, tmp_path) == mirror(f"{address}/", tmp_path) == remote_cache.Mirror(folder, {})
    assert shop.read == []
    changed = SOUNDS["kick/a.wav"][:-1] + b"\1"  # as long as before
    fill({"kick/a.wav": changed, "new.wav": sound(9)})
    del shop.store["/sounds/snare/a.wav"]
    assert mirror(address, tmp_path).folder == folder
    assert sorted(shop.read) == ["/sounds/kick/a.wav", "/sounds/new.wav"]
    expected = {"kick/a.wav": changed, "kick/b.flac": SOUNDS["kick/b.flac"], "new.wav": sound(9)}
    assert content_of(folder) == expected
    assert mirror(address, tmp_path).folder == folder and len(shop.read) == 2


def test_a_file_that_was_lost_or_damaged_in_the_cache_is_fetched_again(shop, tmp_path):
    folder = mirror(fill(SOUNDS), tmp_path).folder
    (folder / "kick/a.wav").unlink()
    (folder / "kick/b.flac").write_bytes(b"cut")
    (folder / "kick/stranger.wav").write_bytes(b"no one's")
    shop.read.clear()
    mirror("shop://sounds", tmp_path)
    assert sorted(shop.read) == ["/sounds/kick/a.wav", "/sounds/kick/b.flac"]
    assert content_of(folder) == SOUNDS


def tar_of(number: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in (("x.wav", sound(number)), ("x.cls", str(number).encode())):
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [("", "0123"), ("/s-{1..2}.tar", "12"), ("/s-*.tar", "0123"), ("/s-3.tar", "3"), ("/{s-0,s-2}.tar", "02")],
)
def test_shards_are_fetched_by_folder_braces_and_wildcards(pattern, numbers, tmp_path):
    fill({f"s-{number}.tar": tar_of(number) for number in range(4)} | {"README.md": b"words"}, "shop://shards")
    folder = mirror(f"shop://shards{pattern}", tmp_path).folder
    assert is_shards(str(folder))
    items = list_shards(str(folder)).items
    assert [(item.name, item.label) for item in items] == [(f"s-{number}/x.wav", number) for number in numbers]


def test_tars_beside_sounds_are_left_and_told(tmp_path):
    result = mirror(fill(SOUNDS | {"all.tar": tar_of(0)}), tmp_path)
    assert content_of(result.folder) == SOUNDS
    assert result.passed_over == {remote_cache.TARS_BESIDE: ("all.tar",)}


def test_one_sound_is_a_folder_of_one(tmp_path):
    fill(SOUNDS)
    assert content_of(mirror("shop://sounds/kick/a.wav", tmp_path).folder) == {"a.wav": SOUNDS["kick/a.wav"]}


def test_names_that_lead_out_are_refused(shop, tmp_path):
    address = fill({"good.wav": sound()})
    hostile = ("../evil.wav", "a/../../../evil.wav", "a//evil.wav", "..\\evil.wav", "./evil.wav", "C:\\evil.wav")
    for name in hostile:
        shop.store[f"/sounds/{name}"] = shop.store["/sounds/good.wav"]
    result = mirror(address, tmp_path / "cache")
    assert content_of(result.folder) == {"good.wav": sound()}
    assert result.passed_over == {remote_cache.LEADS_OUT: tuple(sorted(hostile))}
    assert shop.read == ["/sounds/good.wav"] and list(tmp_path.rglob("*evil*")) == []


def test_passing_failures_are_tried_again_and_others_are_not(shop, tmp_path):
    address = fill({"a.wav": sound()})
    shop.faults = [ConnectionError("reset"), TimeoutError()]
    assert content_of(mirror(address, tmp_path).folder) == {"a.wav": sound()}
    shop.faults = [PermissionError("not yours"), ConnectionError("stays")]
    with pytest.raises(
        DataError, match="shop://sounds cannot be read.*PermissionError: not yours.*your access to it"
    ) as error:
        mirror(address, tmp_path / "other")
    assert not isinstance(error.value, TemporaryError) and len(shop.faults) == 1
    shop.faults = [ConnectionError("reset")] * 3
    with pytest.raises(TemporaryError, match="ConnectionError: reset.*run the same command again"):
        mirror(address, tmp_path / "other")


@pytest.mark.parametrize(("status", "may_pass"), [(503, True), (429, True), (404, False), (401, False)])
def test_a_servers_answer_says_whether_to_try_again(shop, tmp_path, status, may_pass):
    error = ConnectionError("answer")
    error.status = status  # pyright: ignore  as aiohttp's errors have it
    shop.faults = [error]
    with contextlib.nullcontext() if may_pass else pytest.raises(DataError):
        mirror(fill({"a.wav": sound()}), tmp_path)


def test_a_file_that_comes_too_short_is_fetched_again(shop, tmp_path):
    shop.short_reads = 1
    assert content_of(mirror(fill(SOUNDS), tmp_path).folder) == SOUNDS
    assert len(shop.read) == 4
    shop.short_reads = 9
    with pytest.raises(TemporaryError, match="bytes and .* came"):
        mirror("shop://sounds", tmp_path / "other")
    assert list(tmp_path.glob("other/*/files/**/*.*")) == []


def test_what_came_before_a_failure_stays(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_copy, "WORKERS", 1)
    address = fill(SOUNDS)
    monkeypatch.setattr(remote_copy, "_is_temporary", lambda error: False)
    shop.faults = []
    copy = remote_copy._copy
    monkeypatch.setattr(remote_copy, "_copy", lambda *words: fail() if "snare" in str(words[2]) else copy(*words))
    with pytest.raises(DataError):
        mirror(address, tmp_path)
    assert len(shop.read) == 2
    monkeypatch.setattr(remote_copy, "_copy", copy)
    assert content_of(mirror(address, tmp_path).folder) == SOUNDS
    assert len(shop.read) == 3


def fail():
    raise ConnectionError("planted")


def test_without_a_connection_a_complete_folder_is_used_and_told(shop, tmp_path):
    address = fill(SOUNDS)
    shop.is_reachable = False
    with pytest.raises(TemporaryError, match="no route to the shop"):
        mirror(address, tmp_path)
    shop.is_reachable = True
    folder = mirror(address, tmp_path).folder
    shop.is_reachable = False
    result = mirror(address, tmp_path)
    assert result.folder == folder and len(result.notes) == 1
    assert "shop://sounds cannot be read" in result.notes[0] and "its 3 files are used as" in result.notes[0]
    (folder / "kick/a.wav").unlink()
    with pytest.raises(TemporaryError):
        mirror(address, tmp_path)


def test_a_fetch_that_was_killed_is_not_complete_without_a_connection(shop, tmp_path):
    """A change of the address makes the folder incomplete until all has come."""
    address = fill(SOUNDS)
    mirror(address, tmp_path)
    fill({"new.wav": sound(5)})
    shop.faults = [PermissionError("planted")]
    with pytest.raises(DataError):
        mirror(address, tmp_path)
    shop.is_reachable = False
    with pytest.raises(TemporaryError):
        mirror(address, tmp_path)


def test_several_files_are_fetched_at_once(shop, tmp_path):
    pairs = threading.Barrier(2, timeout=PATIENCE_SECONDS)  # each copy waits for a second one
    shop.at_read = lambda _: pairs.wait()
    mirror(fill({f"{number}.wav": sound() for number in range(24)}), tmp_path)
    assert len(shop.read) == 24 and 2 <= shop.most_at_once <= remote_copy.WORKERS


KILLED = """
import sys, time
from pathlib import Path
from remote_shop import Shop
from test_remote_cache import fill, many
from wavegan.audio.remote_cache import mirror
fill(many())
Shop.at_read = lambda _: time.sleep(600) if len(Shop.read) > 20 else None
mirror("shop://sounds", Path(sys.argv[1]))
"""


def many() -> dict[str, bytes]:
    return {f"{number:02d}.wav": sound(number) for number in range(64)}


def test_a_fetch_that_was_killed_goes_on(shop, tmp_path):
    tests = Path(__file__).parents[1]
    package = Path(remote_cache.__file__).parents[2]
    paths = os.pathsep.join(map(str, (package, tests, tests / "audio")))
    child = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], env=os.environ | {"PYTHONPATH": paths})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(journal.stat().st_size for journal in tmp_path.glob("*/fetched.jsonl")):
        assert child.poll() is None and time.monotonic() < deadline, "nothing was fetched"
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    (folder,) = tmp_path.glob("*/files")
    before = content_of(folder)
    came = {json.loads(line)["name"] for line in (folder.parent / "fetched.jsonl").read_text().splitlines()}
    assert came and came <= set(before) and len([name for name in before if name.endswith(".wav")]) < 64
    with (folder.parent / "fetched.jsonl").open("a") as journal:
        journal.write('{"name": "63.wav", "ver')  # as a kill in the middle of a line leaves it
    fill(many())
    shop.faults = [PermissionError("planted")]
    with pytest.raises(DataError, match="planted"):
        mirror("shop://sounds", tmp_path)
    assert mirror("shop://sounds", tmp_path).folder == folder
    assert content_of(folder) == many()
    assert {name.removeprefix("/sounds/") for name in shop.read} == set(many()) - came


def test_ctrl_c_stops_all_copies(shop, tmp_path, monkeypatch):
    """Python forgets a thread that Ctrl-C interrupts in its start, so the signal comes after that."""
    address = fill({f"{number:02d}.wav": sound() for number in range(20)})
    readers, has_begun, wait = itertools.count(1), threading.Event(), remote_copy.as_completed
    monkeypatch.setattr(remote_copy, "as_completed", lambda copies: (has_begun.set(), wait(copies))[1])

    def interrupt(callback: remote_copy._Count) -> None:
        """Is Ctrl-C while all workers copy; each then waits, before its first byte, until it is asked to stop."""
        if next(readers) == remote_copy.WORKERS:
            has_begun.wait(PATIENCE_SECONDS)
            os.kill(os.getpid(), signal.SIGINT)
        for _turn in range(20 * PATIENCE_SECONDS):
            if callback.stop.wait(0.05):
                return
            os.kill(os.getpid(), signal.SIGWINCH)  # a signal just before a long wait is heard with the next one

    shop.at_read = interrupt
    handler = signal.signal(signal.SIGWINCH, lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        mirror(address, tmp_path)
    signal.signal(signal.SIGWINCH, handler)
    assert len(shop.read) == remote_copy.WORKERS
    assert list(tmp_path.glob("*/files/*")) == []
    shop.at_read = lambda _: None
    assert set(content_of(mirror(address, tmp_path).folder).values()) == {sound()}


def test_a_missing_package_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)  # kept there once any test has asked for it
    with pytest.raises(DataError, match=r'Install s3fs.*pip install "wavegan\[cloud\]"') as error:
        mirror("s3://bucket/sounds", tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="Protocol not known: s4"):
        mirror("s4://bucket/sounds", tmp_path)
    with pytest.raises(DataError, match=f"is on this computer; name the path itself: {tmp_path}"):
        mirror(f"file://{tmp_path}", tmp_path)


def test_an_address_without_sound_says_what_it_holds(tmp_path):
    fill({"a.parquet": b"x", "b.parquet": b"x", "LICENSE": b"x"})
    with pytest.raises(DataError, match=r"no sound file and no tar file; it holds 3 others \(.parquet, LICENSE\)"):
        mirror("shop://sounds", tmp_path)
    with pytest.raises(DataError, match="it is empty"):
        mirror("shop://nothing", tmp_path)
    with pytest.raises(DataError, match="FileNotFoundError"):
        mirror("shop://nothing/a.wav", tmp_path)


def test_a_full_disk_is_told_before_and_during_the_fetch(shop, tmp_path, monkeypatch):
    address = fill(SOUNDS)
    shop.faults = [OSError(errno.ENOSPC, "No space left on device")]
    with pytest.raises(DataError, match="cache folder .* cannot be used .No space left.*WAVEGAN_CACHE"):
        mirror(address, tmp_path)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(remote_cache.shutil, "disk_usage", lambda path: usage(100))
    shop.read.clear()
    with pytest.raises(DataError, match="0.00 GB free"):
        mirror(address, tmp_path / "other")
    assert shop.read == []


class QuietHandler(SimpleHTTPRequestHandler):
    heads: list[str] = []

    def do_GET(self):
        if "." in self.path:
            self.heads.append(self.path)
        super().do_GET()

    def log_message(self, format, *args):
        pass


def test_a_web_folder_is_fetched(tmp_path):
    pytest.importorskip("aiohttp", reason="fsspec reads http with aiohttp")
    web = tmp_path / "web"
    for name, content in (SOUNDS | {"kick/with blank #1.wav": sound(7), "README.md": b"words"}).items():
        (web / name).parent.mkdir(parents=True, exist_ok=True)
        (web / name).write_bytes(content)
    QuietHandler.heads.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(web))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/"
            folder = mirror(address, tmp_path / "cache").folder
            assert content_of(folder) == SOUNDS | {"kick/with blank #1.wav": sound(7)}
            assert len(QuietHandler.heads) == 4
            os.utime(web / "kick/a.wav", (1, 1))
            mirror(address, tmp_path / "cache")
            assert QuietHandler.heads[4:] == ["/kick/a.wav"]
            with pytest.raises(DataError, match="cannot be read .*FileNotFoundError"):
                mirror(f"{address}nothing.wav", tmp_path / "cache")
        finally:
            server.shutdown()
            thread.join()
    assert "its 4 files are used as fetched before" in mirror(address, tmp_path / "cache").notes[0]


def test_a_corpus_of_an_address_is_that_of_a_folder_and_tells_what_was_left(shop, tmp_path):
    address = fill(SOUNDS | {"README.md": b"words"})
    corpus = load_corpus(address, 16_000, 1)
    for name, content in SOUNDS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    plain = load_corpus(str(tmp_path), 16_000, 1)
    assert (corpus.names, corpus.label_names) == (plain.names, plain.label_names)
    assert list(corpus.hashes) == list(plain.hashes)
    assert corpus.passed_over == {remote_cache.OTHER_KINDS: ("README.md",)}
    shop.is_reachable = False
    again = load_corpus(address, 16_000, 1)
    assert again.names == corpus.names and "as fetched before" in again.notes[0]


def test_a_corpus_of_remote_shards_names_each_sound_by_its_shard(tmp_path):
    fill({f"s-{number}.tar": tar_of(number) for number in range(2)}, "shop://shards")
    corpus = load_corpus("shop://shards/s-{0..1}.tar", 16_000, 1)
    assert corpus.names == ("s-0/x.wav", "s-1/x.wav") and corpus.label_names == ("0", "1")
