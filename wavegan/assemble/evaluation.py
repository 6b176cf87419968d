"""Prepares the evaluation of a recipe's clips.

It finds the real sound to judge by, and judges a training while it goes on.
"""

import logging
import time
from collections.abc import Callable

import torch
from torch import Tensor

from wavegan import generation
from wavegan.assemble.corpora import Corpora, reading, target_source
from wavegan.errors import DataError
from wavegan.evaluation.clip_format import ClipFormat
from wavegan.evaluation.clips import BATCH_SIZE, ClipSet
from wavegan.evaluation.evaluate import Reference, score_record
from wavegan.evaluation.features import Features
from wavegan.evaluation.metrics import HEADLINE, METRICS
from wavegan.evaluation.reference_sets import agreed_count, reference_sets
from wavegan.generation import Model
from wavegan.models.evaluation_mode import evaluation_mode
from wavegan.recipe import Recipe
from wavegan.training.checkpoint_manager import PeriodicEvaluation

PERIODIC = tuple(name for name, metric in METRICS.items() if metric.is_periodic)
logger = logging.getLogger(__name__)

PERIODIC_RESAMPLES = 50
TRAINING_CLIPS = 2000  # at most so many are searched for copies


def clip_format_of(recipe: Recipe) -> ClipFormat:
    """Gives the format of the clips that a recipe's model makes."""
    data = recipe.data
    return ClipFormat(
        data.sample_rate, data.channels, data.clip_samples, data.normalize, reading(data), windows=data.windows
    )


def generated(model: Model, count: int, seed: int) -> ClipSet:
    """Returns the clips 0 to count - 1 that a model makes of a seed."""

    def batch(index: int) -> Tensor:
        first = index * BATCH_SIZE
        return torch.cat(list(generation.generate(model, BATCH_SIZE, seed=seed, batch_size=BATCH_SIZE, first=first)))

    return ClipSet(count, batch)


def periodic_evaluation(recipe: Recipe, parts: Corpora, current: Callable[[], Model]) -> PeriodicEvaluation | None:
    """Prepares the evaluation of a training while it goes on.

    parts: the sound that its clips should be like. current() returns the model as it is at that time. Returns None if
    the recipe asks for no evaluation or, with a line, if too little is held out. Raises DataError if nothing is held
    out.
    """
    if not recipe.evaluation.every:
        return None
    started = time.monotonic()
    form, source = clip_format_of(recipe), target_source(recipe)
    real_sound = reference_sets(form, parts.held_out, parts.training, parts.split, source, seed=0)
    try:
        count = agreed_count(recipe.evaluation.count, real_sound)
    except DataError as error:  # training is possible all the same
        test = "data.test" if recipe.data.source_b is None else "data.test_b"
        remedy = f"name a folder of more real audio as {test}, or raise data.holdout where the source is parted"
        refusal = DataError(error.value, error.rule, remedy)
        logger.warning(f"evaluation.every is ignored, so no best checkpoint is kept: {refusal}")
        return None
    learned = real_sound.training.first(TRAINING_CLIPS) if real_sound.training else None
    reference = Reference(real_sound.reference.first(count), form.sample_rate, training=learned)

    def figures(seen: Features) -> dict[str, float]:
        estimates = reference.estimates(seen, only=PERIODIC, count=PERIODIC_RESAMPLES)
        scores = {name: score_record(values, count) for name, values in estimates.items()}
        parts_by_ending = {"": "value", "_low": "low", "_high": "high"}
        return {
            f"{name}{ending}": interval[part]
            for name, interval in scores.items()
            for ending, part in parts_by_ending.items()
        }

    def judge() -> dict[str, float]:
        model = current()
        with evaluation_mode(model.generator):
            return figures(reference.extract(generated(model, count, seed=0)))

    seen = reference.extract(real_sound.real.first(count))
    if reason := reference.without_meaning(seen).get(HEADLINE):
        logger.warning(f"this training is not judged while it goes on: {reason}")
        return None
    real = figures(seen)
    logger.info(
        f"evaluating every {recipe.evaluation.every:,} steps with {count:,} held-out clips; {HEADLINE} of as many "
        f"other real clips is {real[HEADLINE]:.2f} [{real[HEADLINE + '_low']:.2f}, {real[HEADLINE + '_high']:.2f}] "
        f"(prepared in {time.monotonic() - started:.0f} s)"
    )
    return PeriodicEvaluation(recipe.evaluation.every, HEADLINE, judge)
