"""The real sound that clips are compared with: two halves of what was held out, and what was learned from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wavegan.audio.corpus import Corpus
from wavegan.audio.windows import Windows
from wavegan.errors import DataError
from wavegan.evaluation.clip_format import ClipFormat, clip_set
from wavegan.evaluation.clips import ClipSet

logger = logging.getLogger(__name__)

MOST_TRAINING_CLIPS = 20_000  # that copies are looked for among


class Judged(Protocol):
    """Clips that are compared with real ones, and where they come from."""

    @property
    def path(self) -> Path: ...
    @property
    def clips(self) -> ClipSet: ...


@dataclass(frozen=True)
class ReferenceSets:
    """Real sound: two halves of what was held out, what was learned from (None where unknown), and how they parted."""

    form: ClipFormat
    reference: ClipSet
    real: ClipSet
    training: ClipSet | None
    split: str
    labelled: tuple[str, ...] = ()  # the source that a classifier can learn from

    def facts(self, count: int) -> dict[str, str]:
        """Says in words what is compared, if every set has `count` clips."""
        return {
            "clips": f"{count:,} of {self.form.clip_samples / self.form.sample_rate:.2f} s in each set",
            "sound": str(self.form),
            "held out": f"{self.split}; one half is the reference, the other stands beside as real",
            "training": f"{len(self.training):,} clips" if self.training else "not known",
        }


def reference_sets(
    form: ClipFormat,
    held_out: Corpus,
    learned: Corpus | None,
    windows: str,
    split: str,
    source: Sequence[str],
    seed: int,
) -> ReferenceSets:
    """Divides what was held out in two halves, beside what was learned from.

    windows: the parts of an item that are clips, as `Windows` takes them. split: how the two were parted, in words.
    source: what was learned from, for a classifier.
    """
    halves = Windows(held_out, form.clip_samples, windows, seed).halves()
    real, reference = (clip_set(half) for half in halves)
    training = None
    if learned is not None:  # random windows leave gaps
        kind = "first" if windows == "first" else "all"
        training = clip_set(Windows(learned, form.clip_samples, kind, seed)).first(MOST_TRAINING_CLIPS)
    labelled = tuple(source) if learned is not None and len(learned.label_names) > 1 else ()
    return ReferenceSets(form, reference, real, training, split, labelled)


def agreed_count(wanted: int, ground: ReferenceSets, candidates: Sequence[Judged] = ()) -> int:
    """Gives the number of clips that are compared in every set: one for all, since many figures depend on it."""
    held_out = min(len(ground.reference), len(ground.real))
    if held_out < 2:
        raise DataError(
            f"{len(ground.real)} held-out clips would be compared with {len(ground.reference)} others",
            "2 or more of each are needed, several hundred for a figure worth quoting",
            "name a folder of more real audio with `data=DIR`",
        )
    sizes = {"there are no more (half of those held out)": held_out}
    sizes |= {f"there are no more in {one.path}": len(one.clips) for one in candidates}
    reason = min(sizes, key=lambda one: sizes[one])
    if (count := min(wanted, sizes[reason])) < 2:
        raise DataError(
            f"1 clip of each set would be compared, as {reason}",
            "2 or more are needed, several hundred for a figure worth quoting",
            "name a folder of more",
        )
    if count < wanted:
        logger.info(f"comparing {count:,} clips of each set, not {wanted:,}: {reason}")
    return count
