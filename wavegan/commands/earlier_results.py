"""Keeps the pages of earlier evaluations and comparisons that are about something else."""

import logging
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count
from pathlib import Path

from wavegan.commands.clip_arrays import ClipArray
from wavegan.commands.evaluation_data import Candidate
from wavegan.commands.judging_options import JudgingOptions

logger = logging.getLogger(__name__)

MARK = "<!-- about {} -->\n"  # the end of a page


def subject_of(candidates: Sequence[Candidate], options: JudgingOptions, array: ClipArray | None = None) -> str:
    """Returns a short hash of what results are about: the weights, folders or clips, and the sound to judge by."""

    def words(candidate: Candidate) -> str:
        if array:
            return blake2b(array.clips.tobytes()).hexdigest()
        return candidate.model.weights_hash if candidate.model else str(candidate.path.resolve())

    sounds = [str(folder and folder.resolve()) for folder in (options.data, options.training)]
    return blake2b("\n".join([*map(words, candidates), *sounds]).encode(), digest_size=12).hexdigest()


def results_folder(usual: Path, page: str, subject: str, named: Path | None = None) -> Path:
    """Returns a folder for results: the usual one, or NAME-2, NAME-3 … where that holds others.

    page: the name of the page in it, which `mark` has marked with what it is about. named: a folder that the user has
    named, which is taken, with a warning if it holds others.
    """
    if named:
        tell_replaced(named / page, subject)
        return named
    folders = (usual if number == 1 else usual.with_name(f"{usual.name}-{number}") for number in count(1))
    folder = next(folder for folder in folders if not _is_about_another(folder / page, subject))
    if folder != usual:
        logger.info(f"{usual} holds other results, so these are written to {folder}")
    return folder


def tell_replaced(page: Path, subject: str) -> None:
    """Warns that a page about something else is replaced, as it was named for that."""
    if _is_about_another(page, subject):
        logger.warning(f"{page} holds other results, which are replaced; name another `out` to keep them")


def mark(page: Path, subject: str) -> None:
    """Marks a page with what it is about."""
    with page.open("a", encoding="utf-8") as file:
        file.write(MARK.format(subject))


def _is_about_another(page: Path, subject: str) -> bool:
    """Returns whether there is a page that is not about this; those of earlier versions have no mark."""
    try:
        return not page.read_text(encoding="utf-8", errors="replace").endswith(MARK.format(subject))
    except OSError:  # there is none, or whoever writes it will say why that fails
        return False
