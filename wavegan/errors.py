"""Defines the errors that a user may see, and lists a few of many names; any other error of a user is our bug."""

import errno
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

REMEDIES = {  # for what the system refuses; the last is for all other numbers
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG): "free some space or name another folder; the same command goes on",
    (errno.EACCES, errno.EPERM, errno.EROFS): "wavegan must be able to use it; allow that or name another",
    (errno.ENOENT, errno.ENOTDIR, errno.ESTALE): "it is missing, or was moved or removed; put it back or name another",
    (errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP): "name another",
    (errno.EMFILE, errno.ENFILE): "too many files are open; allow more, e.g. ulimit -n 4096",
    (): "see whether the disk or the network drive works, then run the same command again",
}


class UserError(Exception):
    """Describes an error that the user can put right: the wrong value, the rule that it breaks and the remedy.

    Its text joins the three into one sentence. A text that is complete already may be passed as the value alone. An
    argument of a Python function stands in backticks, with a value if one is advised: `out`, `device=cpu`,
    `force=True`. The command line puts its own options in their place (`wavegan.cli.console.in_options`), and ends with
    `exit_code`.
    """

    exit_code = 2

    def __init__(self, value: str, rule: str = "", remedy: str = ""):
        super().__init__(value, rule, remedy)
        self.value, self.rule, self.remedy = value, rule, remedy

    def __str__(self) -> str:
        return "; ".join(part for part in (self.value, self.rule, self.remedy) if part)


class DataError(UserError):
    """A source, a file or a folder of sound cannot be used as asked."""


class RecipeError(UserError):
    """Says that a recipe has one or more problems; the text lists all of them, one a line."""


class RunError(UserError):
    """A run folder or checkpoint cannot be used as asked."""


class TrainingError(UserError):
    """Training cannot go on; the text names the step, the last good checkpoint and what to try."""


class Interrupted(KeyboardInterrupt):
    """Says which signal asked this process to end; its exit code is 128 plus the signal's number."""

    def __init__(self, signal_number: int):
        super().__init__(signal_number)
        self.signal = signal.Signals(signal_number)
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return "interrupted" if self.signal == signal.SIGINT else f"interrupted by {self.signal.name}"


def system_error(error: OSError, remedy: str = "") -> str:
    """Puts an error of the operating system into a sentence: the place, what the system says, and the remedy."""
    place = error.filename if error.filename is not None else "an open file, perhaps the standard output"
    place = os.fsdecode(place) if isinstance(place, bytes) else place
    return f"{place}: {error.strerror}; {remedy or remedy_of(error)}"


def remedy_of(error: OSError) -> str:
    """Returns what helps against an error of the operating system."""
    return next(remedy for numbers, remedy in REMEDIES.items() if error.errno in numbers or not numbers)


def some_of(names: Iterable[str], most: int = 5) -> str:
    """Returns the first few of many names, and how many more there are, in words."""
    listed = list(names)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


@contextmanager
def name_place(path: Path, *, hides: Path | None = None) -> Iterator[None]:
    """Adds a path to an OSError that names none, as that of a write; puts it also in the place of the path `hides`."""
    try:
        yield
    except OSError as error:
        names_none = error.filename is None and error.errno is not None
        if names_none or (hides and error.filename in (hides, str(hides))):
            error.filename = str(path)
            del error.filename2  # the new name of a rename
        raise
