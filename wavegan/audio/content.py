"""Listens to a sample of sounds for what their levels do not show: bandwidth, stereo, several sounds in one, pitch."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from wavegan import progress
from wavegan.audio.corpus import Corpus
from wavegan.audio.decoding import SILENCE_PEAK
from wavegan.audio.files import FULL_SCALE
from wavegan.audio.measurements import FileMeter
from wavegan.audio.repeats import LONGEST, repeats_after
from wavegan.audio.sources import Item
from wavegan.dsp.librosa_door import librosa
from wavegan.errors import DataError
from wavegan.seeding import numpy_generator

SAMPLE, SMALL_SAMPLE = 200, 50  # items that are listened to; the small one where that takes long
SECONDS, PITCH_SECONDS = 10.0, 1.0  # of each item, from its start
BUILT_IN_RATE = 16_000  # an instrument plays at any rate
FLOOR_DECIBELS = 70  # below the loudest band nothing is heard; the residue of resampling is even lower
ROUNDING = 3 * 4 * 2.0**-30 / 12  # power of rounding to 16 bits: three times as much with dither, and 6 dB for chance
DIED_DECIBELS = 30
PAUSE_DECIBELS, PAUSE_SECONDS = 40, 0.1  # between two sounds in one item
NOTE = 0.8  # of the loud frames
LOWEST_PITCH, HIGHEST_PITCH = 32.0, 2000.0  # Hz
MEDIAN_STEP = 11  # a median is that of one sample in so many, for speed

Kind = TypeVar("Kind")


class Probe(NamedTuple):
    """Describes an item as it is in its file; bandwidth in Hz, 0 for silence; correlation as `FileMeter` has it."""

    name: str
    sample_rate: int
    channels: int
    bandwidth: float
    correlation: float


class Hearing(NamedTuple):
    """Describes a sample of a corpus's items: their names, the number of sounds in each, and the number of onsets.

    sounds: silence separates them. leads: seconds of silence before each item's sound. ends: seconds from the start of
    the sound until it has died away, so that the energy still to come is 30 dB below the whole. tonal: for some of the
    items, the share of the loud frames that have a pitch. pitches: the pitches of these frames, in Hz. notes: which of
    these items hold a single note, so the same pitch all the time. repeats: seconds after which each item repeats
    itself, 0 if it does not, NaN where nobody listened.
    """

    names: tuple[str, ...]
    sounds: np.ndarray
    onsets: np.ndarray
    leads: np.ndarray
    ends: np.ndarray
    tonal: np.ndarray
    pitches: np.ndarray
    notes: np.ndarray
    repeats: np.ndarray


def sample(items: Sequence[Kind], count: int) -> list[Kind]:
    """Returns `count` of the items, or all, in their order; always the same choice from equally many."""
    chosen = numpy_generator(0, len(items), "sample of items").permutation(len(items))[:count]
    return [items[index] for index in sorted(chosen)]


def probe(items: Sequence[Item]) -> list[Probe]:
    """Listens to the beginnings of a sample of items, at their own rates; unreadable items are left out."""
    return list(_probes(sample(items, SAMPLE)))


def hear(corpus: Corpus) -> Hearing:
    """Listens to a sample of a corpus's items for separate sounds, onsets and pitch."""
    audible = np.flatnonzero(corpus.measured["peak"] >= SILENCE_PEAK)
    chosen = sample(audible.tolist(), SAMPLE)
    track = progress.track(chosen, len(chosen), "files", "listening for onsets")
    counts = [_sounds_and_onsets(_beginning(corpus, index, SECONDS), corpus.sample_rate) for index in track]
    tonal = sample(chosen, SMALL_SAMPLE)
    track = progress.track(tonal, len(tonal), "files", "listening for pitch")
    pitches = [_pitches(_beginning(corpus, index, PITCH_SECONDS), corpus.sample_rate) for index in track]
    track = progress.track(tonal, len(tonal), "files", "listening for repeats")
    repeats = {index: repeats_after(_beginning(corpus, index, LONGEST), corpus.sample_rate) for index in track}
    return Hearing(
        tuple(corpus.names[index] for index in chosen),
        np.array([sounds for sounds, _ in counts], int),
        np.array([onsets for _, onsets in counts], int),
        corpus.measured["lead"][chosen].astype(float),
        np.array([_end(corpus, index) for index in chosen], float),
        np.array([np.isfinite(of_item).mean() for of_item in pitches if len(of_item)], float),
        np.concatenate([of_item[np.isfinite(of_item)] for of_item in pitches]) if pitches else np.zeros(0),
        np.array([_is_note(of_item) for of_item in pitches if len(of_item)], bool),
        np.array([repeats.get(index, np.nan) for index in chosen], float),
    )


