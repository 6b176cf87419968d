"""Compares the length that a sound file's header promises with the file, and repairs faults that players forgive.

libsndfile reads a truncated file without a warning, and refuses other files for one wrong field of the header. So we
read the headers ourselves, and give the decoder a file in which a few bytes are replaced.
"""

import io
import itertools
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import BinaryIO, cast

from wavegan.audio import mpeg, signatures
from wavegan.audio.pieces import Edit, Pieces, bytes_at
from wavegan.errors import DataError

FORGIVEN_BYTES = 4096  # a header may promise this much too much; some recorders count the header itself
MOST_CHUNKS = 10_000  # of a sane file; a damaged one may hold endless zeros
RIFF_UNKNOWN = 0x7FFFF000  # SoX streams write this for an unknown length; others write nearly 2³² or 0
CHUNKS = frozenset(  # names of chunks that occur beside the sound
    b"fmt |data|fact|LIST|bext|cue |smpl|PEAK|JUNK|junk|FLLR|id3 |ID3 |iXML|ds64|COMM|SSND|FVER|MARK|INST|NAME|AUTH|"
    b"ANNO|COMT|APPL|VHDR|BODY|CHAN|(c) ".split(b"|")
)
SOUND_CHUNKS = {b"AIFF": b"SSND", b"AIFC": b"SSND", b"8SVX": b"BODY", b"16SV": b"BODY"}  # elsewhere: data
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


@dataclass(frozen=True)
class Layout:
    """Holds the streams that a decoder reads one after the other, and remarks about repairs.

    missing_share: the sound that the header promises and the file lacks, as a share of the sound in the file.
    """

    streams: list[Pieces]
    remarks: list[str] = field(default_factory=list)
    missing_share: float = 0.0


def layout(file: BinaryIO) -> Layout:
    """Returns how a file is to be decoded. Raises DataError if it ends far before its header promises."""
    size, tag = file.seek(0, io.SEEK_END), mpeg.tag_end(file, 0)
    behind = bytes_at(file, tag, signatures.FIRST_BYTES)
    if tag and signatures.is_sound(behind) and not behind.startswith((b"ID3", b"\xff")):  # libsndfile expects an MP3
        untagged = layout(cast(BinaryIO, Pieces(file, [(tag, size)])))
        return replace(untagged, streams=[stream.moved(file, tag) for stream in untagged.streams])
    start = bytes_at(file, 0, signatures.FIRST_BYTES)
    if start.startswith(b"OggS"):
        return _ogg(file, size)
    sound = next((parse(file, size) for mark, parse in PARSERS.items() if start.startswith(mark)), None)
    if sound is None or sound.start > size:
        return Layout([_edited(file, size, [])])
    present = size - sound.start
    edits, remarks, share = list(sound.edits), list(sound.remarks), 0.0
    if sound.promised is None:
        remarks += ["its header does not say how long it is, so it is read to its end"] if present > 0 else []
    elif sound.promised > present:
        missing = sound.promised - present
        if sound.promised != 2 * present and missing > min(FORGIVEN_BYTES, present):
            raise _truncated(sound.start + sound.promised, size)
        share = missing / present
    if sound.size_form and (share or sound.promised is None):
        most = (1 << 31 if sound.size_form[1] == "I" else 1 << 63) - 1
        number = struct.pack(sound.size_form, min(present + sound.extra, most))
        edits.append((sound.size_at, len(number), number))
    return Layout([_edited(file, size, edits)], remarks, share)


def _truncated(promised: int, size: int) -> DataError:
    return DataError(f"is truncated: its header promises {promised} bytes and the file has {size}; copy it again")


