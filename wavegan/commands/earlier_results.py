"""Keeps the results of earlier evaluations and comparisons that are about something else."""

import json
import logging
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from wavegan.atomic_write import write_text
from wavegan.commands.judging_options import JudgingOptions

logger = logging.getLogger(__name__)


def subject_of(targets: Sequence[object], options: JudgingOptions) -> dict[str, Any]:
    """Returns what results are about, as it stands in their file: what is judged, and by which sound.

    targets: paths; anything else is an array.
    """

    def place(path: object) -> str | None:
        return str(path.absolute()) if isinstance(path, Path) else None

    judged = [place(target) or "an array" for target in targets]
    return {"targets": judged, "data": place(options.data), "training": place(options.training)}


def write_results(record: Path, values: dict[str, Any], subject: dict[str, Any]) -> None:
    """Writes a file of results, with what they are about."""
    write_text(record, json.dumps(values | {"subject": subject}, indent=1, ensure_ascii=False) + "\n")


def results_folder(usual: Path, record: str, subject: dict[str, Any]) -> Path:
    """Returns a folder for results: the usual one, or NAME-2, NAME-3 … where that holds results about something else.

    record: the name of the file of results, JSON whose `subject` says what they are about.
    """
    folders = (usual if number == 1 else usual.with_name(f"{usual.name}-{number}") for number in count(1))
    folder = next(folder for folder in folders if not _is_about_another(folder / record, subject))
    if folder != usual:
        logger.info(f"{usual} holds results about something else, so these are written to {folder}")
    return folder


def tell_replaced(record: Path, subject: dict[str, Any]) -> None:
    """Warns that results about something else are replaced, as the folder was named for that."""
    if _is_about_another(record, subject):
        remedy = "name another folder with `out` to keep them"
        logger.warning(f"{record.parent} holds results about something else, which are replaced; {remedy}")


def _is_about_another(record: Path, subject: dict[str, Any]) -> bool:
    """Returns whether there are results, and not about this; earlier versions did not say what theirs are about."""
    try:
        return json.loads(record.read_text(encoding="utf-8")).get("subject") != subject
    except FileNotFoundError:
        return False
    except (OSError, ValueError, AttributeError):
        return True
