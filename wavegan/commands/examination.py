"""Listens to a source as it should be read: once what is wrong with its level and its channels is mended."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wavegan.audio.checks import Cutting, Finding, findings
from wavegan.audio.content import Probe, hear
from wavegan.audio.content_checks import Examined, content_findings
from wavegan.audio.corpus import Corpus, load_corpus
from wavegan.audio.duplicates import clusters
from wavegan.audio.splits import training_part
from wavegan.commands.data_format import (
    RECORDING_CLIP,
    DataFormat,
    cutting_of,
    levelled,
    of_its_kind,
    plain_cutting,
    steady_share,
    trimmed,
)

OF_READING = {"offset", "phase", "mono", "unusable"}  # kinds of faults that are gone when the sound is read otherwise


def loaded(source: Sequence[str], form: DataFormat) -> Corpus:
    """Loads a source in a form."""
    return load_corpus(source, form.sample_rate, form.channels, reading=form.reading)


def all_findings(examined: Examined) -> list[Finding]:
    """Returns what is wrong with a source as it is read and cut, in no particular order."""
    return [*findings(examined.learned, examined.cutting), *content_findings(examined)]


def examine(
    source: Sequence[str], corpus: Corpus, form: DataFormat, probes: list[Probe], is_split: bool
) -> tuple[Examined, DataFormat, list[Finding]]:
    """Listens to a source with its offset subtracted and its channels mended, where that is advised.

    An offset may be louder than the silence before a sound and its end, so these are looked for without it. corpus: the
    source as it is read in this form. Returns what is heard, the form with what was mended, and what is wrong with the
    source as it is.
    """
    as_it_is = replace(corpus, conversion=None)
    mended = levelled(form, findings(training_part(as_it_is), Cutting(RECORDING_CLIP, "first")), corpus)
    if mended != form:
        corpus = loaded(source, mended)
    hearing = hear(corpus)
    cutting = plain_cutting(training_part(corpus), hearing.ends)
    near = np.flatnonzero(clusters(corpus) != clusters(corpus, near=False))  # as the split takes them
    heard = Examined(corpus, cutting, form.file_rate, probes, hearing, near, steady_share(corpus), is_split)
    problems = all_findings(heard)
    kinds = OF_READING - {finding.kind for finding in problems}
    of_reading = all_findings(replace(heard, corpus=as_it_is, near=near[:0]))
    return heard, mended, [*problems, *(finding for finding in of_reading if finding.kind in kinds)]


def as_learned(
    heard: Examined, form: DataFormat, problems: Sequence[Finding], source: Sequence[str]
) -> tuple[Examined, DataFormat]:
    """Returns the source as the advised recipe reads and cuts it, and the form for that: trimmed, and of its kind.

    problems: of the source as it is.
    """
    corpus, hearing = heard.corpus, heard.hearing
    form = of_its_kind(trimmed(form, problems, corpus), heard.steady, hearing)
    if form.reading.trim_silence:
        corpus = loaded(source, form)
    ends = hearing.ends if form.reading.trim_silence else hearing.leads + hearing.ends
    cutting = cutting_of(training_part(corpus), ends, heard.is_split)
    return replace(heard, corpus=corpus, cutting=cutting, sample_rate=form.sample_rate), form
