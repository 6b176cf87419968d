"""Reads the headers of formats whose sound is one stretch of the file, as long as a field of the header says."""

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from wavegan.audio import signatures
from wavegan.audio.pieces import Edit, bytes_at
from wavegan.errors import DataError

MOST_CHUNKS = 10_000  # of a sane file; a damaged one may hold endless zeros
W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


@dataclass(frozen=True)
class Sound:
    """Holds where a file's sound begins and how many bytes its header promises, None if the header does not say.

    size_at, size_form: position and struct format of the header's size; extra: bytes that it counts beside the sound.
    """

    start: int
    promised: int | None
    size_at: int = 0
    size_form: str = ""
    extra: int = 0
    remarks: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


def truncated(promised: int, size: int) -> DataError:
    """Returns the error that says how many bytes of a file are there."""
    return DataError(f"is truncated: its header promises {promised} bytes and the file has {size}; copy it again")


def number(file: BinaryIO, position: int, form: str) -> int:
    """Returns the number at a position, by its struct format; what lies behind the end counts as zeros."""
    data = bytes_at(file, position, struct.calcsize(form))
    return struct.unpack(form, data.ljust(struct.calcsize(form), b"\0"))[0]


def _w64(file: BinaryIO, size: int) -> Sound | None:
    at = 40
    for _ in range(MOST_CHUNKS):
        if len(header := bytes_at(file, at, 24)) < 24:
            break
        (length,) = struct.unpack("<Q", header[16:])  # with this header, without the padding to a multiple of 8
        if header.startswith(W64_DATA):
            is_known = 24 < length < 1 << 62 or size == at + 24
            return Sound(at + 24, max(0, length - 24) if is_known else None, at + 16, "<Q", 24)
        at += max(24, length + -length % 8)
    return None


def _caf(file: BinaryIO, size: int) -> Sound | None:
    at = 8
    for _ in range(MOST_CHUNKS):
        if len(header := bytes_at(file, at, 12)) < 12:
            break
        name, length = struct.unpack(">4sq", header)
        if name == b"data":
            return Sound(at + 12, None if length == -1 else length, at + 4, ">q")
        at += 12 + max(0, length)
    return None


def _au(file: BinaryIO, size: int) -> Sound | None:
    order = ">" if bytes_at(file, 0, 4) == b".snd" else "<"
    start, length = number(file, 4, f"{order}I"), number(file, 8, f"{order}I")
    is_known = length < 0xFFFFFFFF and (length > 0 or start >= size)
    return Sound(start, length if is_known else None, 8, f"{order}I")


def _nist(file: BinaryIO, size: int) -> Sound | None:
    text = bytes_at(file, 0, 4096).partition(b"end_head")[0]
    length = re.match(rb"NIST_1A\s+(\d{1,6})\s", text)
    fields = dict(re.findall(rb"(\w+) -(?:i|s1) (\d{1,12})\s", text))
    names = (b"sample_count", b"channel_count", b"sample_n_bytes")
    if not length or not fields.keys() >= set(names) or b"shorten" in text or b"wavpack" in text:
        return None  # compressed sound is shorter than its samples
    return Sound(int(length[1]), math.prod(int(fields[name]) for name in names))


def _avr(file: BinaryIO, size: int) -> Sound | None:
    channels, bits = (2 if number(file, 12, ">H") else 1), number(file, 14, ">H")
    return Sound(128, number(file, 26, ">I") * channels * (bits // 8))


def _mpc2000(file: BinaryIO, size: int) -> Sound | None:
    return Sound(42, number(file, 30, "<I") * (2 if number(file, 21, "B") else 1) * 2)


def _wve(file: BinaryIO, size: int) -> Sound | None:
    return Sound(32, number(file, 18, ">I"))


def _sds(file: BinaryIO, size: int) -> Sound | None:
    """Reads a MIDI sample dump: packets of 127 bytes with 120 of sound; 7 bits a byte, so 2 to 4 bytes a sample.

    Raises DataError if any packet is missing, because libsndfile fills its place with noise.
    """
    bits, low, middle, high = struct.unpack("B3x3B", bytes_at(file, 6, 7).ljust(7, b"\0"))
    samples = low | middle << 7 | high << 14
    promised = 127 * math.ceil(samples / (120 // max(2, math.ceil(bits / 7))))
    if promised > size - 21:
        raise truncated(21 + promised, size)
    return Sound(21, promised)


def _xi(file: BinaryIO, size: int) -> Sound | None:
    return Sound(338, number(file, 298, "<I") or None)  # libsndfile itself writes 0


def _without_length(file: BinaryIO, size: int) -> Sound | None:
    return Sound(0, None)


PARSERS: dict[bytes, Callable[[BinaryIO, int], Sound | None]] = {
    b"riff": _w64,
    b"caff": _caf,
    b".snd": _au,
    b"dns.": _au,
    b"NIST_1A": _nist,
    b"2BIT": _avr,
    b"\x01\x04": _mpc2000,
    b"ALawSoundFile**": _wve,
    b"\xf0\x7e": _sds,
    b"Extended Instrument:": _xi,
    **dict.fromkeys((*signatures.IRCAM, b" paf", b"fap ", b"PVF1"), _without_length),
}
