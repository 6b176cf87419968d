"""The only place that turns a recipe into objects; everything below takes plain arguments."""

from wavegan.assemble.devices import device
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
from wavegan.assemble.networks import networks
from wavegan.assemble.sound import (
    Corpora,
    Knowledge,
    batches,
    corpora,
    knowledge,
    restored_knowledge,
    shown,
    target_corpora,
    target_source,
    windows,
)
from wavegan.assemble.training import autotune, training

__all__ = [
    "GENERATING",
    "Corpora",
    "Knowledge",
    "batches",
    "corpora",
    "describe",
    "device",
    "generating_model",
    "knowledge",
    "model",
    "monitor",
    "networks",
    "restored_knowledge",
    "sample",
    "autotune",
    "shown",
    "target_corpora",
    "target_source",
    "training",
    "untrained_model",
    "make_watchdog",
    "windows",
    "write_preview",
]
