"""Reads the comment of a sound file, in which `wavegan generate` says how the sound was made."""

import struct
from pathlib import Path
from typing import BinaryIO

import soundfile

from wavegan.errors import DataError

MOST_CHUNKS = 1000  # of a sane file
MOST_BYTES = 1 << 20  # of a comment
KEY = b"ICMT"


def read(path: Path) -> str:
    """Returns the comment: that of a WAV's LIST/INFO chunk, of FLAC, Ogg or MP3; "" without one.

    Raises DataError for what cannot be read as a sound file.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) == b"RIFF":
                return _of_wav(file)
        with soundfile.SoundFile(path) as sound:
            return sound.comment.rstrip("\0")  # ID3 tags end in one
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path} cannot be read as sound ({error.error_string.rstrip('.')})") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error


def _of_wav(file: BinaryIO) -> str:
    """Reads the comment from the chunks: libsndfile gives none of 2 KB or more, which a latent may need."""
    at = 12
    for _ in range(MOST_CHUNKS):
        name, size = _chunk(file, at)
        if name == b"LIST" and file.read(4) == b"INFO" and (text := _in_list(file, at + 12, at + 8 + size)):
            return text
        if not name:
            break
        at += 8 + size + size % 2
    return ""


def _in_list(file: BinaryIO, at: int, end: int) -> str:
    while at < end:
        name, size = _chunk(file, at)
        if name == KEY:
            return file.read(min(size, MOST_BYTES)).split(b"\0")[0].decode(errors="replace")
        if not name:
            break
        at += 8 + size + size % 2
    return ""


def _chunk(file: BinaryIO, at: int) -> tuple[bytes, int]:
    """Returns a chunk's name and length; no name at the end of the file."""
    file.seek(at)
    header = file.read(8)
    return struct.unpack("<4sI", header) if len(header) == 8 else (b"", 0)
