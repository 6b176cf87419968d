"""Tests an object in a process of its own: what it does, what it raises, and how it ends."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from wavegan.bench.worker_process import WorkerProcess
from wavegan.errors import DataError, UserError


class Diary:
    """Describes an object that lives in the other process."""

    def __init__(self, first: str):
        if first == "refuse":
            raise DataError("it will not be made")
        self.lines = [first]

    def write(self, *lines: str) -> list[str]:
        self.lines += lines
        return self.lines

    def process(self) -> tuple[int, int]:
        return os.getpid(), signal.getsignal(signal.SIGINT) == signal.SIG_IGN

    def divide(self, number: int) -> float:
        return 1 / number

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_lives_elsewhere_keeps_its_state_and_ends_with_the_block():
    handler = signal.getsignal(signal.SIGINT)
    with WorkerProcess(Diary, "one") as diary:
        process, ignores_interrupts = diary.call("process")
        assert process != os.getpid() and is_alive(process)
        assert ignores_interrupts, "Ctrl-C is for the process that the user sees"
        assert diary.call("write", "two", "three") == ["one", "two", "three"]
        assert diary.call("write") == ["one", "two", "three"]
        with pytest.raises(ZeroDivisionError) as caught:
            diary.call("divide", 0)
        assert "return 1 / number" in caught.value.__notes__[0], "the place is told"
    assert not is_alive(process)
    assert signal.getsignal(signal.SIGINT) == handler


def test_a_script_that_cannot_be_imported_twice_is_told_how(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from wavegan.bench.worker_process import UserError, WorkerProcess\n"
        "try:\n    WorkerProcess(list)\n"
        "except UserError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1].endswith('call it below `if __name__ == "__main__":`')


def test_what_cannot_be_made_says_why():
    with pytest.raises(DataError, match="it will not be made"):
        WorkerProcess(Diary, "refuse")


def test_a_process_that_the_system_ends_is_explained():
    with WorkerProcess(Diary, "one") as diary, pytest.raises(UserError, match=r"-9.*memory.*lower training.batch_size"):
        diary.call("die")


def test_it_ends_at_once_when_it_is_left_in_the_middle_of_work():
    """Leaves as Ctrl-C does: by an exception while an answer is awaited."""

    def interrupt() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), WorkerProcess(time.sleep, 0) as sleeper:
        threading.Thread(target=interrupt).start()
        sleeper._answer()  # nothing was asked, so no answer will come
    assert sleeper._process.exitcode == -signal.SIGKILL
