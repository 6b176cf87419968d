"""Tests that a file is seen whole or not at all, whatever happens while it is written."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from wavegan import atomic_write as module
from wavegan.atomic_write import LEFTOVER, STALE_SECONDS, atomic_write, partial_path, remove_leftovers, write_text

HOLD = """
import sys, time
from pathlib import Path
from wavegan.atomic_write import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def new_process(monkeypatch) -> None:
    """Makes this process look for leftovers anew, as it does once."""
    monkeypatch.setattr(module, "_cleared", set())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_text() == "old" and len(names(tmp_path)) == 2
    assert path.read_text() == "new" and names(tmp_path) == ["page.html"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("has_written", [True, False])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error, has_written):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as file:
        if has_written:
            file.write(b"half")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["page.html"]


def test_a_durable_file_is_flushed_before_it_has_its_name_and_its_folder_after(tmp_path, monkeypatch):
    flushed, flush = [], os.fsync

    def watch(descriptor):
        status = os.fstat(descriptor)
        is_final = "weights" in names(tmp_path)
        flushed.append(("folder" if stat.S_ISDIR(status.st_mode) else status.st_size, is_final))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    with atomic_write(tmp_path / "weights", is_durable=True) as file:
        file.write(bytes(5))
    assert flushed == [(5, False), ("folder", True)]
    with atomic_write(tmp_path / "picture") as file:
        file.write(bytes(5))
    assert len(flushed) == 2, "flushing takes long, and only what cannot be made again needs it"


@pytest.mark.parametrize("answer", [errno.EINVAL, errno.EIO])
def test_a_system_that_cannot_flush_folders_is_no_error_but_a_failure_is(tmp_path, monkeypatch, answer):
    flush = os.fsync

    def fail_for_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(answer, "no")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    fails = pytest.raises(OSError, match="weights") if answer == errno.EIO else nullcontext()
    with fails, atomic_write(tmp_path / "weights", is_durable=True) as file:
        file.write(b"new")
    assert (tmp_path / "weights").read_text() == "new" and names(tmp_path) == ["weights"]


def test_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "classifier.pt"
    with atomic_write(path) as first:
        first.write(b"first")
        with atomic_write(path) as second:
            second.write(b"second")
        assert path.read_text() == "second"
    assert path.read_text() == "first" and names(tmp_path) == ["classifier.pt"]


