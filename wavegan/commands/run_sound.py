"""Finds the sound that a run has learned from, from whatever folder the command is started."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from wavegan import assemble
from wavegan.audio.remote_cache import is_address
from wavegan.audio.sources import is_named
from wavegan.errors import DataError, RunError
from wavegan.recipe import Recipe
from wavegan.training.run_folder import RunFolder

logger = logging.getLogger(__name__)

STARTED_IN = "started_in"  # the key of corpus.json for the folder in which the training was started
LEAST_KNOWN = 0.5  # share of the items that the run must know; otherwise the sound is taken for another
SOURCES = ("source", "test", "source_b", "test_b")
Loaded = TypeVar("Loaded")


def sound_of_run(recipe: Recipe, record: assemble.SplitRecord, run: Path | None) -> tuple[Recipe, assemble.Corpora]:
    """Returns the recipe with sources that can be found, and the sound that the run's clips should resemble.

    Sound of which the run knows less than half is refused, whatever its folder is called. Raises DataError if the run's
    sound is nowhere, see `found`.
    """

    def load(placed: Recipe) -> assemble.Corpora:
        parts = assemble.target_corpora(placed, record=record)
        _refuse_other_sound(placed, record, parts)
        return parts

    return found(recipe, run, load)


def found(recipe: Recipe, run: Path | None, load: Callable[[Recipe], Loaded]) -> tuple[Recipe, Loaded]:
    """Returns the recipe with sources that can be found, and the sound that `load` returns for it.

    Relative sources are looked up in the current folder first, then in the folder where the training was started.
    Raises what `load` raises in the first folder if it takes the sound of neither, and DataError for a source of the
    run that is gone.
    """
    refusal = None
    for folder in (None, started_in(run) if run else None):
        placed = recipe if folder is None else anchored(recipe, folder)
        if refusal and placed == recipe:
            continue
        try:
            sound = load(placed)
        except (DataError, RunError) as error:
            refusal = refusal or error
            continue
        if folder is not None:
            logger.info(f"the sound is that of {folder}, where {recipe.name} was trained")
        return placed, sound
    assert refusal, "one place was looked at"
    if run and (gone := _gone(recipe)):
        rule = "a run keeps the sound that it learned from"
        remedy = (
            f"if it lies elsewhere now, name it: wavegan train {run} data.source=FOLDER, or wavegan evaluate --data"
        )
        raise DataError(f"{gone}, which {run} learned from, is not there", rule, remedy) from refusal
    raise refusal


def _gone(recipe: Recipe) -> str | None:
    """Returns a source of a recipe that is a path where nothing lies, None if there is no such source."""
    names = (name for key in SOURCES for name in getattr(recipe.data, key) or ())
    return next((name for name in names if not (is_named(name) or is_address(name) or Path(name).exists())), None)


def anchored(recipe: Recipe, folder: Path) -> Recipe:
    """Returns the recipe with absolute paths for its relative sources that exist in `folder`."""
    places = {}
    for key in SOURCES:
        names = getattr(recipe.data, key)
        if names is not None:
            places[key] = tuple(str(folder / name) if (folder / name).exists() else name for name in names)
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=places)})


def started_in(run: Path) -> Path | None:
    """Returns the folder in which a run was started, as its corpus.json has it; None if that is not known."""
    try:
        return Path(json.loads(RunFolder(run).corpus.read_text())[STARTED_IN])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _refuse_other_sound(recipe: Recipe, record: assemble.SplitRecord, parts: assemble.Corpora) -> None:
    is_known = record.is_known(parts.training, parts.held_out)
    if is_known is None or is_known.all():
        return
    places = " and ".join(assemble.target_source(recipe))
    count = f"{int(is_known.sum()):,} of {len(is_known):,} sounds in {places}"
    if np.mean(is_known) < LEAST_KNOWN:
        raise DataError(
            f"{recipe.name} has learned from or held out {count}",
            "a model is judged by its own sound",
            "run the command in the folder where it was trained, or name real audio with `reference=DIR`",
        )
    logger.warning(f"{recipe.name} has learned from or held out only {count}; the sound has changed")
