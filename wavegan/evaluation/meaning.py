"""Says which figures mean nothing, and why: those of too few, silent or equal clips, or of a classifier that errs."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from wavegan.audio.labels import spelling_key
from wavegan.errors import some_of
from wavegan.evaluation.classifier import Accuracy, Classifier
from wavegan.evaluation.features import Features
from wavegan.evaluation.metric_functions import ABSOLUTE, ROUNDING
from wavegan.evaluation.metrics import METRICS, Metric

# Precision and its like reach for a clip's 5th neighbour, and no 95 % interval follows from fewer than 6 values alone.
LEAST_CLIPS = 6
LEAST_SWING = 10 ** (-60 / 20)  # half of the way from a clip's lowest sample to its highest: less is silence
MOST_ALIKE = 0.7  # of real clips may be alike; with more, half of the distances between them are 0
DISTANCES = (
    "log_mel",
    "order",
    "attack",
    "partials",
    "classifier",
    "embedding",
    "to_training",
)  # compared as distances
LEAST_RECOGNISED = 0.5  # of real clips, by a classifier: one that errs more often than not says nothing
DECIMALS = 2  # of log-mel statistics, in units of the real clips' deviations: equal ones sound equal


def without_meaning(mine: Features, real: Features, distrusted: Mapping[str, str]) -> dict[str, str]:
    """Gives by metric the reason why its figure means nothing; empty for clips that can be compared.

    mine, real: standardised features of a set and of the real clips. distrusted: reasons by kind of features.
    """
    faults = {
        name: distrusted.get(metric.features) or _fault_of_set(mine, metric) or _fault_of_real(real, metric)
        for name, metric in METRICS.items()
        if metric.features in mine
    }
    return {name: fault for name, fault in faults.items() if fault}


def silent_count(seen: Features) -> int:
    """Counts the clips that are silent: a constant, or softer than -60 dBFS."""
    return int((seen["swing"] < LEAST_SWING).sum())


def fault_of_classifier(
    classifier: Classifier, real: Features, real_labels: Sequence[str | None], model_labels: Iterable[str]
) -> str:
    """Returns why figures by a classifier mean nothing; empty for one that recognises real clips.

    It is measured on those real clips whose labels it knows. If these are too few, its own accuracy counts, but not for
    a model whose labels it does not know.
    """
    names = classifier.label_names
    keys, heard = [spelling_key(name) for name in names], real["probabilities"].argmax(axis=1)
    asked = [label and spelling_key(label) for label in real_labels]
    is_right = [keys[place] == label for place, label in zip(heard, asked, strict=True) if label in keys]
    if len(is_right) >= LEAST_CLIPS:
        accuracy, clips = Accuracy(sum(is_right), len(is_right)), "real clips here"
    else:
        if unknown := _labels_not_shared(model_labels, names):
            return unknown
        accuracy, clips = classifier.held_out, "clips that were held out from it"
    if accuracy.clips and (accuracy.value < LEAST_RECOGNISED or accuracy.interval[0] <= 1 / len(names)):
        return (
            f"the classifier recognises only {accuracy.right} of {accuracy.clips} {clips} by {len(names)} labels; "
            "train one on more sound (wavegan classifier train), or leave it out with `classifier=none`"
        )
    return ""


def _labels_not_shared(model_labels: Iterable[str], names: Sequence[str]) -> str:
    labels = list(model_labels)
    if not labels or set(map(spelling_key, labels)) & set(map(spelling_key, names)):
        return ""
    return (
        f"the classifier knows {some_of(names)}, the model {some_of(labels)}, and no label is the same; name a "
        "classifier of the model's labels with `classifier=FILE`, or none with `classifier=none`"
    )


def _fault_of_set(mine: Features, metric: Metric) -> str:
    may_be_equal = metric.group == "Diversity"  # which measures how equal they are
    return _fault(mine, "clips", "listen to them, or judge other ones", may_be_equal=may_be_equal)


def _fault_of_real(real: Features, metric: Metric) -> str:
    if metric.function in ABSOLUTE:
        return ""
    remedy = "name other real audio with `reference=DIR`"
    if fault := _fault(real, "real clips to compare with", remedy, may_be_equal=False):
        return fault
    if metric.features in DISTANCES:
        counts = _counts(real[metric.features].reshape(len(real["log_mel"]), -1) / ROUNDING, decimals=0)
        if len(counts) < LEAST_CLIPS or counts.max() > MOST_ALIKE * counts.sum():
            kind = metric.features.replace("_", " ")
            alike = "training sounds or equally far from them" if kind == "to training" else f"equal by {kind}"
            return f"{counts.max()} of {counts.sum()} real clips are {alike}, so distances have no scale; {remedy}"
    return ""


def _fault(seen: Features, clips: str, remedy: str, *, may_be_equal: bool) -> str:
    """Returns the fault of a whole set of clips, in words."""
    count, silent = len(seen["log_mel"]), silent_count(seen)
    if count < LEAST_CLIPS:
        return f"there are {count} {clips}, and {LEAST_CLIPS} or more are needed; give more"
    if count - silent < LEAST_CLIPS:
        return f"{silent} of {count} {clips} are silent, and {LEAST_CLIPS} or more must sound; {remedy}"
    different = len(_counts(seen["log_mel"][seen["swing"] >= LEAST_SWING], decimals=DECIMALS))
    if different < LEAST_CLIPS and not may_be_equal:
        return f"only {different} of {count} {clips} are different, and {LEAST_CLIPS} or more must be; {remedy}"
    return ""


def _counts(rows: np.ndarray, *, decimals: int) -> np.ndarray:
    """Counts how often each different row occurs, after rounding."""
    return np.unique(np.round(rows, decimals), axis=0, return_counts=True)[1]


def metrics_of(*kinds: str) -> str:
    """Lists in words the metrics that take one of these kinds of features."""
    return ", ".join(name for name, metric in METRICS.items() if metric.features in kinds)
