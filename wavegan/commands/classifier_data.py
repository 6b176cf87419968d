"""Loads the clips of labelled sources and divides them into a part to learn from and one to measure by.

It also words sources and lists of names for log lines.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wavegan.audio.checks import LEAST_PER_LABEL, REACHED
from wavegan.audio.corpus import Corpus, load_corpus
from wavegan.audio.labels import spelling_key
from wavegan.audio.splits import hold_out, hold_out_ends, is_for_training
from wavegan.audio.windows import side_by_side
from wavegan.errors import DataError, some_of
from wavegan.evaluation.clip_format import ClipFormat
from wavegan.seeding import derive

logger = logging.getLogger(__name__)

HOLDOUT = 0.2
MOST_OF_LABEL = 2000  # clips of long recordings, half an hour; more takes time and teaches little
MOST_HELD_OUT = 0.5  # whole groups may be large; more clips than this are never held out


def labelled_clips(source: str | Sequence[str], form: ClipFormat) -> Corpus:
    """Returns the labelled clips of a source. Raises DataError if there are none."""
    corpus = load_corpus(source, form.sample_rate, form.channels, normalize=form.normalize, reading=form.reading)
    name = in_words(source)
    if corpus.skipped:
        logger.info(f"{name}: {len(corpus.skipped):,} files cannot be used and are left out: {some_of(corpus.skipped)}")
    if "train" in corpus.splits:  # its other parts are for judging
        corpus = corpus.select(is_for_training(corpus))
    labelled = corpus.labels >= 0
    if not labelled.any():
        raise DataError(
            f"{name} has no labels",
            "a label is the name of the sub-folder that holds a file, or stands in the column label of metadata.csv",
            "sort the files into one folder for each label",
        )
    if not labelled.all():
        logger.info(f"{name}: {int((~labelled).sum()):,} files without a label are left out")
        corpus = corpus.select(labelled)
    reached = np.minimum(corpus.lengths, form.clip_samples).sum() / corpus.lengths.sum()
    if form.windows == "first" and reached < REACHED:
        logger.info(
            f"{name}: clips are the first {form.clip_samples / form.sample_rate:.2f} s of each sound, {reached:.0%} of "
            "it all; of a recipe data.windows takes the rest, of a classifier `windows=all`"
        )
    return corpus


def known_clips(source: str | Sequence[str], form: ClipFormat, label_names: Sequence[str]) -> Corpus:
    """Returns the clips of a labelled source whose labels are among these; a line names the labels that are not.

    Raises DataError if none is.
    """
    corpus = labelled_clips(source, form)
    keys = {spelling_key(name) for name in label_names}
    unknown = [name for name in corpus.label_names if spelling_key(name) not in keys]
    if len(unknown) == len(corpus.label_names):
        raise DataError(
            f"the labels of {in_words(source)} are {some_of(unknown)}, and the classifier knows {some_of(label_names)}",
            "at least one must be the same",
            "name another source",
        )
    if unknown:
        logger.info(
            f"{in_words(source)}: clips of labels that the classifier does not know are left out: {some_of(unknown)}"
        )
    return cut(corpus.select(~np.isin(corpus.label_names, unknown)[corpus.labels]), form)


def divide(corpus: Corpus, form: ClipFormat) -> tuple[Corpus, Corpus, str]:
    """Divides a corpus into a part to learn from and a held-out part, and says in words how.

    Every label is in the part to learn from. Groups stay together if they can; else about a fifth of each label's
    sounds is held out, by a hash of the name. Where clips come from anywhere and a label has few sounds, the end of
    each is held out. Raises DataError if there is only one label or nothing can be held out.
    """
    if len(corpus.label_names) < 2:
        raise DataError(
            f"{some_of(corpus.label_names)} is the only label",
            "a classifier needs two or more labels",
            "sort the files into one folder for each label",
        )
    groups = sorted({group for group in corpus.groups if group})
    held = _held_groups(corpus, groups)
    if held:
        is_held = np.isin(np.array([group or "" for group in corpus.groups]), held)
        split = f"{len(held):,} of {len(groups):,} groups, {some_of(held)}, none of whose clips is learned from"
        return corpus.select(~is_held), corpus.select(is_held), split
    if groups:
        logger.info(
            f"the groups ({some_of(groups)}) are not kept apart: those held out may have at most half of the clips and "
            "must leave every label with the others; clips are held out by file name"
        )
    if form.windows != "first" and np.bincount(corpus.labels).min() < LEAST_PER_LABEL:
        training, ends = hold_out_ends(corpus, HOLDOUT, form.clip_samples)
        if ends.names:
            return training, ends, f"the last {HOLDOUT:g} of each sound that is long enough"
    is_held = np.zeros(len(corpus.names), bool)
    for label in range(len(corpus.label_names)):
        items = np.flatnonzero(corpus.labels == label)
        if len(items) > 1:  # a single one is learned from
            names = set(hold_out(corpus.select(items), HOLDOUT)[1].names)
            is_held[items] = [corpus.names[item] in names for item in items]
    if not is_held.any():
        raise DataError(
            f"each of the {len(corpus.label_names)} labels has a single clip",
            "at least one label needs two clips or more, so that one can be held out",
            "add clips",
        )
    return corpus.select(~is_held), corpus.select(is_held), f"a share of {HOLDOUT:g} of each label, chosen by file name"


def cut(corpus: Corpus, form: ClipFormat) -> Corpus:
    """Returns a corpus with an item for each clip, without ends of sounds that fill less than half of one.

    Where clips come from anywhere, a label has at most MOST_OF_LABEL, evenly spaced in its sound.
    """
    if form.windows == "first":
        return corpus
    clips = side_by_side(corpus, form.clip_samples, form.windows)
    clips = clips.select((2 * clips.lengths >= form.clip_samples) | np.isin(clips.starts, corpus.starts))
    of_labels = [np.flatnonzero(clips.labels == label) for label in range(len(clips.label_names))]
    chosen = [places[:: -(-len(places) // MOST_OF_LABEL) or 1] for places in of_labels]
    return clips.select(np.sort(np.concatenate(chosen)))


def _held_groups(corpus: Corpus, groups: Sequence[str]) -> list[str]:
    """Returns the groups that make up the held-out share; empty if no group can be held out.

    Groups are taken in an order that their names alone decide.
    """
    held: list[str] = []
    of_item = np.array([group or "" for group in corpus.groups])
    for group in sorted(groups, key=lambda name: derive(0, 0, f"group {name}")):
        is_held = np.isin(of_item, [*held, group])
        learns_all = len(set(corpus.labels[~is_held])) == len(corpus.label_names)
        if learns_all and is_held.mean() <= MOST_HELD_OUT:
            held.append(group)
            if is_held.mean() >= HOLDOUT:
                break
    return sorted(held)


def in_words(source: str | Sequence[str]) -> str:
    """Returns a source as reports name it.

    Of an absolute path only the last two parts stay.
    """
    places = [Path(name) for name in ([source] if isinstance(source, str) else source)]
    return " and ".join("/".join(place.parts[-2:]) if place.is_absolute() else str(place) for place in places)
