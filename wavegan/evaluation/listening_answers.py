"""Counts the answers of a blind listening test: which candidates listeners preferred, pair by pair."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from wavegan.errors import DataError
from wavegan.evaluation.resampling import wilson_interval

PROGRAM, ANSWERS_FORMAT = "wavegan listening test", 1  # both stand in an answers file
POINTS = {"A": 1.0, "B": 0.0, "tie": 0.5}  # of the sound on side A, by answer; unanswered trials hold null
FIELDS = ("test", "key", "seed", "candidates", "session", "listener", "answers")  # and program, format, times

Result = tuple[str, str, float]  # candidate on side A, candidate on side B, points of the first


def identity_of_key(key: str) -> str:
    """Gives a short hash of a test's answer key: answers of another test, or a changed key, do not fit it."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Listening:
    """Holds the checked answers of one listener; results are those of answered trials."""

    label: str
    test: str
    session: str
    listener: str
    candidates: list[str]
    trials: int
    results: list[Result]


def score_answers(files: Sequence[Path | Mapping[str, Any]]) -> dict[str, Any]:
    """Counts which candidates listeners preferred.

    files: the answers files that the page saves, one for each listener, or their contents. `pairs` holds for every two
    candidates, and `overall` for each candidate against all others, the number of trials, wins, losses and ties, and
    the share of wins with its 95 % interval; a tie counts half. The interval is Wilson's: it takes every answer as an
    independent draw with one chance for all clips and listeners. So it is too narrow if few listeners answer often or
    few clips repeat; ties make it wider than it need be. An overall share depends on the other candidates, and the
    shares of several candidates are not independent: one's win is another's loss. `verdicts` says each pair as a
    sentence. Tests of different clips count together if their candidates are the same. Raises DataError for files that
    are damaged, foreign, without answers, given twice, or of different candidates.
    """
    listenings = [_listening(file, place) for place, file in enumerate(files, start=1)]
    _check_together(listenings)
    names = listenings[0].candidates
    results = [result for listening in listenings for result in listening.results]
    pairs = [{"first": a, "second": b, **_tally(results, a, {b})} for a, b in combinations(names, 2)]
    return {
        "candidates": names,
        "tests": sorted({listening.test for listening in listenings}),
        "listeners": [
            {"name": listening.listener, "answered": len(listening.results), "trials": listening.trials}
            for listening in listenings
        ],
        "pairs": pairs,
        "overall": {name: _tally(results, name, set(names)) for name in names},
        "verdicts": [preference(pair) for pair in pairs],
    }


def preference(pair: Mapping[str, Any]) -> str:
    """Says one of the pairs of `score_answers` as a sentence, the preferred candidate first."""
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


def _tally(results: list[Result], name: str, opponents: set[str]) -> dict[str, float]:
    """Counts the wins, losses and ties of a candidate against some opponents."""
    points = [won for a, b, won in results if a == name and b in opponents]
    points += [1 - won for a, b, won in results if b == name and a in opponents]
    trials, counts = len(points), {"wins": points.count(1), "losses": points.count(0), "ties": points.count(0.5)}
    low, high = wilson_interval(sum(points), trials)
    return {"trials": trials, **counts, "share": sum(points) / trials if trials else 0.5, "low": low, "high": high}


def _check_together(listenings: list[Listening]) -> None:
    if not listenings:
        raise DataError("0 answers files were given; a score needs 1 or more; save them from the listening test's page")
    first, seen = listenings[0], {}
    for listening in listenings:
        label, candidates = listening.label, listening.candidates
        if set(candidates) != set(first.candidates):
            raise DataError(
                f"{label} compares {', '.join(candidates)}, and {first.label} {', '.join(first.candidates)}; "
                "only tests of the same candidates count together; score them apart"
            )
        if earlier := seen.get((listening.test, listening.session)):
            raise DataError(
                f"{label} and {earlier} hold the same listening; each counts once; give only the one saved last"
            )
        seen[listening.test, listening.session] = label


def _listening(file: Path | Mapping[str, Any], place: int) -> Listening:
    label = f"answers {place}" if isinstance(file, Mapping) else str(file)
    content = file if isinstance(file, Mapping) else _read(file)
    if not isinstance(content, Mapping) or content.get("program") != PROGRAM:
        raise DataError(f"{label} is not of a {PROGRAM}; only its answers can be scored; give the file its page saved")
    if (version := content.get("format")) != ANSWERS_FORMAT:
        raise DataError(
            f"{label} has format {version!r}; this wavegan reads {ANSWERS_FORMAT}; use the version that made its page"
        )
    if missing := [key for key in FIELDS if key not in content]:
        raise DataError(f"{label} lacks {', '.join(missing)}; only whole files count; save it again from the page")
    names, sides = _open_key(content, label)
    answers = content["answers"] if isinstance(content["answers"], list) else [content["answers"]]
    invalid = [answer for answer in answers if answer not in (None, *POINTS)]
    if invalid or len(answers) != len(sides):
        raise DataError(
            f"{label} holds {f'the answer {invalid[0]!r}' if invalid else f'{len(answers)} answers'}; its test takes "
            f"{len(sides)} of A, B, tie and null; save it again from the page"
        )
    results = [(*side, POINTS[answer]) for side, answer in zip(sides, answers, strict=True) if answer is not None]
    if not results:
        raise DataError(f"{label} answers 0 of {len(sides)} trials; 1 or more can be scored; leave it out")
    session, listener = str(content["session"]), str(content["listener"])
    return Listening(label, content["test"], session, listener, names, len(sides), results)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); answers are whole JSON files; save it again") from error


def _open_key(content: Mapping[str, Any], label: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Returns the candidates and those on sides A and B of each trial; raises DataError if the key does not fit."""
    refusal = DataError(
        f"the key of {label} does not belong to its test {content['test']!r}, seed or candidates; an answers file "
        "counts only as the page saved it; save it again"
    )
    try:
        key = json.loads(b64decode(content["key"], validate=True))
        names = key["candidates"]
        sides = [(names[a], names[b]) for (a, _), (b, _) in key["trials"]]
        is_intact = identity_of_key(content["key"]) == content["test"] and all(a != b for a, b in sides)
        is_intact = is_intact and isinstance(names, list) and all(isinstance(name, str) for name in names)
        if is_intact and (names, key["seed"]) == (content["candidates"], content["seed"]):
            return names, sides
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise refusal from error
    raise refusal
