"""Tests that a file is seen whole or not at all, whatever happens while it is written."""

import os

import pytest

from wavegan.atomic_write import atomic_write


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old" and names(tmp_path) == ["page.html", "page.html.partial"]
    assert path.read_text() == "new" and names(tmp_path) == ["page.html"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("has_written", [True, False])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error, has_written):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as partial:
        if has_written:
            partial.write_text("half")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["page.html"]


def test_a_durable_file_is_flushed_before_it_has_its_name(tmp_path, monkeypatch):
    flushed, flush = [], os.fsync

    def watch(descriptor):
        flushed.append((os.fstat(descriptor).st_size, names(tmp_path)))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    with atomic_write(tmp_path / "weights", is_durable=True) as partial:
        partial.write_bytes(bytes(5))
    assert flushed == [(5, ["weights.partial"])]
    with atomic_write(tmp_path / "picture") as partial:
        partial.write_bytes(bytes(5))
    assert len(flushed) == 1, "flushing takes long, and only what cannot be made again needs it"


def test_processes_that_write_one_file_do_not_meet(tmp_path, monkeypatch):
    path = tmp_path / "classifier.pt"
    with atomic_write(path, is_shared=True) as first:
        first.write_text("first")
        monkeypatch.setattr(os, "getpid", lambda: 12345)
        with atomic_write(path, is_shared=True) as second:
            second.write_text("second")
        assert path.read_text() == "second" and first.read_text() == "first"
    assert path.read_text() == "first" and names(tmp_path) == ["classifier.pt"]
