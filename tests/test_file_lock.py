"""Tests locks against other processes: waiting is told, and so is a file system that cannot lock."""

import errno
import fcntl
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from wavegan import file_lock
from wavegan.audio.corpus import load_corpus
from wavegan.commands import classify
from wavegan.errors import DataError, RunError
from wavegan.evaluation import classifier_training
from wavegan.evaluation.clip_format import ClipFormat
from wavegan.file_lock import LockingError, acquire, locked, locked_if_possible
from wavegan.training.run_folder import RunFolder

FORM = ClipFormat(16000, 1, 4096)
HOLD = """
import sys, time
from pathlib import Path
from wavegan.file_lock import locked
with locked(Path(sys.argv[1]), "tests"):
    print("held", flush=True)
    time.sleep(600)
"""
NO_LOCKS = [errno.ENOTSUP, errno.ENOLCK, errno.EINVAL, errno.EIO]  # as some network file systems answer


@pytest.fixture
def messages(caplog) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "wavegan")
    return caplog


@pytest.fixture(params=NO_LOCKS)
def answer(request, monkeypatch) -> int:
    """Makes every lock fail; returns the number of the error."""

    def refuse(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


def test_a_wait_is_told_once_and_ends_with_the_other_process(tmp_path, monkeypatch, messages):
    monkeypatch.setattr(file_lock, "SECONDS_BEFORE_LINE", 0.05)
    path, told = tmp_path / "lock", []
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        with monkeypatch.context() as patch:
            patch.setattr(file_lock.logger, "info", lambda text: (told.append(text), other.send_signal(signal.SIGKILL)))
            with locked(path, "decodes the same sound"):
                assert other.wait() == -signal.SIGKILL
                assert not acquire(FileLock(path), timeout=0)
    assert told == [f"waiting for another process that decodes the same sound; it holds {path}"]
    with locked(path, "decodes the same sound"):
        pass
    assert not messages.records, "it was given back, and nobody is waited for"


def test_a_lock_is_given_back_after_an_error(tmp_path):
    for attempt in (locked, locked_if_possible):
        with pytest.raises(KeyError), attempt(tmp_path / "lock", "tests"):
            raise KeyError
        with attempt(tmp_path / "lock", "tests"):
            pass


def test_a_file_system_without_locks_is_told_with_the_place(tmp_path, answer):
    place = tmp_path / "lock"
    with (
        pytest.raises(LockingError, match=re.escape(f"cannot lock files ({os.strerror(answer)}): '{place}'")),
        locked(place, "tests"),
    ):
        pytest.fail("there is no lock")


def test_a_lock_file_that_cannot_be_made_is_the_systems_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file"), locked(tmp_path / "file" / "lock", "tests"):
        pytest.fail("there is no lock")


def test_a_run_folder_without_locks_is_refused(tmp_path, answer):
    rule = "its file system cannot lock files .*; without a lock two trainings might write there; .*`run_dir`"
    with pytest.raises(RunError, match=rule), RunFolder(tmp_path / "run").locked():
        pytest.fail("there is no lock")


def test_a_cache_without_locks_is_refused_until_it_is_complete(sounds, monkeypatch):
    folder = str(sounds(2))

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with pytest.raises(DataError, match=r"cannot lock files .*WAVEGAN_CACHE"):
            load_corpus(folder, 16000, 1)
    load_corpus(folder, 16000, 1)
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert len(load_corpus(folder, 16000, 1).names) == 2


def test_a_classifier_is_trained_without_a_lock_with_a_line_and_read_without_a_word(
    sounds, monkeypatch, messages, cache: Path
):
    source = str(sounds(40, labels=("low", "high")))
    load_corpus(source, 16000, 1)
    monkeypatch.setattr(classifier_training, "steps_for", lambda _: 2)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    classifier = classify.classifier_for(source, FORM)
    told = [record.getMessage() for record in messages.records if "cannot lock files" in record.getMessage()]
    assert classifier and len(told) == 1 and told[0].endswith("another process may do the same work meanwhile")
    messages.clear()
    [kept] = (cache / "classifiers").glob("*.pt")
    monkeypatch.setattr(classify, "locked_if_possible", None)
    again = classify.classifier_for(source, FORM)
    assert again and again.identity == classifier.identity
    assert not [record for record in messages.records if record.name != "wavegan.audio.corpus"] and kept.exists()


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EACCES])
def test_a_classifier_that_cannot_be_kept_is_used_and_told(sounds, monkeypatch, messages, cache: Path, fault):
    source = str(sounds(40, labels=("low", "high")))
    monkeypatch.setattr(classifier_training, "steps_for", lambda _: 2)

    def refuse(_: object, path: Path) -> None:
        raise OSError(fault, os.strerror(fault), str(path))

    monkeypatch.setattr(classify, "save", refuse)
    assert classify.classifier_for(source, FORM)
    [told] = [record.getMessage() for record in messages.records if record.levelname == "WARNING"]
    assert "is not kept, and is trained each time" in told and str(cache) in told and "WAVEGAN_CACHE" in told
