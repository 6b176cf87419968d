"""Finds out what is wrong with a corpus: silence, offsets, clipping, copies, sound that clips never reach."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wavegan.audio.corpus import Corpus
from wavegan.audio.decoding import SILENCE_PEAK
from wavegan.audio.windows import clips_per_item
from wavegan.errors import some_of

LEAST_PER_LABEL = 5  # files, or clips where they come from anywhere in a file
LEARNED = 0.75  # at least this share of the files is learned from; the rest is held out
OFFSET = 0.05  # of the peak; less is neither heard nor learned
AGAINST = -0.3  # correlation of two channels whose mix loses much of them
CLIPPED = 1e-3  # share of the samples on a flat top
CUT_PEAK = 1.01  # what is cut off of a lower one, a tenth of a dB, is not heard
FEW_LOWER = 0.1  # share of the files of a lower rate, for which all others are not converted
REACHED = 0.5  # share of the sound; a finding if clips reach less
FILLED = 0.3  # share of the clips that is sound; a finding if less is
SHORTEST_CLIP = 4096  # samples; no shipped recipe makes shorter ones
QUIET_PEAK = 10 ** (-40 / 20)  # scaled to full level, the noise of 16-bit sound is heard


class Cutting(NamedTuple):
    """Says how clips are cut from a corpus: their length and which parts of an item they are, see `Windows`.

    knows_labels: the networks get each clip's label.
    """

    clip_samples: int
    windows: str
    knows_labels: bool = True

    def clips(self, corpus: Corpus) -> np.ndarray:
        """Returns how many different clips each item gives, side by side, (items,)."""
        return clips_per_item(corpus, self.clip_samples, self.windows)

    @property
    def clips_are(self) -> str:
        """Returns what counts for a label, in words: files where each gives one clip, else clips."""
        return "files" if self.windows == "first" else "clips"


@dataclass(frozen=True)
class Finding:
    """Describes one thing that is wrong with some items, and its remedy.

    weight: from 0, a mere note, to 1, which spoils the training. is_fatal: nothing can be learned from the source.
    """

    kind: str
    text: str
    remedy: str
    names: tuple[str, ...]
    weight: float
    is_fatal: bool = False

    def __str__(self) -> str:
        return "; ".join(filter(None, (self.text, self.remedy)))


def findings(corpus: Corpus, cutting: Cutting) -> list[Finding]:
    """Returns what is wrong with a corpus, the worst first."""
    if not len(corpus.measured):
        return []
    results = [finding for check in CHECKS for finding in check(corpus, cutting)]
    return sorted(results, key=lambda finding: (not finding.is_fatal, -finding.weight))


def reached_seconds(corpus: Corpus, cutting: Cutting) -> float:
    """Returns how many seconds of the corpus clips can hold."""
    if cutting.windows != "first":
        return corpus.seconds
    return float(np.minimum(corpus.lengths, cutting.clip_samples).sum() / corpus.sample_rate)


def duration(seconds: float) -> str:
    """Returns a length of time in words."""
    if seconds < 100:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def _silent(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    silent = _peaks(corpus) < SILENCE_PEAK
    if silent.any():
        is_fatal = bool(silent.all())
        remedy = "name another source" if is_fatal else "remove them if silence is not to be learned"
        yield _finding(corpus, "silent", silent, "hold nothing but silence (below -60 dBFS)", remedy, 0.8, is_fatal)


def _late(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    if cutting.windows != "first":
        return
    clip_seconds = cutting.clip_samples / corpus.sample_rate
    silent = _peaks(corpus) < SILENCE_PEAK
    late = (corpus.measured["lead"] >= clip_seconds) & ~silent
    delayed = (corpus.measured["lead"] >= min(0.1, clip_seconds / 4)) & ~late & ~silent
    remedy = "cut it with data.trim_silence=true, or take clips from anywhere with data.windows=random"
    if late.any():
        text = f"begin after the clip's {clip_seconds:.2f} s, so that their clips are silent"
        yield _finding(corpus, "late", late, text, remedy, 1.0, bool((late | silent).all()))
    if delayed.any():
        seconds = float(np.median(corpus.measured["lead"][delayed]))
        text = f"begin with silence, {seconds:.2f} s in the middle case"
        yield _finding(corpus, "delayed", delayed, text, "cut it with data.trim_silence=true", 0.4)


def _reach(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    reached = reached_seconds(corpus, cutting)
    if reached < REACHED * corpus.seconds:
        longer = corpus.lengths > cutting.clip_samples
        clip_seconds = cutting.clip_samples / corpus.sample_rate
        text = (
            f"clips are the first {clip_seconds:.2f} s of each file, so {duration(reached)} of "
            f"{duration(corpus.seconds)} are learned from"
        )
        remedy = "data.windows=random takes clips from anywhere, data.windows=all tiles each file"
        yield Finding("reach", text, remedy, _names(corpus, longer), 0.9 * (1 - reached / corpus.seconds))


def _padding(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    filled = np.minimum(corpus.lengths, cutting.clip_samples) / cutting.clip_samples
    if filled.mean() < FILLED:
        clip_seconds = cutting.clip_samples / corpus.sample_rate
        text = f"files fill {filled.mean():.0%} of their clips of {clip_seconds:.2f} s; the rest is silence"
        is_shortest = cutting.clip_samples <= SHORTEST_CLIP
        remedy = "join them to longer files" if is_shortest else "choose a smaller data.clip_samples"
        yield Finding("padding", text, remedy, _names(corpus, filled < FILLED), 0.4)


def _quiet(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    peaks = _peaks(corpus)
    quiet = (peaks >= SILENCE_PEAK) & (peaks < QUIET_PEAK)
    if quiet.any():
        text = "are very quiet (below -40 dBFS), so that scaling makes their noise loud"
        yield _finding(corpus, "quiet", quiet, text, "listen to them, and remove those that hold only noise", 0.5)


def _offset(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    if corpus.conversion and corpus.conversion.remove_dc:
        return
    peak = np.maximum(corpus.measured["peak"], 1e-9)
    moved = (corpus.measured["offset"] > OFFSET * peak) & (peak >= SILENCE_PEAK)
    if moved.any():
        largest = float(corpus.measured["offset"][moved].max())
        text = f"are shifted from zero (a DC offset of up to {largest:.2f})"
        yield _finding(corpus, "offset", moved, text, "subtract it with data.remove_dc=true", 0.9)


def _phase(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    correlation = np.nan_to_num(corpus.measured["correlation"], nan=0)
    against = correlation < AGAINST
    takes_one = corpus.conversion is not None and corpus.conversion.channel is not None
    if corpus.channels == 1 and not takes_one and against.any():
        text = "have channels that work against each other, so mixing them to mono loses part of the sound"
        yield _finding(corpus, "phase", against, text, "take one channel with data.channel=1", 0.9)
    same = (correlation > 0.9999) | (corpus.measured["file_channels"] == 1)
    if corpus.channels > 1 and same.mean() > 0.5:
        text = "are mono, or hold the same in both channels"
        yield _finding(corpus, "mono", same, text, "data.channels=1 trains faster and loses nothing", 0.5)


def _clipped(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    clipped = corpus.measured["clipped"] > CLIPPED
    if clipped.any():
        yield _finding(corpus, "clipped", clipped, "are clipped", "find cleaner copies or remove them", 0.6)


def _cut_off(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    beyond = corpus.measured["peak"] > CUT_PEAK
    if corpus.conversion and not corpus.conversion.normalize and beyond.any():
        text = f"reach beyond full scale, up to {float(corpus.measured['peak'].max()):.3g}, where they are cut off"
        yield _finding(corpus, "cut_off", beyond, text, "data.normalize=true keeps them whole", 0.6)


def _rate(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    lower = corpus.measured["file_rate"] < corpus.sample_rate
    if lower.any():
        lowest = int(corpus.measured["file_rate"][lower].min())
        text = f"have a lower sample rate than {corpus.sample_rate:,} Hz, so their highest frequencies are missing"
        remedy = "listen to them, and leave out those that are too dull"
        if lower.mean() > FEW_LOWER:
            remedy = f"leave these out, or ask wavegan doctor for a recipe with --sample-rate {lowest}"
        yield _finding(corpus, "rate", lower, text, remedy, 0.7)


def _copies(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    _, first = np.unique(corpus.hashes, return_index=True)
    copies = np.ones(len(corpus.names), bool)
    copies[first] = False
    if copies.any():
        text = "are copies of other files, sample by sample, so their sound is learned from more often"
        yield _finding(corpus, "copies", copies, text, "remove them if that is not meant", 0.5)


def clips_per_label(corpus: Corpus, cutting: Cutting) -> np.ndarray:
    """Returns how many different clips each label has, (labels,)."""
    labelled = corpus.labels >= 0
    weights = cutting.clips(corpus)[labelled]
    return np.bincount(corpus.labels[labelled], weights, len(corpus.label_names)).astype(np.int64)


def _labels(corpus: Corpus, cutting: Cutting) -> Iterator[Finding]:
    if not cutting.knows_labels:
        return
    counts = clips_per_label(corpus, cutting)
    few = [name for name, count in zip(corpus.label_names, counts, strict=True) if 0 < count < LEAST_PER_LABEL]
    if few and len(corpus.label_names) > 1:
        share = f"{len(few):,} of {len(corpus.label_names):,} labels"
        text = f"{share} have fewer than {LEAST_PER_LABEL} {cutting.clips_are}: {some_of(few)}"
        chosen = np.isin(corpus.labels, [corpus.label_names.index(name) for name in few])
        remedy = "add files, or choose other labels with data.label_level or data.label_column"
        yield Finding("labels", text, remedy, _names(corpus, chosen), 0.7 * len(few) / len(corpus.label_names))


CHECKS: tuple[Callable[[Corpus, Cutting], Iterator[Finding]], ...] = (
    _silent,
    _late,
    _reach,
    _padding,
    _quiet,
    _offset,
    _phase,
    _clipped,
    _cut_off,
    _rate,
    _copies,
    _labels,
)


def _peaks(corpus: Corpus) -> np.ndarray:
    """Returns how far each item reaches from its mean at least, (items,)."""
    is_moved = corpus.conversion is not None and corpus.conversion.remove_dc
    return corpus.measured["peak"] if is_moved else corpus.measured["peak"] - corpus.measured["offset"]


def _finding(
    corpus: Corpus, kind: str, chosen: np.ndarray, text: str, remedy: str, weight: float, is_fatal: bool = False
) -> Finding:
    names = _names(corpus, chosen)
    files = "all files" if chosen.all() else f"{len(names):,} of {len(corpus.names):,} files"
    shown = "" if chosen.all() else f" ({some_of(names)})"
    spread = 1.0 if is_fatal else 0.2 + 0.8 * float(chosen.mean())  # one bad file among many spoils little
    return Finding(kind, f"{files} {text}{shown}", remedy, names, weight * spread, is_fatal)


def _names(corpus: Corpus, chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(corpus.names[item] for item in np.flatnonzero(chosen))
