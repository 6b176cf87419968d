"""Tests the run folder: one holder at a time, and nothing written over."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wavegan.errors import RunError
from wavegan.training.run_folder import RunFolder

HOLD = """
import sys, time
from pathlib import Path
from wavegan.training.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_holder_is_refused_and_told_who_the_first_is(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        with (
            pytest.raises(RunError, match=f"is being trained by process {os.getpid()} on .*; wait for it, stop it"),
            RunFolder(tmp_path / "run").locked(),
        ):
            pytest.fail("two holders")
        assert (folder.path / "lock.holder").exists(), "the refused one took the name away"
    with RunFolder(tmp_path / "run").locked():
        pass


def test_another_process_holds_it_until_it_dies(tmp_path):
    run = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        try:
            with pytest.raises(RunError, match=f"is being trained by process {other.pid} on "), RunFolder(run).locked():
                pytest.fail("two holders")
        finally:
            other.send_signal(signal.SIGKILL)
    with RunFolder(run).locked():  # what it left behind bars nobody
        assert str(os.getpid()) in (run / "lock.holder").read_text()


def test_the_lock_is_given_back_after_an_error(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(KeyError), folder.locked():
        raise KeyError
    with folder.locked():
        pass
    assert not (tmp_path / "lock.holder").exists()


def test_folders_that_were_made_for_nothing_are_removed(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "drums")
    with pytest.raises(KeyError), folder.locked():
        raise KeyError
    assert not [*tmp_path.iterdir()]
    with folder.locked():
        folder.log.write_text("{}")
    with folder.locked():
        pass
    assert contents(tmp_path) == {"runs/drums/log.jsonl": "{}", "runs/drums/lock": ""}


def test_a_run_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    with (
        pytest.raises(RunError, match="run is a file; name another with `run_dir`"),
        RunFolder(tmp_path / "run").locked(),
    ):
        pass
    with (
        pytest.raises(RunError, match="run/inside cannot be made .*; name another with `run_dir`"),
        RunFolder(tmp_path / "run" / "inside").locked(),
    ):
        pass
    assert (tmp_path / "run").read_text() == "mine"


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_moving_aside_never_writes_over(tmp_path):
    run = RunFolder(tmp_path / "run")
    assert run.move_aside() is None
    for number in (1, 2, 3):
        run.path.mkdir()
        run.log.write_text(f"run {number}")
        assert run.move_aside() == tmp_path / f"run.{number}"
        assert not run.path.exists()
    assert contents(tmp_path) == {f"run.{number}/log.jsonl": f"run {number}" for number in (1, 2, 3)}


def test_moving_aside_leaves_strangers_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run.1").write_text("not ours")
    (tmp_path / "run.2").mkdir()
    assert RunFolder(tmp_path / "run").move_aside() == tmp_path / "run.3"
    assert (tmp_path / "run.1").read_text() == "not ours"
