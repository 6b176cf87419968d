"""Everything that one process needs to train a recipe, made in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from wavegan.assemble.models import generating_model
from wavegan.assemble.sound import Corpora, batches, source_clips, target_clips, training_clips
from wavegan.assemble.training import training
from wavegan.generation import Model
from wavegan.recipe import Recipe
from wavegan.training.loop import Batches, Training


@dataclass(frozen=True)
class Assembly:
    """A training with its batches; current() gives the model that makes clips as it is then."""

    training: Training
    batches: Batches
    current: Callable[[], Model]


def assembled(
    recipe: Recipe,
    source: Corpora,
    target: Corpora,
    on: torch.device,
    *,
    state: dict[str, Any] | None = None,
    measures: bool = True,
) -> Assembly:
    """Makes all objects of a training, at step 0 or as a checkpoint's state has it.

    source: the sound to learn from; target: the sound that clips are to be like, the same one but for a translation.
    measures: takes the statistics of spectra from the sound, where no state brings them. Raises DataError where the
    networks know another number of labels than the sound has.
    """
    clips = training_clips(recipe, source)
    ready = batches(recipe, clips, on, target_clips(recipe, target))
    started = training(recipe, on, clips if measures and state is None else None)
    if state:
        started.restore(state)
    given, names = source_clips(recipe, source), source.training.label_names
    return Assembly(started, ready, lambda: generating_model(recipe, started, names, given))
