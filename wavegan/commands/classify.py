"""Trains the classifier of a labelled source, measures it, and keeps it for the next evaluation."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavegan import assemble, progress
from wavegan.audio.corpus import Corpus, Reading, cache_folder, identity
from wavegan.audio.labels import spelling_key
from wavegan.audio.sources import Item, belongs_to_another_user, open_source
from wavegan.audio.windows import gather
from wavegan.commands.classifier_data import cut, divide, in_words, known_clips, labelled_clips
from wavegan.commands.folders import make_folder, refuse_run
from wavegan.errors import DataError, UserError, system_error
from wavegan.evaluation.classifier import CLASSIFIER_FORMAT, Accuracy, Classifier, levels, load, save
from wavegan.evaluation.classifier_training import learn
from wavegan.evaluation.clip_format import ClipFormat
from wavegan.evaluation.features import OF_CLASSIFIER
from wavegan.evaluation.meaning import metrics_of
from wavegan.evaluation.reference_sets import ReferenceSets
from wavegan.file_lock import locked_if_possible

logger = logging.getLogger(__name__)

BATCH_SIZE = 64
SEED = 0  # unless told otherwise
WINDOWS = ("first", "all")
CACHE_REMEDY = "free some space or name another folder in the environment variable WAVEGAN_CACHE"


@dataclass(frozen=True)
class ClassifierResult:
    """Describes a trained classifier: its file, what it recognises and how well.

    clips: how many it has learned from.
    """

    path: Path
    name: str
    labels: tuple[str, ...]
    clips: int
    split: str
    accuracy: Accuracy
    test: Accuracy | None
    hash: str


def train_classifier(
    source: str | Sequence[str],
    *,
    out: Path | None = None,
    test: str | Sequence[str] | None = None,
    sample_rate: int = 16000,
    clip_samples: int = 16384,
    windows: str = "first",
    seed: int = SEED,
    device: str = "auto",
) -> ClassifierResult:
    """Writes the classifier of a labelled source, measured on a held-out part and on `test`, another such source.

    out: a file; None means the one that `classifier_for` looks for. windows: "first", it learns from the start of each
    sound; "all", from the whole of it, cut into clips. Raises DataError for a source without labels or with too few
    clips, and for a file that cannot be written.
    """
    if windows not in WINDOWS:
        raise UserError(f"`windows` is {windows}", f"it must be {' or '.join(WINDOWS)}", "try `windows=all`")
    refuse_run(*map(Path, [source] if isinstance(source, str) else source))
    form = ClipFormat(sample_rate, 1, clip_samples, windows=windows)
    on = assemble.device(device)
    if out is not None:
        _refuse_other_file(out)
    path = out or _kept_path(source, form, seed)
    make_folder(path.parent)  # before the work
    classifier = _train(source, test, form, seed, on)
    try:
        save(classifier, path)
    except OSError as error:
        raise DataError(system_error(error, "free some space or name another file with `out`")) from error
    return ClassifierResult(
        path=path,
        name=classifier.name,
        labels=classifier.label_names,
        clips=classifier.clips,
        split=classifier.split,
        accuracy=classifier.held_out,
        test=classifier.test,
        hash=classifier.identity,
    )


def as_json(result: ClassifierResult) -> dict[str, Any]:
    """Returns the result of a training as plain values."""

    def plain(accuracy: Accuracy) -> dict[str, float]:
        low, high = accuracy.interval
        return {"value": accuracy.value, "low": low, "high": high, "n": accuracy.clips}

    return {
        "path": str(result.path),
        "name": result.name,
        "labels": list(result.labels),
        "clips": result.clips,
        "split": result.split,
        "accuracy": plain(result.accuracy),
        "test": plain(result.test) if result.test else None,
        "hash": result.hash,
    }


def classifier_for(source: str | Sequence[str], form: ClipFormat, *, device: str = "auto") -> Classifier | None:
    """Returns the classifier of a source, trained now or kept since; None for a source without usable labels.

    It learns from the start of each sound if the form's windows are "first"; else from the whole of it, cut into clips.
    A line says why labels cannot be used, unless there are fewer than two.
    """
    labels = {item.label for item in _items(source, form.reading)} - {None}
    if len(labels) < 2:
        return None
    if form.windows != "first":
        form = form._replace(windows="all")  # one classifier for all clips that come from anywhere
    path = _kept_path(source, form, SEED)
    on = assemble.device(device)
    with suppress(DataError):  # neither a lock nor rights to write are needed, as the file is whole if it is there
        return _load_kept(path, on)
    with locked_if_possible(path.with_suffix(".lock"), "trains the same classifier"):
        if path.exists():  # another process has trained it meanwhile, or it is damaged
            try:
                return _load_kept(path, on)
            except DataError as error:
                logger.info(f"{error}; a new one is trained")
        try:
            classifier = _train(source, None, form, SEED, on)
        except DataError as error:
            logger.info(f"no classifier was trained, so its metrics are left out: {error}")
            return None
        try:
            save(classifier, path)
        except OSError as error:
            logger.warning(f"the classifier is not kept, and is trained each time: {system_error(error, CACHE_REMEDY)}")
    return classifier


def classifier_of(choice: str | None, real_sound: ReferenceSets, *, device: str = "auto") -> Classifier | None:
    """Returns the classifier that a user chose.

    choice: a file; "none" for no classifier; None for that of the source of the real sound, if the source has labels. A
    line names what is not measured if it has none.
    """
    if choice == "none":
        return None
    if choice is not None:
        return load(Path(choice), assemble.device(device))
    if not real_sound.labelled:
        remedy = "`classifier=FILE` names a classifier"
        if real_sound.training is None:
            remedy += ", or `training=DIR` names labelled sound that it learns from"
        logger.info(
            f"not measured, as no labelled sound for a classifier is known: {metrics_of(*OF_CLASSIFIER)}; {remedy}"
        )
        return None
    return classifier_for(real_sound.labelled, real_sound.form, device=device)


def _train(
    source: str | Sequence[str], test: str | Sequence[str] | None, form: ClipFormat, seed: int, on: torch.device
) -> Classifier:
    *parts, split = divide(labelled_clips(source, form), form)
    training, held_out = (cut(part, form) for part in parts)
    test_clips = None if test is None else known_clips(test, form, training.label_names)  # raises before the work
    logger.info(
        f"learning {len(training.label_names)} labels from {len(training.names):,} clips of {in_words(source)}; "
        f"{len(held_out.names):,} are held out: {split}"
    )
    pictures = torch.cat(
        [levels(clips.to(on), form.sample_rate).cpu() for clips in _batches(training, form.clip_samples)]
    )
    network = learn(
        pictures,
        torch.from_numpy(training.labels),
        len(training.label_names),
        seed=seed,
        on=on,
        progress=lambda steps: progress.track(steps, len(steps), "steps"),
    )
    classifier = Classifier(
        network=network,
        label_names=training.label_names,
        sample_rate=form.sample_rate,
        clip_samples=form.clip_samples,
        seed=seed,
        source=in_words(source),
        split=split,
        clips=len(training.names),
    )
    classifier = replace(classifier, held_out=_measure(classifier, held_out))
    logger.info(f"recognised: {classifier.held_out}")
    if test is not None and test_clips is not None:
        classifier = replace(classifier, test=_measure(classifier, test_clips))
        logger.info(f"of {in_words(test)}: {classifier.test}")
    return classifier


def _measure(classifier: Classifier, corpus: Corpus) -> Accuracy:
    """Measures how many clips of a corpus a classifier recognises; it must know all of their labels."""
    indices = {spelling_key(name): index for index, name in enumerate(classifier.label_names)}
    truth = np.array([indices.get(spelling_key(name), -1) for name in corpus.label_names])[corpus.labels]
    clips = _batches(corpus, classifier.clip_samples)
    recognised = [classifier.extract(part, classifier.sample_rate)[1].argmax(axis=1) for part in clips]
    return Accuracy(int((np.concatenate(recognised) == truth).sum()), len(truth))


def _batches(corpus: Corpus, clip_samples: int) -> Iterator[Tensor]:
    """Yields the start of every item, in order: (N, C, clip_samples)."""
    for first in range(0, len(corpus.names), BATCH_SIZE):
        part = slice(first, first + BATCH_SIZE)
        yield gather(corpus.samples, corpus.starts[part], corpus.lengths[part], clip_samples)


def _items(source: str | Sequence[str], reading: Reading) -> Sequence[Item]:
    labels = {"label_column": reading.label_column, "label_level": reading.label_level}
    return open_source(source, strict=reading.strict, **labels).items


def _kept_path(source: str | Sequence[str], form: ClipFormat, seed: int) -> Path:
    """Returns the file where a source's classifier is kept; other sound, labels, groups or settings change it."""
    items = _items(source, form.reading)
    key = identity(["classifier", CLASSIFIER_FORMAT, *form, seed, [[item.label, item.group] for item in items]], items)
    return cache_folder() / "classifiers" / f"{key}.pt"


def _load_kept(path: Path, on: torch.device) -> Classifier:
    """Reads a classifier of the cache; raises DataError also for one that another user put there, or renamed."""
    with suppress(FileNotFoundError):
        if belongs_to_another_user(path):  # it could recognise anything, and every figure would follow it
            raise DataError(f"{path} belongs to another user and is not trusted")
    return load(path, on, is_kept=True)


def _refuse_other_file(path: Path) -> None:
    """Raises DataError if the path holds anything but a classifier."""
    if path.exists():
        try:
            load(path)
        except DataError as error:
            raise DataError(
                f"{path} exists and is not a classifier",
                "only a classifier may be replaced",
                "name another file with `out`",
            ) from error