def test_a_link_in_the_place_of_a_partial_file_is_not_followed(tmp_path, monkeypatch):
    """The random part keeps a link from waiting there; should one be there all the same, it is not followed."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    partial_path(tmp_path / "clip.wav").symlink_to(victim)  # the name of earlier versions
    write_text(tmp_path / "clip.wav", "sound")
    tokens = iter(["0" * 12, "1" * 12])
    monkeypatch.setattr(module.secrets, "token_hex", lambda _: next(tokens))
    (tmp_path / f"clip.wav.{'0' * 12}.partial").symlink_to(victim)
    with pytest.raises(FileExistsError, match=r"clip\.wav'$"):
        write_text(tmp_path / "clip.wav", "more sound")
    assert victim.read_text() == "precious" and (tmp_path / "clip.wav").read_text() == "sound"


def test_names_as_long_as_the_system_allows_can_be_written(tmp_path):
    for name in ("x" * 255, "é" * 127):
        write_text(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"


def test_what_a_kill_leaves_is_removed_by_the_next_process_but_no_file_that_is_being_written(tmp_path):
    path = tmp_path / "clip.wav"
    kept = [tmp_path / "archive.tar.gz.partial", tmp_path / "mine.partial"]  # downloads that go on, and strangers
    for other in kept:
        other.write_text("other")
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout and writer.stdout.readline() == "writing\n"
        [partial] = [name for name in names(tmp_path) if LEFTOVER.fullmatch(name)]
        write_text(tmp_path / "other.json", "{}")
        assert partial in names(tmp_path), "its writer lives"
        writer.send_signal(signal.SIGKILL)
    module._cleared.clear()
    write_text(tmp_path / "other.json", "{}")
    assert names(tmp_path) == sorted(["other.json", *(other.name for other in kept)])


def test_where_no_lock_tells_only_old_leftovers_are_removed(tmp_path, monkeypatch):
    def cannot(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(module.fcntl, "flock", cannot)
    old, new = (tmp_path / f"clip.wav.{digit * 12}.partial" for digit in "ab")
    old.write_text("half")
    new.write_text("half")
    stale = time.time() - STALE_SECONDS - 9
    os.utime(old, (stale, stale))
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [new.name]
    write_text(tmp_path / "clip.wav", "sound")
    assert (tmp_path / "clip.wav").read_text() == "sound"


def test_a_file_taken_for_a_leftover_before_its_lock_is_made_anew(tmp_path, monkeypatch):
    lock, taken = module._locked, []

    def take_first(descriptor: int, **settings: bool) -> bool:
        if not taken:
            [partial] = tmp_path.iterdir()
            taken.append(partial.name)
            partial.unlink()
        return lock(descriptor, **settings)

    monkeypatch.setattr(module, "_locked", take_first)
    write_text(tmp_path / "clip.wav", "sound")
    assert taken and (tmp_path / "clip.wav").read_text() == "sound"


@pytest.mark.parametrize("answer", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
def test_a_write_that_the_system_refuses_is_its_error_with_the_place_whatever_a_library_makes_of_it(
    tmp_path: Path, monkeypatch, answer
):
    path = tmp_path / "weights.pt"
    path.write_text("old")

    def refuse(file, data):
        file.error = file.error or OSError(answer, os.strerror(answer))
        return len(data)

    monkeypatch.setattr(module._RememberingFile, "write", refuse)
    sentence = re.escape(f"[Errno {answer}] {os.strerror(answer)}: '{path}'")
    for write in (
        lambda file: torch.save({"w": torch.zeros(9000)}, file),
        lambda file: file.write(b"text"),
        lambda file: (file.write(b"text"), file.flush(), 1 / 0),
    ):
        with pytest.raises(OSError, match=f"^{sentence}$") as caught, atomic_write(path) as file:
            write(file)
        assert caught.value.errno == answer
        assert path.read_text() == "old" and names(tmp_path) == ["weights.pt"]


def test_a_folder_that_has_gone_is_named_by_the_files_own_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"'{tmp_path / 'gone' / 'page.html'}'") + "$"):
        write_text(tmp_path / "gone" / "page.html", "new")
    folder = tmp_path / "there"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match=r"there/page\.html'$"), atomic_write(folder / "page.html") as file:
        file.write(b"new")
        folder.rename(tmp_path / "elsewhere")


WITHOUT_POSIX = """
import os, sys
sys.modules["fcntl"] = sys.modules["resource"] = None  # as on Windows
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY"):
    delattr(os, name)
from pathlib import Path
import wavegan.bench.measure, wavegan.cli
from wavegan.atomic_write import atomic_write
with atomic_write(Path(sys.argv[1]), is_durable=True) as file:
    file.write(b"new\\n")
print(Path(sys.argv[1]).read_bytes(), sorted(os.listdir(Path(sys.argv[1]).parent)))
"""


def test_files_are_written_and_leftovers_removed_without_posix(tmp_path):
    (tmp_path / "page.html.0123456789ab.partial").write_text("half")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX, tmp_path / "page.html"], capture_output=True, text=True, check=False
    )
    assert done.stdout == "b'new\\n' ['page.html']\n", done.stderr


def test_a_file_that_is_closed_is_no_leftover_before_it_has_its_name(tmp_path, monkeypatch):
    rename = os.replace

    def removed_and_renamed(source: Path, target: Path) -> None:
        module._remove_if_left(source)
        rename(source, target)

    monkeypatch.setattr(os, "replace", removed_and_renamed)
    write_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole" and len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_taken_for_a_leftover_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    real_open, taken = os.open, []

    def opened(path, flags, *mode):
        descriptor = real_open(path, flags, *mode)
        if str(path).endswith(".partial") and not taken:  # another thread looks for leftovers just now
            taken.append(real_open(path, os.O_WRONLY))
            fcntl.flock(taken[0], fcntl.LOCK_EX)

            def remove():
                os.unlink(path)
                os.close(taken[0])

            threading.Timer(0.2, remove).start()
        return descriptor

    monkeypatch.setattr(module.os, "open", opened)
    with atomic_write(tmp_path / "file") as file:
        time.sleep(0.4)  # until it is removed
        file.write(b"content")
    assert taken and (tmp_path / "file").read_text() == "content"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
