"""Finds out what is wrong with a source beyond its levels: lost files, bandwidth, several sounds in one, labels."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from wavegan.audio import listing
from wavegan.audio.checks import LEARNED, LEAST_PER_LABEL, Cutting, Finding, clips_per_label
from wavegan.audio.content import Hearing, Probe
from wavegan.audio.corpus import Corpus
from wavegan.audio.splits import LEAST_GROUPS, training_part
from wavegan.errors import some_of

EMPTY_BAND = 0.55  # of half the sample rate; sound that ends below leaves much of the spectrum empty
LOWEST_RATE = 8000  # Hz; a lower one is never advised
MOST_REASONS = 3  # reported one by one; if there are more, a total follows
MANY = 0.1  # of a sample; fewer items are an exception
UNEVEN = 10  # times as many files of one label as of another
FEW_CLIPS = 300  # fewer are soon known by heart
NOT_MEANT = (  # reasons for passing over files that nobody takes for sound
    listing.HIDDEN, listing.NO_SOUND, listing.UNFINISHED, listing.PART_OF_THIS_RUN, *listing.MADE_HERE
)  # fmt: skip


@dataclass(frozen=True)
class Examined:
    """Holds what is known of a source, and how it would be learned from.

    corpus: all items. sample_rate: at which a model would learn, in Hz. probes, hearing: of samples. near: items, by
    index, that sound nearly like earlier ones. steady: the share of partials that are steady, None in silence.
    is_split: nothing is held out of what is learned from, as other sound is there to judge by.
    """

    corpus: Corpus
    cutting: Cutting
    sample_rate: int
    probes: list[Probe]
    hearing: Hearing
    near: np.ndarray
    steady: float | None
    is_split: bool = False

    @property
    def learned(self) -> Corpus:
        """Returns the items that are not kept to judge by; a part of them may be held out later."""
        return training_part(self.corpus)

    @property
    def clips(self) -> int:
        """Returns the number of different clips to learn from, side by side; copies of a sound count once."""
        corpus = self.learned
        _, items = np.unique(corpus.hashes, return_index=True)
        return int(self.cutting.clips(corpus.select(items)).sum())


def content_findings(examined: Examined) -> list[Finding]:
    """Returns the problems that `checks.findings` does not look for, in no particular order."""
    return [finding for check in CONTENT_CHECKS for finding in check(examined)]


def too_few_for_labels(corpus: Corpus, cutting: Cutting, is_split: bool) -> str:
    """Says why the items to learn from are too few to learn their labels; "" if they are enough. Each has a label.

    is_split: as `Examined` has it.
    """
    counts, labels, what = clips_per_label(corpus, cutting), len(corpus.label_names), cutting.clips_are
    needed = math.ceil(labels * LEAST_PER_LABEL / (1 if is_split else LEARNED))
    if counts.sum() < needed:
        whole = "to learn from" if is_split else "in all"
        reason = f"{LEAST_PER_LABEL} each" + ("" if is_split else " to learn from, as a quarter may be held out")
        return f"{labels:,} labels have {counts.sum():,} {what} {whole}, and {needed:,} are needed ({reason})"
    few = int((counts < LEAST_PER_LABEL).sum())
    return f"{few:,} of {labels:,} labels have fewer than {LEAST_PER_LABEL} {what}" if 2 * few >= labels else ""


def _passed_over(examined: Examined) -> Iterator[Finding]:
    for reason, names in examined.corpus.passed_over.items():
        if reason not in NOT_MEANT:
            text, _, remedy = reason.partition("; ")
            share = len(names) / (len(names) + len(examined.corpus.names))
            whole = f"files that {text} are not used: {len(names):,} ({some_of(names)})"
            yield Finding("passed over", whole, remedy, tuple(names), 0.3 + 0.6 * share)


def _skipped(examined: Examined) -> Iterator[Finding]:
    skipped = examined.corpus.skipped
    weight = 0.2 + 0.6 * len(skipped) / max(len(skipped) + len(examined.corpus.names), 1)
    alike = _alike(skipped)
    for reason, names in alike[:MOST_REASONS]:
        why, _, remedy = reason.partition("; ")
        more = f"; {len(names) - 1:,} more like it" if len(names) > 1 else ""
        text = f"{_files(len(names))} not used: {names[0]} {why}{more}"
        yield Finding("unusable", text, remedy or "repair or remove them", tuple(names), weight)
    if len(alike) > MOST_REASONS:
        text = f"{_files(len(skipped))} not used in all, for {len(alike)} reasons"
        yield Finding("unusable", text, "see them all with --json", tuple(skipped), weight)


def _repaired(examined: Examined) -> Iterator[Finding]:
    remarks = {name: "; ".join(dict.fromkeys(of_file)) for name, of_file in examined.corpus.remarks.items()}
    for remark, names in _alike(remarks)[:MOST_REASONS]:
        first = f"; the first: {remark}" if len(names) > 1 else f": {remark}"
        text = f"{_files(len(names))} read with care ({some_of(names)}){first}"
        yield Finding("repaired", text, "listen to them; data.strict=true refuses such files", tuple(names), 0.2)


def _alike(reasons: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Groups names by their reason, whatever the numbers in it; with each group's first reason, the largest first."""
    groups: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        groups.setdefault(re.sub(r"[\d.,]+", "0", reason), []).append(name)
    ordered = sorted(groups.values(), key=lambda names: -len(names))
    return [(reasons[names[0]], names) for names in ordered]


