"""The page of a comparison: one HTML file with figures, differences, spectra and sound of several sets of clips."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from wavegan.evaluation.metrics import AS_REAL, HIGHER, METRICS
from wavegan.evaluation.pages.charts import is_number, spectra_chart
from wavegan.evaluation.pages.html_page import rounded, write_page
from wavegan.evaluation.pages.page_components import WIDEST, cells, grouped, score_values, spectrogram_values

TEMPLATE = Path(__file__).with_name("comparison.html.j2")
LISTENING = "listening.html"  # the blind test that lies beside the page
SHOWN = 8  # clips of each candidate
LATER_STYLES = 5  # of lines
OTHERS = ("real", "noise")  # sets that are compared with, not compared

BETTER, WORSE, SAME, OTHER, UNKNOWN = "better", "worse", "no clear difference", "differs", "not known"

Score = Mapping[str, Any]
Scores = Mapping[str, Score]


@dataclass(frozen=True, eq=False)
class ComparisonPage:
    """What a page of candidates shows; the first one is what the later ones are compared with.

    facts: what they were compared by, by name. scores: candidate → metric → value, low, high, n, of real clips and
    noise as well. differences: later candidate → metric → the same of its value less the first one's. clips:
    candidate → (N, C, T) in [-1, 1], of which 8 are shown. spectra: candidate → mean power in dB at each of
    `frequencies` in Hz. candidates: what each one is, in words.
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
    """Where a value and the ends of its interval lie, in percent."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A difference and its interval as text, the verdict on it, and where the three lie in a bar, in percent.

    The bars of a metric share one scale with 0 in its middle; there is none where something is not finite.
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
    first, *later = [name for name in page.scores if name not in OTHERS]
    clips = {name: of[:SHOWN] for name, of in page.clips.items()}
    spectra = _in_order(page.spectra, first)
    differences = {metric: found for metric in METRICS if (found := _differences(page, first, metric))}
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
    """Whether a candidate is better than the first one in a metric: "better", "worse", "no clear difference", …

    difference: value, low and high of what the candidate has more; first: the first one's value; real: value, low
    and high of real clips. No difference is clear where the interval holds 0. Where it is best to be as real, the
    better one is nearer to it: real's interval must lie on its side of the middle between the two, and clear of what
    that middle may be; else the two only differ.
    """
    low, high = difference["low"], difference["high"]
    if not (is_number(low) and is_number(high)):
        return UNKNOWN
    if low <= 0 <= high:
        return SAME
    wanted = _wanted(metric, difference, first, real)
    if wanted == 0:
        return OTHER
    return BETTER if (low > 0) == (wanted > 0) else WORSE


def _wanted(metric: str, difference: Score, first: float, real: Score | None) -> int:
    """1 where more is better, -1 where less is, 0 where that cannot be said."""
    better = METRICS[metric].better
    if better != AS_REAL:
        return 1 if better == HIGHER else -1
    if real is None:
        return 0
    middle = first + difference["value"] / 2
    reach = (difference["high"] - difference["low"]) / 4  # of the middle: half of the difference's own
    return int(real["low"] > middle + reach) - int(real["high"] < middle - reach)


def _differences(page: ComparisonPage, first: str, metric: str) -> dict[str, Difference]:
    """By later candidate the difference in a metric; those are left out where it was not measured."""
    found = {name: of[metric] for name, of in page.differences.items() if metric in of}
    longest = max((_length(of) for of in found.values()), default=0) or 1
    real = page.scores.get("real", {}).get(metric)
    return {
        name: _difference(of, verdict(metric, of, page.scores[first][metric]["value"], real), longest)
        for name, of in found.items()
    }


def _difference(found: Score, judged: str, longest: float) -> Difference:
    values = [found[key] for key in ("value", "low", "high")]
    value, low, high = (("+" if one > 0 else "") + rounded(one, _length(found)) for one in values)
    bar = Bar(*(50 + 50 * one / longest for one in values)) if all(map(is_number, values)) else None
    return Difference(value, low, high, judged, judged not in (SAME, UNKNOWN), bar)


def _length(found: Score) -> float:
    """How far from 0 a difference and its interval reach."""
    return max((abs(found[key]) for key in ("value", "low", "high") if is_number(found[key])), default=0)


def _summary(differences: Mapping[str, Mapping[str, Difference]], name: str) -> str:
    """The verdicts on a candidate in words; those that are not clear are only counted."""
    verdicts = {METRICS[metric].name: found[name].verdict for metric, found in differences.items() if name in found}
    clear = {one: [metric for metric, found in verdicts.items() if found == one] for one in (BETTER, WORSE, OTHER)}
    parts = [f"{one} in {', '.join(metrics)}" for one, metrics in clear.items() if metrics]
    unclear = sum(one in (SAME, UNKNOWN) for one in verdicts.values())
    return "; ".join([*parts, f"{SAME} in {unclear} of {len(verdicts)}"])


def _in_order(spectra: Mapping[str, np.ndarray], first: str) -> dict[str, np.ndarray]:
    """The first candidate, real clips, the later candidates, noise."""
    order = sorted(spectra, key=lambda name: {first: 0, "real": 1, "noise": 3}.get(name, 2))
    return {name: spectra[name] for name in order}


def _styles(names: Iterable[str], first: str) -> list[str]:
    """The classes of the lines of these sets; those of the later candidates come again after five."""
    later = (f"later later-{number % LATER_STYLES}" for number in count())
    fixed = {first: "line-0", "real": "line-1", "noise": "line-2"}
    return [fixed.get(name) or next(later) for name in names]
