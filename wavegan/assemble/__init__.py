"""The only place that turns a recipe into objects; everything below takes plain arguments."""

from wavegan.assemble.assembly import Assembly, assembled
from wavegan.assemble.devices import current, device
from wavegan.assemble.evaluation import form_of, generated, ground_of_parts, periodic_evaluation
from wavegan.assemble.migration import migrated, require_present_format
from wavegan.assemble.models import (
    GENERATING,
    describe,
    generating_model,
    make_watchdog,
    model,
    monitor,
    sample,
    untrained_model,
    write_preview,
)
from wavegan.assemble.sound import (
    Corpora,
    batches,
    corpora,
    label_count,
    source_clips,
    target_clips,
    target_corpora,
    target_source,
    training_clips,
    windows,
)
from wavegan.assemble.training import autotune, method, training

__all__ = [
    "GENERATING",
    "Assembly",
    "Corpora",
    "assembled",
    "autotune",
    "batches",
    "corpora",
    "current",
    "describe",
    "device",
    "form_of",
    "generated",
    "ground_of_parts",
    "periodic_evaluation",
    "generating_model",
    "label_count",
    "make_watchdog",
    "method",
    "migrated",
    "model",
    "monitor",
    "require_present_format",
    "sample",
    "source_clips",
    "target_clips",
    "target_corpora",
    "target_source",
    "training",
    "training_clips",
    "untrained_model",
    "windows",
    "write_preview",
]