def _bandwidth(examined: Examined) -> Iterator[Finding]:
    if examined.sample_rate <= LOWEST_RATE:
        return
    audible = [probe for probe in examined.probes if probe.bandwidth > 0]
    dull = [probe for probe in audible if probe.bandwidth < EMPTY_BAND * examined.sample_rate / 2]
    if audible and len(dull) > MANY * len(audible):
        edge = float(np.percentile([probe.bandwidth for probe in dull], 90))
        share = len(dull) / len(audible)
        text = (
            f"{_of_sample(len(dull), len(audible))} hold nothing above {edge / 1000:.1f} kHz; at a sample rate of "
            f"{examined.sample_rate:,} Hz a model spends much of its work on an empty band"
        )
        lower = "ask wavegan doctor for a recipe with a lower --sample-rate"
        remedy = lower if share > 0.9 else f"leave these out, or {lower}"
        yield Finding("bandwidth", text, remedy, tuple(probe.name for probe in dull), 0.6 * share)


def _several_sounds(examined: Examined) -> Iterator[Finding]:
    several = examined.hearing.sounds > 1
    if examined.cutting.windows == "first" and len(several) and several.mean() > MANY:
        names = tuple(np.array(examined.hearing.names, object)[several])
        text = (
            f"{_of_sample(len(names), len(several))} hold several sounds with silence between, "
            f"{np.median(examined.hearing.sounds[several]):.0f} in the middle case ({some_of(names)})"
        )
        remedy = "cut them into files of their own, or take clips from anywhere with data.windows=random"
        yield Finding("several", text, remedy, names, 0.5 * float(several.mean()))


def _repeats(examined: Examined) -> Iterator[Finding]:
    heard = np.isfinite(examined.hearing.repeats)
    repeats, names = examined.hearing.repeats[heard], np.array(examined.hearing.names, object)[heard]
    if examined.cutting.windows != "first" and repeats.any():
        names = tuple(names[repeats > 0])
        after = f"{'the first ' if len(names) > 1 else ''}after {repeats[repeats > 0][0]:.1f} s"
        text = f"{_of_sample(len(names), len(repeats))} repeat themselves, {after} ({some_of(names)})"
        remedy = "cut each to one round: repeats add no sound, and a held-out end has been learned already"
        yield Finding("repeats", text, remedy, names, 0.3 + 0.4 * len(names) / len(repeats))


def _near(examined: Examined) -> Iterator[Finding]:
    if len(examined.near):
        names, count = tuple(examined.corpus.names[item] for item in examined.near), len(examined.corpus.names)
        text = f"{len(names):,} of {count:,} files sound nearly like another one ({some_of(names)})"
        remedy = "they stay on one side of the split; remove them if they are copies"
        yield Finding("near copies", text, remedy, names, 0.3 * (0.2 + 0.8 * len(names) / count))


