"""Finds sound files, decodes them at any sample rate and writes them in the common formats."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from wavegan.atomic_write import atomic_write
from wavegan.dsp.resampling import resampled
from wavegan.errors import DataError

EXTENSIONS = frozenset(
    [
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
        ".caf",
        ".au",
        ".snd",
        ".w64",
        ".rf64",
        ".voc",
    ]
)
FORMATS = {  # extension: libsndfile's format and subtype
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
BLOCK_FRAMES = 1 << 18
FULL_SCALE = 32767  # of int16, as the original scales: sample = round(32767 · x)
LOSSY = ("MP3", "OGG")  # the headers of these formats only estimate the length
CHUNKED = {  # first and third word of a file made of chunks: byte order and the chunk that holds the sound
    (b"RIFF", b"WAVE"): ("<", b"data"),
    (b"RIFX", b"WAVE"): (">", b"data"),
    (b"FORM", b"AIFF"): (">", b"SSND"),
    (b"FORM", b"AIFC"): (">", b"SSND"),
}
UNKNOWN_LENGTH = 0x7FFFF000  # SoX streams write this for an unknown length; others write nearly 2³² or 0


def find_audio(folder: Path) -> list[Path]:
    """Finds the sound files in a folder and its sub-folders, sorted; skips hidden files and folders."""
    paths = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [
            Path(parent, name) for name in files if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS
        ]
    return sorted(paths)


def decode(path: Path, sample_rate: int, channels: int) -> Iterator[np.ndarray]:
    """Yields a file's sound in blocks of bounded size, float32 (frames, channels), resampled to sample_rate.

    Several channels become one by their mean; one becomes several by repetition. Raises DataError with the reason if
    the file cannot be read to its end, is empty, holds NaN or infinity, or has channels that cannot become `channels`.
    """
    try:
        with soundfile.SoundFile(path) as sound:
            _check_header(path, sound, channels)
            frames = 0
            for block in resampled(_read(sound, channels), sound.samplerate, sample_rate, channels):
                frames += len(block)
                yield block
        if frames == 0:  # also if resampling to a lower rate leaves no frame
            raise DataError(f"is empty: it holds no samples at {sample_rate} Hz")
    except UnicodeEncodeError as fault:
        raise DataError("has a name that is not valid text; rename it") from fault
    except (soundfile.SoundFileError, OSError) as fault:
        raise DataError(f"cannot be decoded ({_reason(fault)}); the file is damaged or no sound") from fault


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Converts samples in [-1, 1] to int16, rounded to the nearest step; clips samples outside."""
    return np.rint(np.clip(samples, -1, 1) * FULL_SCALE).astype(np.int16)


@contextmanager
def open_writer(path: Path, sample_rate: int, channels: int) -> Iterator[soundfile.SoundFile]:
    """Opens a sound file to write (frames, channels) into; the file gets its name when it is complete.

    The extension chooses the format. Raises DataError if the format cannot hold the rate or the number of channels.
    """
    extension = path.suffix.lower().lstrip(".")
    check_format(extension, sample_rate, channels)
    container, subtype = FORMATS[extension]
    with (
        atomic_write(path) as partial,
        soundfile.SoundFile(
            partial, "w", samplerate=sample_rate, channels=channels, format=container, subtype=subtype
        ) as sound,
    ):
        yield sound


def write(path: Path, clip: np.ndarray, sample_rate: int) -> None:
    """Writes one clip, (channels, samples) in [-1, 1]; see `open_writer`."""
    with open_writer(path, sample_rate, len(clip)) as sound:
        write_clip(sound, clip)


def write_clip(sound: soundfile.SoundFile, clip: np.ndarray) -> None:
    """Appends one clip, (channels, samples) in [-1, 1]; clips samples outside; NaN and infinity are not allowed.

    libsndfile would write NaN as full scale. Its MP3 encoder gets floats, because it makes noise from int16 stereo.
    """
    assert np.isfinite(clip).all(), "only finite samples reach a sound file"
    frames = clip.T.clip(-1, 1)
    sound.write(to_int16(frames) if sound.subtype == "PCM_16" else frames)


def check_format(extension: str, sample_rate: int, channels: int) -> None:
    """Raises DataError if a format is unknown or cannot hold this sample rate or number of channels."""
    if extension not in FORMATS:
        raise DataError(f"the format is {extension!r}; one of {', '.join(FORMATS)} can be written; choose one")
    if extension == "mp3" and (sample_rate not in MP3_RATES or channels > 2):
        rates = ", ".join(map(str, MP3_RATES))
        raise DataError(
            f"MP3 was asked for {sample_rate} Hz and {channels} channels; it holds 1 or 2 at {rates} Hz; "
            "choose wav or flac"
        )


def _check_header(path: Path, sound: soundfile.SoundFile, channels: int) -> None:
    if channels > 1 and sound.channels not in (1, channels):
        raise DataError(
            f"has {sound.channels} channels where data.channels is {channels}; only mono files are spread to "
            f"several; set data.channels to 1 or {sound.channels}"
        )
    promised = _promised_bytes(path)
    present = path.stat().st_size
    if promised and promised > present:
        raise DataError(f"is truncated: its header promises {promised} bytes and the file has {present}")


def _promised_bytes(path: Path) -> int | None:
    """Reads from the header at which byte the sound of a WAV or AIFF ends; None for other formats or an open length.

    libsndfile reads a truncated file of these formats without an error, so we compare the lengths ourselves.
    """
    with path.open("rb") as file:
        start = file.read(12)
        if (start[:4], start[8:]) not in CHUNKED:
            return None
        order, sound = CHUNKED[start[:4], start[8:]]
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack(f"{order}4sI", header)
            if name == sound:
                return file.tell() + size if 0 < size < UNKNOWN_LENGTH else None
            file.seek(size + size % 2, os.SEEK_CUR)
    return None


def _read(sound: soundfile.SoundFile, channels: int) -> Iterator[np.ndarray]:
    frames = 0  # sound.blocks would fill a file that ends early with uninitialised memory
    while len(block := sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
        if not np.isfinite(block).all():
            raise DataError("holds NaN or infinite samples; export it again")
        frames += len(block)
        yield (block.mean(axis=1, keepdims=True) if channels == 1 else np.repeat(block, channels // block.shape[1], 1))
    if frames < sound.frames and sound.format not in LOSSY:
        raise DataError(f"is truncated: its header promises {sound.frames} frames and {frames} are there")


def _reason(fault: Exception) -> str:
    text = fault.error_string if isinstance(fault, soundfile.LibsndfileError) else str(fault)
    return text.rstrip(".")
