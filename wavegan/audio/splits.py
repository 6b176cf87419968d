"""Which part of a corpus is learned from and which is kept for judging: decided by name, the same everywhere."""

from dataclasses import replace

import numpy as np

from wavegan.audio.corpus import Corpus
from wavegan.seeding import derive


def hold_out(corpus: Corpus, share: float) -> tuple[Corpus, Corpus]:
    """A corpus divided in two, for training and for judging: about `share` of the items are held out.

    Which ones follows from their names alone, so it is the same on every machine and does not change when
    others are added. At least one of several items is held out; of a single item, the last `share` of its
    time.
    """
    if len(corpus.names) == 1:
        return _cut(corpus, share)
    places = np.array([derive(0, 0, name) for name in corpus.names], dtype=np.float64) / 2**63
    held = places < share
    if not held.any() or held.all():
        held = places == (places.min() if not held.any() else places.max())
    return corpus.select(~held), corpus.select(held)


def halves(corpus: Corpus) -> tuple[Corpus, Corpus]:
    """A corpus divided in two of equally many items, by another hash of their names; a single item by time."""
    count = len(corpus.names)
    if count == 1:
        return _cut(corpus, 0.5)
    order = np.argsort([derive(0, 0, f"half {name}") for name in corpus.names], kind="stable")
    return corpus.select(np.sort(order[: count // 2])), corpus.select(np.sort(order[count // 2 :]))


def _cut(corpus: Corpus, share: float) -> tuple[Corpus, Corpus]:
    held = np.maximum((corpus.lengths * share).astype(np.int64), 1)
    kept = np.maximum(corpus.lengths - held, 1)
    return replace(corpus, lengths=kept), replace(corpus, starts=corpus.starts + corpus.lengths - held, lengths=held)
