"""Writes the file that maps a kit's sounds to keys, and removes what earlier kits have written."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from wavegan.atomic_write import write_text
from wavegan.commands import receipts
from wavegan.errors import DataError
from wavegan.export import sampler_kit as kits
from wavegan.export.sampler_kit import Pad

logger = logging.getLogger(__name__)

MADE_BY = "; made by wavegan "  # in the title of a sampler's file, by which it is known again
SAMPLES = "samples"  # the folder of the sounds, beside the sampler's file
FORMATS: Mapping[str, tuple[str, Callable[[Sequence[Pad], str], str]] | None] = {
    "sfz": ("sfz", kits.sfz),
    "decentsampler": ("dspreset", kits.decentsampler),
    "folder": None,
}


def write_mapping(folder: Path, kind: str, pads: Sequence[Pad], name: str, title: str) -> Path | None:
    """Writes the file that maps pads to keys in the sampler of a kind; returns None for a plain folder."""
    sampler = FORMATS[kind]
    if sampler is None:
        return None
    extension, text_of = sampler
    file = folder / f"{kits.safe_name(name)}.{extension}"
    write_text(file, text_of(pads, title))
    return file


def remove_others(folder: Path, written: Collection[Path | None]) -> None:
    """Removes what earlier kits have written into a folder, except the files that were just `written`; a line tells."""
    present = [*folder.glob("*"), *(folder / SAMPLES).glob("*.wav")]
    earlier = [path for path in present if path not in written and path.is_file() and _is_of_kit(path)]
    for path in earlier:
        path.unlink()
    if earlier:
        logger.info(f"{folder}: files of an earlier kit that are removed: {len(earlier):,}")


def _is_of_kit(path: Path) -> bool:
    """Says whether a kit has written a file: for a sampler, or a sound whose receipt says what is kept of a clip."""
    if path.suffix in (f".{extension}" for extension, _ in filter(None, FORMATS.values())):
        return MADE_BY in path.read_text(errors="replace")
    with suppress(DataError):  # no sound, or another's
        return path.suffix == ".wav" and getattr(receipts.read(path), "cut", None) is not None
    return False
