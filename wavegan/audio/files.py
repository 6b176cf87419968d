"""Decodes sound files at any sample rate."""

import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import soundfile

from wavegan.audio import headers, signatures
from wavegan.audio.conversion import converted
from wavegan.audio.pieces import Pieces
from wavegan.errors import DataError

# A block holds no more than this, whatever a header claims: many channels would make it long, and a low rate, which is
# converted to a higher one, longer.
BLOCK_FRAMES, BLOCK_SAMPLES, BLOCK_SECONDS = 1 << 18, 1 << 20, 32
FULL_SCALE = 32767  # of int16, as the original scales: sample = round(32767 · x)
LOSSY = ("MP3", "OGG")  # the headers of these formats only estimate the length
LEAST_RATE, MOST_RATE = 1000, 768000  # of a file, in Hz; a header that claims others is damaged
LOUDEST = 8.0  # a float file with a higher peak holds integers that were made floats, not a loud mix
LOST_FRAMES = 4 * 1152  # an MP3 or Ogg that lacks fewer is whole: encoders count their own delay in different ways
UNKNOWN_FRAMES = 1 << 40  # libsndfile gives more where a FLAC does not say its length
LASTING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class TemporaryError(DataError):
    """Says that a file cannot be read now, for a permission or a failing disk, network or system; a retry may help."""


@dataclass
class OpenSound:
    """Holds a sound file that is being read.

    blocks: float32 (frames, channels) of bounded size, at the file's own rate and channels. remarks: what was mended
    or is read with care, each a sentence about the file ("its header …"); complete when blocks is exhausted. frames:
    of all blocks, if the file says.
    """

    sample_rate: int
    channels: int
    blocks: Iterator[np.ndarray]
    remarks: list[str]
    frames: int | None = None


@contextmanager
def open_sound(sound: Path | BinaryIO, *, strict: bool = False) -> Iterator[OpenSound]:
    """Opens a sound file, or a file object that can seek, and reads it as far as players do.

    strict: refuse a file that would need a remark. Raises DataError with the reason, here or while blocks are read, if
    the file is not sound, is truncated, is empty or holds NaN or infinity; TemporaryError if a later try may succeed.
    """
    with ExitStack() as stack:
        with _in_words():
            file = stack.enter_context(_opened(sound)) if isinstance(sound, Path) else sound
            _refuse_other(file)
            layout = headers.layout(file)
            remarks = _Remarks(strict)
            for remark in layout.remarks:
                remarks.add(remark)
            first = stack.enter_context(_stream(layout.streams[0]))
            if not LEAST_RATE <= first.samplerate <= MOST_RATE:
                raise DataError(
                    f"claims a sample rate of {first.samplerate:,} Hz, and {LEAST_RATE:,} to {MOST_RATE:,} are "
                    "possible; its header is damaged; export it again"
                )
        is_known = len(layout.streams) == 1 and first.frames < UNKNOWN_FRAMES
        yield OpenSound(
            first.samplerate,
            first.channels,
            _blocks(first, layout, remarks),
            remarks,
            first.frames if is_known else None,
        )


def decode(path: Path, sample_rate: int, channels: int) -> Iterator[np.ndarray]:
    """Yields a file's sound in blocks of bounded size, float32 (frames, channels), resampled to sample_rate.

    Several channels become one by their mean; one becomes several by repetition. Raises DataError as `open_sound`, and
    if the file has channels that cannot become `channels`.
    """
    with open_sound(path) as sound:
        yield from converted(sound.blocks, sound.sample_rate, sound.channels, sample_rate, channels)


class _Stream(soundfile.SoundFile):
    """Reads only from start to end: soundfile would seek after each block, which fails if the length is unknown."""

    def seekable(self) -> bool:
        return False


class _Remarks(list[str]):
    """Lists remarks, or refuses the file by the first."""

    def __init__(self, strict: bool):
        super().__init__()
        self.is_strict = strict

    def add(self, remark: str) -> None:
        if self.is_strict:
            raise DataError(f"is not a faultless file: {remark}")
        self.append(remark)


