"""Decodes one item to int16, as the settings of a corpus ask: converted, measured, scaled and trimmed."""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from wavegan.audio.conversion import converted
from wavegan.audio.files import TemporaryError
from wavegan.audio.items import Item
from wavegan.audio.measurements import FileMeter, LevelMeter
from wavegan.audio.writing import to_int16
from wavegan.errors import DataError

SILENCE_PEAK = 10 ** (-60 / 20)  # a file with a lower peak counts as silence and keeps its level
CANCEL = "has channels that cancel when they are mixed to mono"
BEGINS = 10 ** (-40 / 20)  # of the peak: a sound begins where it first reaches this
ENDS = 10 ** (-60 / 20)  # of the peak: a sound ends where it stays below this
KEPT_SECONDS = 0.01  # of the silence before a sound, so that its attack stays whole
SPOOL_BYTES = 8 << 20  # a longer item waits on disk, not in memory, because several items wait at once
COPY_FRAMES = 1 << 18


@dataclass(frozen=True)
class Conversion:
    """Says how every item of a corpus is converted.

    channel: the channel to take instead of the mean of all; 1 is the first. normalize: scales each item to a peak of 1,
    except silence. remove_dc: subtracts each item's mean. trim_silence: cuts the silence at both ends.
    """

    sample_rate: int
    channels: int
    normalize: bool = True
    channel: int | None = None
    remove_dc: bool = False
    trim_silence: bool = False


@dataclass(frozen=True)
class Decoded:
    """Holds an item's sound as float32 in a file, in memory if it is small; or the reason why it cannot be used.

    temporary: a later try may succeed. offset: what is subtracted, (channels,).
    """

    spool: IO[bytes] | None
    reason: str = ""
    temporary: bool = False
    peak: float = 0.0
    offset: np.ndarray = field(default_factory=lambda: np.zeros(1))
    measured: dict[str, Any] = field(default_factory=dict)


def decode_item(item: Item, conversion: Conversion, folder: Path) -> Decoded:
    """Decodes an item; long sound goes to disk in `folder`, because the system's folder may be small or in memory."""
    spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(folder))  # noqa: SIM115  append closes it
    try:
        decoded = _decode(item, conversion, spool)
    except BaseException as error:
        spool.close()
        if not isinstance(error, DataError):
            raise
        return Decoded(None, str(error), isinstance(error, TemporaryError))
    spool.seek(0)
    return decoded


def append(samples: IO[bytes], decoded: Decoded, conversion: Conversion) -> dict[str, Any]:
    """Appends an item's sound as int16 frames and closes its spool.

    Returns its length in frames, a hash of these samples, and its measurements.
    """
    assert decoded.spool, "only an item with sound is appended"
    length, digest = 0, hashlib.blake2b(digest_size=8)
    scale = np.float32(1 / decoded.peak if conversion.normalize and decoded.peak > SILENCE_PEAK else 1)
    offset = decoded.offset.astype(np.float32)
    with decoded.spool as spool:
        first, end = _audible(_blocks(spool, conversion.channels), decoded.peak, offset)
        start, stop = 0, None
        if conversion.trim_silence and end:
            kept = round(KEPT_SECONDS * conversion.sample_rate)
            start, stop = max(first - kept, 0), end + kept
        spool.seek(0)
        place = 0
        for block in _blocks(spool, conversion.channels):
            part = block[max(start - place, 0) : None if stop is None else max(stop - place, 0)]
            place += len(block)
            stored = to_int16((part - offset) * scale).tobytes()
            digest.update(stored)
            samples.write(stored)
            length += len(part)
    lead = max(first - start, 0) / conversion.sample_rate
    return {"length": length, "hash": digest.hexdigest(), **decoded.measured, "lead": round(lead, 6)}


def _decode(item: Item, conversion: Conversion, spool: IO[bytes]) -> Decoded:
    file, level = FileMeter(), LevelMeter(conversion.channels)
    with item.open(conversion.sample_rate, conversion.channels) as sound:
        _check_channels(sound.channels, conversion)
        blocks, channels = _metered(sound.blocks, file), sound.channels
        if conversion.channel and channels > 1:
            taken = slice(conversion.channel - 1, conversion.channel)
            blocks, channels = (block[:, taken] for block in blocks), 1
        for block in converted(blocks, sound.sample_rate, channels, conversion.sample_rate, conversion.channels):
            level.add(block)
            spool.write(np.ascontiguousarray(block, np.float32).tobytes())
    if conversion.channels == 1 < channels and file.cancels:
        raise DataError(f"{CANCEL}; take the left one with data.channel=1")
    offset = level.mean if conversion.remove_dc else np.zeros(conversion.channels)
    measured = {
        "file_rate": sound.sample_rate,
        "file_channels": sound.channels,
        "peak": round(level.peak(offset), 6),
        "offset": round(float(np.abs(level.mean).max()), 6),
        "clipped": round(file.clipped, 6),
        "correlation": None if np.isnan(file.correlation) else round(file.correlation, 4),
    }
    if sound.remarks:
        measured["remarks"] = sound.remarks
    return Decoded(spool, peak=level.peak(offset), offset=offset, measured=measured)


def _check_channels(channels: int, conversion: Conversion) -> None:
    if conversion.channel and channels > 1 and conversion.channel > channels:
        raise DataError(
            f"has {channels} channels where data.channel is {conversion.channel}; "
            f"set data.channel to {channels} or less"
        )


def _metered(blocks: Iterator[np.ndarray], meter: FileMeter) -> Iterator[np.ndarray]:
    for block in blocks:
        meter.add(block)
        yield block


def _blocks(spool: IO[bytes], channels: int) -> Iterator[np.ndarray]:
    while data := spool.read(COPY_FRAMES * 4 * channels):
        yield np.frombuffer(data, np.float32).reshape(-1, channels)


def _audible(blocks: Iterator[np.ndarray], peak: float, offset: np.ndarray) -> tuple[int, int]:
    """Returns the sound's first frame and the frame after its last; zeros for silence."""
    begin, end, place = None, 0, 0
    if peak <= 0:
        return 0, 0
    for block in blocks:
        level = np.abs(block - offset).max(1)
        if begin is None and len(loud := np.flatnonzero(level >= BEGINS * peak)):
            begin = place + int(loud[0])
        if len(heard := np.flatnonzero(level >= ENDS * peak)):
            end = place + int(heard[-1]) + 1
        place += len(block)
    return begin or 0, end