def _riff(file: BinaryIO, size: int) -> Sound | None:
    """Reads WAV, AIFF and RF64: chunks of a name, a length and content; a byte pads content of odd length."""
    head = bytes_at(file, 0, 12)
    order, name_of_sound = (">" if head[:4] in (b"RIFX", b"FORM") else "<"), SOUND_CHUNKS.get(head[8:], b"data")
    edits: list[Edit] = [(0, 4, b"RF64")] if head[:4] == b"BW64" else []  # the same with another name
    remarks: list[str] = []
    at, long_at, is_odd = 12, 0, False
    for _ in range(MOST_CHUNKS):
        if len(header := bytes_at(file, at, 8)) < 8:
            break
        if is_odd and header[:4] not in CHUNKS and bytes_at(file, at - 1, 4) in CHUNKS:
            edits.append((at - 1, 0, b"\0"))
            remarks.append("a chunk of odd length before its sound lacks the byte that fills it up")
            at, is_odd = at - 1, False
            continue
        name, length = struct.unpack(f"{order}4sI", header)
        if name == name_of_sound:
            place = (long_at, "<Q") if long_at and length == 0xFFFFFFFF else (at + 4, f"{order}I")
            promised = _promise(file, size, at + 8, *place)
            end = at + 8 + (size if promised is None else promised)
            if size - end > FORGIVEN_BYTES and not {bytes_at(file, end, 4), bytes_at(file, end + 1, 4)} & CHUNKS:
                remarks.append(f"{size - end:,} bytes lie after the sound that its header promises and are left out")
            return Sound(at + 8, promised, *place, remarks=(*remarks,), edits=(*edits,))
        long_at = at + 16 if name == b"ds64" else long_at
        is_odd = length % 2 == 1
        at += 8 + length + length % 2
    return None


def _promise(file: BinaryIO, size: int, start: int, size_at: int, form: str) -> int | None:
    """Returns the length of the sound that a chunk's header promises, None if it does not say."""
    length = _number(file, size_at, form)
    if length == 0:  # from an empty file, or from a recorder that lost power
        return 0 if start == size or bytes_at(file, start, 4) in CHUNKS else None
    return length if length < (RIFF_UNKNOWN if form[1] == "I" else 1 << 62) else None


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
    start, length = _number(file, 4, f"{order}I"), _number(file, 8, f"{order}I")
    is_known = length < 0xFFFFFFFF and (length > 0 or start >= size)
    return Sound(start, length if is_known else None, 8, f"{order}I")


def _voc(file: BinaryIO, size: int) -> Sound | None:
    at = start = _number(file, 20, "<H")
    for _ in range(MOST_CHUNKS):
        if len(header := bytes_at(file, at, 4)) < 4 or header[0] == 0:
            break
        at += 4 + int.from_bytes(header[1:], "little")
    return Sound(start, max(at, size) - start) if start < size else None


def _nist(file: BinaryIO, size: int) -> Sound | None:
    text = bytes_at(file, 0, 4096).partition(b"end_head")[0]
    length = re.match(rb"NIST_1A\s+(\d{1,6})\s", text)
    fields = dict(re.findall(rb"(\w+) -(?:i|s1) (\d{1,12})\s", text))
    names = (b"sample_count", b"channel_count", b"sample_n_bytes")
    if not length or not fields.keys() >= set(names) or b"shorten" in text or b"wavpack" in text:
        return None  # compressed sound is shorter than its samples
    return Sound(int(length[1]), math.prod(int(fields[name]) for name in names))


