"""Writes the blind listening test: one page that asks which of two sounds is more real."""

import hashlib
import io
import json
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import soundfile
from torch import Tensor

from wavegan.audio.writing import FORMATS, write_clip
from wavegan.errors import DataError
from wavegan.evaluation.listening_answers import ANSWERS_FORMAT, PROGRAM, identity_of_key
from wavegan.evaluation.pages.html_page import data_uri, write_page
from wavegan.seeding import numpy_generator

TEMPLATE = Path(__file__).with_name("listening.html.j2")
ANSWER_SECONDS = 4.0  # a guess: an answer takes so long after the sounds; for the page's first screen
EXTENSION = "wav"  # lossless: MP3 would hide the very hiss and ringing that are to be heard
INTEGRATION_SECONDS = 0.4  # the window of momentary loudness, EBU R 128
SILENCE = 1e-3  # a peak under -60 dBFS is silence, as in the corpus
LEAST_LEVEL = 10 ** (-36 / 20)  # one click must not make all other sounds too soft to hear

Sound = tuple[int, int]  # candidate, clip


def write_listening_test(
    path: Path, candidates: Mapping[str, Tensor], sample_rate: int, *, seed: int = 0, trials: int = 40
) -> int:
    """Writes an offline page that plays pairs of clips of different candidates and saves which sounds more real.

    candidates: clips (N, C, T) by name, N free, C and T the same for all. Every pair of candidates is asked
    equally often and as often with its sides swapped, so `trials` is rounded up to a multiple of twice the number of
    pairs; returns that number. No clip of a candidate is heard again before all others of it were.

    All sounds have one level, see `_leveled`: of two sounds people prefer the louder, and level is no merit of a model.
    Raises DataError for fewer than two candidates, none or unequal clips, and samples that are not finite.
    """
    pools = [clips.detach().cpu().float().numpy() for clips in candidates.values()]
    _check(list(candidates), pools, trials)
    plan = _plan([len(pool) for pool in pools], trials, seed)
    used = list(dict.fromkeys(sound for trial in plan for sound in trial))
    clips = _leveled([pools[candidate][clip] for candidate, clip in used], sample_rate)
    contents = [_encoded(clip, sample_rate) for clip in clips]
    digest = hashlib.sha256(b"".join(contents)).hexdigest()  # other sounds under the same names are another test
    answer_key = {"seed": seed, "candidates": list(candidates), "sounds": digest, "trials": plan}
    key = b64encode(json.dumps(answer_key).encode("ascii")).decode("ascii")
    seconds = clips[0].shape[-1] / sample_rate
    write_page(
        path,
        TEMPLATE,
        trials=len(plan),
        seconds=seconds,
        minutes=math.ceil(len(plan) * (2 * seconds + ANSWER_SECONDS) / 60),
        test={
            "head": {"program": PROGRAM, "format": ANSWERS_FORMAT, "test": identity_of_key(key), "key": key},
            "trials": [[used.index(sound) for sound in trial] for trial in plan],
            "clips": [data_uri(content, EXTENSION) for content in contents],
        },
    )
    return len(plan)


def _check(names: list[str], pools: list[np.ndarray], trials: int) -> None:
    if len(pools) < 2:
        raise DataError(f"{len(pools)} candidates were given; a listening test compares 2 or more; add real clips")
    if trials < 1:
        raise DataError(f"trials is {trials}; a listening test asks 1 or more; 40 tell two candidates apart")
    for name, pool in zip(names, pools, strict=True):
        if not len(pool):
            raise DataError(f"{name} has 0 clips; each candidate needs 1 or more; generate some or leave it out")
        if pool.shape[1:] != pools[0].shape[1:]:
            raise DataError(
                f"clips of {name} are {pool.shape[1:]} channels and samples, those of {names[0]} {pools[0].shape[1:]}; "
                "another length would give a candidate away; cut or pad all to the same"
            )
        if unusable := int((~np.isfinite(pool)).any(axis=(1, 2)).sum()):
            raise DataError(
                f"{unusable} of {len(pool)} clips of {name} hold NaN or infinite samples; only finite ones can be "
                "heard; remove those files or take an earlier checkpoint"
            )


def _plan(counts: list[int], trials: int, seed: int) -> list[tuple[Sound, Sound]]:
    """Chooses the sounds that each trial plays on side A and on side B; counts: clips of each candidate."""
    pairs = [pair for both in combinations(range(len(counts)), 2) for pair in (both, both[::-1])]
    rounds = math.ceil(trials / len(pairs))
    random = numpy_generator(seed, 0, "listening")
    order = random.permutation(len(pairs) * rounds)
    clips = [_shuffled(count, random) for count in counts]
    sides = [pairs[place % len(pairs)] for place in order]
    return [((first, next(clips[first])), (second, next(clips[second]))) for first, second in sides]


def _shuffled(count: int, random: np.random.Generator) -> Iterator[int]:
    """Yields clip numbers without end, each once before any comes again."""
    while True:
        yield from random.permutation(count).tolist()


def _leveled(clips: Sequence[np.ndarray], sample_rate: int) -> list[np.ndarray]:
    """Scales the clips to one level, the highest that leaves every peak within full scale.

    Level is the RMS of the loudest 0.4 s, which does not depend on the silence around a sound. The common level
    is at least -36 dBFS. A click that cannot reach it is scaled to a peak of full scale. Silence is left alone.
    """
    peaks = np.array([np.abs(clip).max() for clip in clips])
    levels = np.array([_level(clip, sample_rate) for clip in clips])
    is_heard = peaks >= SILENCE
    target = max(LEAST_LEVEL, (levels[is_heard] / peaks[is_heard]).min(initial=1))
    gains = np.ones(len(clips))
    gains[is_heard] = np.minimum(target / levels[is_heard], 1 / peaks[is_heard])
    return [gain * clip for gain, clip in zip(gains, clips, strict=True)]


def _level(clip: np.ndarray, sample_rate: int) -> float:
    window = max(1, round(INTEGRATION_SECONDS * sample_rate))
    energy = np.concatenate([[0.0], np.cumsum(np.square(clip, dtype=np.float64).mean(axis=0))])
    ends = np.arange(len(energy))
    return math.sqrt(float((energy - energy[np.maximum(ends - window, 0)]).max()) / window)


def _encoded(clip: np.ndarray, sample_rate: int) -> bytes:
    content = io.BytesIO()
    container, subtype = FORMATS[EXTENSION]
    with soundfile.SoundFile(content, "w", sample_rate, len(clip), subtype, format=container) as sound:
        write_clip(sound, clip)
    return content.getvalue()
