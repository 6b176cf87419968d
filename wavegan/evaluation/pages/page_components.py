"""Prepares the parts that pages share, for `page_components.html.j2`: tables of scores, and clips to see and hear."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from wavegan.dsp.mel import RANGE_DECIBELS
from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.pages.charts import clip_marks, frequency_marks
from wavegan.evaluation.pages.html_page import audio_uri, data_uri
from wavegan.evaluation.pages.spectrogram_images import levels, picture

WIDEST = 128  # pixels of a spectrogram; finer than it is seen

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]  # by candidate and metric: value, low, high, n


class Cell(NamedTuple):
    """Holds a clip of the page: data URIs of its spectrogram and of its sound."""

    picture: str
    sound: str


def score_values(scores: Scores) -> dict[str, Any]:
    """Returns the template values that the table of scores needs, for any candidates."""
    return {
        "groups": grouped(
            name for name in METRICS if not METRICS[name].is_optional or any(name in of for of in scores.values())
        ),
        "metric_rows": METRICS,
        "parts": {metric: _parts(scores, metric) for metric in METRICS},
        "counts": {name: _usual_count(of) for name, of in scores.items()},
    }


def grouped(metrics: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Groups metrics: names of groups with their metrics, in the given order."""
    return [(group, list(of)) for group, of in groupby(metrics, lambda metric: METRICS[metric].group)]


def spectrogram_values(clip_samples: int, sample_rate: int) -> dict[str, Any]:
    """Returns the template values that spectrograms of clips need: their colour scale and the marks of their axes."""
    return {
        "range_decibels": RANGE_DECIBELS,
        "shades": data_uri(picture(np.linspace(-RANGE_DECIBELS, 0, 256)[None], widest=256), "png"),
        "frequencies": frequency_marks(sample_rate),
        "seconds": clip_marks(clip_samples / sample_rate),
    }


def cells(batches: Sequence[Tensor], widest: Sequence[int], sample_rate: int) -> list[list[Cell]]:
    """Draws each clip's spectrogram, on one dB scale for all, and encodes its sound.

    widest: the most pixels across a spectrogram, for each batch.
    """
    return [
        [
            Cell(data_uri(picture(spectrogram, widest=pixels), "png"), audio_uri(clip, sample_rate))
            for spectrogram, clip in zip(spectrograms, clips.cpu().numpy(), strict=True)
        ]
        for clips, spectrograms, pixels in zip(batches, levels(batches, sample_rate), widest, strict=True)
    ]


def _usual_count(scores: Mapping[str, Mapping[str, Any]]) -> int | None:
    """Returns the number of clips of most of a candidate's scores; the page repeats only a number that differs."""
    counts = Counter(score["n"] for score in scores.values())
    return max(counts, key=lambda count: counts[count], default=None)


def _parts(scores: Scores, metric: str) -> list[str]:
    """Returns the parts that any candidate's score of a metric is made of, in order."""
    parts = METRICS[metric].parts
    if parts is None:
        return []
    return list(dict.fromkeys(part for of in scores.values() for part in of.get(metric, {}).get(parts.key, {})))
