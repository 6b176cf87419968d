"""Writes sound files in the common formats."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from wavegan.atomic_write import atomic_write
from wavegan.audio.files import BLOCK_FRAMES, FULL_SCALE
from wavegan.errors import DataError

FORMATS = {  # extension: libsndfile's format and subtype
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
MIDDLE_C = 60  # of MIDI, at which a sampler plays a sound as it is
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Converts samples in [-1, 1] to int16, rounded to the nearest step; clips samples outside."""
    return np.rint(np.clip(samples, -1, 1) * FULL_SCALE).astype(np.int16)


@contextmanager
def open_writer(
    path: Path, sample_rate: int, channels: int, comment: str = "", *, loops: bool = False
) -> Iterator[soundfile.SoundFile]:
    """Opens a sound file to write (frames, channels) into; the file gets its name when it is complete.

    The extension chooses the format; `comments.read` reads the comment. loops: a WAV says that all of it is a loop, so
    that samplers and game engines repeat it. Raises DataError if the format cannot hold the rate or the number of
    channels.
    """
    extension = path.suffix.lower().lstrip(".")
    check_format(extension, sample_rate, channels)
    container, subtype = FORMATS[extension]
    with atomic_write(path) as file:
        with soundfile.SoundFile(
            file, "w", samplerate=sample_rate, channels=channels, format=container, subtype=subtype
        ) as sound:
            if comment:  # libsndfile refuses ""
                sound.comment = comment
            yield sound
        if loops and container == "WAV":
            _append_loop(file, sound.frames, sample_rate)


def write(path: Path, clip: np.ndarray, sample_rate: int, comment: str = "", *, loops: bool = False) -> None:
    """Writes one clip, (channels, samples) in [-1, 1]; see `open_writer`."""
    with open_writer(path, sample_rate, len(clip), comment, loops=loops) as sound:
        write_clip(sound, clip)


def write_clip(sound: soundfile.SoundFile, clip: np.ndarray) -> None:
    """Appends one clip, (channels, samples) in [-1, 1]; clips samples outside; NaN and infinity are not allowed.

    libsndfile would write NaN as full scale. Its MP3 encoder gets floats, because it makes noise from int16 stereo.
    """
    assert np.isfinite(clip).all(), "only finite samples reach a sound file"
    for part in np.array_split(clip.T.clip(-1, 1), 1 + clip.size // BLOCK_FRAMES):  # Vorbis puts all on the stack
        sound.write(to_int16(part) if sound.subtype == "PCM_16" else part)


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


def _append_loop(wav: BinaryIO, frames: int, sample_rate: int) -> None:
    """Appends the chunk smpl to a WAV (IBM and Microsoft 1994), with one loop from the first frame to the last."""
    sampler = 0, 0, round(1e9 / sample_rate), MIDDLE_C, 0, 0, 0, 1, 0  # of no maker; ns a frame; a single loop
    loop = 0, 0, 0, frames - 1, 0, 0  # forwards, without end
    end = wav.seek(0, 2)
    wav.write(struct.pack("<4s16I", b"smpl", 4 * 15, *sampler, *loop))
    wav.seek(4)
    wav.write(struct.pack("<I", end + 4 * 17 - 8))
