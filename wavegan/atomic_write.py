"""Writes files that appear under their name only when they are complete."""

import errno
import io
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wavegan.errors import name_place

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PARTIAL = ".partial"  # ends the names of unfinished files and folders
LEFTOVER = re.compile(r".+\.[0-9a-f]{12}\.partial", re.DOTALL)  # as `atomic_write` names a file that is being written
MOST_NAME_BYTES = 255 - len(".0123456789ab.partial")  # of the 255 that file systems allow
STALE_SECONDS = 86_400  # a leftover this old has no writer, where no lock can tell
# Windows lacks O_NOFOLLOW and O_NONBLOCK, and would write other line ends without O_BINARY.
PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF)  # answers of systems without this for folders
_cleared: set[str] = set()  # folders that this process has cleared of leftovers


def partial_path(path: Path) -> Path:
    """Gives the temporary name of a download or folder that a later call goes on with, beside it."""
    return path.with_name(path.name + PARTIAL)


class PartialFile(io.BufferedWriter):
    """Is a file that is being written, at `path`, until it gets its final name.

    Writing raises no OSError: libraries such as torch and libsndfile would put an error of their own in its place, or
    print it. The first one is in `error`, `write` returns 0 after it, and `atomic_write` raises it.
    """

    def __init__(self, path: Path, descriptor: int):
        self.path, self._file = path, _RememberingFile(descriptor, "wb")
        super().__init__(self._file)

    @property
    def error(self) -> OSError | None:
        """Returns the error of the first write that failed."""
        return self._file.error

    def write(self, data, /) -> int:
        """Writes bytes and returns how many; 0 after an error."""
        written = super().write(data)
        return 0 if self.error else written

    def finish(self, *, is_durable: bool) -> None:
        """Closes the file, flushed to the disk if it is to be durable. Raises OSError if a write has failed."""
        self.flush()
        if self.error:
            raise self.error
        if is_durable:
            os.fsync(self.fileno())
        self.close()


class _RememberingFile(io.FileIO):
    """Keeps the first error of a write and drops what comes after it."""

    error: OSError | None = None

    def write(self, data, /) -> int:
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        return len(data)


@contextmanager
def atomic_write(path: Path, *, is_durable: bool = False) -> Iterator[PartialFile]:
    """Gives a file to write to; it is renamed to `path`, over an older file, when the block ends.

    Its temporary name cannot be guessed, so no link that waits there is followed, and processes that write the same
    path do not meet: the last one counts. After an error or a kill `path` holds what it held before. The temporary file
    is removed after an error; after a kill, the next process that writes into the folder removes it. Raises OSError,
    with `path` as its place, if the system refuses a write, whatever a library raises in the block.
    is_durable: flushes the file to the disk before it is renamed, and the folder after it, for power cuts.
    """
    remove_leftovers(path.parent)
    file = _create(path)
    try:
        try:
            yield file
        except Exception as error:
            if not file.error:
                raise
            with name_place(path):
                raise file.error from error
        with name_place(path, hides=file.path), _still_locked(file.fileno()):
            file.finish(is_durable=is_durable)
            os.replace(file.path, path)
            if is_durable:
                _flush_folder(path.parent)
    finally:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            file.path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text as UTF-8; see `atomic_write`."""
    with atomic_write(path) as file:
        file.write(text.encode())


def remove_leftovers(folder: Path) -> None:
    """Removes what killed processes have left half written in a folder; looks once in each process."""
    place = os.path.abspath(folder)
    if place in _cleared:
        return
    _cleared.add(place)
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if LEFTOVER.fullmatch(entry.name):
                _remove_if_left(Path(entry.path))


def _remove_if_left(path: Path) -> None:
    """Removes an unfinished file that no process is writing: its writer holds a lock, which a kill ends."""
    with suppress(OSError):
        if fcntl is None:  # Windows removes no file that a process has open
            path.unlink()
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | PLAIN)
        try:
            if _locked(descriptor) or time.time() - os.fstat(descriptor).st_mtime > STALE_SECONDS:
                path.unlink()
        finally:
            os.close(descriptor)


def _create(path: Path) -> PartialFile:
    """Creates an unfinished file beside `path` and locks it, if the file system can."""
    start = os.fsdecode(os.fsencode(path.name)[:MOST_NAME_BYTES])
    while True:
        partial = path.with_name(f"{start}.{secrets.token_hex(6)}{PARTIAL}")
        with name_place(path, hides=partial):
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | PLAIN, 0o666)
        _locked(descriptor, waits=True)  # for one who takes it for a leftover, and removes it
        if os.fstat(descriptor).st_nlink:  # else it was removed before the lock
            return PartialFile(partial, descriptor)
        os.close(descriptor)


@contextmanager
def _still_locked(descriptor: int) -> Iterator[None]:
    """Keeps the lock of a file that is closed meanwhile, as others remove an unfinished file without a lock."""
    if fcntl is None:  # Windows renames no file that is open
        yield
        return
    copy = os.dup(descriptor)
    try:
        yield
    finally:
        os.close(copy)


def _locked(descriptor: int, *, waits: bool = False) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _flush_folder(folder: Path) -> None:
    """Flushes to the disk the names in a folder; without this a power cut may undo a rename."""
    if fcntl is None:  # Windows opens no folders
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            raise
