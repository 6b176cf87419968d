"""Loads a source as one memory-mapped int16 array of all samples, with what is known of each item."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from wavegan.audio.corpus_cache import LONGEST_CLIP, SAMPLES, Line, stored_items
from wavegan.audio.decoding import Conversion
from wavegan.audio.items import Item, Source
from wavegan.audio.measurements import MEASUREMENTS
from wavegan.audio.sources import belongs_to_another_user, cache_folder, open_source
from wavegan.errors import DataError, some_of

logger = logging.getLogger(__name__)
__all__ = ["LONGEST_CLIP", "Corpus", "Reading", "cache_folder", "identity", "load_corpus"]

FORMAT = 4  # raised whenever the same sounds would be stored or measured in another way


@dataclass(frozen=True)
class Corpus:
    """Holds the decoded sound of a source, the position of each item in it, and the items that were skipped.

    samples: (frames, channels) int16, silence from the last item's end on. starts, lengths: frames, (items,).
    labels: (items,), each an index into the sorted label_names, -1 for none. skipped: name to reason.
    groups: (items,), such as the speaker, None if the source names none. splits: (items,), "train", "validation" or
    "test" if the source divides its items, else None. hashes: (items,) uint64, of the stored samples: equal for items
    that sound the same. measured: (items,) records of `MEASUREMENTS`. remarks: name to what was repaired in reading it.
    passed_over: reason to the names of files that are not items. notes: sentences about how the source was read.
    The last nine may be empty. conversion: how the items were converted, None if that is not known.
    """

    samples: Tensor
    starts: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    label_names: tuple[str, ...]
    skipped: dict[str, str]
    sample_rate: int
    groups: tuple[str | None, ...] = ()
    splits: tuple[str | None, ...] = ()
    hashes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    measured: np.ndarray = field(default_factory=lambda: np.zeros(0, MEASUREMENTS))
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    folder: Path | None = None  # of the cache
    conversion: Conversion | None = None

    @property
    def channels(self) -> int:
        """Returns the number of channels."""
        return self.samples.shape[1]

    @property
    def seconds(self) -> float:
        """Returns the length of all items together."""
        return float(self.lengths.sum() / self.sample_rate)

    def to(self, device: torch.device) -> "Corpus":
        """Returns the corpus with its samples on a device."""
        return replace(self, samples=self.samples.to(device))

    def select(self, keep: np.ndarray) -> "Corpus":
        """Returns a corpus of some items, chosen by a mask or by indices; it shares the samples."""
        names, groups, splits = (
            tuple(np.array(words, object)[keep]) if words else () for words in (self.names, self.groups, self.splits)
        )
        starts, lengths, labels = self.starts[keep], self.lengths[keep], self.labels[keep]
        hashes, measured = (rows[keep] if len(rows) else rows for rows in (self.hashes, self.measured))
        return replace(
            self,
            starts=starts,
            lengths=lengths,
            labels=labels,
            names=names,
            groups=groups,
            splits=splits,
            hashes=hashes,
            measured=measured,
        )


class Reading(NamedTuple):
    """Says how a source is read beside its rate and channels; see `Conversion`, and `open_source` for the last three.

    The plain values of a recipe's `data` section of the same names.
    """

    channel: int | None = None
    remove_dc: bool = False
    trim_silence: bool = False
    strict: bool = False
    label_column: str | None = None
    label_level: int | None = None


def load_corpus(
    source: str | Sequence[str],
    sample_rate: int,
    channels: int,
    *,
    normalize: bool = True,
    reading: Reading = Reading(),  # noqa: B008  it cannot change
    max_bad_fraction: float = 1,
) -> Corpus:
    """Loads the corpus of a source from the cache; if it is not there, decodes it first, with progress on stderr.

    normalize: scales each item to a peak of 1, except silence. Raises DataError if more than max_bad_fraction of the
    items, or all of them, cannot be used; the text names each with its reason. Raises it too if the cache fails.
    """
    channel, remove_dc, trim_silence, strict, label_column, label_level = reading
    opened = open_source(source, strict=strict, label_column=label_column, label_level=label_level)
    conversion = Conversion(sample_rate, channels, normalize, channel, remove_dc, trim_silence)
    folder = cache_folder() / "corpora" / identity([FORMAT, strict, *asdict(conversion).values()], opened.items)
    try:
        lines = stored_items(folder, opened.items, conversion)
        corpus = _open(folder, opened, lines, conversion)
    except OSError as error:
        raise DataError(
            f"the cache folder {folder} cannot be used ({error.strerror}); decoded sound is kept in it; free "
            "some space or name another folder in the environment variable WAVEGAN_CACHE"
        ) from error
    _refuse_bad(corpus, len(opened.items), max_bad_fraction)
    if belongs_to_another_user(folder / SAMPLES):
        logger.info(
            f"another user decoded this sound into the cache {folder}; set WAVEGAN_CACHE to a folder of your own if "
            "you do not trust that user"
        )
    return corpus


def identity(settings: list, items: Sequence[Item]) -> str:
    """Hashes the settings (plain values) and each item's name and fingerprint into 24 hexadecimal digits."""
    text = json.dumps([settings, [[item.name, *item.fingerprint] for item in items]])
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _refuse_bad(corpus: Corpus, items: int, max_bad_fraction: float) -> None:
    bad = items - len(corpus.names)
    if bad < items and bad / items <= max_bad_fraction:
        return
    by_reason: dict[str, list[str]] = {}
    for name, reason in corpus.skipped.items():
        by_reason.setdefault(reason, []).append(name)
    reasons = "".join(f"\n  {some_of(names, 1)}: {reason}" for reason, names in by_reason.items())
    if bad == items:
        raise DataError(f"none of the {items:,} files can be used; repair them or name another source:{reasons}")
    raise DataError(
        f"{bad:,} of {items:,} files cannot be used; at most data.max_bad_fraction = {max_bad_fraction:g} of them may "
        f"be bad; repair or remove these, or raise data.max_bad_fraction:{reasons}"
    )


