"""Computes every metric of any set of clips against the same real clips."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from wavegan.errors import DataError
from wavegan.evaluation.copies import nearest_copies
from wavegan.evaluation.distances import Unchanging
from wavegan.evaluation.events import EVENTS, excess
from wavegan.evaluation.features import (
    ClipClassifier,
    Embedding,
    Features,
    extract,
    extract_training,
    standardize,
)
from wavegan.evaluation.fine_structure import principal_directions
from wavegan.evaluation.meaning import LEAST_CLIPS, without_meaning
from wavegan.evaluation.metrics import HEADLINE, METRICS
from wavegan.evaluation.resampling import interval, resamples

RESAMPLES = 200
PROBE_CLIPS = 1000  # that the time of all figures is estimated from
METRICS_PER_HEADLINE = (
    6  # all metrics of a set take so many times as long as the headline (benchmarks/evaluation_size.py)
)
COMPONENTS = 32  # principal directions kept of `order`
LEAST_DEVIATION = 1e-3  # of features that are not in dB
MEASURED = frozenset(metric.features for metric in METRICS.values())  # the kinds that metrics take


def _standard_order(rows: np.ndarray, real: np.ndarray) -> np.ndarray:
    directions = principal_directions(real, COMPONENTS)
    return standardize(rows @ directions, real @ directions)


# By kind of features, the function of rows and of all real rows that gives units of the real ones' deviations.
STANDARD: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "log_mel": standardize,
    "order": _standard_order,
    "attack": standardize,
    "stereo": standardize,
    "partials": partial(standardize, least=LEAST_DEVIATION),
    "classifier": partial(standardize, least=LEAST_DEVIATION),
    "embedding": partial(standardize, least=LEAST_DEVIATION),
}


class Nearest(NamedTuple):
    """Holds the numbers of a clip and of the training and the real clip most similar to it, and their distances."""

    number: int
    training: int
    real: int
    training_distance: float
    real_distance: float


class Artefact(NamedTuple):
    """Holds a clip's number, and by how much it exceeds the real clips' bound for each kind of event that it has."""

    number: int
    kinds: dict[str, float]


class Reference:
    """Compares sets of clips with real clips that were held out of training.

    real: batches (N, C, T); training: batches of the clips that were learned from, if known, for the share of copies;
    classifier: for the metrics of its features and of labels; embedding: one more kind of features, (N, F) from clips
    and their sample rate. Figures do not depend on the order of clips. `distrusted` may be set: reasons, by kind of
    features, why figures of these mean nothing.
    """

    def __init__(
        self,
        real: Iterable[Tensor],
        sample_rate: int,
        *,
        training: Iterable[Tensor] | None = None,
        classifier: ClipClassifier | None = None,
        embedding: Embedding | None = None,
        seed: int = 0,
    ):
        self.sample_rate, self.classifier, self.embedding, self.seed = sample_rate, classifier, embedding, seed
        self.distrusted: dict[str, str] = {}
        self._shape: tuple[int, ...] | None = None
        self._has_training = training is not None
        self._raw = self._extract(real)
        self._training: Features = {}
        if training is not None:
            self._training = extract_training(map(self._checked, training), sample_rate)
        self.features = self._standardized(self._raw)

    def extract(self, clips: Iterable[Tensor]) -> Features:
        """Extracts the features of other clips of the same shape, in units of the real ones' deviations."""
        return self._standardized(self._extract(clips))

    def _extract(self, clips: Iterable[Tensor]) -> Features:
        checked = map(self._checked, clips)
        return extract(checked, self.sample_rate, self.classifier, self.embedding, with_pictures=self._has_training)

    def estimates(
        self, candidate: Features, *, only: Iterable[str] = METRICS, count: int = RESAMPLES, stream: int = 0
    ) -> dict[str, np.ndarray]:
        """Computes each metric that the features allow: its value, then those of `count` resamples, (1 + count,).

        stream: a number of its own for each of several candidates whose resamples are subtracted from each other.
        """
        return self._estimates(_in_order(candidate), self._ordered, only, count, stream)

    @cached_property
    def _ordered(self) -> Features:
        return _in_order(self.features)

    def _estimates(
        self, mine: Features, real: Features, only: Iterable[str], count: int, stream: int
    ) -> dict[str, np.ndarray]:
        return {
            name: resamples(METRICS[name], mine[kind], real[kind], seed=self.seed, count=count, stream=stream)
            for name in only
            if (kind := METRICS[name].features) in mine
        }

    def without_meaning(self, candidate: Features) -> dict[str, str]:
        """Gives by metric the reason why its figure of a set means nothing; empty for sets that can be compared."""
        return without_meaning(candidate, self.features, self.distrusted)

    def expected_seconds(self, count: int) -> float:
        """Estimates from some of the real clips how long `scores` of `count` clips take; it grows by the square."""
        metric, few = METRICS[HEADLINE], self._ordered["log_mel"][:PROBE_CLIPS]
        start = time.perf_counter()
        resamples(metric, few, few, seed=self.seed, count=RESAMPLES)
        return METRICS_PER_HEADLINE * (time.perf_counter() - start) * (count / len(few)) ** 2

    def curve(self, candidate: Features, of_all: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
        """Scores the charted metrics on a quarter, a half and all clips of each set, by number of clips.

        of_all: what `scores` gave of all clips. The seed decides which clips a part holds. A part of fewer than six
        clips is left out, and so is a metric whose figure of all clips means nothing.
        """
        names = [name for name in measured(of_all) if METRICS[name].is_charted]
        scores = {}
        mine, real = (_shuffled(rows, self.seed) for rows in (_in_order(candidate), self._ordered))
        for part in (4, 2):
            few, few_real = ({kind: rows[: len(rows) // part] for kind, rows in both.items()} for both in (mine, real))
            if (n := len(few["log_mel"])) >= LEAST_CLIPS <= len(few_real["log_mel"]):
                estimates = self._estimates(few, few_real, names, RESAMPLES, 0)
                scores[str(n)] = {name: score_record(values, n) for name, values in estimates.items()}
        if len(candidate["log_mel"]) >= LEAST_CLIPS <= len(self.features["log_mel"]):
            whole = {name: {key: of_all[name][key] for key in ("value", "low", "high", "n")} for name in names}
            scores[str(len(candidate["log_mel"]))] = whole
        return scores

    def scores(self, candidate: Features, estimates: dict[str, np.ndarray] | None = None) -> dict[str, dict[str, Any]]:
        """Gives each metric's value, 95 % interval (low, high) and number of clips n, and its parts if it has them.

        Where a figure means nothing, value, low and high are None, and `reason` says why. estimates: those of this
        candidate, if they have been computed already.
        """
        count, without = len(candidate["log_mel"]), self.without_meaning(candidate)
        scores = {}
        for name, values in (estimates or self.estimates(candidate)).items():
            reason = without.get(name) or ("" if np.isfinite(values).all() else "it is not a finite number")
            scores[name] = no_score(reason, count) if reason else score_record(values, count)
            if (parts := METRICS[name].parts) and not reason:
                scores[name][parts.key] = parts.function(candidate[METRICS[name].features], self.sample_rate)
        return scores

    def nearest(self, candidate: Features, count: int) -> list[Nearest]:
        """Returns the clips nearest to a training clip, the nearest first; none if the training clips are not known."""
        if not self._has_training:
            return []
        to_training, training = nearest_copies(candidate["pictures"], self._training["pictures"])
        first = np.argsort(to_training, kind="stable")[:count]
        to_real, real = nearest_copies(candidate["pictures"][first], self.features["pictures"])
        table = zip(first, training[first], real, to_training[first], to_real, strict=True)
        return [Nearest(*(value.item() for value in row)) for row in table]

    def artefacts(self, candidate: Features, count: int) -> list[Artefact]:
        """Returns the clips with an event that real clips do not have, the worst first."""
        worst = candidate["events"].max(axis=1)
        first = np.argsort(-worst, kind="stable")[:count]
        return [
            Artefact(clip_number, {kind: float(by) for kind, by in zip(EVENTS, row, strict=True) if by > 0})
            for clip_number, row in zip(first.tolist(), candidate["events"][first], strict=True)
            if (row > 0).any()
        ]

    def _checked(self, clips: Tensor) -> Tensor:
        """Returns the same clips. Raises DataError if their length or channel count is not that of the first ones."""
        shape = tuple(clips.shape[1:])
        self._shape = self._shape or shape
        if shape != self._shape:
            (channels, samples), (real_channels, real_samples) = shape, self._shape
            raise DataError(
                f"clips of {samples:,} samples, channels: {channels}, cannot be compared with real ones of "
                f"{real_samples:,}, channels: {real_channels}; only equal forms can; cut, pad or mix them"
            )
        return clips

    def _standardized(self, raw: Features) -> Features:
        rows = {kind: STANDARD[kind](part, self._raw[kind]) if kind in STANDARD else part for kind, part in raw.items()}
        rows["events"] = excess(raw["events"], (self._training or self._raw)["events"])
        if self._has_training:
            rows["to_training"] = nearest_copies(raw["pictures"], self._training["pictures"])[0]
        return rows


def score_record(values: np.ndarray, n: int) -> dict[str, Any]:
    """Makes one metric's record: its value, its 95 % interval (low, high) and n, the number of clips.

    values: (1 + count,) as of `Reference.estimates`; values[0] is the metric itself, the others are its resamples.
    """
    low, high = interval(values)
    return {"value": float(values[0]), "low": low, "high": high, "n": n}


def no_score(reason: str, n: int) -> dict[str, Any]:
    """Gives the score of a metric whose figure means nothing, with the reason."""
    return {"value": None, "low": None, "high": None, "n": n, "reason": reason}


def measured(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the scores of a set, by metric, without those whose figures mean nothing."""
    return {metric: of_metric for metric, of_metric in scores.items() if of_metric["value"] is not None}


def _in_order(seen: Features) -> Features:
    """Sorts the rows that metrics take, so that no figure depends on the order of the clips."""
    return _taken(seen, np.lexsort(seen["log_mel"].T))


def _shuffled(seen: Features, seed: int) -> Features:
    return _taken(seen, np.random.default_rng(seed).permutation(len(seen["log_mel"])))


def _taken(seen: Features, order: np.ndarray) -> Features:
    """Returns the rows that metrics take in another order."""
    return {name: rows[order].view(Unchanging) for name, rows in seen.items() if name in MEASURED}
