"""From clips to numbers: every metric of any set of clips against the same real ones."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from wavegan.errors import DataError
from wavegan.evaluation import distances
from wavegan.evaluation.artefacts import stage_names
from wavegan.evaluation.features import LEAST_DEVIATION_DECIBELS, ClipClassifier, Features, extract, standardize
from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.resampling import interval, resamples

RESAMPLES = 200
LEAST_DEVIATIONS = {
    "log_mel": LEAST_DEVIATION_DECIBELS,
    "classifier": 1e-3,
}  # of standardised features


class Nearest(NamedTuple):
    """A clip's number, those of the training clip and of the real one nearest to it, and their distances."""

    number: int
    training: int
    real: int
    training_distance: float
    real_distance: float


class Reference:
    """Real clips that were held out of training, and what any other set of clips is by comparison.

    real: batches (N, C, T); training: batches of what was learned from, where it is known, for the share of copies;
    classifier: for the metrics on C and of labels. Figures do not depend on the order of clips.
    """

    def __init__(
        self,
        real: Iterable[Tensor],
        sample_rate: int,
        *,
        training: Iterable[Tensor] | None = None,
        classifier: ClipClassifier | None = None,
        seed: int = 0,
    ):
        self.sample_rate, self.classifier, self.seed = sample_rate, classifier, seed
        self._shape: tuple[int, ...] | None = None
        self._raw = extract(map(self._checked, real), sample_rate, classifier)
        self._training: np.ndarray | None = None
        if training is not None:
            self._training = self._standard("log_mel", extract(map(self._checked, training), sample_rate)["log_mel"])
        self.features = self._standardized(self._raw)

    def extract(self, clips: Iterable[Tensor]) -> Features:
        """Extracts the features of other clips of the same shape, in units of the real ones' deviations."""
        return self._standardized(extract(map(self._checked, clips), self.sample_rate, self.classifier))

    def estimates(
        self, candidate: Features, *, only: Iterable[str] = METRICS, count: int = RESAMPLES, stream: int = 0
    ) -> dict[str, np.ndarray]:
        """Gives for each metric that the features allow its value and then those of `count` resamples: (1 + count,).

        stream: another for each of several candidates whose resamples are to be subtracted from each other.
        """
        mine, real = _in_order(candidate), _in_order(self.features)
        return {
            name: resamples(METRICS[name], mine[kind], real[kind], seed=self.seed, count=count, stream=stream)
            for name in only
            if (kind := METRICS[name].features) in mine
        }

    def scores(self, candidate: Features, estimates: dict[str, np.ndarray] | None = None) -> dict[str, dict[str, Any]]:
        """Gives each metric's value, 95 % interval (low, high) and number of clips n, and its stages if it has them.

        estimates: of this candidate, where they have been made already.
        """
        count = len(candidate["log_mel"])
        scores = {name: score(values, count) for name, values in (estimates or self.estimates(candidate)).items()}
        for name, of_metric in scores.items():
            if METRICS[name].has_stages:
                levels = candidate[METRICS[name].features].mean(axis=0)
                names = stage_names(len(levels), self.sample_rate)
                of_metric["stages"] = dict(zip(names, levels.tolist(), strict=True))
        return scores

    def nearest(self, candidate: Features, count: int) -> list[Nearest]:
        """The clips that lie nearest to a training clip, the nearest first; none where training is not known."""
        if self._training is None:
            return []
        to_training, training = distances.nearest(candidate["log_mel"], self._training)
        to_real, real = distances.nearest(candidate["log_mel"], self.features["log_mel"])
        table = zip(training.tolist(), real.tolist(), to_training.tolist(), to_real.tolist(), strict=True)
        found = [Nearest(number, *row) for number, row in enumerate(table)]
        return sorted(found, key=lambda one: one.training_distance)[:count]

    def _checked(self, clips: Tensor) -> Tensor:
        """The same clips, where they are of the first real ones' length and channel count."""
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
        found = {name: self._standard(name, rows) if name in LEAST_DEVIATIONS else rows for name, rows in raw.items()}
        if self._training is not None:
            found["to_training"] = distances.nearest(found["log_mel"], self._training)[0]
        return found

    def _standard(self, kind: str, rows: np.ndarray) -> np.ndarray:
        return standardize(rows, self._raw[kind], LEAST_DEVIATIONS[kind])


def score(values: np.ndarray, n: int) -> dict[str, Any]:
    """What `Reference.estimates` gives of a metric, as value, low, high and n."""
    low, high = interval(values)
    return {"value": float(values[0]), "low": low, "high": high, "n": n}


def _in_order(seen: Features) -> Features:
    """The same rows in an order of their own, so that no figure depends on the order of the clips."""
    order = np.lexsort(seen["log_mel"].T)
    return {name: rows[order] for name, rows in seen.items()}
