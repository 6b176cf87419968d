"""Makes a WAV of a Creative Voice File of several blocks: libsndfile takes their headers for sound, or refuses it."""

import struct
from typing import BinaryIO, NamedTuple

from wavegan.audio.pieces import Edit, bytes_at
from wavegan.errors import DataError

MOST_BLOCKS = 100_000  # ffmpeg writes one for 2 to 4 KB of sound
LEFT_BYTES = 16  # more behind the last block are told
SILENCE, FORM, KINDS = 3, 8, range(1, 10)
HEAD_BYTES = {1: 6, 2: 4, 9: 16}  # of the kinds of block that hold sound: with a simple form, no form, and a full one
CODECS = {0: (1, 8), 4: (1, 16), 6: (6, 8), 7: (7, 8)}  # what a WAV calls them, and the bits of a sample


class Form(NamedTuple):
    """Says how a block's sound is stored."""

    sample_rate: int
    channels: int
    codec: int


class Blocks(NamedTuple):
    """Says where a file's last block ends by its header, and of several blocks the edits that make a WAV of them."""

    end: int
    edits: tuple[Edit, ...] = ()
    remarks: tuple[str, ...] = ()


def blocks(file: BinaryIO, start: int, size: int) -> Blocks:
    """Reads the headers of all blocks, the first at `start`. Raises DataError if no WAV can be made of them."""
    at, count, has_silence, announced = start, 0, False, None
    parts: list[tuple[int, int]] = []
    forms: list[Form] = []
    while at < size and len(head := bytes_at(file, at, 12)) >= 4 and head[0]:  # a block of kind 0 is the last
        kind, end = head[0], at + 4 + int.from_bytes(head[1:4], "little")
        if kind not in KINDS:  # the block before it is longer than three bytes can say, as libsndfile writes them
            return Blocks(size)
        form = _form(kind, head.ljust(12, b"\0"))
        if kind in HEAD_BYTES:
            parts.append((min(at + HEAD_BYTES[kind], end, size), min(end, size)))
            forms += [announced if announced and kind == 1 else form] if form else []
        announced = form if kind == FORM else None  # of the next block
        has_silence, count, at = has_silence or kind == SILENCE, count + (kind != FORM), end
        if count > MOST_BLOCKS:
            raise _other(f"has more than {MOST_BLOCKS:,} blocks")
    if count < 2 or not forms or forms[0].codec not in CODECS:  # libsndfile says what it cannot decode
        return Blocks(at)
    if len(set(forms)) > 1:
        raise _other("holds blocks of several rates or forms")
    edits, last = [(0, parts[0][0], _wav_header(forms[0], sum(end - begin for begin, end in parts)))], parts[0][1]
    for begin, end in parts[1:]:
        edits.append((last, begin - last, b""))
        last = end
    remarks = ["silence that it describes between its blocks is left out"] if has_silence else []
    if bytes_at(file, at, 1) != b"\0":
        remarks.append("it ends before its last block, so its end may be lost")
    elif size - at > LEFT_BYTES:
        remarks.append(f"{size - at - 1:,} bytes lie after its last block and are left out")
    return Blocks(size, (*edits, (last, size - last, b"")), (*remarks,))


def _form(kind: int, head: bytes) -> Form | None:
    """Returns the form that a block's header tells, if it tells any."""
    if kind == 1:
        return Form(1_000_000 // (256 - head[4]), 1, head[5])
    if kind == FORM:
        fraction, codec, more_channels = struct.unpack("<HBB", head[4:8])
        return Form(256_000_000 // ((65536 - fraction) * (more_channels + 1)), more_channels + 1, codec)
    if kind == 9:
        sample_rate, _, channels, codec = struct.unpack("<IBBH", head[4:12])
        return Form(sample_rate, channels, codec)
    return None


def _wav_header(form: Form, length: int) -> bytes:
    code, bits = CODECS[form.codec]
    frame = form.channels * bits // 8
    fields = (16, code, form.channels, form.sample_rate, form.sample_rate * frame & 0xFFFFFFFF, frame, bits)
    most = 0xFFFFFFFF
    return struct.pack(
        "<4sI8sIHHIIHH4sI",
        b"RIFF", min(36 + length, most), b"WAVEfmt ", *fields, b"data", min(length, most)
    )  # fmt: skip


def _other(problem: str) -> DataError:
    return DataError(f"is a Creative Voice File that {problem}; convert it to WAV or FLAC, e.g. with ffmpeg")
