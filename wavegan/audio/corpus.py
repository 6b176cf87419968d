"""Decodes a source once into a cache, and reads it as one memory-mapped int16 array of all samples.

The cache folder of a corpus holds `samples.i16`, to which samples are appended, and `items.jsonl`, with one line for
each finished item. The file `complete` is made at the end. A build that was killed continues after the last item
whose samples are all stored.
"""

import hashlib
import json
import os
import tempfile
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import platformdirs
import torch
from filelock import FileLock
from torch import Tensor

from wavegan import progress
from wavegan.atomic_write import atomic_write
from wavegan.audio.files import to_int16
from wavegan.audio.sources import Item, open_source
from wavegan.errors import DataError

FORMAT = 1  # raised whenever the same sounds would be stored in another way
LONGEST_CLIP = 65536  # frames of silence at the end, so that a clip can be read from any start
SILENCE_PEAK = 10 ** (-60 / 20)  # a file with a lower peak counts as silence and keeps its level
SPOOL_BYTES = 8 << 20  # a longer item waits on disk, not in memory, because several items wait at once
COPY_FRAMES = 1 << 18


@dataclass(frozen=True)
class Corpus:
    """Holds the decoded sound of a source, the position of each item in it, and the items that were skipped.

    samples: (frames, channels) int16, silence from the last item's end on. starts, lengths: frames, (items,).
    labels: (items,), each an index into the sorted label_names, -1 for none. skipped: name to reason.
    groups: (items,), such as the speaker, None if the source names none; empty if groups are unknown.
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
        names, groups = (tuple(np.array(words, object)[keep]) if words else () for words in (self.names, self.groups))
        starts, lengths, labels = self.starts[keep], self.lengths[keep], self.labels[keep]
        return replace(self, starts=starts, lengths=lengths, labels=labels, names=names, groups=groups)


def load_corpus(
    source: str | Sequence[str],
    sample_rate: int,
    channels: int,
    *,
    normalize: bool = True,
    max_bad_fraction: float = 1,
) -> Corpus:
    """Loads the corpus of a source from the cache; if it is not there, decodes it first, with progress on stderr.

    normalize: scales each file to a peak of 1, except silence. Raises DataError if more than max_bad_fraction of the
    items, or all of them, cannot be used; the text names each with its reason. Raises it too if the cache fails.
    """
    items = open_source(source)
    settings = [FORMAT, sample_rate, channels, normalize]
    folder = cache_folder() / "corpora" / identity(settings, items)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):  # a second process waits for the first, then finds a complete cache
            if not (folder / "complete").exists():
                _build(folder, items, sample_rate, channels, normalize)
        corpus = _open(folder, items, sample_rate, channels)
    except OSError as fault:
        raise DataError(
            f"the cache folder {folder} cannot be used ({fault.strerror}); decoded sound is kept there; free "
            "some space or name another folder in the environment variable WAVEGAN_CACHE"
        ) from fault
    _refuse_bad(corpus, len(items), max_bad_fraction)
    return corpus


def identity(settings: list, items: Sequence[Item]) -> str:
    """Hashes the settings (plain values) and each item's name, label and fingerprint into 24 hexadecimal digits."""
    text = json.dumps([settings, [[item.name, item.label, *item.fingerprint] for item in items]])
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def cache_folder() -> Path:
    """Returns the folder for decoded sound: the environment variable WAVEGAN_CACHE, or the platform's user cache."""
    return Path(os.environ.get("WAVEGAN_CACHE") or platformdirs.user_cache_dir("wavegan"))


def _refuse_bad(corpus: Corpus, items: int, max_bad_fraction: float) -> None:
    bad = items - len(corpus.names)
    if bad == items or bad / items > max_bad_fraction:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in corpus.skipped.items())
        raise DataError(
            f"{bad} of {items} files cannot be used; at most data.max_bad_fraction = {max_bad_fraction:g} of them may "
            f"be bad and one must be good; repair or remove these, or raise data.max_bad_fraction:\n{reasons}"
        )


class _Decoded(NamedTuple):
    """Holds an item's sound as float32 in a file, in memory if it is small; or the reason why there is none."""

    spool: IO[bytes] | None
    peak: float = 0.0
    reason: str = ""


