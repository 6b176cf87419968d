"""Writes the page of a comparison: one HTML file with scores, differences, spectra and sound of several clip sets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from wavegan.evaluation.evaluate import measured
from wavegan.evaluation.metrics import AS_REAL, HIGHER, METRICS
from wavegan.evaluation.pages.charts import is_finite_number, spectra_chart
from wavegan.evaluation.pages.html_page import rounded, write_page
from wavegan.evaluation.pages.page_components import WIDEST, cells, grouped, score_values, spectrogram_values

TEMPLATE = Path(__file__).with_name("comparison.html.j2")
LISTENING = "listening.html"  # the blind test that lies beside the page
SHOWN = 8  # clips of each candidate
LATER_STYLES = 5  # of lines
OTHERS = ("real", "noise")  # sets that stand beside the candidates

BETTER, WORSE, SAME, OTHER, UNKNOWN = "better", "worse", "no clear difference", "differs", "not known"

Score = Mapping[str, Any]
Scores = Mapping[str, Score]


@dataclass(frozen=True, eq=False)
class ComparisonPage:
    """Holds the contents of a page of candidates, on which the later ones are compared with the first.

    facts: the conditions of the comparison, by name. scores: candidate → metric → value, low, high, n; real clips and
    noise count as candidates here. differences: later candidate → metric → the same of its value less the first one's.
    clips: candidate → (N, C, T) in [-1, 1], of which 8 are shown. spectra: candidate → mean power in dB at each of
    `frequencies` in Hz. candidates: a description of each one, in words.
    """

    facts: Mapping[str, str]
    sample_rate: int
    scores: Mapping[str, Scores]
    differences: Mapping[str, Scores]
    clips: Mapping[str, Tensor]
    spectra: Mapping[str, np.ndarray]
    frequencies: np.ndarray
    candidates: Mapping[str, str] = field(default_factory=dict)


class Bar(NamedTuple):
    """Holds the places of a value and of the ends of its interval, in percent."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """Holds a difference and its interval as text, the verdict on it, and the bar that shows all three.

    The bars of a metric share one scale with 0 in its middle. There is no bar if one of the three is not finite.
    """

    value: str
    low: str
    high: str
    verdict: str
    is_clear: bool
    bar: Bar | None


def write_comparison(path: Path, page: ComparisonPage) -> None:
    """Writes one HTML file, without scripts, that shows candidates side by side and plays their clips.

    All spectrograms share one dB scale; sounds are as in a report. Equal pages give equal files.
    """
    page = replace(page, scores={name: measured(of) for name, of in page.scores.items()})
    first, *later = [name for name in page.scores if name not in OTHERS]
    clips = {name: of[:SHOWN] for name, of in page.clips.items()}
    spectra = _in_order(page.spectra, first)
    differences = {metric: row for metric in METRICS if (row := _differences(page, first, metric))}
    write_page(
        path,
        TEMPLATE,
        title=f"{', '.join([first, *later[:-1]])} and {later[-1]}",
        facts=page.facts,
        page=page,
        first=first,
        differences=differences,
        difference_groups=grouped(differences),
        summaries={name: _summary(differences, name) for name in later},
        clips=dict(zip(clips, cells(list(clips.values()), [WIDEST] * len(clips), page.sample_rate), strict=True)),
        spectra=spectra_chart(spectra, page.frequencies, page.sample_rate),
        styles=_styles(spectra, first),
        listening=LISTENING,
        **score_values(page.scores),
        **spectrogram_values(next(iter(clips.values())).shape[-1], page.sample_rate),
    )


def verdict(metric: str, difference: Score, first: float, real: Score | None = None) -> str:
    """Says whether a candidate is better than the first one in a metric: "better", "worse", "no clear difference", …

    difference: value, low and high of the candidate less the first one; first: the first one's value; real: value, low
    and high of real clips. A difference is not clear if its interval holds 0. If a metric is best as real, the better
    of the two is nearer to real clips: the interval of real clips must lie on its side of the middle between the two,
    and outside the interval of that middle. Else the two only differ.
    """
    low, high = difference["low"], difference["high"]
    if not (is_finite_number(low) and is_finite_number(high)):
        return UNKNOWN
    if low <= 0 <= high:
        return SAME
    wanted = _wanted(metric, difference, first, real)
    if wanted == 0:
        return OTHER
    return BETTER if (low > 0) == (wanted > 0) else WORSE


def _wanted(metric: str, difference: Score, first: float, real: Score | None) -> int:
    """Returns 1 if more is better, -1 if less is, 0 if that cannot be said."""
    better = METRICS[metric].better
    if better != AS_REAL:
        return 1 if better == HIGHER else -1
    if real is None:
        return 0
    middle = first + difference["value"] / 2
    reach = (difference["high"] - difference["low"]) / 4  # of the middle: half of the difference's reach
    return int(real["low"] > middle + reach) - int(real["high"] < middle - reach)


def _differences(page: ComparisonPage, first: str, metric: str) -> dict[str, Difference]:
    """Returns the difference in a metric by later candidate, without candidates for which it was not measured."""
    scores = {name: metrics[metric] for name, metrics in page.differences.items() if metric in metrics}
    longest = max((_length(score) for score in scores.values()), default=0) or 1
    real = page.scores.get("real", {}).get(metric)
    return {
        name: _difference(score, verdict(metric, score, page.scores[first][metric]["value"], real), longest)
        for name, score in scores.items()
    }


def _difference(score: Score, judgement: str, longest: float) -> Difference:
    points = [score[key] for key in ("value", "low", "high")]
    value, low, high = (("+" if point > 0 else "") + rounded(point, _length(score)) for point in points)
    bar = Bar(*(50 + 50 * point / longest for point in points)) if all(map(is_finite_number, points)) else None
    return Difference(value, low, high, judgement, judgement not in (SAME, UNKNOWN), bar)


def _length(score: Score) -> float:
    """Returns how far from 0 a difference and its interval reach."""
    return max((abs(score[key]) for key in ("value", "low", "high") if is_finite_number(score[key])), default=0)


def _summary(differences: Mapping[str, Mapping[str, Difference]], name: str) -> str:
    """Says the verdicts on a candidate in words; those that are not clear are only counted."""
    verdicts = {METRICS[metric].name: row[name].verdict for metric, row in differences.items() if name in row}
    clear = {word: [metric for metric, said in verdicts.items() if said == word] for word in (BETTER, WORSE, OTHER)}
    parts = [f"{word} in {', '.join(metrics)}" for word, metrics in clear.items() if metrics]
    unclear = sum(word in (SAME, UNKNOWN) for word in verdicts.values())
    return "; ".join([*parts, f"{SAME} in {unclear} of {len(verdicts)}"])


def _in_order(spectra: Mapping[str, np.ndarray], first: str) -> dict[str, np.ndarray]:
    """Orders spectra: the first candidate, real clips, the later candidates, noise."""
    order = sorted(spectra, key=lambda name: {first: 0, "real": 1, "noise": 3}.get(name, 2))
    return {name: spectra[name] for name in order}


def _styles(names: Iterable[str], first: str) -> list[str]:
    """Returns the CSS classes of these sets' lines; those of later candidates repeat after five."""
    later = (f"later later-{index % LATER_STYLES}" for index in count())
    fixed = {first: "line-0", "real": "line-1", "noise": "line-2"}
    return [fixed.get(name) or next(later) for name in names]