@contextmanager
def _in_words() -> Iterator[None]:
    """Raises what libsndfile and the system raise as a DataError that says in words what is wrong."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError("is not there") from error
    except soundfile.LibsndfileError as error:
        remedy = "it is damaged or no sound; if another program plays it, export it from there as WAV"
        raise DataError(f"cannot be decoded ({error.error_string.rstrip('.')}); {remedy}") from error
    except OSError as error:
        kind = DataError if isinstance(error, LASTING) else TemporaryError
        raise kind(f"cannot be read ({error.strerror or error})") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path.is_symlink() and not path.exists():
        raise DataError(f"is a link to {path.readlink()}, which is not there")
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
        raise DataError("is not a regular file" if not path.is_dir() else "is a folder")
    with path.open("rb") as file:
        yield file


def _refuse_other(file: BinaryIO) -> None:
    """Raises DataError, with the remedy, for a file that libsndfile surely cannot decode."""
    file.seek(0)
    start = file.read(signatures.FIRST_BYTES)
    if not start:
        raise DataError("is empty: it has 0 bytes")
    if words := signatures.stand_in(start):
        raise DataError(words)
    if kind := signatures.other_kind(start):
        raise DataError(f"is {kind}, which needs another decoder; convert it to WAV or FLAC, e.g. with ffmpeg")


def _blocks(first: _Stream, layout: headers.Layout, remarks: _Remarks) -> Iterator[np.ndarray]:
    """Yields the sound of all streams, at the rate and with the channels of the first."""
    frames = 0
    with _in_words():
        for number, stream in enumerate(layout.streams):
            with nullcontext(first) if number == 0 else _stream(stream) as sound:
                blocks = _read(sound, stream, remarks)
                if (sound.samplerate, sound.channels) != (first.samplerate, first.channels):
                    remarks.add(
                        f"a part of it has {sound.samplerate:,} Hz and {sound.channels} channels, and is converted to "
                        f"the first's {first.samplerate:,} Hz and {first.channels}"
                    )
                    blocks = converted(blocks, sound.samplerate, sound.channels, first.samplerate, first.channels)
                for block in blocks:
                    frames += len(block)
                    yield block
    if frames == 0:
        raise DataError("is empty: it holds no samples")
    if layout.missing_share:
        seconds = frames / first.samplerate
        remarks.add(_shorter(seconds * (1 + layout.missing_share), seconds))


def _stream(file: Pieces) -> _Stream:
    try:
        return _Stream(cast(BinaryIO, file), "r")
    except soundfile.LibsndfileError as error:
        raise file.error or error from None


def _read(sound: _Stream, file: Pieces, remarks: _Remarks) -> Iterator[np.ndarray]:
    scale = _full_scale(file, remarks) if sound.subtype in ("FLOAT", "DOUBLE") else 1.0
    frames = 0
    for block in _finite(sound, file):
        frames += len(block)
        yield block / np.float32(scale) if scale > 1 else block
    if sound.format in LOSSY and frames + LOST_FRAMES < sound.frames < UNKNOWN_FRAMES:
        remarks.add(_shorter(sound.frames / sound.samplerate, frames / sound.samplerate))
    elif sound.format not in LOSSY and frames < sound.frames < UNKNOWN_FRAMES:
        raise DataError(f"is truncated: its header promises {sound.frames} frames and {frames} are there")


def _shorter(promised: float, present: float) -> str:
    return f"its header promises {promised:.3f} s and {present:.3f} s are there, which are read"


def _finite(sound: _Stream, file: Pieces) -> Iterator[np.ndarray]:
    """Yields blocks until no frame is left; sound.blocks would fill one that ends early with uninitialised memory."""
    most = min(BLOCK_FRAMES, BLOCK_SAMPLES // sound.channels, BLOCK_SECONDS * sound.samplerate, sound.frames)
    while len(block := sound.read(max(1, most), dtype="float32", always_2d=True)):
        if not np.isfinite(block).all():
            raise DataError("holds NaN or infinite samples; export it again")
        yield block
    if file.error:
        raise file.error


def _full_scale(file: Pieces, remarks: _Remarks) -> float:
    """Returns the full scale of integers that a float file holds, 1 if it holds sound in [-1, 1] or little more."""
    position = file.tell()  # of the decoder that is open already
    file.seek(0)
    with _stream(file) as sound:
        peak = max((float(np.abs(block).max()) for block in _finite(sound, file)), default=0.0)
    file.seek(position)
    if peak <= LOUDEST:
        return 1.0
    bits = next((bits for bits in (8, 16, 24, 32) if peak <= 1 << bits - 1), None)
    if bits is None:
        raise DataError(f"has a peak of {peak:.3g}, and floats should stay in [-1, 1]; export it again")
    remarks.add(f"its floats reach {peak:,.0f} and not 1, so they are divided by the {1 << bits - 1:,} of {bits} bits")
    return float(1 << bits - 1)
