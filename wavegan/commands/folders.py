"""Makes the folders that results are written into, and refuses runs as folders of sound."""

import os
from collections.abc import Sequence
from pathlib import Path

from wavegan import shipped
from wavegan.audio import writing
from wavegan.commands.model_loading import is_model
from wavegan.errors import DataError
from wavegan.training.run_folder import RunFolder


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it. Raises DataError if that fails or nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the folder {folder} cannot be made ({error.strerror})", "", "name another folder with `out`"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataError(f"the folder {folder} cannot be written to", "", "name another folder with `out`")


def refuse_existing(paths: Sequence[Path], force: bool) -> None:
    """Raises DataError if one of the files that are to be written exists already, unless `force`."""
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        raise DataError(
            f"{existing[0]} exists already ({len(existing)} of {len(paths)} files do)",
            "clips are never written over",
            "name another folder with `out` or add `force=True`",
        )


def refuse_filled(folder: Path, force: bool) -> None:
    """Raises DataError for a file, and for a folder that holds something, unless `force`."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file", "a folder is needed", "name another with `out`")
    if folder.exists() and not force and any(folder.iterdir()):
        raise DataError(
            f"{folder} exists", "what it holds is kept", "name another folder with `out` or add `force=True`"
        )


def refuse_no_sound(path: Path) -> None:
    """Raises DataError for a path that is no file, where one sound is needed."""
    if path.is_dir():
        inside = [file for file in sorted(path.iterdir()) if file.suffix.lower().lstrip(".") in writing.FORMATS]
        remedy = f"name one in it, such as {inside[0]}" if inside else "there is none in it; name another"
        raise DataError(f"{path} is a folder", "a sound file is needed", remedy)
    if not path.exists():
        remedy = f"make one: wavegan generate {path}" if is_model(path) else "check the spelling"
        value = f"{path} is a MODEL" if is_model(path) else f"{path} does not exist"
        raise DataError(value, "a sound file is needed", remedy)


def refuse_run(*folders: Path | None) -> None:
    """Raises DataError if a folder that must hold real sound is a run or the name of a shipped model."""
    for folder in filter(None, folders):
        if RunFolder(folder).checkpoints.is_dir():
            rule = "the sound in there is made by its model, and real sound is needed"
            raise DataError(f"{folder} is a run", rule, "name a folder of real sound")
        if not folder.exists() and shipped.model_folder(str(folder)):
            raise DataError(f"{folder} is a shipped model", "real sound is needed", "name a folder of real sound")
