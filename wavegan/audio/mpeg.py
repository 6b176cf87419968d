"""Counts the frames of an MP3, because libsndfile reads only as many as the header or the first bit rate suggests.

Without this, it reads a fifth of a file with a variable bit rate and no Xing header, and the first of two joined files.
"""

import re
import struct
from typing import BinaryIO

from wavegan.audio.pieces import Edit, bytes_at

RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by the header's version bits
KILOBITS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
LAYER_3 = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")  # MPEG 2.5, 2 and 1, with and without a checksum
SEARCHED = 1 << 16
TAG_SLACK = 4096  # bytes after the sound that may be a tag
COUNTS_A_PART = "its header counts only a part of its frames; all are read"


def frame_length(head: bytes) -> int:
    """Returns the length in bytes of a layer III frame, by its header; 0 if `head` is no such header."""
    if len(head) < 4 or not LAYER_3.match(head):
        return 0
    version, bit_rate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if not 0 < bit_rate < 15 or rate == 3:
        return 0
    kilobits = KILOBITS[version == 3][bit_rate - 1]
    return (144000 if version == 3 else 72000) * kilobits // RATES[version][rate] + (head[2] >> 1 & 1)


def tag_end(file: BinaryIO, at: int) -> int:
    """Returns the end of an ID3v2 tag that begins at `at`; `at` itself if no tag does."""
    tag = bytes_at(file, at, 10)
    if len(tag) < 10 or not tag.startswith(b"ID3"):
        return at
    return at + 10 + sum((byte & 127) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))


def count_edits(file: BinaryIO, start: int, size: int) -> tuple[list[Edit], list[str]]:
    """Returns edits that correct the frame count of a layer III file whose first frame is at `start`, and remarks.

    Both are empty if the header counts right, or if no such frame is at `start`.
    """
    head = bytes_at(file, start, 192)
    if not (length := frame_length(head)):
        return [], []
    xing = head.find(b"Xing") if b"Xing" in head[:48] else head.find(b"Info")
    if b"VBRI" in head[:48]:
        return [], []
    if not 0 < xing < 48:
        words = b"Xing" + struct.pack(">II", 1, _count(file, start, size))
        offset = 4 + _side_bytes(head)
        plain = head[:1] + bytes([head[1] | 1]) + head[2:4]  # without a checksum
        return [(start, 0, (plain.ljust(offset, b"\0") + words).ljust(length, b"\0"))], []
    flags, frames, promised = struct.unpack(">III", head[xing + 4 : xing + 16].ljust(12, b"\0"))
    if flags & 3 != 3 or not promised:
        return [], []
    end = tag_end(file, start + promised)
    continues = size - end >= TAG_SLACK and frame_length(bytes_at(file, end, 4)) > 0
    count = _count(file, start + length, size) if continues else 0
    if count <= frames and end <= size:
        return [], []
    numbers = struct.pack(">II", max(count, frames), size - start)  # the decoder warns if the number of bytes is wrong
    return [(start + xing + 8, 8, numbers)], [COUNTS_A_PART] if count > frames else []


def _side_bytes(head: bytes) -> int:
    is_first_version, is_mono = head[1] >> 3 & 3 == 3, head[3] >> 6 == 3
    return (17 if is_mono else 32) if is_first_version else (9 if is_mono else 17)


def _count(file: BinaryIO, at: int, size: int) -> int:
    """Counts the frames from a position on; skips tags and garbage between them."""
    count = 0
    while at + 4 <= size:
        if length := frame_length(bytes_at(file, at, 4)):
            count += 1
            at += length
        elif (end := tag_end(file, at)) > at:
            at = end
        else:
            sync = LAYER_3.search(bytes_at(file, at + 1, SEARCHED))
            at += 1 + (sync.start() if sync else SEARCHED)
    return count
