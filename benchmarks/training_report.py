"""Writes a page that compares several trainings: their metrics, losses, distances to real sound and some clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.pages.charts import Chart, Mark, clip_marks, curves_chart, frequency_marks, history_chart
from wavegan.evaluation.pages.html_page import write_page
from wavegan.evaluation.pages.page_components import Cell, cells, spectrogram_values

TEMPLATE = Path(__file__).with_name("training_report.html.j2")
TABLE = ("kad_l", "fad_l", "recall", "coverage")
DISTANCE = "kad_l"
LOSSES = ("/loss", "/loss_a", "/loss_b")  # the endings of the names of losses in the log
WIDEST = 96  # pixels of a spectrogram's width


@dataclass(frozen=True)
class Learned:
    """Holds the results of one training.

    statistics: lines of its log, "phase/name" to value. history: its evaluations, metric to value. judged: an
    evaluation as plain values, with metrics, untrained and reference. clips: (N, C, T). note: explains the results.
    """

    name: str
    kind: str
    steps: int
    statistics: Sequence[Mapping[str, float]]
    history: Sequence[Mapping[str, float]]
    judged: Mapping[str, Any]
    clips: Tensor
    sample_rate: int
    note: str = ""

    @property
    def has_learned(self) -> bool:
        """Says whether the distance to real clips has fallen: its interval lies below that of the untrained model."""
        return self.judged["metrics"][DISTANCE]["high"] < self.judged["untrained"][DISTANCE]["low"]


class Entry(NamedTuple):
    """Holds a row of the page: its number there, its charts, its clips, and the marks of their spectrograms."""

    number: int
    row: Learned
    losses: Chart
    distance: Chart
    clips: list[Cell]
    frequencies: list[Mark]
    seconds: list[Mark]


def write_learning(path: Path, rows: Sequence[Learned], *, facts: Mapping[str, str], title: str) -> None:
    """Writes an HTML file without scripts: a table of all rows, at least one, then the curves and clips of each."""
    entries = [_entry(number, row) for number, row in enumerate(rows, 1)]
    kinds = dict.fromkeys(row.kind for row in rows)
    write_page(
        path,
        TEMPLATE,
        title=title,
        facts=facts,
        kinds={kind: [entry for entry in entries if entry.row.kind == kind] for kind in kinds},
        metrics=TABLE,
        distance=DISTANCE,
        metric_rows=METRICS,
        **spectrogram_values(rows[0].clips.shape[-1], rows[0].sample_rate),
    )


def _entry(number: int, row: Learned) -> Entry:
    return Entry(
        number,
        row,
        _losses(row),
        _distance(row),
        cells([row.clips], [WIDEST], row.sample_rate)[0],
        frequency_marks(row.sample_rate),
        clip_marks(row.clips.shape[-1] / row.sample_rate),
    )


def _losses(row: Learned) -> Chart:
    """Draws the losses of the row's phases."""
    names = dict.fromkeys(name for line in row.statistics for name in line if name.endswith(LOSSES))
    steps = np.array([line["step"] for line in row.statistics], float)
    return curves_chart({name: np.array([line.get(name, np.nan) for line in row.statistics]) for name in names}, steps)


def _distance(row: Learned) -> Chart:
    """Draws the row's distance to real clips, from its untrained start on."""
    start = {"step": 0} | {
        f"{DISTANCE}{end}": row.judged["untrained"][DISTANCE][part]
        for end, part in {"": "value", "_low": "low", "_high": "high"}.items()
    }
    return history_chart([start, *row.history], DISTANCE, row.judged["reference"][DISTANCE])
