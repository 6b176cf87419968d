"""Prepares the real sound that clips are compared with: two halves of the held-out sound, and the training sound."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from wavegan.audio.corpus import Corpus
from wavegan.audio.windows import Windows
from wavegan.errors import DataError
from wavegan.evaluation.clip_format import ClipFormat, clip_set
from wavegan.evaluation.clips import BATCH_SIZE, ClipSet

logger = logging.getLogger(__name__)

FEWEST_JUDGED = 2  # clips of each set
MOST_TRAINING_CLIPS = 20_000  # at most, that are searched for copies


class Judged(Protocol):
    """Describes clips that are compared with real ones, and their place."""

    @property
    def path(self) -> Path:
        """Returns the file or folder that the clips come from."""
        ...

    @property
    def clips(self) -> ClipSet:
        """Returns the clips."""
        ...


@dataclass(frozen=True)
class ReferenceSets:
    """Holds real sound: two halves of the held-out sound, the training sound (None if unknown), and how they parted."""

    form: ClipFormat
    reference: ClipSet
    real: ClipSet
    training: ClipSet | None
    split: str
    labelled: tuple[str, ...] = ()  # the source that a classifier can learn from
    labels: Callable[[int], list[str | None]] = lambda count: [None] * count  # of the first clips of the reference
    not_used: str = ""  # the real files that are left out, in words
    starts: ClipSet = ClipSet(0, torch.empty)  # of all held-out sounds, whichever parts of them are clips

    def facts(self, count: int) -> dict[str, str]:
        """Says in words what is compared, if every set has `count` clips."""
        facts = {
            "clips": f"{count:,} of {self.form.clip_samples / self.form.sample_rate:.2f} s in each set",
            "sound": str(self.form),
            "held out": f"{self.split}; one half is the reference, the other stands beside as real",
            "training": f"{len(self.training):,} clips" if self.training else "not known",
        }
        return facts | ({"not used": self.not_used} if self.not_used else {})


def reference_sets(
    form: ClipFormat,
    held_out: Corpus | None,
    learned: Corpus | None,
    split: str,
    source: Sequence[str],
    seed: int,
) -> ReferenceSets:
    """Divides the held-out sound into two halves and adds the training sound.

    split: how held-out and training sound were parted, in words. source: the training sound, for a classifier. Raises
    DataError if nothing is held out.
    """
    if held_out is None:
        raise DataError(
            "the recipe has no held-out sound to compare with (data.holdout is 0)",
            "",
            "name real audio with `reference=DIR`",
        )
    halves = Windows(held_out, form.clip_samples, form.windows, seed).halves()
    real, reference = (clip_set(half) for half in halves)
    names = dict(enumerate(halves[1].label_names))

    def labels(count: int) -> list[str | None]:
        rows = [halves[1].labels(batch, BATCH_SIZE) for batch in range(-(-count // BATCH_SIZE))]
        return [names.get(place) for place in torch.cat(rows)[:count].tolist()]

    training = None
    if learned is not None:  # random windows would leave gaps
        kind = "first" if form.windows == "first" else "all"
        training = clip_set(Windows(learned, form.clip_samples, kind, seed)).first(MOST_TRAINING_CLIPS)
    labelled = tuple(source) if learned is not None and len(learned.label_names) > 1 else ()
    starts = clip_set(Windows(held_out, form.clip_samples, "first"))
    return ReferenceSets(form, reference, real, training, split, labelled, labels, _not_used(held_out, learned), starts)


def _not_used(*corpora: Corpus | None) -> str:
    """Says in words how many files of some sound are left out, by reason."""
    skipped = {name for corpus in corpora if corpus for name in corpus.skipped}
    counts = Counter({"cannot be decoded": len(skipped)})
    for corpus in filter(None, corpora):
        for reason, names in corpus.passed_over.items():
            counts[reason] = max(counts[reason], len(names))  # both parts may come from one folder
    return "; ".join(f"{count:,} that {reason}" for reason, count in counts.items() if count)


def agreed_count(wanted: int, real_sound: ReferenceSets, candidates: Sequence[Judged] = ()) -> int:
    """Returns the number of clips compared in every set: the same for all, since many figures depend on it.

    Raises DataError for fewer than two clips.
    """
    held_out = min(len(real_sound.reference), len(real_sound.real))
    if held_out < FEWEST_JUDGED:
        raise DataError(
            f"{len(real_sound.real)} held-out clips would be compared with {len(real_sound.reference)} others",
            "2 or more of each are needed, several hundred for a figure worth quoting",
            "name a folder of more real audio with `data=DIR`",
        )
    sizes = {"there are no more (half of those held out)": held_out}
    sizes |= {f"there are no more in {candidate.path}": len(candidate.clips) for candidate in candidates}
    reason = min(sizes, key=lambda limit: sizes[limit])
    if (count := min(wanted, sizes[reason])) < FEWEST_JUDGED:
        raise DataError(
            f"1 clip of each set would be compared, as {reason}",
            "2 or more are needed, several hundred for a figure worth quoting",
            "name a folder of more",
        )
    if count < wanted:
        logger.info(f"comparing {count:,} clips of each set, not {wanted:,}: {reason}")
    return count
