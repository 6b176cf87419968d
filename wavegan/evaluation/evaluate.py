"""From clips to numbers: every metric of any set of clips against the same real ones."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from wavegan.errors import DataError
from wavegan.evaluation import distances
from wavegan.evaluation.artefacts import stage_names
from wavegan.evaluation.features import LEAST_DEVIATION_DECIBELS, standardize
from wavegan.evaluation.metrics import METRICS, interval, resamples
from wavegan.evaluation.views import Listener, Views, views

RESAMPLES = 200
LEAST_DEVIATIONS = {"log_mel": LEAST_DEVIATION_DECIBELS, "classifier": 1e-3}  # the views that are standardised


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
        classifier: Listener | None = None,
        seed: int = 0,
    ):
        self.sample_rate, self.classifier, self.seed = sample_rate, classifier, seed
        self._shape: tuple[int, ...] | None = None
        self._raw = views(map(self._checked, real), sample_rate, classifier)
        self._training: np.ndarray | None = None
        if training is not None:
            self._training = self._standard("log_mel", views(map(self._checked, training), sample_rate)["log_mel"])
        self.views = self._standardized(self._raw)

    def look(self, clips: Iterable[Tensor]) -> Views:
        """The views of other clips of the same length and number, in units of the real ones' deviations."""
        return self._standardized(views(map(self._checked, clips), self.sample_rate, self.classifier))

    def estimates(
        self, candidate: Views, *, only: Iterable[str] = METRICS, count: int = RESAMPLES, number: int = 0
    ) -> dict[str, np.ndarray]:
        """For each metric that the views allow its value and then those of `count` resamples: (1 + count,).

        number: another for each of several candidates whose resamples are to be subtracted from each other.
        """
        mine, real = _in_order(candidate), _in_order(self.views)
        return {
            name: resamples(METRICS[name], mine[view], real[view], seed=self.seed, count=count, number=number)
            for name in only
            if (view := METRICS[name].view) in mine
        }

    def scores(self, candidate: Views, estimates: dict[str, np.ndarray] | None = None) -> dict[str, dict[str, Any]]:
        """Each metric's value, 95 % interval (low, high) and number of clips n; the comb's by stage as well.

        estimates: of this candidate, where they have been made already.
        """
        count = len(candidate["log_mel"])
        found = {name: score(values, count) for name, values in (estimates or self.estimates(candidate)).items()}
        stages = candidate["comb"].mean(axis=0)
        names = stage_names(len(stages), self.sample_rate)
        found["comb_db"]["stages"] = dict(zip(names, stages.tolist(), strict=True))
        return found

    def nearest(self, candidate: Views, count: int) -> list[Nearest]:
        """The clips that lie nearest to a training clip, the nearest first; none where training is not known."""
        if self._training is None:
            return []
        to_training, training = distances.nearest(candidate["log_mel"], self._training)
        to_real, real = distances.nearest(candidate["log_mel"], self.views["log_mel"])
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

    def _standardized(self, raw: Views) -> Views:
        found = {name: self._standard(name, rows) if name in LEAST_DEVIATIONS else rows for name, rows in raw.items()}
        if self._training is not None:
            found["to_training"] = distances.nearest(found["log_mel"], self._training)[0]
        return found

    def _standard(self, view: str, rows: np.ndarray) -> np.ndarray:
        return standardize(rows, self._raw[view], LEAST_DEVIATIONS[view])


def score(values: np.ndarray, n: int) -> dict[str, Any]:
    """What `Reference.estimates` gives of a metric, as value, low, high and n."""
    low, high = interval(values)
    return {"value": float(values[0]), "low": low, "high": high, "n": n}


def _in_order(seen: Views) -> Views:
    """The same rows in an order of their own, so that no figure depends on the order of the clips."""
    order = np.lexsort(seen["log_mel"].T)
    return {name: rows[order] for name, rows in seen.items()}