def _avr(file: BinaryIO, size: int) -> Sound | None:
    channels, bits = (2 if _number(file, 12, ">H") else 1), _number(file, 14, ">H")
    return Sound(128, _number(file, 26, ">I") * channels * (bits // 8))


def _mpc2000(file: BinaryIO, size: int) -> Sound | None:
    return Sound(42, _number(file, 30, "<I") * (2 if _number(file, 21, "B") else 1) * 2)


def _wve(file: BinaryIO, size: int) -> Sound | None:
    return Sound(32, _number(file, 18, ">I"))


def _sds(file: BinaryIO, size: int) -> Sound | None:
    """Reads a MIDI sample dump: packets of 127 bytes with 120 of sound; 7 bits a byte, so 2 to 4 bytes a sample.

    Raises DataError if any packet is missing, because libsndfile fills its place with noise.
    """
    bits, low, middle, high = struct.unpack("B3x3B", bytes_at(file, 6, 7).ljust(7, b"\0"))
    samples = low | middle << 7 | high << 14
    promised = 127 * math.ceil(samples / (120 // max(2, math.ceil(bits / 7))))
    if promised > size - 21:
        raise _truncated(21 + promised, size)
    return Sound(21, promised)


def _xi(file: BinaryIO, size: int) -> Sound | None:
    return Sound(338, _number(file, 298, "<I") or None)  # libsndfile itself writes 0


def _without_length(file: BinaryIO, size: int) -> Sound | None:
    return Sound(0, None)


def _flac(file: BinaryIO, size: int) -> Sound | None:
    total = int.from_bytes(bytes_at(file, 21, 5), "big") & (1 << 36) - 1
    return None if total else Sound(42, None)


def _mpeg(file: BinaryIO, size: int) -> Sound | None:
    """Finds the sound of an MP3 behind a tag and zero bytes, on which libsndfile fails; corrects its frame count."""
    start = at = mpeg.tag_end(file, 0)
    while (block := bytes_at(file, at, 1 << 16)) and not block.strip(b"\0"):
        at += len(block)
    if not block and start == 0:
        raise DataError("holds nothing but zero bytes, as a download that broke off; copy it again")
    at += len(block) - len(block.lstrip(b"\0"))
    if not mpeg.frame_length(bytes_at(file, at, 4)):
        return None
    edits, remarks = mpeg.count_edits(file, at, size)
    if at > start:
        edits.append((start, at - start, b""))
        remarks.append(f"{at - start:,} zero bytes stand before its first frame and are left out")
    return Sound(at, size - at, remarks=(*remarks,), edits=(*edits,))


PARSERS: dict[bytes, Callable[[BinaryIO, int], Sound | None]] = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"), _riff),
    b"riff": _w64,
    b"caff": _caf,
    b".snd": _au,
    b"dns.": _au,
    b"Creative Voice File": _voc,
    b"NIST_1A": _nist,
    b"2BIT": _avr,
    b"\x01\x04": _mpc2000,
    b"ALawSoundFile**": _wve,
    b"\xf0\x7e": _sds,
    b"Extended Instrument:": _xi,
    **dict.fromkeys((*signatures.IRCAM, b" paf", b"fap ", b"PVF1"), _without_length),
    b"fLaC": _flac,
    **dict.fromkeys((b"ID3", b"\0", b"\xff"), _mpeg),
}


def _ogg(file: BinaryIO, size: int) -> Layout:
    """Divides an Ogg file where a new stream begins; libsndfile reads only the first."""
    starts, at, was_first, is_whole = [0], 0, True, False
    while len(page := bytes_at(file, at, 27)) == 27 and page.startswith(b"OggS"):
        if (is_first := bool(page[5] & 2)) and not was_first:
            starts.append(at)
        was_first = is_first
        at += 27 + page[26] + sum(bytes_at(file, at + 27, page[26]))
        is_whole = bool(page[5] & 4) and at <= size
    remarks = [] if is_whole else ["it ends before its last page, so its end may be lost"]
    if is_whole and size - at > FORGIVEN_BYTES:
        remarks = [f"{size - at:,} bytes after its sound are left out"]
    return Layout([Pieces(file, [span]) for span in itertools.pairwise([*starts, size])], remarks)


def _edited(file: BinaryIO, size: int, edits: list[Edit]) -> Pieces:
    pieces, at = [], 0
    for start, length, new in sorted(edits):
        pieces += [(at, start), new]
        at = start + length
    return Pieces(file, [*pieces, (at, size)])


def _number(file: BinaryIO, position: int, form: str) -> int:
    data = bytes_at(file, position, struct.calcsize(form))
    return struct.unpack(form, data.ljust(struct.calcsize(form), b"\0"))[0]
