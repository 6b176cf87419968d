"""Reports the sound that a run learns from: in log lines, and in corpus.json in the run folder."""

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wavegan import assemble
from wavegan.atomic_write import write_text
from wavegan.audio.checks import Cutting, duration, findings, reached_seconds
from wavegan.audio.corpus import Corpus
from wavegan.audio.sources import is_named
from wavegan.audio.windows import Windows
from wavegan.commands.run_sound import STARTED_IN
from wavegan.errors import DataError, some_of
from wavegan.evaluation.reference_sets import FEWEST_JUDGED
from wavegan.recipe import Recipe

logger = logging.getLogger(__name__)

SHOWN_SKIPS = 20
WARNED_WEIGHT = 0.3  # a finding of more weight is a warning


def write_report(path: Path, parts: assemble.Corpora, target: assemble.Corpora) -> None:
    """Writes as JSON which sound a run learns from, which it translates to, and which files were left out."""
    report = _report(parts) | {STARTED_IN: str(Path.cwd())}
    if target is not parts:
        report["source_b"] = _report(target)
    write_text(path, json.dumps(report, indent=1) + "\n")  # escaped, as file names need not be valid text


def _report(parts: assemble.Corpora) -> dict[str, Any]:
    training, held_out = parts.training, parts.held_out
    return {
        "files": len(training.names),
        "seconds": round(training.seconds, 3),
        "label_names": training.label_names,
        "split": parts.split,
        "held_out_files": held_out.names if held_out else [],
        "held_out_seconds": round(held_out.seconds, 3) if held_out else 0,
        "skipped": parts.skipped,
        "passed_over": parts.passed_over,
        "repaired": parts.remarks,
        "notes": parts.all_notes,
        "items": {"training": _hashes(training), "held_out": _hashes(held_out) if held_out else {}},
        "labels": _labels(training),
    }


def _hashes(corpus: Corpus) -> dict[str, str]:
    return {name: f"{value:016x}" for name, value in zip(corpus.names, corpus.hashes, strict=True)}


def _labels(corpus: Corpus) -> dict[str, str]:
    """Returns the label of each labelled item by its name."""
    return {
        name: corpus.label_names[label] for name, label in zip(corpus.names, corpus.labels, strict=True) if label >= 0
    }


def log_corpora(recipe: Recipe, parts: assemble.Corpora, suffix: str = "", *, goes_on: bool = False) -> None:
    """Logs what is learned from, what is held out, what cannot be used and what is wrong with the sound.

    suffix: _b for the sound of data.source_b. goes_on: whether a run goes on, which was told of too little to judge by
    when it began. Raises DataError if nothing can be learned from it.
    """
    cutting = Cutting(recipe.data.clip_samples, recipe.data.windows, assemble.label_count(recipe) > 0)
    logger.info(f"learning from {_summary(parts.training, cutting)}")
    if parts.held_out:
        logger.info(f"held out: {_summary(parts.held_out)} ({parts.split})")
        _warn_of_other_sound(recipe, parts.training, parts.held_out, suffix)
        if not goes_on and (suffix or recipe.data.source_b is None):
            _warn_of_few_to_judge(recipe, parts.training, parts.held_out, suffix)
    for note in parts.all_notes:
        logger.info(note)
    for reason, names in parts.passed_over.items():
        logger.info(f"passed over: {len(names):,} that {reason} ({some_of(names)})")
    _log_reasons("skipped, since it cannot be used", parts.skipped)
    remarks = {name: "; ".join(dict.fromkeys(of_file)) for name, of_file in parts.remarks.items()}
    _log_reasons("read with care", remarks, 3)
    for finding in findings(parts.training, cutting):
        if finding.is_fatal:
            raise DataError(finding.text, "nothing can be learned from it", finding.remedy)
        logger.log(logging.WARNING if finding.weight >= WARNED_WEIGHT else logging.INFO, finding)


def _warn_of_few_to_judge(recipe: Recipe, training: Corpus, held_out: Corpus, suffix: str) -> None:
    """Warns if too little is held out for an evaluation; one while the model trains tells it itself."""
    learned, judged = (
        Windows(corpus, recipe.data.clip_samples, recipe.data.windows) for corpus in (training, held_out)
    )
    count = min(map(len, judged.halves()))
    if count < FEWEST_JUDGED and not recipe.evaluation.every:
        share = math.ceil(200 * FEWEST_JUDGED / (len(learned) + len(judged))) / 100
        is_share = getattr(recipe.data, f"test{suffix}") is None and not any(training.splits)
        raising = f"raise data.holdout, to {share:g} say, or " if is_share and recipe.data.holdout < share < 0.5 else ""
        logger.warning(
            f"clips in a half of what is held out: {count}, and wavegan evaluate needs {FEWEST_JUDGED} in each; "
            f"{raising}name a folder of more real audio as data.test{suffix}"
        )


