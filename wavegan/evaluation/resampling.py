"""Measures how sure a figure is: bootstrap resamples of a metric, their interval, and the interval of a share."""

import math
from functools import lru_cache

import numpy as np

from wavegan.errors import DataError
from wavegan.evaluation.distances import Unchanging
from wavegan.evaluation.metric_functions import Array
from wavegan.evaluation.metrics import Metric


def resamples(metric: Metric, candidate: Array, reference: Array, *, seed: int, count: int, stream: int = 0) -> Array:
    """Computes a metric, then its values on `count` bootstrap resamples of the clips of both sides: (1 + count,).

    The reference's resamples follow from the seed alone, the candidate's from its stream as well. So candidates of
    different streams can be compared resample by resample. Raises DataError for fewer than two clips on a side.
    """
    if min(len(candidate), len(reference)) < 2:
        raise DataError(
            f"{len(candidate)} clips against {len(reference)}; a comparison needs 2 or more on each side; "
            "give more clips, several hundred for a figure worth quoting"
        )
    mine, real = _counts(len(candidate), count, (seed, 1 + stream)), _counts(len(reference), count, (seed, 0))
    return metric.function(candidate, reference, mine, real)


@lru_cache(maxsize=8)
def _counts(clips: int, resamples: int, seed: tuple[int, int]) -> Array:
    """Draws how often each clip counts: once in the first row, at random in the others.

    The result is cached: do not write into it.
    """
    drawn = np.random.default_rng(seed).multinomial(clips, np.full(clips, 1 / clips), size=resamples)
    return np.vstack([np.ones(clips), drawn]).view(Unchanging)


def interval(values: Array) -> tuple[float, float]:
    """Computes a 95 % interval from what `resamples` gave: (low, high).

    Resampling repeats clips, which by itself moves a distance, mostly up. So the resampled values are shifted
    until their median is the metric's value. The interval always holds that value, and may reach below zero.
    """
    low, middle, high = np.quantile(values[1:], [0.025, 0.5, 0.975])
    return float(values[0] - (middle - low)), float(values[0] + (high - middle))


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Computes the 95 % score interval of a probability (Wilson 1927, Brown et al. 2001); 0 to 1 without trials."""
    z_squared, share = 1.959963984540054**2, successes / max(trials, 1)
    centre = successes + z_squared / 2
    reach = math.sqrt(z_squared * (successes * (1 - share) + z_squared / 4))
    return max(0.0, (centre - reach) / (trials + z_squared)), min(1.0, (centre + reach) / (trials + z_squared))
