"""Describes what a source holds, in words for people and as figures for programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from wavegan.audio.checks import CLIPPED, OFFSET, duration
from wavegan.audio.content import SECONDS, Hearing, Probe
from wavegan.audio.content_checks import Examined
from wavegan.audio.corpus import Corpus
from wavegan.audio.decoding import SILENCE_PEAK

NO_EXTENSION = "no extension"
MOST_LABELS = 12  # are shown with their counts


def facts(examined: Examined) -> dict[str, str]:
    """Returns what a source holds, in words, by topic."""
    corpus, probes, hearing, near = examined.corpus, examined.probes, examined.hearing, examined.near
    measured = corpus.measured
    audible = measured["peak"] >= SILENCE_PEAK
    lines = {
        "sound": f"{len(corpus.names):,} files, {duration(corpus.seconds)}",
        "formats": _formats(corpus.names),
        "sample rates": _counted(Counter(f"{rate:,} Hz" for rate in measured["file_rate"].tolist())),
        "channels": _channels(measured),
        "lengths": _lengths(corpus),
        "levels": _levels(measured["peak"][audible]),
        "bandwidth": _bandwidth(probes),
        "labels": _labels(corpus),
        "groups": _groups(corpus),
        "parts": _counted(Counter(split for split in corpus.splits if split)),
        "copies": _copies(corpus, near),
        "faults": _faults(measured, audible),
        "lead": _lead(measured["lead"][audible]),
        "onsets": _onsets(hearing),
        "pitch": _pitch(hearing),
        "partials": "" if examined.steady is None else f"{examined.steady:.0%} of the strongest ones are steady",
        "not used": _not_used(corpus),
    }
    return {name: text for name, text in lines.items() if text} | _notes(corpus)


def figures(examined: Examined) -> dict[str, Any]:
    """Returns what a source holds, as plain values."""
    corpus, probes, hearing, near = examined.corpus, examined.probes, examined.hearing, examined.near
    seconds = corpus.lengths / corpus.sample_rate
    measured = corpus.measured
    labels = Counter(corpus.labels.tolist())
    heard = [probe.bandwidth for probe in probes if probe.bandwidth > 0]
    return {
        "files": len(corpus.names),
        "seconds": round(corpus.seconds, 3),
        "formats": dict(Counter(_format(name) for name in corpus.names)),
        "sample_rates": {str(rate): count for rate, count in Counter(measured["file_rate"].tolist()).items()},
        "channels": {str(count): files for count, files in Counter(measured["file_channels"].tolist()).items()},
        "lengths": _quantiles(seconds),
        "peaks": _quantiles(measured["peak"]),
        "silent": int((measured["peak"] < SILENCE_PEAK).sum()),
        "clipped": int((measured["clipped"] > CLIPPED).sum()),
        "labels": {name: labels[index] for index, name in enumerate(corpus.label_names)},
        "groups": len({group for group in corpus.groups if group is not None}),
        "splits": dict(Counter(split for split in corpus.splits if split)),
        "copies": len(corpus.names) - len(set(corpus.hashes.tolist())),
        "near_copies": len(near),
        "bandwidth": _quantiles(heard),
        "listened_to": len(hearing.names),
        "onsets": _quantiles(hearing.onsets),
        "tonal": round(float(hearing.tonal.mean()), 3) if len(hearing.tonal) else None,
        "pitch": _quantiles(hearing.pitches),
        "single_notes": round(float(hearing.notes.mean()), 3) if len(hearing.notes) else None,
        "steady_partials": None if examined.steady is None else round(examined.steady, 3),
        "skipped": corpus.skipped,
        "passed_over": {reason: list(names) for reason, names in corpus.passed_over.items()},
        "repaired": {name: list(remarks) for name, remarks in corpus.remarks.items()},
        "notes": list(corpus.notes),
    }


def _quantiles(values: Sequence[float] | np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    names = ("least", "tenth", "middle", "ninetieth", "most")
    numbers = np.percentile(values, (0, 10, 50, 90, 100))
    return {name: float(f"{number:.6g}") for name, number in zip(names, numbers, strict=True)}


def _format(name: str) -> str:
    return PurePosixPath(name).suffix[1:].upper() or NO_EXTENSION


def _formats(names: Sequence[str]) -> str:
    counts = Counter(map(_format, names))
    return "" if set(counts) == {NO_EXTENSION} else _counted(counts)  # built-in sounds have no extension


def _counted(counts: Mapping[str, int]) -> str:
    """Returns counts as words; a single kind without its number."""
    ordered = sorted(counts.items(), key=lambda entry: -entry[1])
    return ", ".join(name if len(ordered) == 1 else f"{name} {count:,}" for name, count in ordered)


def _channels(measured: np.ndarray) -> str:
    kinds = Counter({1: "mono", 2: "stereo"}.get(count, f"{count} channels") for count in measured["file_channels"])
    text = _counted(kinds)
    correlation = measured["correlation"][~np.isnan(measured["correlation"])]
    if len(correlation):
        text += f"; their channels correlate by {np.median(correlation):.2f} in the middle case"
    return text


def _lengths(corpus: Corpus) -> str:
    least, tenth, middle, ninetieth, most = (
        _seconds(value) for value in np.percentile(corpus.lengths / corpus.sample_rate, (0, 10, 50, 90, 100))
    )
    if least == most:
        return f"{least} each"
    return f"{least} to {most}; half are shorter than {middle}, eight of ten last {tenth} to {ninetieth}"


def _seconds(value: float) -> str:
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s" if value < 100 else duration(value)


def _levels(peaks: np.ndarray) -> str:
    if not len(peaks):
        return "silence"
    low, middle, high = 20 * np.log10(np.percentile(peaks, (10, 50, 90)))
    return f"peaks at {middle:z.0f} dBFS in the middle case, {low:z.0f} to {high:z.0f} in eight of ten files"


def _bandwidth(probes: Sequence[Probe]) -> str:
    heard = [probe.bandwidth / 1000 for probe in probes if probe.bandwidth > 0]
    if not heard:
        return ""
    low, middle, high = np.percentile(heard, (10, 50, 90))
    spread = f" ({low:.1f} to {high:.1f} in eight of ten)" if high - low > 0.1 * high else ""
    return f"up to {middle:.1f} kHz{spread}, by {_sampled(len(heard))}"


def _labels(corpus: Corpus) -> str:
    names = corpus.label_names
    if not names:
        return "none"
    counts = Counter(corpus.labels[corpus.labels >= 0].tolist())
    ordered = [f"{names[label]} {count:,}" for label, count in counts.most_common()]
    more = f", … {ordered[-1]}" if len(ordered) > MOST_LABELS else ""
    return f"{len(names):,}: {', '.join(ordered[: MOST_LABELS - bool(more)])}{more}"


def _groups(corpus: Corpus) -> str:
    counts = Counter(group for group in corpus.groups if group is not None)
    if not counts:
        return ""
    return f"{len(counts):,}, of {min(counts.values()):,} to {max(counts.values()):,} files"


def _copies(corpus: Corpus, near: np.ndarray) -> str:
    exact, alike = len(corpus.names) - len(set(corpus.hashes.tolist())), len(near)
    return f"{exact:,} sample by sample, {alike:,} more nearly" if exact or alike else ""


def _faults(measured: np.ndarray, audible: np.ndarray) -> str:
    offset = measured["offset"] > OFFSET * measured["peak"]
    kinds = {"silent": ~audible, "clipped": measured["clipped"] > CLIPPED, "with a DC offset": offset & audible}
    return (
        ", ".join(f"{name} {of.sum():,}" for name, of in kinds.items() if of.any()) or "none silent, clipped or shifted"
    )


def _lead(lead: np.ndarray) -> str:
    late = lead[lead >= 0.05]
    if not len(late):
        return ""
    files = "1 file begins" if len(late) == 1 else f"{len(late):,} files begin"
    return f"{files} with silence, {_seconds(float(np.median(late)))} in the middle case"


def _onsets(hearing: Hearing) -> str:
    if not len(hearing.onsets):
        return ""
    several = float((hearing.sounds > 1).mean())
    apart = f"; {several:.0%} of the files hold several sounds apart by silence" if several else ""
    middle = f"half of the files have {np.median(hearing.onsets):.0f} or fewer in their first {SECONDS:.0f} s"
    return f"{middle}, by {_sampled(len(hearing.onsets))}{apart}"


def _pitch(hearing: Hearing) -> str:
    if not len(hearing.tonal) or not len(hearing.pitches):
        return ""
    low, high = np.percentile(hearing.pitches, (10, 90))
    return (
        f"{hearing.tonal.mean():.0%} of the loud frames have one, mostly {low:.0f} to {high:.0f} Hz; "
        f"{hearing.notes.mean():.0%} of the files are single notes, by {_sampled(len(hearing.tonal))}"
    )


def _not_used(corpus: Corpus) -> str:
    counts = {"cannot be read": len(corpus.skipped)} if corpus.skipped else {}
    for reason, names in corpus.passed_over.items():
        counts[reason.partition("; ")[0].removeprefix("are ")] = len(names)
    return "; ".join(f"{reason}: {count:,}" for reason, count in counts.items())


def _notes(corpus: Corpus) -> dict[str, str]:
    return {"note": " ".join(note.rstrip(".") + "." for note in corpus.notes)} if corpus.notes else {}


def _sampled(count: int) -> str:
    return f"a sample of {count:,}"
