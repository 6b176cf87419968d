"""Writes the report of an evaluation: one HTML file that holds scores, pictures and sound and needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from wavegan.evaluation.evaluate import measured
from wavegan.evaluation.metrics import METRICS
from wavegan.evaluation.pages.charts import Chart, history_chart, is_finite_number, second_marks, spectra_chart
from wavegan.evaluation.pages.html_page import write_page
from wavegan.evaluation.pages.page_components import WIDEST, cells, score_values, spectrogram_values
from wavegan.evaluation.pages.spectrogram_images import SIDE

TEMPLATE = Path(__file__).with_name("report.html.j2")
SHOWN = SIDE**2  # clips of each grid
WIDEST_WALK = 1600
CHARTED = tuple(name for name, metric in METRICS.items() if metric.is_charted)


class Likeness(NamedTuple):
    """Holds a generated clip, its number, the nearest training and held-out clip (each (C, T)), and their distances."""

    number: int
    generated: Tensor
    training: Tensor
    held_out: Tensor
    to_training: float
    to_held_out: float


class FaultyClip(NamedTuple):
    """Holds a generated clip (C, T) with an event that real clips do not have, its number, and the event in words."""

    number: int
    clip: Tensor
    words: str


@dataclass(frozen=True, eq=False)
class Report:
    """Holds the contents of a report; clips are (N, C, T) in [-1, 1], and the page leaves out what is empty or None.

    facts: what was evaluated, by name. scores: candidate → metric → value, low, high, n (and parts for a metric that
    has them); a metric may be missing. curve: candidate → number of clips → metric → score. generated, real: the
    first 64 are shown, generated clip i being the i-th that the seed makes or draws. artefacts: the worst first.
    likeness: highest risk first. spectra: candidate → mean power in dB at each of `frequencies` in Hz. history: maps
    with step, metric, metric_low, metric_high. walk: one sound (C, T). labels: candidate → label → share, of which
    generated and real are drawn.
    """

    title: str
    facts: Mapping[str, str]
    sample_rate: int
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]
    generated: Tensor
    real: Tensor
    curve: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]] = field(default_factory=dict)
    artefacts: Sequence[FaultyClip] = ()
    likeness: Sequence[Likeness] = ()
    spectra: Mapping[str, np.ndarray] = field(default_factory=dict)
    frequencies: np.ndarray = field(default_factory=lambda: np.empty(0))
    history: Sequence[Mapping[str, Any]] = ()
    walk: Tensor | None = None
    labels: Mapping[str, Mapping[str, float]] | None = None


def write_report(path: Path, report: Report) -> None:
    """Writes one HTML file, without scripts or links, that shows an evaluation and plays its clips.

    All spectrograms of the page share one dB scale; sounds are MP3, or WAV where MP3 cannot hold their rate or
    channels. Equal reports give equal files.
    """
    report = replace(report, scores={name: measured(of) for name, of in report.scores.items()})
    rate = report.sample_rate
    clips = [report.generated[:SHOWN], report.real[:SHOWN]]
    clips += [torch.stack([likeness.generated, likeness.training, likeness.held_out]) for likeness in report.likeness]
    faulty = [torch.stack([artefact.clip for artefact in report.artefacts])] if report.artefacts else []
    walks = [] if report.walk is None else [report.walk[None]]
    labels = {name: shares for name, shares in (report.labels or {}).items() if name in ("generated", "real")}
    shares = [pair for of in labels.values() for pair in of.items()]
    widest = [WIDEST] * len(clips + faulty) + [WIDEST_WALK] * len(walks)
    generated, real, *later_rows = cells(clips + faulty + walks, widest, rate)
    write_page(
        path,
        TEMPLATE,
        title=report.title,
        facts=report.facts,
        report=report,
        grids={"generated": generated, "real": real},
        curve=_curve(report.curve),
        artefacts=list(zip(report.artefacts, later_rows[len(report.likeness)], strict=True)) if faulty else [],
        likeness=list(zip(report.likeness, later_rows, strict=False)),
        spectra=spectra_chart(report.spectra, report.frequencies, rate) if report.spectra else None,
        history=_histories(report),
        walk=later_rows[-1][0] if walks else None,
        walk_seconds=second_marks(walks[0].shape[-1] / rate) if walks else [],
        labels=labels,
        every_label=list(dict.fromkeys(label for label, _ in shares)),
        longest_share=max((share for _, share in shares), default=0) or 1,
        **score_values(report.scores),
        **spectrogram_values(clips[0].shape[-1], rate),
    )


def _curve(curve: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Returns the columns, a candidate and a number of clips each, and by metric a row of scores; or an empty dict."""
    heads = [(name, n) for name, of in curve.items() for n in of]
    columns = [curve[name][n] for name, n in heads]
    metrics = [metric for metric in METRICS if any(metric in column for column in columns)]
    return (
        {"heads": heads, "rows": {metric: [column.get(metric) for column in columns] for metric in metrics}}
        if heads
        else {}
    )


def _histories(report: Report) -> dict[str, Chart]:
    """Draws the charted metrics that the history holds, each with the band of real clips."""
    real = report.scores.get("real", {})
    held = [metric for metric in CHARTED if any(is_finite_number(line.get(metric)) for line in report.history)]
    return {metric: history_chart(report.history, metric, real.get(metric)) for metric in held}
