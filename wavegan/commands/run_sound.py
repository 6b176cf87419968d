"""Finds the sound that a run has learned from, from whatever folder the command is started."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from wavegan import assemble
from wavegan.audio.remote_cache import is_address
from wavegan.audio.shards import is_shards
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
    for key in SOURCES if run else ():
        if gone := [name for name in getattr(recipe.data, key) or () if _is_gone(name, run)]:
            remedy = f"name its new place: wavegan train {run} data.{key}=FOLDER"
            raise DataError(f"data.{key} of {run} is {gone[0]}, and nothing lies there", "", remedy) from refusal
    raise refusal


def _is_gone(source: str, run: Path | None) -> bool:
    """Returns whether a source is the path of a folder that lies neither there nor where the run was started."""
    if is_named(source) or is_address(source) or is_shards(source):
        return False
    path = Path(os.path.expanduser(source))
    started = started_in(run) if run else None
    return not (path.exists() or (started and (started / path).exists()))


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
