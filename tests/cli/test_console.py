"""Tests what a user sees on stderr if it is a terminal, by a pseudo-terminal that is read back."""

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import pytest

from wavegan.cli import console
from wavegan.cli.console import installed

pty = pytest.importorskip("pty", reason="pseudo-terminals are a feature of Unix")
termios = pytest.importorskip("termios")


@contextmanager
def terminal(columns: int = 80) -> Iterator[list[str]]:
    """Shows messages on a terminal while entered; then the list holds the lines that are visible on it."""
    main, side = pty.openpty()
    termios.tcsetwinsize(side, (24, columns))
    lines: list[str] = []
    with os.fdopen(main, "rb", buffering=0) as output:
        with os.fdopen(side, "w") as stderr:
            with redirect_stderr(stderr), installed():
                yield lines
            stderr.write("end")
            stderr.flush()
            text = ""
            while not text.endswith("end"):
                text += output.read(1 << 16).decode()
        lines += map(visible, text.removesuffix("\r\nend").split("\r\n"))


def visible(line: str) -> str:
    """Returns what is left of a line after its carriage returns: each later part overwrites the start."""
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown.rstrip()


def progress(text: str, kind: str) -> None:
    logging.getLogger("wavegan").info(text, extra={"progress": kind})


@pytest.mark.filterwarnings("always")
def test_a_warning_starts_on_a_line_of_its_own():
    with terminal() as lines:
        progress("step 10 of 100", "more")
        warnings.warn("no such device", stacklevel=1)
        progress("step 20 of 100", "more")
    assert lines == ["step 10 of 100", "warning: no such device", "step 20 of 100"]


@pytest.mark.parametrize(
    ("columns", "shown"),
    [(10, "step 99"), (11, "step 99 of"), (14, "step 99 of"), (15, "step 99 of 100"), (0, "step 99 of 100")],
)
def test_words_that_the_terminal_would_wrap_are_left_out_of_progress(columns, shown):
    with terminal(columns) as lines:
        progress("step 98 of 100", "more")
        progress("step 99 of 100", "last")
    assert lines == [shown]


def test_a_narrowed_terminal_gets_no_longer_line_to_write_over_the_last(monkeypatch):
    monkeypatch.setattr(console, "_columns", iter((40, 12)).__next__)
    monkeypatch.setattr(sys, "stderr", written := io.StringIO())
    monkeypatch.setattr(written, "isatty", lambda: True)
    line = console.ProgressLine()
    line.show("step 98 of 100, slowly")
    line.show("step 99")
    assert written.getvalue().split("\r")[1:] == ["step 98 of 100, slowly", "step 99    "]


def test_the_last_line_of_progress_stays():
    with terminal() as lines:
        progress("step 99 of 100, slowly", "more")
        progress("step 100 of 100", "last")
        progress("step 1 of 7", "more")
        progress("step 2 of 7", "more")
        logging.getLogger("wavegan").info("done")
    assert lines == ["step 100 of 100", "step 2 of 7", "done"]