def _open(folder: Path, source: Source, lines: Mapping[str, Line], conversion: Conversion) -> Corpus:
    used = [(item, lines[item.name]) for item in source.items if "skipped" not in lines[item.name]]
    label_names = tuple(sorted({item.label for item, _ in used if item.label is not None}))
    label_index = {label: index for index, label in enumerate(label_names)} | {None: -1}
    # Mode "c" (copy on write), because torch warns about read-only memory; nothing writes, so nothing is copied.
    frames = (folder / SAMPLES).stat().st_size // (2 * conversion.channels)  # half a frame at the end is damage
    samples = np.memmap(folder / SAMPLES, np.int16, mode="c", shape=(frames, conversion.channels))
    return Corpus(
        samples=torch.from_numpy(samples),
        starts=np.array([line["start"] for _, line in used], np.int64),
        lengths=np.array([line["length"] for _, line in used], np.int64),
        labels=np.array([label_index[item.label] for item, _ in used], np.int64),
        names=tuple(item.name for item, _ in used),
        label_names=label_names,
        skipped={item.name: lines[item.name]["skipped"] for item in source.items if "skipped" in lines[item.name]},
        sample_rate=conversion.sample_rate,
        groups=tuple(item.group for item, _ in used),
        splits=tuple(item.split for item, _ in used),
        hashes=np.array([int(line["hash"], 16) for _, line in used], np.uint64),
        measured=np.array([_measurements(line) for _, line in used], MEASUREMENTS),
        remarks={line["name"]: line["remarks"] for _, line in used if "remarks" in line},
        passed_over=source.passed_over,
        notes=tuple(source.notes),
        folder=folder,
        conversion=conversion,
    )


def _measurements(line: Line) -> tuple[float, ...]:
    names = MEASUREMENTS.names or ()
    return tuple(float("nan") if line[name] is None else line[name] for name in names)
