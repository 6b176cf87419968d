"""Fetches a small archive of Speech Commands' layout from a local server that can misbehave."""

import hashlib
import io
import tarfile
import threading
from collections import namedtuple
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile
from tqdm import tqdm

from wavegan.audio import download as download_module
from wavegan.audio import public_datasets
from wavegan.audio.public_datasets import DATASETS, Dataset, fetch
from wavegan.errors import DataError

WORDS = DATASETS["sc09"].words
ARCHIVE = "speech_commands_v0.01.tar.gz"
VALIDATION = {f"{word}/c3_nohash_0.wav" for word in WORDS}
TEST = {f"{word}/c4_nohash_0.wav" for word in WORDS if word != "nine"}


class Server(ThreadingHTTPServer):
    """Serves `body`, remembers each request's Range, and breaks off answers after `drop_after` bytes."""

    def __init__(self, body: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.ranges: list[str | None] = []
        self.bytes_sent = 0
        self.drop_after: int | None = None
        self.knows_ranges = True
        self.statuses: list[int] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.server.statuses:
            return self.send_error(self.server.statuses.pop(0))
        body, start = self.server.body, 0
        if asked and self.server.knows_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        if self.server.drop_after is not None:
            rest = rest[: self.server.drop_after]
        self.server.bytes_sent += len(rest)
        self.wfile.write(rest)

    def log_message(self, format, *args):
        pass


def tone(seed: int) -> bytes:
    """Returns a WAV of 0.1 s whose noise does not compress, so that the archive is long enough to break."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, 1600)
    soundfile.write(buffer, noise, 16_000, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def clips() -> dict[str, bytes]:
    """Returns five clips for each of the ten words and two others, by their path in the archive."""
    words = (*WORDS, "bird", "_background_noise_")
    names = [f"{word}/c{k}_nohash_0.wav" for word in words for k in range(5)]
    return {name: tone(seed) for seed, name in enumerate(names)}


def pack(members: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for other in others:
            tar.addfile(other)
    return buffer.getvalue()


def lists() -> dict[str, bytes]:
    return {
        "./validation_list.txt": "\n".join(sorted(VALIDATION | {"bird/c3_nohash_0.wav"})).encode(),
        "./testing_list.txt": "\n".join(sorted(TEST)).encode(),
        "./README.md": b"Speech Commands, made small",
    }


def whole_archive() -> bytes:
    half = {f"./{name}": content for name, content in clips().items()}
    return pack(half | lists())


def dataset_of(server: Server, body: bytes | None = None) -> Dataset:
    body = server.body if body is None else body
    return replace(
        DATASETS["sc09"],
        url=f"http://127.0.0.1:{server.server_port}/data/{ARCHIVE}",
        sha256=hashlib.sha256(body).hexdigest(),
        archive_bytes=len(body),
        extracted_bytes=100_000,
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download_module, "RETRY_PAUSES_SECONDS", (0, 0))
    monkeypatch.setattr(download_module, "CHUNK_BYTES", 1000)


@pytest.fixture
def server():
    with Server(whole_archive()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def names(folder) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("*/*.wav")}


def test_the_official_archive_is_the_one_torchaudio_lists():
    sc09 = DATASETS["sc09"]
    assert sc09.archive_name == ARCHIVE
    assert sc09.sha256 == "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d"
    assert (sc09.archive_bytes, len(sc09.words)) == (1_489_096_277, 10)


def test_splits_the_ten_words_by_the_lists(server, tmp_path):
    result = fetch("sc09", tmp_path / "data", dataset=dataset_of(server))
    assert result.path == tmp_path / "data" / "sc09"
    assert result.clips == {"train": 31, "validation": 10, "test": 9}
    assert names(result.path / "validation") == VALIDATION
    assert names(result.path / "test") == TEST
    train = {name for name in clips() if name.split("/")[0] in WORDS} - VALIDATION - TEST
    assert names(result.path / "train") == train
    assert (result.path / "train/six/c2_nohash_0.wav").read_bytes() == clips()["six/c2_nohash_0.wav"]
    source = (result.path / "SOURCE.md").read_text()
    for fact in ("Pete Warden", "CC BY 4.0", "train 31, validation 10, test 9"):
        assert fact in source
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["sc09"]


def test_a_second_call_downloads_nothing(server, tmp_path, capsys, console):
    first = fetch("sc09", tmp_path, dataset=dataset_of(server))
    assert len(server.ranges) == 1
    assert fetch("sc09", tmp_path, dataset=dataset_of(server)) == first
    assert len(server.ranges) == 1
    assert "already there" in capsys.readouterr().err


def test_an_interrupted_download_continues_where_it_stopped(server, tmp_path):
    server.drop_after = 10_000
    with pytest.raises(DataError, match="run the same command again to continue"):
        fetch("sc09", tmp_path, dataset=dataset_of(server))
    assert server.ranges == [None, "bytes=10000-", "bytes=20000-"]
    assert (tmp_path / f"{ARCHIVE}.partial").read_bytes() == server.body[:30_000]
    server.drop_after = None
    assert fetch("sc09", tmp_path, dataset=dataset_of(server)).clips["train"] == 31
    assert server.ranges[3:] == ["bytes=30000-"]
    assert server.bytes_sent == len(server.body)


def test_a_dropped_connection_is_tried_again_in_the_same_call(server, tmp_path):
    server.drop_after = len(server.body) // 3 + 1
    assert fetch("sc09", tmp_path, dataset=dataset_of(server)).clips["train"] == 31
    assert len(server.ranges) == 3


def test_ctrl_c_leaves_what_came(server, tmp_path, monkeypatch):
    chunks = iter(range(5))

    def interrupted(progress, count):
        if next(chunks, None) is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tqdm, "update", interrupted)
        fetch("sc09", tmp_path, dataset=dataset_of(server))
    assert (tmp_path / f"{ARCHIVE}.partial").read_bytes() == server.body[:6000]
    assert fetch("sc09", tmp_path, dataset=dataset_of(server)).clips["train"] == 31
    assert server.ranges == [None, "bytes=6000-"]


def test_a_server_that_ignores_ranges_starts_over(server, tmp_path):
    server.knows_ranges = False
    (tmp_path / f"{ARCHIVE}.partial").write_bytes(b"other bytes that must not stay")
    assert fetch("sc09", tmp_path, dataset=dataset_of(server)).clips["train"] == 31
    assert server.ranges == ["bytes=30-"]


def test_a_range_that_the_server_lacks_starts_over(server, tmp_path):
    server.statuses = [416]
    (tmp_path / f"{ARCHIVE}.partial").write_bytes(b"other bytes that must not stay")
    assert fetch("sc09", tmp_path, dataset=dataset_of(server)).clips["train"] == 31
    assert server.ranges == ["bytes=30-", None]


def test_a_busy_server_is_tried_again_and_a_missing_file_is_not(server, tmp_path):
    server.statuses = [503, 404]
    with pytest.raises(DataError, match="404 Not Found"):
        fetch("sc09", tmp_path, dataset=dataset_of(server))
    assert len(server.ranges) == 2


def test_another_page_in_the_archives_place_costs_no_byte_of_the_partial_file(server, tmp_path):
    dataset = dataset_of(server)
    partial = tmp_path / f"{ARCHIVE}.partial"
    partial.write_bytes(server.body[:500])
    server.knows_ranges, server.body = False, b"<html>please log in</html>"
    with pytest.raises(DataError, match="offers 26 bytes.*login page"):
        fetch("sc09", tmp_path, dataset=dataset)
    assert partial.stat().st_size == 500


def test_a_corrupted_download_is_deleted(server, tmp_path):
    dataset = dataset_of(server)
    server.body = server.body[:5000] + b"\0" + server.body[5001:]
    with pytest.raises(DataError, match=f"{hashlib.sha256(server.body).hexdigest()}.*{dataset.sha256}"):
        fetch("sc09", tmp_path, dataset=dataset)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_put_there_by_hand_is_used(server, tmp_path):
    (tmp_path / ARCHIVE).write_bytes(server.body)
    assert fetch("sc09", tmp_path, dataset=dataset_of(server)).clips["train"] == 31
    assert server.ranges == []


def test_an_interrupted_extraction_is_redone(server, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(public_datasets, "_split", interrupted)
        fetch("sc09", tmp_path, dataset=dataset_of(server))
    assert not (tmp_path / "sc09").exists()
    (tmp_path / "sc09.partial/train/one/left_over.wav").write_bytes(b"")
    assert fetch("sc09", tmp_path, dataset=dataset_of(server)).clips["train"] == 31
    assert len(server.ranges) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sc09"]


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def test_members_that_leave_the_folder_are_not_written(server, tmp_path):
    evil = [
        pack({"../evil.wav": b"evil"} | lists()),
        pack({"zero/../../../evil.wav": b"evil"} | lists()),
        pack({f"{tmp_path}/evil.wav": b"evil"} | lists()),
        pack(lists(), link("zero/evil.wav", tarfile.SYMTYPE, "../../../evil.wav")),
        pack(lists(), link("zero", tarfile.SYMTYPE, str(tmp_path))),
        pack(lists(), link("zero/evil.wav", tarfile.LNKTYPE, "README.md")),
        pack(lists(), link("zero/evil.wav", tarfile.FIFOTYPE, "")),
    ]
    for number, server.body in enumerate(evil):
        to = tmp_path / str(number)
        assert fetch("sc09", to, dataset=dataset_of(server)).clips == {"train": 0, "validation": 0, "test": 0}
    assert list(tmp_path.rglob("evil.wav")) == []
    assert not (tmp_path.parent / "evil.wav").exists()


def test_too_little_room_is_noticed_before_the_download(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    dataset = replace(dataset_of(server), extracted_bytes=2_000_000_000)
    monkeypatch.setattr(public_datasets.shutil, "disk_usage", lambda path: usage(0, 0, 1_500_000_000))
    with pytest.raises(DataError, match=r"1.50 GB free; sc09 still needs 2.00 GB"):
        fetch("sc09", tmp_path, dataset=dataset)
    assert server.ranges == []
    needed = len(server.body) - 7000 + 2_000_000_000
    (tmp_path / f"{ARCHIVE}.partial").write_bytes(server.body[:7000])
    monkeypatch.setattr(public_datasets.shutil, "disk_usage", lambda path: usage(0, 0, needed - 1))
    with pytest.raises(DataError, match="GB free"):
        fetch("sc09", tmp_path, dataset=dataset)
    monkeypatch.setattr(public_datasets.shutil, "disk_usage", lambda path: usage(0, 0, needed))
    assert fetch("sc09", tmp_path, dataset=dataset).clips["train"] == 31


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="'sc9' is not a data set.*known are sc09.*did you mean sc09"):
        fetch("sc9", tmp_path)


def test_no_server_is_one_sentence(server, tmp_path):
    dataset = replace(dataset_of(server), url=f"http://127.0.0.1:1/{ARCHIVE}")
    with pytest.raises(DataError, match="no answer.*3 times.*network connection") as caught:
        fetch("sc09", tmp_path, dataset=dataset)
    assert "\n" not in str(caught.value)


def test_a_folder_of_someone_else_is_left_alone(server, tmp_path):
    (tmp_path / "sc09").mkdir()
    with pytest.raises(DataError, match="move it away"):
        fetch("sc09", tmp_path, dataset=dataset_of(server))


def test_a_file_where_the_folder_should_be_is_one_sentence(server, tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataError, match="`to` names another folder"):
        fetch("sc09", tmp_path / "data", dataset=dataset_of(server))
