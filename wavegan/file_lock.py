"""Locks files against other processes, and says what is waited for."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

logger = logging.getLogger(__name__)

SECONDS_BEFORE_LINE = 5


class LockingError(OSError):
    """Says that a file system cannot lock files, as some network file systems; `filename` is the lock's path."""


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Holds the lock file `path`; a line says what is waited for if another process holds it for long.

    Raises LockingError if the file system cannot lock files, another OSError if the file cannot be made.
    """
    lock = FileLock(path)
    if not acquire(lock, timeout=SECONDS_BEFORE_LINE):
        logger.info(f"waiting for another process that {waiting_for}; it holds {path}")
        acquire(lock, timeout=-1)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_if_possible(path: Path, waiting_for: str) -> Iterator[None]:
    """Holds the lock file `path` as `locked`; where none can be had a line says so and the work goes on.

    It is for work that goes well without a lock, or nearly always.
    """
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(path, waiting_for))
        except OSError as error:
            logger.info(f"{error.filename or path}: {error.strerror}; another process may do the same work meanwhile")
        yield


def acquire(lock: FileLock, *, timeout: float) -> bool:
    """Takes a lock and returns True; returns False if another process holds it after `timeout` seconds.

    timeout: -1 waits for ever. Raises OSError as `locked`.
    """
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        return False
    except OSError as error:
        if error.filename is not None or error.errno is None:  # the file cannot be opened
            raise
        text = f"its file system cannot lock files ({error.strerror})"
        raise LockingError(error.errno, text, lock.lock_file) from error
    return True


def is_held(path: Path) -> bool | None:
    """Returns whether a process holds the lock file `path`; None if that cannot be known, as without a file."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)  # which ends the shared lock
    return False
