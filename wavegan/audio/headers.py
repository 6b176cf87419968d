"""Compares the length that a sound file's header promises with the file, and repairs faults that players forgive.

libsndfile reads a truncated file without a warning, and refuses other files for one wrong field of the header. So we
read the headers ourselves, and give the decoder a file in which a few bytes are replaced.
"""

import io
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import BinaryIO, cast

from wavegan.audio import mpeg, signatures, simple_headers, voc
from wavegan.audio.pieces import Edit, Pieces, bytes_at
from wavegan.audio.simple_headers import MOST_CHUNKS, Sound, number, truncated
from wavegan.errors import DataError

FORGIVEN_BYTES = 4096  # a header may promise this much too much; some recorders count the header itself
RIFF_MP3 = 0x55  # the form of a WAV whose sound is an MP3
RIFF_UNKNOWN = 0x7FFFF000  # SoX streams write this for an unknown length; others write nearly 2³² or 0
FLAC_START = b"fLaC\0\0\0\x22"  # the first block has a fixed length
SEARCHED_BYTES = 1 << 20  # at once
CHUNKS = frozenset(  # names of chunks that occur beside the sound
    b"fmt |data|fact|LIST|bext|cue |smpl|PEAK|JUNK|junk|FLLR|id3 |ID3 |iXML|ds64|COMM|SSND|FVER|MARK|INST|NAME|AUTH|"
    b"ANNO|COMT|APPL|VHDR|BODY|CHAN|(c) ".split(b"|")
)
SOUND_CHUNKS = {b"AIFF": b"SSND", b"AIFC": b"SSND", b"8SVX": b"BODY", b"16SV": b"BODY"}  # elsewhere: data


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
            raise truncated(sound.start + sound.promised, size)
        share = missing / present
    else:
        end = sound.start + sound.promised
        if (distance := bytes_at(file, end, 12).find(start[:4])) >= 0:  # behind what fills it up
            edits.append((end + distance, size - end - distance, b""))
            remarks.append(f"{size - end:,} bytes lie after its sound, where another file begins, and are left out")
    if sound.size_form and (share or sound.promised is None):
        most = (1 << 31 if sound.size_form[1] == "I" else 1 << 63) - 1
        packed = struct.pack(sound.size_form, min(present + sound.extra, most))
        edits.append((sound.size_at, len(packed), packed))
    return Layout([_edited(file, size, edits)], remarks, share)


def _riff(file: BinaryIO, size: int) -> Sound | None:
    """Reads WAV, AIFF and RF64: chunks of a name, a length and content; a byte pads content of odd length."""
    head = bytes_at(file, 0, 12)
    order, name_of_sound = (">" if head[:4] in (b"RIFX", b"FORM") else "<"), SOUND_CHUNKS.get(head[8:], b"data")
    edits: list[Edit] = [(0, 4, b"RF64")] if head[:4] == b"BW64" else []  # the same with another name
    remarks: list[str] = []
    at, long_at, form_at, is_odd = 12, 0, 0, False
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
            behind = {bytes_at(file, end, 4), bytes_at(file, end + 1, 4)}
            if size - end > FORGIVEN_BYTES and not behind & {*CHUNKS, head[:4]}:
                remarks.append(f"{size - end:,} bytes lie after the sound that its header promises and are left out")
            if form_at and number(file, form_at, "<H") == RIFF_MP3 and mpeg.frame_length(bytes_at(file, at + 8, 4)):
                edits = _as_mp3(file, at + 8, min(end, size), size)
                return Sound(at + 8, promised, remarks=(*remarks,), edits=(*edits,))
            return Sound(at + 8, promised, *place, remarks=(*remarks,), edits=(*edits,))
        long_at = at + 16 if name == b"ds64" else long_at
        form_at = at + 8 if name == b"fmt " else form_at
        is_odd = length % 2 == 1
        at += 8 + length + length % 2
    return None


def _as_mp3(file: BinaryIO, start: int, end: int, size: int) -> list[Edit]:
    """Returns edits that leave the MP3 in a WAV; of the WAV libsndfile reads as much as its first bit rate suggests."""
    return [(0, start, b""), *mpeg.count_edits(file, start, end)[0], (end, size - end, b"")]


def _promise(file: BinaryIO, size: int, start: int, size_at: int, form: str) -> int | None:
    """Returns the length of the sound that a chunk's header promises, None if it does not say."""
    length = number(file, size_at, form)
    if length == 0:  # from an empty file, or from a recorder that lost power
        return 0 if start == size or bytes_at(file, start, 4) in CHUNKS else None
    return length if length < (RIFF_UNKNOWN if form[1] == "I" else 1 << 62) else None


def _voc(file: BinaryIO, size: int) -> Sound | None:
    start = number(file, 20, "<H")
    end, edits, remarks = voc.blocks(file, start, size)
    return Sound(start, max(end, size) - start, remarks=remarks, edits=edits) if start < size else None


def _flac(file: BinaryIO, size: int) -> Sound | None:
    """Looks for the start of another FLAC, on which libsndfile may fail; no field says how many bytes the sound has."""
    total = int.from_bytes(bytes_at(file, 21, 5), "big") & (1 << 36) - 1
    at, end = 4, size
    for _ in range(MOST_CHUNKS):  # behind the descriptions, because these may hold anything
        if len(head := bytes_at(file, at, 4)) < 4:
            break
        at += 4 + int.from_bytes(head[1:], "big")
        if head[0] >= 128:
            break
    while len(part := bytes_at(file, at, SEARCHED_BYTES)) >= len(FLAC_START):
        if (place := part.find(FLAC_START)) >= 0:
            end = at + place
            break
        at += len(part) - len(FLAC_START) + 1
    return Sound(42, end - 42 if total or end < size else None)


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
    **simple_headers.PARSERS,
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"), _riff),
    b"Creative Voice File": _voc,
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
    if not is_whole and at == size:
        remarks = ["its last page has no end mark: some encoders write none, or its end is lost"]
    if is_whole and size - at > FORGIVEN_BYTES:
        remarks = [f"{size - at:,} bytes after its sound are left out"]
    return Layout([Pieces(file, [span]) for span in itertools.pairwise([*starts, size])], remarks)


def _edited(file: BinaryIO, size: int, edits: list[Edit]) -> Pieces:
    pieces, at = [], 0
    for start, length, new in sorted(edits):
        pieces += [(at, max(at, start)), new]
        at = max(at, start + length)  # two may cut off the same
    return Pieces(file, [*pieces, (at, size)])
