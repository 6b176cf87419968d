"""The blind listening test: one page that asks which of two sounds is more real, and the count of its answers."""

import hashlib
import io
import json
import math
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from torch import Tensor

from wavegan.audio.files import FORMATS, write_clip
from wavegan.errors import DataError
from wavegan.evaluation.embedding import data_uri, write_page
from wavegan.evaluation.metrics import wilson_interval
from wavegan.seeding import numpy_generator

TEMPLATE = "listening.html.j2"
PROGRAM, FORMAT = "wavegan listening test", 1  # what an answers file says of itself
POINTS = {"A": 1.0, "B": 0.0, "tie": 0.5}  # of the sound on side A, by answer; unanswered trials hold null
FIELDS = ("test", "key", "seed", "candidates", "session", "listener", "answers")  # and program, format, times
ANSWER_SECONDS = 4.0  # a guess at what an answer takes after the sounds, for the page's first screen
EXTENSION = "wav"  # lossless: MP3 would hide the very hiss and ringing that are to be heard
INTEGRATION_SECONDS = 0.4  # the window of momentary loudness, EBU R 128
SILENCE = 1e-3  # a peak under -60 dBFS is silence, as in the corpus
LEAST_LEVEL = 10 ** (-36 / 20)  # one click must not make all other sounds too soft to hear

Sound = tuple[int, int]  # candidate, clip
Result = tuple[str, str, float]  # candidate on side A, candidate on side B, points of the first


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
            "head": {"program": PROGRAM, "format": FORMAT, "test": _identity(key), "key": key},
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
    """What each trial plays on side A and on side B; counts: clips of each candidate."""
    pairs = [pair for both in combinations(range(len(counts)), 2) for pair in (both, both[::-1])]
    rounds = math.ceil(trials / len(pairs))
    random = numpy_generator(seed, 0, "listening")
    order = random.permutation(len(pairs) * rounds)
    clips = [_shuffled(count, random) for count in counts]
    sides = [pairs[place % len(pairs)] for place in order]
    return [((first, next(clips[first])), (second, next(clips[second]))) for first, second in sides]


def _shuffled(count: int, random: np.random.Generator) -> Iterator[int]:
    """Clip numbers without end, each once before any comes again."""
    while True:
        yield from random.permutation(count).tolist()


