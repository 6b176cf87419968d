"""Reads what a training is named by: a recipe, or the folder of a run that is to go on."""

from pathlib import Path

from wavegan import recipe as recipes
from wavegan.recipe import Recipe
from wavegan.recipe.parsing import Overrides
from wavegan.training import remote_run
from wavegan.training.run_folder import RunFolder


def recipe_and_folder(named: Path, overrides: Overrides, run_dir: Path | None) -> tuple[Recipe, Path]:
    """Returns the recipe of a training and its run folder.

    named: a recipe as `recipes.load` takes it, or a run folder or its address, whose own recipe it is. run_dir: None
    means that folder or, for a recipe, runs/<recipe name>. Raises RecipeError; RunError for an address without a run,
    DataError if it cannot be reached.
    """
    address = remote_run.address_of(named)
    run = RunFolder(remote_run.copy(address, None) if address else named)
    if run.is_run:
        return recipes.load(run.recipe, overrides), run_dir or named
    recipe = recipes.load(named, overrides)
    return recipe, run_dir or Path("runs") / recipe.name
