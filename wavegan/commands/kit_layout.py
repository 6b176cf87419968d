"""Chooses the keys of a kit's sounds: those of drums in General MIDI, or a row."""

import logging
from collections.abc import Sequence

from torch import Tensor

from wavegan.errors import UserError
from wavegan.export import sampler_kit as kits
from wavegan.export.drum_keys import LENGTH, PITCH, kind_of, notes_of

logger = logging.getLogger(__name__)

LAYOUTS = GENERAL_MIDI, ROW = "general-midi", "row"


def refuse_layout(layout: str | None, labels: Sequence[str]) -> None:
    """Raises UserError for another layout, and for drums' keys where a label is no drum or there are no labels."""
    if layout not in (None, *LAYOUTS):
        raise UserError(f"`layout` is {layout}", f"it must be {' or '.join(LAYOUTS)}", "leave it out")
    other = [label for label in labels if not kind_of(label)] if labels else ["sounds without labels"]
    if layout == GENERAL_MIDI and other:
        rule = f"it has keys for drums alone, and none for {other[0]}"
        raise UserError(f"`layout` is {layout}", rule, f"try `layout={ROW}`, or leave it out")
    if layout is None and 0 < len(other) < len(labels):
        logger.info(f"{other[0]} is no drum that General MIDI has a key for, so all sounds lie in a row from 36 up")


def drum_notes(
    clips: Sequence[Tensor], labels: Sequence[str], sample_rate: int, layout: str | None
) -> list[tuple[int, ...]] | None:
    """Returns the MIDI notes that play each clip (C, T), see `notes_of`; None for a row. labels: of each clip."""
    if layout == ROW or not labels:
        return None
    lengths = [kits.cut_of(clip, sample_rate).length for clip in clips]
    measures = [{LENGTH: length, PITCH: kits.pitch_of(clip)} for clip, length in zip(clips, lengths, strict=True)]
    return notes_of(labels, measures)
