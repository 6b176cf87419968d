"""The format that all clips of a comparison have, and folders of sound as clips in it."""

import logging
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import soundfile

from wavegan.audio.clip_source import ClipSource
from wavegan.audio.corpus import LONGEST_CLIP, Corpus, load_corpus
from wavegan.audio.files import find_audio
from wavegan.errors import DataError
from wavegan.evaluation.clips import BATCH_SIZE, ClipSet

logger = logging.getLogger(__name__)

LEAST_SAMPLES = 1024  # of a clip, so that its spectra resolve something


class ClipFormat(NamedTuple):
    """The format that all clips of a comparison share."""

    sample_rate: int
    channels: int
    clip_samples: int
    normalize: bool = True

    def __str__(self) -> str:
        peaks = "peaks at 1" if self.normalize else "levels as they are"
        return f"{self.sample_rate:,} Hz, channels: {self.channels}, {self.clip_samples:,} samples, {peaks}"


def common_form(folder: Path) -> ClipFormat:
    """The most common sample rate and channel count of a folder, and its longest file in samples at that rate."""
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist", "a MODEL or a folder of audio can be judged", "check the spelling")
    found = file_formats(folder)
    if not found:
        raise DataError(f"{folder} holds no sound file that can be read, and no checkpoints", "", "name another folder")
    sample_rate = Counter(one[0] for one in found).most_common(1)[0][0]
    channels = Counter(one[1] for one in found).most_common(1)[0][0]
    longest = round(max(one[2] for one in found) * sample_rate)
    if longest < LEAST_SAMPLES:
        raise DataError(
            f"the longest file of {folder} has {longest} samples at {sample_rate:,} Hz",
            f"spectra need {LEAST_SAMPLES:,} or more",
            "give longer clips",
        )
    return ClipFormat(sample_rate, channels, min(longest, LONGEST_CLIP))


def folder_corpus(folder: Path, form: ClipFormat) -> Corpus:
    """Decodes a folder in a format; a line says how many files are left out, and why the first one is."""
    found = load_corpus([str(folder)], form.sample_rate, form.channels, normalize=form.normalize)
    for name, reason in list(found.skipped.items())[:1]:
        logger.info(
            f"{folder}: {len(found.skipped):,} files cannot be used and are left out, the first is {name}: {reason}"
        )
    return found


def clip_set(clips: ClipSource) -> ClipSet:
    """Gives all clips of a source, made when they are asked for."""
    return ClipSet(len(clips), lambda number: clips.batch(number, BATCH_SIZE))


def log_conversions(folder: Path, form: ClipFormat) -> None:
    """Says how many files of a folder have another sample rate or channel count."""
    others = Counter((rate, channels) for rate, channels, _ in file_formats(folder))
    others.pop((form.sample_rate, form.channels), None)
    for (rate, channels), count in others.most_common():
        logger.info(f"{folder}: {count:,} files of {rate:,} Hz, channels: {channels}, are converted to {form}")


def file_formats(folder: Path) -> list[tuple[int, int, float]]:
    """Sample rate, channels and seconds of every file that can be opened; the others are named when decoded."""
    found = []
    for path in find_audio(folder):
        try:
            info = soundfile.info(path)
        except soundfile.LibsndfileError:
            continue
        found.append((info.samplerate, info.channels, info.duration))
    return found
