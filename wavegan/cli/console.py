"""Writes on stderr for the command line: log records, progress in one line, warnings and messages."""

import logging
import math
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from wavegan import progress

LOGGER = "wavegan"
PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: "}
# These options stand for arguments of the library's functions; most have the same name.
SAME_NAME = (
    "out",
    "recipe",
    "force",
    "fresh",
    "device",
    "checkpoint",
    "data",
    "training",
    "classifier",
    "to",
    "model",
    "amount",
    "layout",
    "steps",
    "precision",
    "pads",
    "seed",
    "more",
    "seconds",
    "loop",
    "windows",
    "pitch",
    "keys",
    "less",
)
OPTIONS = {name: f"--{name}" for name in (*SAME_NAME, "truncation", "interpolate", "raw")} | {
    "run_dir": "--run-dir",
    "labels": "--label",
    "reference": "--data",
    "directions": "--more",
    "count": "-n",
}
DIRECTION = re.compile(r"`directions=\{'([^'`]*)': (-?)([^}`]+)\}`")
ARGUMENT = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")
# Names of files, labels and recipes may hold characters that a terminal obeys: escape codes, those that turn the
# direction of text, other line ends; and halves of surrogate pairs, which no terminal can show.
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def in_options(text: str) -> str:
    """Returns a text of the library in the command line's words: `out` as --out, `device=cpu` as --device cpu.

    `directions={'length': -0.5}` is --less length=0.5, as amounts have no sign there.
    """

    def direction(match: re.Match[str]) -> str:
        name, minus, amount = match.groups()
        return f"{'--less' if minus else '--more'} {name}={amount}"

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in OPTIONS:
            return match[0]
        return OPTIONS[name] if value in (None, "True") else f"{OPTIONS[name]} {value}"

    return ARGUMENT.sub(option, DIRECTION.sub(direction, text))


def printable(text: str) -> str:
    """Returns a text in which a terminal obeys nothing but line ends and tabs: other such characters become \\uXXXX.

    JSON stays the same JSON.
    """
    return OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def message(text: str) -> str:
    """Returns a message as `printable`, its further lines indented: no name can pose as a message of its own."""
    first, *lines = printable(text).split("\n")
    return "\n".join([first, *(line if line.startswith(" ") else f"  {line}" for line in lines)])


@contextmanager
def installed() -> Iterator[None]:
    """Shows messages, warnings and progress as lines on stderr while the context is entered."""
    logger, handler = logging.getLogger(LOGGER), ConsoleHandler()
    level, show_warning, streams = logger.level, warnings.showwarning, (sys.stdout, sys.stderr)
    sys.stderr = Unbreakable(sys.stderr)  # type: ignore[assignment]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    warnings.showwarning = _show_warning
    try:
        with progress.shown():
            yield
    finally:
        if not sys.stderr.closed:
            handler.progress_line.end()
        if isinstance(sys.stderr, Unbreakable):
            sys.stdout, sys.stderr = streams
        warnings.showwarning = show_warning
        logger.setLevel(level)
        logger.removeHandler(handler)


def end_progress_line() -> None:
    """Ends the progress line, if one is shown, so that other output starts on a new line."""
    for handler in logging.getLogger(LOGGER).handlers:
        if isinstance(handler, ConsoleHandler):
            handler.progress_line.end()


class Unbreakable:
    """Writes to a stream as long as it can be written to; then what is written is lost, without an error.

    A closed terminal or the end of `| tee` must not end a training.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text; returns its length."""
        try:
            return self._stream.write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        """Flushes the stream."""
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self) -> None:
        """Leads the stream to nowhere, so that Python's last flush does not fail either."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError):  # a stream that is no file
            os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


class ConsoleHandler(logging.Handler):
    """Writes each record as a plain line on stderr; records with the attribute `progress` share one line.

    progress: "more" for a line that a later one replaces, "last" for a line that stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self.progress_line = ProgressLine()

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        text = message(in_options(record.getMessage()))
        if kind := getattr(record, "progress", None):
            self.progress_line.show(text, last=kind == "last")
        else:
            self.progress_line.say(f"{PREFIXES.get(record.levelno, '')}{text}")


class ProgressLine:
    """Shows progress on stderr: on a terminal one line, overwritten; elsewhere a new line at most every 10 s.

    The last line is always shown, and stays.
    """

    SECONDS_BETWEEN_LINES = 10

    def __init__(self) -> None:
        self.shown_at = -math.inf
        self.width = 0

    def show(self, text: str, *, last: bool = False) -> None:
        """Shows how far the work is; a last line is neither left out nor overwritten."""
        now = time.monotonic()
        if sys.stderr.isatty():
            most = _columns() - 1  # it cannot write over a line that goes on in the next
            if len(text) > most:
                text = text[: most + 1].rpartition(" ")[0]
            print("\r" + text.ljust(min(self.width, most)), end="", file=sys.stderr, flush=True)
            self.width = len(text)
            if last:
                self.end()
        elif last or now - self.shown_at >= self.SECONDS_BETWEEN_LINES:
            print(text, file=sys.stderr, flush=True)
            self.shown_at = now

    def say(self, text: str) -> None:
        """Writes a line of its own, which is never left out or overwritten."""
        self.end()
        print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Keeps the shown line and moves to a new one."""
        if self.width:
            print(file=sys.stderr)
            self.width = 0


def _columns() -> int:
    """Returns the width of the terminal of stderr; a number above all if it does not tell."""
    with suppress(OSError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or sys.maxsize
    return sys.maxsize


def _show_warning(text: Warning | str, *_: Any, **__: Any) -> None:
    end_progress_line()
    click.echo(message(f"warning: {text}"), err=True)
