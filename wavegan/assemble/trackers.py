"""Opens the trackers that a recipe asks for."""

from wavegan import recipe as recipes
from wavegan.recipe import Recipe
from wavegan.training.run_folder import RunFolder
from wavegan.training.tracker_services import TrackedRun
from wavegan.training.trackers import Trackers, is_installed, require_installed


def tracker_names(recipe: Recipe) -> list[str]:
    """Lists the trackers of a recipe. Raises TrainingError if the package of one that it names is not installed."""
    settings = recipe.monitor
    if settings.tensorboard is True:
        require_installed("tensorboard", "monitor.tensorboard is true")
    for name in settings.trackers:
        require_installed(name, f"monitor.trackers has {name}")
    has_tensorboard = settings.tensorboard is not False and is_installed("tensorboard")
    return ["tensorboard"] * has_tensorboard + list(settings.trackers)


def trackers(recipe: Recipe, folder: RunFolder, step: int) -> Trackers:
    """Opens the trackers of a training that goes on from a step; see `tracker_names`."""
    values = recipes.by_key(recipes.as_dict(recipe))
    return Trackers(tracker_names(recipe), TrackedRun(folder.path, folder.recipe, values, step))
