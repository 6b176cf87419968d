"""Which part of a corpus is learned from and which is kept for judging: decided by name, the same everywhere."""

from dataclasses import replace

import numpy as np

from wavegan.audio.corpus import Corpus
from wavegan.seeding import derive


def halves(corpus: Corpus) -> tuple[Corpus, Corpus]:
    """A corpus divided in two of equally many items, by a hash of their names; a single item by time."""
    count = len(corpus.names)
    if count == 1:
        return cut(corpus, 0.5)
    order = np.argsort([derive(0, 0, f"half {name}") for name in corpus.names], kind="stable")
    return corpus.select(np.sort(order[: count // 2])), corpus.select(np.sort(order[count // 2 :]))


def cut(corpus: Corpus, share: float) -> tuple[Corpus, Corpus]:
    """The first part of each item's time, and the last `share` of it."""
    held = np.maximum((corpus.lengths * share).astype(np.int64), 1)
    kept = np.maximum(corpus.lengths - held, 1)
    return replace(corpus, lengths=kept), replace(corpus, starts=corpus.starts + corpus.lengths - held, lengths=held)
