"""Turns a recipe into objects. It is the only place that does so; everything below takes plain arguments."""

from wavegan.assemble.assembly import assembled, session
from wavegan.assemble.checkpoint_content import check_model, check_training
from wavegan.assemble.checkpoint_migration import migrated, require_present_format
from wavegan.assemble.corpora import Corpora, corpora, target_corpora, target_source
from wavegan.assemble.devices import current, device
from wavegan.assemble.evaluation import clip_format_of, generated
from wavegan.assemble.models import GENERATING, generating_model, model, untrained_model
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
