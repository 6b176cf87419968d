"""Extracts features of all sets of clips that are judged together, and of the reference that judges them."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from wavegan import progress
from wavegan.evaluation.classifier import Classifier
from wavegan.evaluation.clips import BATCH_SIZE, ClipSet
from wavegan.evaluation.evaluate import Reference
from wavegan.evaluation.features import OF_CLASSIFIER, Embedding, Features, refuse_no_function
from wavegan.evaluation.meaning import LEAST_CLIPS, fault_of_classifier, metrics_of, silent_count
from wavegan.evaluation.reference_sets import ReferenceSets

logger = logging.getLogger(__name__)

ANNOUNCED_MINUTES = 1  # a step that takes longer is announced
SILENT_ABOVE_REAL = 0.05  # share of clips that may be silent beyond that of the real ones
DILUTED = "partial_jitter_hz, comb_db, ripple_db and line_db"  # means over clips, which silent clips pull down


def extract_sets(
    sets: Mapping[str, ClipSet],
    real_sound: ReferenceSets,
    classifier: Classifier | None,
    seed: int,
    embedding: Embedding | None = None,
    model_labels: Iterable[str] = (),
) -> tuple[Reference, dict[str, Features]]:
    """Extracts the features of sets of equally many clips, with progress; gives the reference and features by set.

    model_labels: the labels of what is judged, of which the classifier should know some.
    """
    refuse_no_function(embedding)
    count = len(next(iter(sets.values())))
    training = _with_progress(real_sound.training) if real_sound.training else None
    reference = Reference(
        real_sound.reference.first(count),
        real_sound.form.sample_rate,
        training=training,
        classifier=classifier,
        embedding=embedding,
        seed=seed,
    )
    if classifier:
        fault = fault_of_classifier(classifier, reference.features, real_sound.labels(count), model_labels)
        reference.distrusted = dict.fromkeys(OF_CLASSIFIER, fault) if fault else {}
    if training is None:
        names = metrics_of("to_training")
        logger.info(f"not measured, as the training sound is not known: {names}; `training=DIR` names it")
    features = {name: reference.extract(_with_progress(clips)) for name, clips in sets.items()}
    if (minutes := len(sets) * reference.expected_seconds(count) / 60) > ANNOUNCED_MINUTES:
        logger.info(
            f"the figures of {count:,} clips in each of {len(sets)} sets take about {minutes:,.0f} minutes; their time "
            "grows with the square of the clips, so half as many take a quarter of it"
        )
    return reference, features


def closing_facts(classifier: Classifier | None, seed: int) -> dict[str, str]:
    """Gives the facts that every page and JSON object ends with."""
    return {"classifier": classifier.name if classifier else "none", "seed": str(seed)}


def facts_of_meaning(seen: Mapping[str, Features], scores: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Gives the facts of what means nothing: figures that are left out, and clips that are silent; logs both.

    seen: the features of every set and of the reference. scores: those of every set, by metric.
    """
    places: dict[str, list[tuple[str, str]]] = {}  # reason → sets and metrics
    for name, of_set in scores.items():
        for metric, of_metric in of_set.items():
            if reason := of_metric.get("reason"):
                places.setdefault(reason, []).append((name, metric))
    left_out = [
        f"{len({metric for _, metric in at})} figures of {', '.join(dict.fromkeys(name for name, _ in at))}: {reason}"
        for reason, at in places.items()
    ]
    for line in left_out:
        logger.warning(f"left out, as they mean nothing: {line}")
    silent = {name: silent_count(features) for name, features in seen.items()}
    _tell_silent(silent, {name: len(features["log_mel"]) for name, features in seen.items()})
    some_silent = ", ".join(f"{number} of {name}" for name, number in silent.items() if number)
    facts = {"left out": ". ".join(left_out), "silent clips": some_silent}
    return {name: fact for name, fact in facts.items() if fact}


def _tell_silent(silent: Mapping[str, int], counts: Mapping[str, int]) -> None:
    """Warns of sets that hold many more silent clips than the reference, but enough others for all figures."""
    allowed = silent["reference"] / counts["reference"] + SILENT_ABOVE_REAL
    for name, number in silent.items():
        if allowed * counts[name] < number <= counts[name] - LEAST_CLIPS:
            logger.warning(
                f"{number:,} of {counts[name]:,} clips of {name} are silent, which makes its {DILUTED} too low; listen "
                "to them, or judge other ones"
            )


def _with_progress(clips: ClipSet) -> Iterator[Tensor]:
    return progress.track(clips, -(-len(clips) // BATCH_SIZE), "batches")
