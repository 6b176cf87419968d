"""Keeps the decoded items of a corpus in a folder, so that each is decoded once.

The folder holds `samples.i16`, to which samples are appended, and `items.jsonl`, with one line for each item. The file
`complete` is written at the end: it holds the size of both. A build that was killed continues after the last item whose
samples are all stored. An item that turns out damaged, or that failed for a temporary reason, is decoded again.
"""

import hashlib
import json
import logging
import os
import re
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from wavegan import progress
from wavegan.atomic_write import atomic_write, write_text
from wavegan.audio.decoding import Conversion, Decoded, append, decode_item
from wavegan.audio.items import Item
from wavegan.audio.measurements import MEASUREMENTS
from wavegan.file_lock import locked

logger = logging.getLogger(__name__)

LONGEST_CLIP = 65536  # frames of silence at the end, so that a clip can be read from any start
CHECKED_BYTES = 256 << 20  # of samples, compared with their hashes at each start, which takes 0.3 s
_NUMBERS = tuple(name for name in MEASUREMENTS.names or () if name != "correlation")  # that is null for mono
SAMPLES, JOURNAL, COMPLETE = "samples.i16", "items.jsonl", "complete"

Line = dict[str, Any]  # of the journal: an item's name, and its start, length and measurements, or why it is skipped


