"""Reports the sound that a run learns from: in log lines, and in corpus.json in the run folder."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from wavegan import assemble
from wavegan.audio.corpus import Corpus

logger = logging.getLogger(__name__)

SHOWN_SKIPS = 20


def write_report(path: Path, parts: assemble.Corpora, target: assemble.Corpora) -> None:
    """Writes as JSON which sound a run learns from, which it translates to, and which files were left out."""
    report = _report(parts)
    if target is not parts:
        report["source_b"] = _report(target)
    path.write_text(json.dumps(report, indent=1) + "\n")  # escaped, as file names need not be valid text


def _report(parts: assemble.Corpora) -> dict[str, Any]:
    training, held_out, split = parts
    return {
        "files": len(training.names),
        "seconds": round(training.seconds, 3),
        "label_names": training.label_names,
        "split": split,
        "held_out_files": held_out.names if held_out else [],
        "held_out_seconds": round(held_out.seconds, 3) if held_out else 0,
        "skipped": parts.skipped,
    }


def log_corpora(parts: assemble.Corpora) -> None:
    """Logs what is learned from, what is held out and what cannot be used."""
    logger.info(f"learning from {_summary(parts.training)}")
    if parts.held_out:
        logger.info(f"held out: {_summary(parts.held_out)} ({parts.split})")
    skipped = parts.skipped
    if skipped:
        logger.info(f"skipped, since it cannot be used: {len(skipped):,} of the files")
        for name, reason in list(skipped.items())[:SHOWN_SKIPS]:
            logger.info(f"  {name}: {reason}")
        if len(skipped) > SHOWN_SKIPS:
            logger.info(f"  … and {len(skipped) - SHOWN_SKIPS} more, all named in the run's corpus.json")


def warn_of_changed_sound(state: dict[str, Any], corpus: Corpus) -> None:
    """Warns if a run has learned from other sound than this corpus."""
    if (state["files"], state["seconds_of_sound"]) != (len(corpus.names), corpus.seconds):
        was = f"{state['files']:,} files, {state['seconds_of_sound']:.1f} seconds"
        logger.warning(
            f"the sound has changed since; the run learned from {was} so far, and from here on from the above"
        )


def _summary(corpus: Corpus) -> str:
    labels = f", {len(corpus.label_names)} labels" if corpus.label_names else ""
    length = f"{corpus.seconds:.1f} seconds" if corpus.seconds < 100 else f"{corpus.seconds / 60:.1f} minutes"
    files = "1 file" if len(corpus.names) == 1 else f"{len(corpus.names):,} files"
    return f"{files}, {length} at {corpus.sample_rate:,} Hz{labels}"


def summary_with_hash(corpus: Corpus, target: Corpus) -> str:
    """Returns a summary of the sound with a hash, which must be the same on every machine."""
    contents = [[part.names, part.lengths.tolist()] for part in (corpus, target)]
    return f"{_summary(corpus)} ({hashlib.blake2b(repr(contents).encode(), digest_size=4).hexdigest()})"
