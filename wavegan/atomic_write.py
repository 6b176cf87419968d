"""Writes files that appear under their name only when they are complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"  # ends the names of unfinished files and folders


def partial_path(path: Path) -> Path:
    """Gives the temporary name of a file or folder that is not complete yet, beside it."""
    return path.with_name(path.name + PARTIAL)


@contextmanager
def atomic_write(path: Path, *, is_durable: bool = False, is_shared: bool = False) -> Iterator[Path]:
    """Gives a temporary path to write to; the file is renamed to `path`, over an older one, when the block ends.

    After an error or a kill `path` holds what it held before; after an error the temporary file is removed as well.
    is_durable: flush the file to the disk before it is renamed, so that a power cut cannot leave an empty one.
    is_shared: other processes may write the same path at the same time; the last one to end counts.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}") if is_shared else partial_path(path)
    try:
        yield partial
        if is_durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