def stored_items(folder: Path, items: Sequence[Item], conversion: Conversion) -> dict[str, Line]:
    """Returns the journal's line of each item by its name; decodes items that the folder lacks.

    Progress goes to stderr. Raises OSError if the folder cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = _complete_lines(folder)
    if lines and not _to_decode(folder, lines, items, conversion.channels):
        return lines
    with locked(folder / "lock", "decodes the same sound"):  # the second process then finds a complete cache
        lines = _complete_lines(folder) or _interrupted(folder, 2 * conversion.channels)
        todo = _to_decode(folder, lines, items, conversion.channels)
        for item in todo:
            lines.pop(item.name, None)
        return _build(folder, lines, todo, conversion)


def _complete_lines(folder: Path) -> dict[str, Line]:
    """Reads the journal of a complete cache; returns {} if the cache is incomplete or differs from its sizes."""
    try:
        sizes = json.loads((folder / COMPLETE).read_text())
        journal = (folder / JOURNAL).read_bytes()[: sizes["journal"]]
        is_whole = _hash(journal) == sizes["hash"] and (folder / SAMPLES).stat().st_size >= sizes["samples"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    return _by_name(journal) if is_whole else {}


def _by_name(journal: bytes) -> dict[str, Line]:
    """Returns the journal's complete lines by the item's name; the last line of an item counts."""
    lines = {}
    for text in journal.splitlines(keepends=True):
        try:
            line = json.loads(text) if text.endswith(b"\n") else None
        except ValueError:
            line = None
        if line is None or not _is_line(line):  # a kill may leave half a line at the end
            break
        lines[line["name"]] = line
    return lines


def _is_line(line: Any) -> TypeGuard[Line]:
    """Returns whether a value has a line's fields, of their kinds; the samples' hash says whether they are right."""
    if not isinstance(line, dict) or not isinstance(line.get("name"), str):
        return False
    if "skipped" in line:
        return isinstance(line["skipped"], str)
    numbers: list[Any] = [line.get(name) for name in ("start", "length", *_NUMBERS)]
    is_measured = all(type(number) in (int, float) and abs(number) < 2**31 for number in numbers[2:])
    correlation, digest = line.get("correlation"), line.get("hash")
    return (
        is_measured
        and all(type(number) is int and 0 <= number < 2**62 for number in numbers[:2])
        and "correlation" in line
        and (correlation is None or type(correlation) is float)
        and isinstance(digest, str)
        and re.fullmatch("[0-9a-f]{16}", digest) is not None
        and isinstance(line.get("remarks", []), list)
    )


def _interrupted(folder: Path, frame_bytes: int) -> dict[str, Line]:
    """Returns the lines of an interrupted build, up to the first item whose samples are not all stored.

    Later samples are cut off, unless the cache was complete before, because another process may be reading them.
    """
    samples = folder / SAMPLES
    lines = _by_name((folder / JOURNAL).read_bytes()) if (folder / JOURNAL).exists() and samples.exists() else {}
    frames = samples.stat().st_size // frame_bytes if lines else 0
    lines = dict(takewhile(lambda entry: _end(entry[1]) <= frames, lines.items()))
    if samples.exists() and not (folder / COMPLETE).exists():
        os.truncate(samples, frame_bytes * max(map(_end, lines.values()), default=0))
    (folder / COMPLETE).unlink(missing_ok=True)
    return lines


def _end(line: Line) -> int:
    return line.get("start", 0) + line.get("length", 0)


def _to_decode(folder: Path, lines: Mapping[str, Line], items: Sequence[Item], channels: int) -> list[Item]:
    """Lists the items to decode: new ones, damaged ones, and items that failed for a temporary reason."""
    damaged = _damaged(folder, lines, channels)
    if damaged:
        logger.warning(f"the cache {folder} is damaged; items decoded again: {len(damaged):,}")
    return [item for item in items if item.name not in lines or item.name in damaged or "temporary" in lines[item.name]]


def _damaged(folder: Path, lines: Mapping[str, Line], channels: int) -> set[str]:
    """Returns the names of items whose samples differ from their hash; a large cache is compared in part, at random."""
    used = [line for line in lines.values() if "skipped" not in line]
    if not used:
        return set()
    samples = np.memmap(folder / SAMPLES, np.uint8, mode="r")
    damaged, checked = set(), 0
    is_small = samples.size <= CHECKED_BYTES
    for index in range(len(used)) if is_small else np.random.default_rng().permutation(len(used)):
        line = used[int(index)]
        start, size = 2 * channels * line["start"], 2 * channels * line["length"]
        if _hash(samples[start : start + size]) != line["hash"]:
            damaged.add(line["name"])
        checked += size
        if checked > CHECKED_BYTES:
            break
    return damaged


def _build(folder: Path, lines: dict[str, Line], items: Sequence[Item], conversion: Conversion) -> dict[str, Line]:
    """Decodes items, several in parallel, and appends them in order; samples already stored stay in place.

    lines: of the items that the folder holds. Returns all lines, old and new.
    """
    frame_bytes = 2 * conversion.channels
    with atomic_write(folder / JOURNAL) as file:
        file.writelines(map(_encoded, lines.values()))
    bar = progress.bar(len(lines) + len(items), " files", initial=len(lines), desc="decoding", leave=False)
    with (
        (folder / SAMPLES).open("ab") as samples,
        (folder / JOURNAL).open("ab") as journal,
        bar,
        closing(_decode_ahead(items, conversion, folder)) as decoding,
    ):
        samples.write(bytes(-samples.tell() % frame_bytes))
        before = samples.tell()
        for item, decoded in zip(items, decoding, strict=True):
            line: Line = {"name": item.name}
            if decoded.spool is None:
                line |= {"skipped": decoded.reason} | ({"temporary": True} if decoded.temporary else {})
            else:
                line |= {"start": samples.tell() // frame_bytes} | append(samples, decoded, conversion)
            samples.flush()  # the samples must be in the file before the line that lists them
            journal.write(_encoded(line))
            journal.flush()
            lines[item.name] = line
            bar.update()
        if samples.tell() > before or not (folder / COMPLETE).exists():
            samples.write(bytes(LONGEST_CLIP * frame_bytes))
            samples.flush()
            os.fsync(samples.fileno())
        os.fsync(journal.fileno())
    journal_bytes = (folder / JOURNAL).read_bytes()
    sizes = {"samples": (folder / SAMPLES).stat().st_size, "journal": len(journal_bytes), "hash": _hash(journal_bytes)}
    write_text(folder / COMPLETE, json.dumps(sizes))
    return lines


def _decode_ahead(items: Sequence[Item], conversion: Conversion, folder: Path) -> Generator[Decoded, None, None]:
    """Yields decoded items in order; threads decode a few ahead (libsndfile, soxr and NumPy release the GIL)."""
    workers = os.cpu_count() or 1
    ahead: deque[Future[Decoded]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            ahead.append(pool.submit(decode_item, item, conversion, folder))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        for future in ahead:
            if not future.cancelled() and not future.exception() and (spool := future.result().spool):
                spool.close()


def _encoded(line: Line) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _hash(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
