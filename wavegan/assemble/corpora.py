"""Loads the sound of a recipe and parts it: what is learned from, and what judges."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wavegan.assemble.split_record import SplitRecord
from wavegan.audio.corpus import Corpus, Reading, load_corpus
from wavegan.audio.splits import hold_out, hold_out_ends, is_for_training, keeps_groups
from wavegan.errors import DataError
from wavegan.recipe import Recipe
from wavegan.recipe.schema import DataSettings

NULLS = ("none", "no", "off", "false", "nothing")  # words that people write for null


class Corpora(NamedTuple):
    """Holds the sound to learn from, the sound to judge by (None if there is none), and how they were split.

    notes: sentences on what the split left out.
    """

    training: Corpus
    held_out: Corpus | None
    split: str
    notes: tuple[str, ...] = ()

    @property
    def skipped(self) -> dict[str, str]:
        """Returns the names of the files that cannot be used, with the reason."""
        return self.training.skipped | (self.held_out.skipped if self.held_out else {})

    @property
    def passed_over(self) -> dict[str, Sequence[str]]:
        """Returns, by reason, the names of the files beside the sound that are no items."""
        return dict(self.training.passed_over) | (dict(self.held_out.passed_over) if self.held_out else {})

    @property
    def remarks(self) -> dict[str, Sequence[str]]:
        """Returns, by name, what was repaired in reading the files."""
        return dict(self.training.remarks) | (dict(self.held_out.remarks) if self.held_out else {})

    @property
    def all_notes(self) -> tuple[str, ...]:
        """Returns sentences on what was guessed, converted or left out."""
        notes = (*self.training.notes, *(self.held_out.notes if self.held_out else ()), *self.notes)
        return tuple(dict.fromkeys(notes))


def corpora(recipe: Recipe, record: SplitRecord | None = None) -> Corpora:
    """Returns the recipe's sound, decoded or from the cache, in a part to learn from and one to judge by.

    In a translation it is the sound to translate; `target_corpora` returns the sound to translate to. record: that of a
    checkpoint, so that every item stays in the part where it was.
    """
    _refuse_words_for_null("data.test", recipe.data.test)
    return _parted(recipe.data, recipe.data.source, recipe.data.test, record)


def target_source(recipe: Recipe) -> tuple[str, ...]:
    """Returns the source that a model's sound should be like: the second one of a translation."""
    return recipe.data.source_b or recipe.data.source


def target_corpora(recipe: Recipe, source: Corpora | None = None, record: SplitRecord | None = None) -> Corpora:
    """Returns the sound that a model's clips should be like.

    It is the second source of a translation, else the same as `corpora` returns. source: the result of `corpora`, if
    there is one already, so that nothing is read twice. record: as `corpora` takes it, of this sound.
    """
    if recipe.data.source_b is None:
        return source or corpora(recipe, record)
    _refuse_words_for_null("data.test_b", recipe.data.test_b)
    return _parted(recipe.data, recipe.data.source_b, recipe.data.test_b, record)


def reading(data: DataSettings) -> Reading:
    """Returns how a recipe's sources are read."""
    return Reading(data.channel, data.remove_dc, data.trim_silence, data.strict, data.label_column, data.label_level)


def _refuse_words_for_null(key: str, test: Sequence[str] | None) -> None:
    """Raises DataError, before any sound is read, if sound to judge by is called none, say, and is not there."""
    for name in test or ():
        if name.lower() in NULLS and not Path(name).exists():
            rule = "there is no such source, and null holds out a part of the source"
            raise DataError(f"{key} is {name}", rule, f"write {key}=null")


def _parted(
    data: DataSettings, source: Sequence[str], test: Sequence[str] | None, record: SplitRecord | None
) -> Corpora:
    def load(source: Sequence[str]) -> Corpus:
        return load_corpus(
            source,
            data.sample_rate,
            data.channels,
            normalize=data.normalize,
            reading=reading(data),
            max_bad_fraction=data.max_bad_fraction,
        )

    whole = _with_training_split(load(source))
    if test is not None:
        return _without_copies(_training_split(whole), load(test), f"data.test: {', '.join(test)}")
    for split in ("test", "validation"):
        if split in whole.splits:
            is_held = np.array([name == split for name in whole.splits])
            folders = f"the source's own {split} part"
            return _without_copies(_training_split(whole), whole.select(is_held), folders)
    if not data.holdout:
        return Corpora(whole, None, "nothing held out (data.holdout is 0)")
    if data.holdout_ends:
        return _ends_held_out(whole, data)
    training, held_out = hold_out(whole, data.holdout, record.is_held_out(whole, data.holdout) if record else None)
    chosen = "by group" if keeps_groups(whole) else "by file name, copies of one sound on one side"
    return Corpora(training, held_out, f"a share of {data.holdout:g} of the source, chosen {chosen}")


def _ends_held_out(whole: Corpus, data: DataSettings) -> Corpora:
    """Holds out the end of each item; raises DataError if none is long enough."""
    training, held_out = hold_out_ends(whole, data.holdout, data.clip_samples)
    if not held_out.names:
        least = data.clip_samples / data.holdout / data.sample_rate
        raise DataError(
            "data.holdout_ends is true, and no file has an end that can be held out",
            f"the file must last {least:.3g} s, so that {data.holdout:g} of it is a clip, and may not sound like one "
            "of another length",
            "set data.holdout_ends=false, so that whole files are held out",
        )
    whole_files = len(whole.names) - len(held_out.names)
    short = f"; {whole_files:,} too short for it or like another file, learned from as a whole" if whole_files else ""
    return Corpora(training, held_out, f"the last {data.holdout:g} of each file{short}")


def _with_training_split(corpus: Corpus) -> Corpus:
    """Takes a source that is nothing but one test or validation part as a whole, and adds a note that says so."""
    splits = set(corpus.splits)
    if len(splits) != 1 or splits & {None, "train"}:
        return corpus
    note = f"The source holds nothing but a {corpus.splits[0]} part, so all of it is learned from."
    return replace(corpus, splits=(), notes=(*corpus.notes, note))


def _training_split(corpus: Corpus) -> Corpus:
    """Leaves out the items that the source calls its validation or test part; raises DataError if none remains."""
    is_training = is_for_training(corpus)
    if not is_training.any():
        raise DataError(
            "the source holds a test and a validation part, and none to learn from",
            "a part called train is needed",
            "name the folder to learn from as data.source",
        )
    return corpus.select(is_training)


def _without_copies(training: Corpus, held_out: Corpus, split: str) -> Corpora:
    """Leaves out held-out items that are also learned from. Raises DataError if nothing remains."""
    is_copy = np.isin(held_out.hashes, training.hashes)
    if not is_copy.any():
        return Corpora(training, held_out, split)
    if is_copy.all():
        raise DataError(
            f"every sound of {split} is also learned from",
            "figures against it would flatter the model",
            "name other sound, or set data.test=null so that a share of the source is held out",
        )
    count = f"{int(is_copy.sum()):,} of {len(is_copy):,} sounds"
    note = f"{count} of {split} are also learned from, so they are not used to judge"
    return Corpora(training, held_out.select(~is_copy), split, (note,))
