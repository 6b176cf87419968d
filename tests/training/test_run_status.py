"""Tests what a run's log and lock tell of its state, on logs written by hand and on one of a training."""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from filelock import FileLock

from wavegan.training.monitor import Monitor
from wavegan.training.run_folder import RunFolder
from wavegan.training.run_status import run_status

BEGAN = 1_700_000_000
START = {
    "time": datetime.fromtimestamp(BEGAN, UTC).isoformat(),
    "host": "gpu-a",
    "process": 7,
    "processes": 8,
    "machines": 2,
    "steps": 1000,
}


def run(folder: Path, *lines: dict) -> RunFolder:
    folder.mkdir(exist_ok=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return RunFolder(folder)


def line(step: int, seconds: float, **values) -> dict:
    return {"step": step, "seconds": seconds, **values}


def told(step: int, seconds: float, loss: float = 1.0) -> dict:
    return line(step, seconds, **{"generator/loss": loss})


def test_step_speed_figures_and_times_are_those_of_the_log(tmp_path):
    folder = run(
        tmp_path / "run",
        line(0, 0.0, start=START | {"steps": 500}),
        told(100, 1.0),  # fast, of the session before
        line(200, 10.0, start=START),
        told(300, 60.0, 3.0),
        line(300, 61.0, alarm="the clips are silent"),
        line(300, 62.0, **{"evaluation/kad_l": 4.5}),
        told(400, 110.0, 2.0),
    )
    status = run_status(folder, now=BEGAN + 130)
    assert (status["step"], status["steps"], status["seconds"]) == (400, 1000, 110)
    assert status["steps_per_second"] == 2, "200 steps in 100 seconds of this session"
    assert status["figures"] == {"generator/loss": 2} and status["evaluation"] == {"step": 300, "kad_l": 4.5}
    assert (status["alarms"], status["newest_alarm"], status["newest_alarm_step"]) == (1, "the clips are silent", 300)
    assert datetime.fromisoformat(status["last_written"]).timestamp() == BEGAN + 100, "100 s after the session's start"
    assert status["seconds_since_written"] == 30 and status["where"]["host"] == "gpu-a"


def test_a_fresh_log_of_another_machine_is_not_called_dead_and_an_old_one_is(tmp_path):
    folder = run(tmp_path / "run", line(0, 0.0, start=START), *(told(step, 10.0 * step) for step in range(1, 6)))
    status = run_status(folder, now=BEGAN + 50 + 199)
    assert status["running"] is None and "fresh" in status["state"] and status["go_on"]
    late = run_status(folder, now=BEGAN + 50 + 201)
    assert late["running"] is None and "silent for 201 s, lines came every 10 s" in late["state"]
    slow = run(tmp_path / "slow", line(0, 0.0, start=START), told(1, 60.0), told(2, 120.0))
    assert "fresh" in run_status(slow, now=BEGAN + 120 + 1199)["state"], "20 of its lines have not come"


def test_a_held_lock_is_a_run_and_a_free_one_without_an_end_a_killed_run(tmp_path):
    here = START | {"host": socket.gethostname(), "processes": 1, "machines": 1, "folder": os.getcwd()}
    folder = run(tmp_path / "run", line(0, 0.0, start=here), told(100, 50.0))
    lock = FileLock(folder.lock)
    lock.acquire()
    status = run_status(folder, now=BEGAN + 10_000)
    assert status["running"] is True and status["state"] == "running" and status["go_on"] == ""
    assert status["seconds_left"] == 450, "900 steps at 2 a second"
    lock.release()
    status = run_status(folder, now=BEGAN + 10_000)
    assert status["running"] is False and "killed" in status["state"]
    assert status["go_on"] == f"wavegan train {folder.path}/recipe.yaml --run-dir {folder.path}"
    with lock:  # looking has left it free
        pass


def test_the_end_is_told_and_how_to_go_on_with_many_processes(tmp_path):
    folder = run(tmp_path / "run", line(0, 0.0, start=START), told(9, 5.0), line(9, 6.0, end="stopped by SIGTERM"))
    status = run_status(folder, name="s3://bucket/run")
    assert status["running"] is False and status["state"] == "ended: stopped by SIGTERM"
    assert status["go_on"] == (
        f"torchrun --nnodes=2 --nproc-per-node=4 -m wavegan train {folder.recipe} --run-dir s3://bucket/run"
    )
    with FileLock(folder.lock):
        assert "another one starts" in run_status(folder)["state"]


@pytest.mark.parametrize("lines", [(), ({"step": "x"},)])
def test_a_folder_without_a_log_has_no_state(tmp_path, lines):
    assert run_status(run(tmp_path / "run", *lines)) == {} == run_status(RunFolder(tmp_path / "nothing"))


def test_a_log_of_an_earlier_version_tells_what_it_holds(tmp_path):
    status = run_status(run(tmp_path / "run", told(10, 5.0), told(20, 10.0)))
    assert (status["step"], status["steps"], status["steps_per_second"], status["where"]) == (20, None, 2, {})
    assert status["go_on"].startswith("wavegan train ")


def test_going_back_keeps_the_start_that_the_log_forgets(tmp_path):
    folder = run(tmp_path, told(10, 1.0))
    monitor = Monitor(folder.log, step=20, steps=100)
    monitor.begin({"host": "gpu-a"})
    monitor.go_back(10, "the clips are silent")
    status = run_status(folder)
    assert status["where"]["host"] == "gpu-a" and status["where"]["steps"] == 100
    assert (status["rollbacks"], status["newest_alarm"], status["step"]) == (1, "the clips are silent", 10)


def test_lines_that_are_not_whole_are_passed_over(tmp_path):
    damaged = [
        {"step": 30},
        line(30, 9.0, start={"time": "soon"}),
        line(30, 9.0, start=7),
        {"step": 30, "seconds": "x"},
    ]
    whole = [line(0, 0.0, start=START), told(10, 5.0)]
    assert run_status(run(tmp_path / "run", *whole, *damaged), now=BEGAN) == run_status(
        run(tmp_path / "run", *whole), now=BEGAN
    )