def _probes(items: Sequence[Item]) -> Iterator[Probe]:
    for item in progress.track(items, len(items), "files", "looking at a sample"):
        meter, blocks, frames = FileMeter(), [], 0
        try:
            with item.open(BUILT_IN_RATE, 1) as sound:
                for block in sound.blocks:
                    meter.add(block)
                    blocks.append(block)
                    frames += len(block)
                    if frames >= SECONDS * sound.sample_rate:
                        break
                rate, channels = sound.sample_rate, sound.channels
        except DataError:  # loading the corpus reports the error
            continue
        bandwidth = _bandwidth(np.concatenate(blocks), rate) if frames else 0.0
        yield Probe(item.name, rate, channels, bandwidth, meter.correlation)


def _bandwidth(sound: np.ndarray, sample_rate: int) -> float:
    """Returns the highest frequency, in Hz, whose power is within 70 dB of the loudest; sound: (frames, channels).

    What may be the rounding of a soft file to 16 bits does not count.
    """
    from scipy.signal import welch

    loudest = sound[:, np.square(sound).sum(0).argmax()]
    if np.abs(loudest).max() < SILENCE_PEAK:
        return 0.0
    frequencies, power = welch(loudest, sample_rate, nperseg=min(len(loudest), sample_rate // 16))
    floor = power.max() * 10 ** (-FLOOR_DECIBELS / 10)
    loud = power > max(floor, ROUNDING / (sample_rate / 2))
    heard = np.flatnonzero(loud if loud.any() else power > floor)
    return float(frequencies[heard[-1]]) if len(heard) else 0.0


def _beginning(corpus: Corpus, index: int, seconds: float) -> np.ndarray:
    """Returns the beginning of an item's sound, in mono, after the silence before it, float32, without an offset.

    Even a small offset is louder than the end of a sound. Its median is that of the silence, unlike its mean.
    """
    lead = round(float(corpus.measured["lead"][index]) * corpus.sample_rate)
    start, frames = int(corpus.starts[index]) + lead, int(corpus.lengths[index]) - lead
    sound = corpus.samples[start : start + min(frames, round(seconds * corpus.sample_rate))]
    mono = sound.numpy().astype(np.float32).mean(1) / FULL_SCALE
    return mono - np.median(mono[::MEDIAN_STEP])


def _end(corpus: Corpus, index: int) -> float:
    seconds = float(corpus.lengths[index] / corpus.sample_rate - corpus.measured["lead"][index])
    if seconds > SECONDS:
        return seconds
    energy = np.square(_beginning(corpus, index, SECONDS)).cumsum()
    return float(np.searchsorted(energy, energy[-1] * (1 - 10 ** (-DIED_DECIBELS / 10))) / corpus.sample_rate)


def _sounds_and_onsets(sound: np.ndarray, sample_rate: int) -> tuple[int, int]:
    """Counts the sounds that silence separates, and the onsets."""
    frame = 2048 if len(sound) > 4096 else 256
    starts, ends = librosa().effects.split(sound, top_db=PAUSE_DECIBELS, frame_length=frame, hop_length=frame // 4).T
    sounds = 1 + int((starts[1:] - ends[:-1] > PAUSE_SECONDS * sample_rate).sum())
    times = librosa().onset.onset_detect(y=sound, sr=sample_rate, units="time") if len(sound) > 2048 else ()
    return sounds, max(len(times), sounds)


def _is_note(pitches: np.ndarray) -> bool:
    """Says whether most of the loud frames have a pitch, and most of these the same, within a semitone each way."""
    heard = pitches[np.isfinite(pitches)]
    if len(heard) < NOTE * len(pitches):
        return False
    return bool((np.abs(np.log2(heard / np.median(heard))) < 1 / 12).mean() >= NOTE)


def _pitches(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Returns the pitch of each loud frame in Hz, NaN where it has none; an empty array for short sound."""
    frame = 1 << round(np.log2(0.128 * sample_rate))  # four periods of the lowest pitch
    if len(sound) < frame:
        return np.zeros(0)
    highest = min(HIGHEST_PITCH, sample_rate / 4)
    pitches, is_voiced, _ = librosa().pyin(
        sound, fmin=LOWEST_PITCH, fmax=highest, sr=sample_rate, frame_length=frame, resolution=0.5
    )
    level = librosa().feature.rms(y=sound, frame_length=frame, hop_length=frame // 4)[0]
    is_loud = level >= level.max() / 10
    return np.where(is_voiced, pitches, np.nan)[is_loud[: len(pitches)]]
