"""Makes the folders that results are written into."""

import os
from pathlib import Path

from wavegan.errors import DataError


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it. Raises DataError if that fails or nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise DataError(
            f"the folder {folder} cannot be made ({fault.strerror})", "", "name another with `out`"
        ) from fault
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(f"the folder {folder} cannot be written to", "", "name another with `out`")
