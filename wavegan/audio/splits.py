"""Splits a corpus into a training part and a held-out part, by the names of its items: the same on every machine."""

from dataclasses import replace

import numpy as np

from wavegan.audio.corpus import Corpus
from wavegan.seeding import derive


def hold_out(corpus: Corpus, share: float) -> tuple[Corpus, Corpus]:
    """Splits a corpus into a training part and a held-out part, which gets about `share` of the items.

    The split of an item depends on its name alone. So it is the same on every machine and does not change when items
    are added. Both parts get at least one of several items. A single item is cut: its last `share` is held out.
    """
    if len(corpus.names) == 1:
        return _cut(corpus, share)
    places = np.array([derive(0, 0, name) for name in corpus.names], dtype=np.float64) / 2**63
    held = places < share
    if not held.any() or held.all():
        held = places == (places.min() if not held.any() else places.max())
    return corpus.select(~held), corpus.select(held)


def halves(corpus: Corpus) -> tuple[Corpus, Corpus]:
    """Splits a corpus into two parts with equal numbers of items, by another hash of their names.

    An odd item goes to the second part. A single item is cut in the middle.
    """
    count = len(corpus.names)
    if count == 1:
        return _cut(corpus, 0.5)
    order = np.argsort([derive(0, 0, f"half {name}") for name in corpus.names], kind="stable")
    return corpus.select(np.sort(order[: count // 2])), corpus.select(np.sort(order[count // 2 :]))


def _cut(corpus: Corpus, share: float) -> tuple[Corpus, Corpus]:
    held = np.maximum((corpus.lengths * share).astype(np.int64), 1)
    kept = np.maximum(corpus.lengths - held, 1)
    return replace(corpus, lengths=kept), replace(corpus, starts=corpus.starts + corpus.lengths - held, lengths=held)