def _warn_of_other_sound(recipe: Recipe, training: Corpus, held_out: Corpus, suffix: str) -> None:
    """Warns if the sound to judge by is of another kind, as where an included recipe says data.test."""
    sources, tests = (getattr(recipe.data, key + suffix) or () for key in ("source", "test"))
    named = {source.partition("/")[0] for source in sources if is_named(source)}
    others = [test for test in tests if is_named(test) and test.partition("/")[0] not in named]
    if others:
        fault = f"data.test{suffix} is {', '.join(others)}, and data.source{suffix} other sound"
    elif held_out.label_names and not set(held_out.label_names) & set(training.label_names):
        fault = f"the held-out sound and data.source{suffix} share no label, {held_out.label_names[0]} for example"
    else:
        return
    settings = "data.test=null data.test_b=null" if recipe.data.source_b else "data.test=null"
    remedy = f"set {settings}, so that a share of the source is held out"
    logger.warning(f"{fault}, so figures would not say how good the clips are; if that is not meant, {remedy}")


def _log_reasons(title: str, reasons: Mapping[str, str], shown: int = SHOWN_SKIPS) -> None:
    if not reasons:
        return
    logger.info(f"{title}: {len(reasons):,} of the files")
    for name, reason in list(reasons.items())[:shown]:
        logger.info(f"  {name}: {reason}")
    if len(reasons) > shown:
        logger.info(f"  … and {len(reasons) - shown} more, all named in the run's corpus.json")


def warn_of_changed_sound(state: Mapping[str, Any], path: Path, parts: assemble.Corpora) -> None:
    """Warns if the sound is not what a run has learned from so far, and says how many items changed.

    path: the run's corpus.json, as it was before this start.
    """
    record = assemble.SplitRecord.from_state(state)
    corpora = [corpus for corpus in (parts.training, parts.held_out) if corpus]
    now = [item for corpus in corpora for item in _hashes(corpus).items()]  # both may use the same names
    if record.training is None or record.held_out is None:  # an older checkpoint knows numbers alone
        if (state["files"], state["seconds_of_sound"]) != (len(parts.training.names), parts.training.seconds):
            was = f"{state['files']:,} files, {state['seconds_of_sound']:.1f} seconds"
            logger.warning(f"the sound has changed since; the run learned from {was} so far, and now from the above")
        return
    before = {f"{value:016x}" for value in np.concatenate([record.training, record.held_out])}
    gone, new = before - {value for _, value in now}, [name for name, value in now if value not in before]
    hash_before, label_before = _names_before(path)
    labels, hashes = _labels(parts.training), _hashes(parts.training)
    other = [name for name, label in labels.items() if label_before.get(hashes[name], label) != label]
    if other:
        logger.warning(
            f"{len(other):,} of {len(labels):,} sounds have another label than before ({some_of(other)}), and the "
            "run goes on with it; give them their old labels, or start a new run"
        )
    changed = [name for name in new if hash_before.get(name) in gone]
    if gone or new:
        logger.warning(
            f"the sound has changed since: of {len(before):,} items {len(gone) - len(changed):,} are gone, "
            f"{len(changed):,} sound different and {len(new) - len(changed):,} are new; the run continues with all of "
            "the present items"
        )


def _names_before(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the hash of each item by its name, and labels by hashes, as corpus.json has them; {} what it lacks."""
    try:
        report = json.loads(path.read_text())
        items = {**report["items"]["training"], **report["items"]["held_out"]}
        return items, {items[name]: label for name, label in report.get("labels", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, {}


def _summary(corpus: Corpus, cutting: Cutting | None = None) -> str:
    count = len(np.unique(corpus.labels[corpus.labels >= 0]))
    labels = f", {count} label{'s'[: count - 1]}" if count else ""
    files = "1 file" if len(corpus.names) == 1 else f"{len(corpus.names):,} files"
    length = duration(corpus.seconds)
    if cutting and (reached := reached_seconds(corpus, cutting)) < 0.95 * corpus.seconds:
        length = f"{duration(reached)} of their {length}"
    return f"{files}, {length} at {corpus.sample_rate:,} Hz{labels}"


def summary_with_hash(corpus: Corpus, target: Corpus) -> str:
    """Returns a summary of the sound with a hash, which must be the same on every machine."""
    contents = [[part.names, part.lengths.tolist(), part.hashes.tolist()] for part in (corpus, target)]
    return f"{_summary(corpus)} ({hashlib.blake2b(repr(contents).encode(), digest_size=4).hexdigest()})"
