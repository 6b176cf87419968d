"""Splits a corpus into a training part and a held-out part, by the names of its items: the same on every machine."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wavegan.audio.corpus import Corpus
from wavegan.audio.duplicates import clusters
from wavegan.seeding import derive

LEAST_GROUPS = 10  # with fewer, a share of the groups is far from the same share of the items
FEW_NAMES = 100  # of fewer, chance might hold out one, or half, where a fifth was asked for
FEW_LONG = 50  # of fewer recordings, halves would differ by what is in them


def hold_out(corpus: Corpus, share: float, held: np.ndarray | None = None) -> tuple[Corpus, Corpus]:
    """Splits a corpus into a training part and a held-out part, which gets about `share` of the items.

    The split of an item depends on its name alone. So it is the same on every machine and does not change when items
    are added, unless there are few, of which so many are held out as come nearest to the share. Items that sound the
    same, see `duplicates.clusters`, go where the first of them goes. If every item has a group and there are enough
    groups, whole groups are held out instead, see `keeps_groups`. Both parts get at least one of several items. A
    single item is cut: its last `share` is held out. held: the held-out items, (items,) bool, if they were chosen
    before.
    """
    if len(corpus.names) == 1:
        return _cut(corpus, share)
    if held is None:
        places = _places(_split_names(corpus))
        distinct = np.unique(places)
        if len(distinct) < FEW_NAMES:
            share = distinct[min(max(1, round(share * len(distinct))), len(distinct) - 1)]
        held = _below(places, share)
    return corpus.select(~held), corpus.select(held)


def hold_out_ends(corpus: Corpus, share: float, least: int) -> tuple[Corpus, Corpus]:
    """Splits every item, and holds out its last `share`: for few long items, of which all are to be learned from.

    least: samples; an item whose held-out part would be shorter is learned from as a whole. So are items that sound the
    same, see `duplicates.clusters`, but differ in length: no sound is on both sides. The second part may be empty.
    """
    first = clusters(corpus)
    differs = np.isin(first, first[corpus.lengths != corpus.lengths[first]])
    is_cut = (corpus.lengths * share >= least) & ~differs
    training, ends = _cut(corpus, share)
    kept = np.where(is_cut, training.lengths, corpus.lengths)
    return replace(corpus, lengths=kept), ends.select(is_cut)


def held_out_by_name(corpus: Corpus, share: float) -> np.ndarray:
    """Says which items are held out if nothing but their names counts, (items,) bool."""
    return _below(_places(corpus.names), share)


def _places(names: Sequence[str]) -> np.ndarray:
    """Returns for each name a number in [0, 1) that depends on it alone."""
    return np.array([derive(0, 0, name) for name in names], dtype=np.float64) / 2**63


def _below(places: np.ndarray, share: float) -> np.ndarray:
    held = places < share
    if not held.any() or held.all():
        held = places == (places.min() if not held.any() else places.max())
    return held


def _split_names(corpus: Corpus) -> list[str]:
    """Returns for each item the name that decides its part: of its group, or of the first item that sounds the same."""
    if keeps_groups(corpus):
        return [f"group {group}" for group in corpus.groups]
    names = [corpus.names[first] for first in clusters(corpus)]
    return names if len(set(names)) > 1 else list(corpus.names)  # one sound alone has no two sides


def is_for_training(corpus: Corpus) -> np.ndarray:
    """Says of each item whether it may be learned from, (items,) bool: its source does not call it a test part."""
    return np.array([split in (None, "train") for split in corpus.splits or (None,) * len(corpus.names)], bool)


def training_part(corpus: Corpus) -> Corpus:
    """Returns the items to learn from: those of the training part, or all items if the source has no such part."""
    is_training = is_for_training(corpus)
    return corpus.select(is_training) if is_training.any() else corpus


def keeps_groups(corpus: Corpus) -> bool:
    """Says whether whole groups are held out: every item has one, and there are enough to choose from."""
    return bool(corpus.groups) and None not in corpus.groups and len(set(corpus.groups)) >= LEAST_GROUPS


def halves(corpus: Corpus, least: int | None = None) -> tuple[Corpus, Corpus]:
    """Splits a corpus into two parts with equal numbers of items, by another hash of their names.

    Items that sound the same come one after the other in that order, so at most one sound is in both parts. An odd item
    goes to the second part. A single item is cut in the middle. So are all items if there are fewer than 50 and all are
    long, as two parts of so few would sound different. least: samples that a long item's half has at least; None if no
    item is long.
    """
    count = len(corpus.names)
    if count == 1 or (count < FEW_LONG and least is not None and (corpus.lengths >= 2 * least).all()):
        return _cut(corpus, 0.5)
    names = [corpus.names[first] for first in clusters(corpus)]
    order = np.argsort([derive(0, 0, f"half {name}") for name in names], kind="stable")
    return corpus.select(np.sort(order[: count // 2])), corpus.select(np.sort(order[count // 2 :]))


def _cut(corpus: Corpus, share: float) -> tuple[Corpus, Corpus]:
    held = np.maximum((corpus.lengths * share).astype(np.int64), 1)
    kept = np.maximum(corpus.lengths - held, 1)
    return replace(corpus, lengths=kept), replace(corpus, starts=corpus.starts + corpus.lengths - held, lengths=held)
