"""Extracts features of all sets of clips that are judged together, and of the reference that judges them."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from wavegan import progress
from wavegan.evaluation.classifier import Classifier
from wavegan.evaluation.clips import BATCH_SIZE, ClipSet
from wavegan.evaluation.evaluate import Reference
from wavegan.evaluation.features import Embedding, Features
from wavegan.evaluation.reference_sets import ReferenceSets


def extract_sets(
    sets: Mapping[str, ClipSet],
    ground: ReferenceSets,
    classifier: Classifier | None,
    seed: int,
    embedding: Embedding | None = None,
) -> tuple[Reference, dict[str, Features]]:
    """Extracts the features of sets of equally many clips, with progress; gives the reference and features by set."""
    count = len(next(iter(sets.values())))
    training = _with_progress(ground.training) if ground.training else None
    reference = Reference(
        ground.reference.first(count),
        ground.form.sample_rate,
        training=training,
        classifier=classifier,
        embedding=embedding,
        seed=seed,
    )
    return reference, {name: reference.extract(_with_progress(clips)) for name, clips in sets.items()}


def closing_facts(classifier: Classifier | None, seed: int) -> dict[str, str]:
    """Gives the facts that every page and JSON object ends with."""
    return {"classifier": classifier.name if classifier else "none", "seed": str(seed)}


def _with_progress(clips: ClipSet) -> Iterator[Tensor]:
    return progress.track(clips, -(-len(clips) // BATCH_SIZE), "batches")
