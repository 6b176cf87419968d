"""Defines the format that all clips of a comparison share, and reads folders of sound as clips in it."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wavegan.audio.corpus import LONGEST_CLIP, Corpus, Reading, load_corpus
from wavegan.audio.files import open_sound
from wavegan.audio.listing import list_sound
from wavegan.audio.windows import Windows
from wavegan.errors import DataError, some_of
from wavegan.evaluation.clips import BATCH_SIZE, ClipSet

logger = logging.getLogger(__name__)

USUAL_SHARE, MOST_MEDIANS = 0.95, 4  # of the files, of their median length: what is beyond both decides no length
LEAST_SAMPLES = 1024  # of a clip, so that its spectra resolve something


class ClipFormat(NamedTuple):
    """Describes the format that all clips of a comparison share.

    windows: the parts of a sound that are clips, as `Windows` takes them.
    """

    sample_rate: int
    channels: int
    clip_samples: int
    normalize: bool = True
    reading: Reading = Reading()
    windows: str = "first"

    def __str__(self) -> str:
        peaks = "peaks at 1" if self.normalize else "levels as they are"
        return f"{self.sample_rate:,} Hz, channels: {self.channels}, {self.clip_samples:,} samples, {peaks}"


def common_form(folder: Path) -> ClipFormat:
    """Returns the most common sample rate and channel count of a folder, and its usual longest length at that rate.

    A few files that are far longer than the others do not count, see `longest_without_outliers`. The length is at most
    LONGEST_CLIP. Raises DataError for a folder that is missing, holds no sound that can be read, or only files that are
    too short.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist", "a MODEL or a folder of audio can be judged", "check the spelling")
    formats = file_formats(folder)
    if not formats:
        passed = list_sound(folder).passed_over
        reasons = "; ".join(f"passed over: {len(names):,} that {reason}" for reason, names in passed.items())
        text = f"{folder} holds no sound file that can be read, and no checkpoints"
        raise DataError(text, reasons, "" if reasons else "name another folder")
    sample_rate = Counter(rate for rate, _, _ in formats).most_common(1)[0][0]
    channels = Counter(count for _, count, _ in formats).most_common(1)[0][0]
    longest = round(longest_without_outliers([seconds for _, _, seconds in formats]) * sample_rate)
    if longest < LEAST_SAMPLES:
        raise DataError(
            f"the longest file of {folder} has {longest} samples at {sample_rate:,} Hz",
            f"spectra need {LEAST_SAMPLES:,} or more",
            "give longer clips",
        )
    return ClipFormat(sample_rate, channels, min(longest, LONGEST_CLIP))


def longest_without_outliers(seconds: Sequence[float]) -> float:
    """Returns the longest of many lengths, without those that are no rule: fewer than 5 % and above 4 medians.

    So one recording of ten minutes among hits does not make all clips minutes long.
    """
    lengths = sorted(seconds)
    usual = [length for length in lengths if length <= MOST_MEDIANS * lengths[(len(lengths) - 1) // 2]]
    return max(usual[-1], lengths[int(USUAL_SHARE * (len(lengths) - 1))])


def folder_corpus(folder: Path, form: ClipFormat) -> Corpus:
    """Decodes a folder in a format; logs what was guessed and which files are left out."""
    reading = form.reading._replace(label_column=None, label_level=None)  # of another folder
    corpus = load_corpus([str(folder)], form.sample_rate, form.channels, normalize=form.normalize, reading=reading)
    for note in corpus.notes:
        logger.info(f"{folder}: {note}")
    for reason, names in corpus.passed_over.items():
        logger.info(f"{folder}: passed over: {len(names):,} that {reason} ({some_of(names)})")
    for name, reason in list(corpus.skipped.items())[:1]:
        logger.info(
            f"{folder}: {len(corpus.skipped):,} files cannot be used and are left out, the first is {name}: {reason}"
        )
    return corpus


def clip_set(clips: Windows) -> ClipSet:
    """Returns all clips of a source; it makes each batch when it is asked for."""
    return ClipSet(len(clips), lambda batch_number: clips.batch(batch_number, BATCH_SIZE))


def log_conversions(folder: Path, form: ClipFormat) -> None:
    """Logs how many files of a folder have another rate or channel count, and how many are judged only in part."""
    formats = file_formats(folder)
    counts = Counter((rate, channels) for rate, channels, _ in formats)
    counts.pop((form.sample_rate, form.channels), None)
    for (rate, channels), count in counts.most_common():
        logger.info(f"{folder}: {count:,} files of {rate:,} Hz, channels: {channels}, are converted to {form}")
    if lower := [rate for rate, _, _ in formats if rate < form.sample_rate]:
        logger.warning(
            f"{folder}: {len(lower):,} of {len(formats):,} files have a lower rate than the clips and nothing above "
            f"{max(lower) / 2000:g} kHz, so figures count the missing band; compare sound of one rate"
        )
    clip_seconds = form.clip_samples / form.sample_rate
    longer = [seconds for _, _, seconds in formats if round(seconds * form.sample_rate) > form.clip_samples]
    if longer and form.windows == "first":
        logger.info(
            f"{folder}: of {len(longer):,} of {len(formats):,} files, up to {max(longer):,.1f} s long, only the first "
            f"{clip_seconds:.2f} s are judged, the length of a clip; cut them into clips to judge all of them"
        )


def file_formats(folder: Path) -> list[tuple[int, int, float]]:
    """Returns sample rate, channels and seconds of every file that can be opened; decoding names the others."""
    formats = []
    for path in list_sound(folder).paths:
        try:
            with open_sound(path) as sound:
                frames = sum(map(len, sound.blocks)) if sound.frames is None else sound.frames
                formats.append((sound.sample_rate, sound.channels, frames / sound.sample_rate))
        except DataError:
            continue
    return formats
