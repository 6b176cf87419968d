"""Every decoded sample of a source, end to end in one memory-mapped int16 array that is made once.

The cache folder of a corpus holds `samples.i16`, which only grows, `items.jsonl`, one line for each item that
is done, and at last `complete`. A build that was killed goes on after the last item whose samples are all
there.
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

FORMAT = 1  # raised whenever the same sounds would be stored otherwise
LONGEST_CLIP = 65536  # frames of silence at the end, so that any clip can be read from any start
SILENCE_PEAK = 10 ** (-60 / 20)  # below it a file is silence, not quiet sound, and keeps its level
SPOOL_BYTES = 8 << 20  # an item's sound beyond this waits on disk, not in memory; several items wait at once
COPY_FRAMES = 1 << 18


@dataclass(frozen=True)
class Corpus:
    """The decoded sound of a source: where each item lies among the samples, and what was left out.

    samples: (frames, channels) int16, silence from the last item's end on. starts, lengths: frames, (items,).
    labels: (items,), each an index into the sorted label_names, -1 for none. skipped: name to reason.
    groups: (items,), such as the speaker, None where the source names none; empty where nothing is known of them.
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
        return self.samples.shape[1]

    @property
    def seconds(self) -> float:
        return float(self.lengths.sum() / self.sample_rate)

    def to(self, device: torch.device) -> "Corpus":
        """The corpus with its samples on a device."""
        return replace(self, samples=self.samples.to(device))

    def select(self, keep: np.ndarray) -> "Corpus":
        """The corpus of some items only, given as a mask or indices; the samples are shared."""
        names, groups = (tuple(np.array(one, object)[keep]) if one else () for one in (self.names, self.groups))
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
    """The corpus of a source, from the cache or decoded into it now, with progress on stderr.

    normalize: each file is scaled to a peak of 1, silence excepted. Raises DataError where more than
    max_bad_fraction of the items, or all, cannot be used; the text names each with its reason.
    """
    items = open_source(source)
    settings = [FORMAT, sample_rate, channels, normalize]
    folder = cache_folder() / "corpora" / identity(settings, items)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):  # a second process waits for the first, then finds all done
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
    """A short hash that changes with the settings (plain values) and with any item's name, label or sound."""
    text = json.dumps([settings, [[item.name, item.label, *item.fingerprint] for item in items]])
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def cache_folder() -> Path:
    """Where decoded sound is kept: the environment variable WAVEGAN_CACHE, or the platform's user cache."""
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
    """An item's sound, float32 in a file that is in memory while it is small, or the reason for none."""

    spool: IO[bytes] | None
    peak: float = 0.0
    reason: str = ""


def _build(folder: Path, items: Sequence[Item], sample_rate: int, channels: int, normalize: bool) -> None:
    """Decodes what is not yet in the cache folder; items are decoded side by side and appended in order."""
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
            samples.flush()  # before the line that says they are there
            journal.write(json.dumps(line) + "\n")
            journal.flush()
            files.update()
        samples.write(bytes(LONGEST_CLIP * frame_bytes))
        samples.flush()
        os.fsync(samples.fileno())
        os.fsync(journal.fileno())
    (folder / "complete").touch()


def _resume(folder: Path, frame_bytes: int) -> tuple[int, int]:
    """How many items an interrupted build has finished, and how many frames they hold; mends its journal."""
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
    """Decoded items in order, a few at work in threads (libsndfile, soxr and NumPy release the lock)."""
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
    """An item's sound, on disk in `folder` where it is long: the system's own place may be small, or memory."""
    spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(folder))  # noqa: SIM115  closed by the one who copies it
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
    """Appends an item's sound as int16 and gives its length in frames."""
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
    number = {label: index for index, label in enumerate(label_names)} | {None: -1}
    # Mode "c" because torch warns of memory it may not write; nothing writes, so nothing is copied.
    samples = np.memmap(folder / "samples.i16", np.int16, mode="c").reshape(-1, channels)
    return Corpus(
        samples=torch.from_numpy(samples),
        starts=np.array([line["start"] for _, line in used], np.int64),
        lengths=np.array([line["length"] for _, line in used], np.int64),
        labels=np.array([number[item.label] for item, _ in used], np.int64),
        names=tuple(item.name for item, _ in used),
        label_names=label_names,
        skipped={line["name"]: line["skipped"] for line in lines if "skipped" in line},
        sample_rate=sample_rate,
        groups=tuple(item.group for item, _ in used),
    )