def _leveled(clips: Sequence[np.ndarray], sample_rate: int) -> list[np.ndarray]:
    """The clips at one level, the highest that leaves every peak within full scale.

    Level is the RMS of the loudest 0.4 s, which does not depend on the silence around a sound. The common level
    is at least -36 dBFS: what is too much of a click to reach that stays at full scale. Silence is left alone.
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


def _identity(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Listening:
    """The checked answers of one listener; results are those of answered trials."""

    label: str
    test: str
    session: str
    listener: str
    candidates: list[str]
    trials: int
    results: list[Result]


def score_answers(files: Sequence[Path | Mapping[str, Any]]) -> dict[str, Any]:
    """What listeners preferred, from the answers files that the page saves, one for each listener, or their contents.

    `pairs` holds for every two candidates, and `overall` for each candidate against all others, the number of
    trials, wins, losses and ties, and the share of wins, ties counting half, with its 95 % interval. The interval is
    Wilson's: it takes every answer as an independent draw with one chance for all clips and listeners, so it is too
    narrow where few listeners answer often or few clips repeat; ties make it wider than need be. An overall share
    depends on who the others are, and those of several candidates are not independent: one's win is another's loss.
    `verdicts` says each pair as a sentence. Tests of other clips count together where their candidates are the same.
    Raises DataError for files that are damaged, foreign, without answers, given twice, or of other candidates.
    """
    listenings = [_listening(file, number) for number, file in enumerate(files, start=1)]
    _check_together(listenings)
    names = listenings[0].candidates
    results = [result for listening in listenings for result in listening.results]
    pairs = [{"first": a, "second": b, **_tally(results, a, {b})} for a, b in combinations(names, 2)]
    return {
        "candidates": names,
        "tests": sorted({one.test for one in listenings}),
        "listeners": [{"name": one.listener, "answered": len(one.results), "trials": one.trials} for one in listenings],
        "pairs": pairs,
        "overall": {name: _tally(results, name, set(names)) for name in names},
        "verdicts": [verdict(pair) for pair in pairs],
    }


def verdict(pair: Mapping[str, Any]) -> str:
    """One of the pairs of `score_answers` as a sentence, the preferred candidate first."""
    first, second, share, low, high = (pair[key] for key in ("first", "second", "share", "low", "high"))
    if not pair["trials"]:
        return f"{first} and {second} were not compared"
    if share < 0.5:
        first, second, share, low, high = second, first, 1 - share, 1 - high, 1 - low
    count = f"in {share * pair['trials']:g} of {pair['trials']} ({100 * low:.0f} % to {100 * high:.0f} %)"
    ties = f", {pair['ties']} undecided counting half" if pair["ties"] else ""
    if low <= 0.5:
        return f"no clear preference between {first} and {second}: {first} {count}{ties}"
    return f"{first} preferred to {second} {count}{ties}"


def _tally(results: list[Result], name: str, others: set[str]) -> dict[str, float]:
    """What a candidate won against some others."""
    points = [won for a, b, won in results if a == name and b in others]
    points += [1 - won for a, b, won in results if b == name and a in others]
    trials, counts = len(points), {"wins": points.count(1), "losses": points.count(0), "ties": points.count(0.5)}
    low, high = wilson_interval(sum(points), trials)
    return {"trials": trials, **counts, "share": sum(points) / trials if trials else 0.5, "low": low, "high": high}


def _check_together(listenings: list[Listening]) -> None:
    if not listenings:
        raise DataError("0 answers files were given; a score needs 1 or more; save them from the listening test's page")
    first, seen = listenings[0], {}
    for one in listenings:
        if set(one.candidates) != set(first.candidates):
            raise DataError(
                f"{one.label} compares {', '.join(one.candidates)}, and {first.label} {', '.join(first.candidates)}; "
                "only tests of the same candidates count together; score them apart"
            )
        if other := seen.get((one.test, one.session)):
            raise DataError(
                f"{one.label} and {other} hold the same listening; each counts once; give only the one saved last"
            )
        seen[one.test, one.session] = one.label


def _listening(file: Path | Mapping[str, Any], number: int) -> Listening:
    label = f"answers {number}" if isinstance(file, Mapping) else str(file)
    content = file if isinstance(file, Mapping) else _read(file)
    if not isinstance(content, Mapping) or content.get("program") != PROGRAM:
        raise DataError(f"{label} is not of a {PROGRAM}; only its answers can be scored; give the file its page saved")
    if (found := content.get("format")) != FORMAT:
        raise DataError(f"{label} has format {found!r}; {FORMAT} can be read; score it with the wavegan of its page")
    if missing := [key for key in FIELDS if key not in content]:
        raise DataError(f"{label} lacks {', '.join(missing)}; only whole files count; save it again from the page")
    names, sides = _open_key(content, label)
    answers = content["answers"] if isinstance(content["answers"], list) else [content["answers"]]
    wrong = [answer for answer in answers if answer not in (None, *POINTS)]
    if wrong or len(answers) != len(sides):
        raise DataError(
            f"{label} holds {f'the answer {wrong[0]!r}' if wrong else f'{len(answers)} answers'}; its test takes "
            f"{len(sides)} of A, B, tie and null; save it again from the page"
        )
    results = [(*side, POINTS[one]) for side, one in zip(sides, answers, strict=True) if one is not None]
    if not results:
        raise DataError(f"{label} answers 0 of {len(sides)} trials; 1 or more can be scored; leave it out")
    session, listener = str(content["session"]), str(content["listener"])
    return Listening(label, content["test"], session, listener, names, len(sides), results)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as fault:
        raise DataError(f"{path} cannot be read ({fault}); answers are whole JSON files; save it again") from fault


def _open_key(content: Mapping[str, Any], label: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The candidates and who of them was on sides A and B in each trial; test, seed and candidates bear the key out."""
    refusal = DataError(
        f"the key of {label} does not belong to its test {content['test']!r}, seed or candidates; an answers file "
        "counts only as the page saved it; save it again"
    )
    try:
        key = json.loads(b64decode(content["key"], validate=True))
        names = key["candidates"]
        sides = [(names[a], names[b]) for (a, _), (b, _) in key["trials"]]
        is_intact = _identity(content["key"]) == content["test"] and all(a != b for a, b in sides)
        if is_intact and (names, key["seed"]) == (content["candidates"], content["seed"]):
            return names, sides
    except (ValueError, TypeError, AttributeError, LookupError) as fault:
        raise refusal from fault
    raise refusal