def _few(examined: Examined) -> Iterator[Finding]:
    clips = examined.clips
    if clips < FEW_CLIPS:
        text = f"there are few different clips, {clips:,}, which a model soon knows by heart"
        remedy = "add sound; several hundred clips are a good start"
        yield Finding("few", text, remedy, (), 0.9 - 0.6 * clips / FEW_CLIPS)


def _labels(examined: Examined) -> Iterator[Finding]:
    corpus, names = examined.learned, examined.corpus.label_names
    if len(names) < 2:
        return
    counts, what = clips_per_label(corpus, examined.cutting), examined.cutting.clips_are
    missing = tuple(name for name, label in zip(corpus.names, corpus.labels, strict=True) if label < 0)
    if missing:
        text = f"{len(missing):,} of {len(corpus.names):,} files have no label ({some_of(missing)})"
        yield Finding("unlabelled", f"{text}, so no label is learned", "give them one, or remove them", missing, 0.5)
    elif not examined.cutting.knows_labels:
        text = f"{too_few_for_labels(corpus, examined.cutting, examined.is_split)}, so no label is learned"
        yield Finding("labels", text, "add files, or choose other labels with data.label_level", (), 0.5)
    most, least = (choose(range(len(names)), key=lambda label: counts[label]) for choose in (max, min))
    if counts[least] >= LEAST_PER_LABEL and counts[most] > UNEVEN * counts[least]:
        text = f"labels are uneven: {names[most]} has {counts[most]:,} {what} and {names[least]} {counts[least]:,}"
        remedy = "add sound to the rare ones, which are learned last; clips have the same shares if no label is named"
        yield Finding("uneven", text, remedy, (), 0.25)


def _groups(examined: Examined) -> Iterator[Finding]:
    groups = [group for group in examined.corpus.groups if group is not None]
    is_split = any(examined.corpus.splits)
    if not groups or is_split:
        return
    if len(groups) < len(examined.corpus.names):
        text = f"{_files(len(examined.corpus.names) - len(groups))} in no group, so files are held out one by one"
        yield Finding("groups", text, "give every file a group in the list", (), 0.25)
    elif len(set(groups)) < LEAST_GROUPS:
        text = (
            f"there are {len(set(groups))} groups, and {LEAST_GROUPS} are needed to hold out whole ones, so figures "
            "are taken on groups that are learned from"
        )
        yield Finding("groups", text, "name sound of other groups as data.test", (), 0.25)


def _splits(examined: Examined) -> Iterator[Finding]:
    splits = np.array([split or "train" for split in examined.corpus.splits])
    if not len(splits) or (splits == "train").all():
        return
    if not (splits == "train").any():
        text = "the source holds nothing but a test or validation part"
        yield Finding("split", text, "name its folder itself as data.source", (), 1.0, is_fatal=True)
        return
    held = splits == ("test" if "test" in splits else "validation")
    copies = held & np.isin(examined.corpus.hashes, examined.corpus.hashes[splits == "train"])
    if copies.any():
        names = tuple(np.array(examined.corpus.names, object)[copies])
        text = f"{len(names):,} of {held.sum():,} sounds to judge by are also learned from ({some_of(names)})"
        remedy = "remove them from one part; they are not used to judge"
        yield Finding("leak", text, remedy, names, 0.6, is_fatal=bool(copies.sum() == held.sum()))


CONTENT_CHECKS: tuple[Callable[[Examined], Iterator[Finding]], ...] = (
    _passed_over,
    _skipped,
    _repaired,
    _bandwidth,
    _several_sounds,
    _repeats,
    _near,
    _few,
    _labels,
    _groups,
    _splits,
)


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count:,} files are"


def _of_sample(count: int, size: int) -> str:
    share = "all files" if count == size else f"{count:,} of {size:,} files"
    return f"{share} of a sample"
