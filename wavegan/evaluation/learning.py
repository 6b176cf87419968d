"""How several trainings went, side by side: their figures, losses, distances to real sound, and some of their clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from wavegan.evaluation.charts import Chart, curves_chart, history_chart
from wavegan.evaluation.embedding import write_page
from wavegan.evaluation.meanings import MEANINGS
from wavegan.evaluation.parts import cells, spectrogram_values

TEMPLATE = "learning.html.j2"
TABLE = ("kad_l", "fad_l", "recall", "coverage")
DISTANCE = "kad_l"
WIDEST = 96  # pixels of a spectrogram


@dataclass(frozen=True)
class Learned:
    """What came of one training.

    statistics: lines of its log, "phase/name" to value; history: its evaluations, metric to value; judged: an
    evaluation as plain values, with metrics, untrained and reference. clips: (N, C, T). note: what explains it.
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
        """Whether its distance to real clips is clearly below that of its untrained start: their intervals part."""
        return self.judged["metrics"][DISTANCE]["high"] < self.judged["untrained"][DISTANCE]["low"]


def write_learning(path: Path, rows: Sequence[Learned], *, facts: Mapping[str, str], title: str) -> None:
    """Writes one HTML file, without scripts: a table of all rows, then each with its curves and clips."""
    write_page(
        path,
        TEMPLATE,
        title=title,
        facts=facts,
        kinds=[(kind, list(of)) for kind, of in groupby(rows, lambda row: row.kind)],
        metrics=TABLE,
        meanings=MEANINGS,
        losses={row.name: _losses(row) for row in rows},
        distances={row.name: _distance(row) for row in rows},
        clips={row.name: cells([row.clips], [WIDEST], row.sample_rate)[0] for row in rows},
        **spectrogram_values(rows[0].clips.shape[-1], rows[0].sample_rate),
    )


def _losses(row: Learned) -> Chart:
    """The losses of its phases."""
    names = [name for name in row.statistics[0] if name.endswith(("/loss", "/loss_a", "/loss_b"))]
    steps = np.array([line["step"] for line in row.statistics], float)
    return curves_chart({name: np.array([line[name] for line in row.statistics]) for name in names}, steps)


def _distance(row: Learned) -> Chart:
    """Its distance to real clips, from its untrained start on."""
    start = {"step": 0} | {
        f"{DISTANCE}{end}": row.judged["untrained"][DISTANCE][part]
        for end, part in {"": "value", "_low": "low", "_high": "high"}.items()
    }
    return history_chart([start, *row.history], DISTANCE, row.judged["reference"][DISTANCE])
