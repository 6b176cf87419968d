"""Refuses to resume a run with other sound or another recipe, or in processes with different sound."""

import socket
from pathlib import Path
from typing import Any

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.audio.corpus import Corpus
from wavegan.commands.run_sound import LEAST_KNOWN, anchored, found, started_in
from wavegan.errors import DataError, RunError
from wavegan.recipe import Recipe
from wavegan.training.run_folder import RunFolder


def refuse_other_sound(own: str, theirs: str) -> None:
    """Raises DataError if two processes have different sound."""
    if own != theirs:
        raise DataError(
            f"the sound on {socket.gethostname()} is {own}, that of the main process {theirs}",
            "all must learn from the same",
            "copy the folder to every machine with its files unchanged",
        )


def refuse_older_run(folder: RunFolder, newest: int, newest_anywhere: int) -> None:
    """Raises RunError, as another machine's folder of this name holds a later step than this one's; -1 for none."""
    ends = f"ends at step {newest:,}" if newest >= 0 else "holds no checkpoint"
    raise RunError(
        f"{folder.path} on {socket.gethostname()} {ends}, that of another machine at step {newest_anywhere:,}",
        "the first process goes on with the run, and it may be on another machine than before",
        "name a folder that all machines see with `run_dir`, or copy the later run to this machine",
    )


Sound = tuple[assemble.Corpora, assemble.Corpora]


def sound_of(recipe: Recipe, state: dict[str, Any] | None) -> Sound:
    """Returns the sound to learn from and the sound that clips should be like, split as a checkpoint recorded it."""
    records = [assemble.SplitRecord.from_state(state, suffix) if state else None for suffix in ("", "_b")]
    parts = assemble.corpora(recipe, records[0])
    return parts, assemble.target_corpora(recipe, parts, records[1])


def found_sound(folder: RunFolder, recipe: Recipe, state: dict[str, Any]) -> tuple[Recipe, Sound]:
    """Returns the recipe with sources that can be found, and the sound of a run that goes on, as `sound_of` does.

    Raises DataError if there is no sound, RunError if another folder has other sound.
    """

    def load(placed: Recipe) -> Sound:
        sound = sound_of(placed, state)
        _refuse_other_source(folder, placed, state, sound)
        return sound

    return found(recipe, folder.path, load)


def _refuse_other_source(folder: RunFolder, recipe: Recipe, state: dict[str, Any], sound: Sound) -> None:
    """Raises RunError if a source is another one, unless that is the run's own sound in another place."""
    earlier, place = recipes.from_dict(state["recipe"]), started_in(folder.path)
    if place:  # one name is another source in another folder
        earlier, recipe = anchored(earlier, place), anchored(recipe, Path.cwd())
    for parts, end in zip(sound, ("", "_b"), strict=True):
        was, now = ([getattr(each.data, f"{key}{end}") for key in ("source", "test")] for each in (earlier, recipe))
        if was == now:
            continue
        is_known = assemble.SplitRecord.from_state(state, end).is_known(parts.training, parts.held_out)
        if is_known is None or is_known.mean() < LEAST_KNOWN:
            count = "it is not known which sounds"
            if is_known is not None:
                count = f"only {is_known.sum():,} of {len(is_known):,} sounds"
            raise RunError(
                f"{folder.path} learned from {', '.join(was[0])}, and {count} of {', '.join(now[0])} are the same",
                "a run keeps its sound",
                "name the old sound, or another folder with `run_dir`, or start again with `fresh=True`",
            )


def refuse_renamed_labels(recipe: Recipe, label_names: list[str], corpus: Corpus) -> None:
    """Raises DataError if the names of the labels have changed.

    A model knows labels by their place in the list, so the list must stay the same.
    """
    if assemble.label_count(recipe) and tuple(label_names) != corpus.label_names:
        raise DataError(
            f"the labels were {', '.join(label_names)} and are {', '.join(corpus.label_names) or 'none'}",
            "a run keeps its labels",
            "give the folders their old names, or start a new run with `run_dir`",
        )


def refuse_changed_recipe(folder: RunFolder, old: Recipe, new: Recipe) -> None:
    """Raises RunError if a key that a run keeps has another value."""
    changes = recipes.differences(old, new)
    if changes:
        lines = "\n".join(f"  {change}" for change in changes)
        raise RunError(
            f"{folder.path} was started with another recipe",
            f"a run keeps its recipe{_why_its_steps(old, new, changes)}",
            "take the old values, or name another folder with `run_dir`, or start again with `fresh=True` (the old run "
            f"is kept aside):\n{lines}",
        )


def longer_remedy(recipe: Recipe) -> str:
    """Returns the remedy for a run that is to be longer."""
    if schedules := recipes.schedules_of(recipe):
        schedule = f"its schedule ({', '.join(schedules)}) ends there"
        return f"{schedule}, so a longer training is a new run: name another folder with `run_dir`"
    return "raise training.steps to go on"


def _why_its_steps(old: Recipe, new: Recipe, changes: list[str]) -> str:
    """Returns a clause that says why training.steps cannot change; empty if they are the same."""
    if not any(change.startswith("training.steps:") for change in changes):
        return ""
    schedules = ", ".join(recipes.schedules_of(old) or recipes.schedules_of(new))
    return f", and its schedule ({schedules}) spans training.steps, so with more or fewer it is another run"