def _build(folder: Path, items: Sequence[Item], sample_rate: int, channels: int, normalize: bool) -> None:
    """Decodes the items that the cache folder lacks; decodes several in parallel and appends them in order."""
    frame_bytes = 2 * channels
    done, frames = _resume(folder, frame_bytes)
    files = progress.bar(len(items), " files", initial=done, desc="decoding", leave=False)
    with (
        (folder / "samples.i16").open("ab") as samples,
        (folder / "items.jsonl").open("a") as journal,
        files,
        closing(_decode_ahead(items[done:], sample_rate, channels, folder)) as decoding,
    ):
        samples.truncate(frames * frame_bytes)
        for item, decoded in zip(items[done:], decoding, strict=True):
            line: dict[str, str | int] = {"name": item.name}
            if decoded.spool is None:
                line["skipped"] = decoded.reason
            else:
                scale = 1 / decoded.peak if normalize and decoded.peak > SILENCE_PEAK else 1.0
                line |= {"start": frames, "length": _append(samples, decoded.spool, scale, channels)}
                frames += int(line["length"])
            samples.flush()  # the samples must be in the file before the line that lists them
            journal.write(json.dumps(line) + "\n")
            journal.flush()
            files.update()
        samples.write(bytes(LONGEST_CLIP * frame_bytes))
        samples.flush()
        os.fsync(samples.fileno())
        os.fsync(journal.fileno())
    (folder / "complete").touch()


def _resume(folder: Path, frame_bytes: int) -> tuple[int, int]:
    """Returns how many items an interrupted build finished and how many frames they hold; repairs its journal."""
    journal = folder / "items.jsonl"
    samples = folder / "samples.i16"
    present = samples.stat().st_size // frame_bytes if samples.exists() else 0
    kept, frames = [], 0
    for line in journal.read_text().splitlines(keepends=True) if journal.exists() else []:
        if not line.endswith("\n"):
            break
        item = json.loads(line)
        if frames + item.get("length", 0) > present:
            break
        kept.append(line)
        frames += item.get("length", 0)
    with atomic_write(journal) as partial:
        partial.write_text("".join(kept))
    return len(kept), frames


def _decode_ahead(
    items: Sequence[Item], sample_rate: int, channels: int, folder: Path
) -> Generator[_Decoded, None, None]:
    """Yields decoded items in order; threads decode a few ahead (libsndfile, soxr and NumPy release the GIL)."""
    workers = os.cpu_count() or 1
    ahead: deque[Future[_Decoded]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            ahead.append(pool.submit(_decode, item, sample_rate, channels, folder))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        for future in ahead:
            if not future.cancelled() and not future.exception() and (spool := future.result().spool):
                spool.close()


def _decode(item: Item, sample_rate: int, channels: int, folder: Path) -> _Decoded:
    """Decodes an item; long sound goes to disk in `folder`, because the system's folder may be small or in memory."""
    spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(folder))  # noqa: SIM115  _append closes it
    peak = 0.0
    try:
        for block in item.decode(sample_rate, channels):
            peak = max(peak, float(np.abs(block).max(initial=0)))
            spool.write(np.ascontiguousarray(block, np.float32).tobytes())
    except BaseException as fault:
        spool.close()
        if not isinstance(fault, DataError):
            raise
        return _Decoded(None, reason=str(fault))
    spool.seek(0)
    return _Decoded(spool, peak)


def _append(samples: IO[bytes], spool: IO[bytes], scale: float, channels: int) -> int:
    """Appends an item's sound as int16 and returns its length in frames."""
    frames = 0
    with spool:
        while block := spool.read(COPY_FRAMES * 4 * channels):
            floats = np.frombuffer(block, np.float32)
            samples.write(to_int16(floats * scale).tobytes())
            frames += len(floats) // channels
    return frames


def _open(folder: Path, items: Sequence[Item], sample_rate: int, channels: int) -> Corpus:
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    used = [(item, line) for item, line in zip(items, lines, strict=True) if "skipped" not in line]
    label_names = tuple(sorted({item.label for item, _ in used if item.label is not None}))
    label_index = {label: index for index, label in enumerate(label_names)} | {None: -1}
    # Mode "c" (copy on write), because torch warns about read-only memory; nothing writes, so nothing is copied.
    samples = np.memmap(folder / "samples.i16", np.int16, mode="c").reshape(-1, channels)
    return Corpus(
        samples=torch.from_numpy(samples),
        starts=np.array([line["start"] for _, line in used], np.int64),
        lengths=np.array([line["length"] for _, line in used], np.int64),
        labels=np.array([label_index[item.label] for item, _ in used], np.int64),
        names=tuple(item.name for item, _ in used),
        label_names=label_names,
        skipped={line["name"]: line["skipped"] for line in lines if "skipped" in line},
        sample_rate=sample_rate,
        groups=tuple(item.group for item, _ in used),
    )
