"""Turns a recipe into objects. It is the only place that does so; everything below takes plain arguments."""

from wavegan.assemble.assembly import Assembly, Session, assembled, session
from wavegan.assemble.checkpoint_content import check_model, check_training
from wavegan.assemble.checkpoint_migration import migrated, require_present_format
from wavegan.assemble.corpora import Corpora, corpora, target_corpora, target_source
from wavegan.assemble.devices import current, device
from wavegan.assemble.evaluation import clip_format_of, generated, real_sound_of_parts
from wavegan.assemble.models import (
    GENERATING,
    generating_model,
    model,
    sample,
    untrained_model,
    write_preview,
)
from wavegan.assemble.networks import generator
from wavegan.assemble.split_record import SplitRecord
from wavegan.assemble.trackers import tracker_names
from wavegan.assemble.training import autotune, method, training
from wavegan.assemble.training_clips import (
    batches,
    label_count,
    share_batch,
    source_clips,
    target_clips,
    training_clips,
    windows,
    with_label_count,
    with_labels,
)

__all__ = [
    "GENERATING",
    "Assembly",
    "Corpora",
    "Session",
    "SplitRecord",
    "assembled",
    "autotune",
    "batches",
    "check_model",
    "check_training",
    "corpora",
    "current",
    "device",
    "clip_format_of",
    "generated",
    "generating_model",
    "generator",
    "real_sound_of_parts",
    "label_count",
    "method",
    "migrated",
    "model",
    "require_present_format",
    "sample",
    "session",
    "share_batch",
    "source_clips",
    "target_clips",
    "target_corpora",
    "target_source",
    "tracker_names",
    "training",
    "training_clips",
    "untrained_model",
    "windows",
    "with_label_count",
    "with_labels",
    "write_preview",
]
