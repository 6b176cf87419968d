"""Starts the networks of a new run with the weights of a MODEL, as the key training.start_from asks."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegan import assemble
from wavegan import recipe as recipes
from wavegan.audio.labels import spelling_key
from wavegan.commands.model_loading import model_path, read_content
from wavegan.errors import RunError
from wavegan.models.starting_weights import OtherFormError, start_from
from wavegan.recipe import Recipe
from wavegan.training.loop import Training

logger = logging.getLogger(__name__)

KEY = "training.start_from"
FORM = ("generator.", "data.sample_rate:", "data.channels:", "data.clip_samples:")  # what must be alike, or nearly


@dataclass(frozen=True)
class Start:
    """Holds the content of the MODEL that a new run starts from, and the path under which it was named."""

    path: str
    content: dict[str, Any]

    def begin(self, training: Training, recipe: Recipe, label_names: Sequence[str]) -> None:
        """Gives the networks of a training at step 0 the weights of those that have their names, and says which.

        Running averages are taken where there are any. Networks that the MODEL lacks, and discriminators of another
        size, keep the weights that they have. Raises RunError for other networks of another size.
        """
        known = self.content["label_names"]
        places = {spelling_key(name): place for place, name in enumerate(known)}
        same = [places.get(spelling_key(name)) for name in label_names[: assemble.label_count(recipe)]]
        begun, lacking = [], False
        for name, network in training.method.networks.items():
            weights = self.content["averages"].get(name) or self.content["networks"].get(name)
            if not weights:
                continue
            try:
                new = start_from(network, weights, len(known), same)
            except OtherFormError as error:
                if not name.startswith("discriminators"):
                    raise self._unlike(recipe, name, str(error)) from error
                continue
            begun.append(name)
            lacking = lacking or bool(new)
        if not begun:
            raise self._unlike(recipe, "generator", f"it is of the method {self.content['recipe']['method']['name']}")
        for name, average in training.averages.items():
            average.load_state_dict(training.method.networks[name].state_dict())
        self._tell(recipe, begun, training.method.networks, lacking)
        self._tell_labels(label_names, same)

    def _tell(self, recipe: Recipe, begun: Sequence[str], networks: Iterable[str], lacking: bool) -> None:
        anew = ", ".join(name for name in networks if name not in begun)
        others = f"; random ones for {anew}" if anew else ""
        logger.info(f"{KEY}: weights of {self.path} for {', '.join(begun)}{others}")
        changes = self._changes(recipe)
        if lacking:
            logger.info(f"what these settings add begins with random weights: {', '.join(changes)}")
        elif changes:
            logger.info(f"settings that differ from its own: {', '.join(changes)}")

    def _tell_labels(self, label_names: Sequence[str], same: Sequence[int | None]) -> None:
        if new := [name for name, place in zip(label_names, same, strict=False) if place is None]:
            shown = ", ".join(new[:5]) + f" and {len(new) - 5} more" * (len(new) > 5)
            logger.info(f"labels that {self.path} does not know begin as the mean of those that it knows: {shown}")

    def _changes(self, recipe: Recipe) -> list[str]:
        """Lists how the form of the recipe's sound and generator differs from the MODEL's, other kinds alone if so."""
        changes = recipes.differences(recipes.from_dict(self.content["recipe"]), recipe)
        if other_kind := [change for change in changes if change.startswith("generator.name:")]:
            return other_kind
        return [change for change in changes if change.startswith(FORM) and not change.startswith("generator.labels")]

    def _unlike(self, recipe: Recipe, name: str, detail: str) -> RunError:
        return RunError(
            f"{KEY} is {self.path}, whose {name} has another form ({'; '.join(self._changes(recipe)) or detail})",
            "only networks of one form can pass on their weights",
            f"give the recipe the settings of {self.path}, or leave {KEY} out",
        )


def start_of(recipe: Recipe) -> Start | None:
    """Reads the MODEL that a recipe starts from; None if it starts anew. Raises RunError where there is no such one."""
    if not (path := recipe.training.start_from):
        return None
    try:
        return Start(path, assemble.migrated(read_content(model_path(Path(path)))))
    except RunError as error:
        raise RunError(f"{KEY}: {error.value}", error.rule, error.remedy) from error
