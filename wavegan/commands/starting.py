"""Starts the networks of a new run with the weights of a MODEL, as the key training.start_from asks."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from wavegan import assemble, shipped
from wavegan import recipe as recipes
from wavegan.audio.labels import spelling_key
from wavegan.commands.model_loading import KINDS, is_model, model_path, read_content
from wavegan.errors import RunError, UserError, some_of
from wavegan.models.starting_weights import OtherFormError, start_from
from wavegan.models.without_memory import WithoutMemory
from wavegan.recipe import Recipe
from wavegan.training.loop import Training

logger = logging.getLogger(__name__)

KEY = "training.start_from"
FORM = ("generator.", "data.sample_rate:", "data.channels:", "data.clip_samples:")
ANY_SIZE = (  # keys that may differ, as the weights that both networks have fit all the same
    "generator.window:",
    "generator.hop:",
    "generator.start_share:",
    "generator.broad_hiss:",
    "generator.panned_hiss: false",
    "generator.detuned_bins:",
    "generator.tuned_bins:",
    "generator.steady_pitch:",
    "generator.drawn_pitch:",
    "generator.glottal_pulses:",
    "data.sample_rate:",
    "data.clip_samples:",
)


@dataclass(frozen=True)
class Start:
    """Holds what a new run needs of the MODEL that it starts from; path: how it was named. `begin` uses it up.

    label_names: those that its networks know.
    """

    path: str
    recipe: Recipe
    weights: dict[str, Mapping[str, Tensor]]
    label_names: Sequence[str]

    def begin(self, training: Training, recipe: Recipe, label_names: Sequence[str]) -> None:
        """Gives the networks of a training at step 0 the weights of those that have their names, and says which.

        Discriminators must be wholly alike; others keep the weights that they have, and so do networks that the MODEL
        lacks. Raises RunError for another network of another size.
        """
        own = label_names[: assemble.label_count(recipe)]
        begun, new = self._weights_given(training.method.networks, recipe, own)
        for name, average in training.averages.items():
            average.load_state_dict(training.method.networks[name].state_dict())
        self.weights.clear()
        anew = ", ".join(name for name in training.method.networks if name not in begun)
        others = f"; random ones for {anew}" if anew else ""
        logger.info(f"{KEY}: weights of {self.path} for {', '.join(begun)}{others}")
        if new:
            logger.info(f"{self.path} lacks {some_of(new)}, which begin at random")
        if changes := self._changes(recipe):
            logger.info(f"settings that differ from those of {self.path}: {', '.join(changes)}")
        self._tell_labels(own)

    def refuse_other_form(self, recipe: Recipe) -> None:
        """Raises RunError, before any sound is read, if the networks of a recipe have another form."""
        with WithoutMemory():
            networks = assemble.method(recipe, torch.device("meta")).networks
        forms = {
            name: {key: held.to("meta") for key, held in weights.items()} for name, weights in self.weights.items()
        }
        replace(self, weights=forms)._weights_given(networks, recipe, [""] * assemble.label_count(recipe))

    def _weights_given(
        self, networks: Mapping[str, nn.Module], recipe: Recipe, label_names: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Returns the names of the networks that have got weights, and of the weights that these lacked."""
        places = {spelling_key(name): place for place, name in enumerate(self.label_names)}
        same = [places.get(spelling_key(name)) for name in label_names]
        rate = recipe.data.sample_rate / self.recipe.data.sample_rate
        is_panned = self.recipe.data.channels > 1 and getattr(self.recipe.generator, "panned_hiss", False)
        begun, new = [], []
        for name, network in networks.items():
            weights, is_judge = self.weights.get(name), name.startswith("discriminators")
            if not weights or (is_judge and not self._judges_alike(name, network, recipe)):
                continue
            try:
                lacked = start_from(network, weights, len(self.label_names), same, rate, is_panned=is_panned)
                new += [f"{name}.{key}" for key in lacked]
            except OtherFormError as error:
                if not is_judge:
                    raise self._unlike(recipe, name, str(error)) from error
                continue
            begun.append(name)
        if not begun:
            raise self._unlike(recipe, "generator", f"it is of the method {self.recipe.method.name}")
        return begun, new

    def _judges_alike(self, name: str, network: nn.Module, recipe: Recipe) -> bool:
        """Returns whether a discriminator sees what that of the MODEL saw, and lacks no weights."""
        key = name.partition(".")[2]
        view = f"discriminators.{key}.view"
        is_other = any(change.startswith(view) for change in recipes.differences(self.recipe, recipe))
        return not is_other and dict(network.named_parameters()).keys() <= self.weights[name].keys()

    def _tell_labels(self, own: Sequence[str]) -> None:
        their_keys = {spelling_key(name) for name in self.label_names}
        new = [name for name in own if spelling_key(name) not in their_keys]
        if own and not their_keys:
            logger.info(f"{self.path} knows no labels, so what tells them apart begins at random")
        elif new:
            logger.info(
                f"labels that {self.path} does not know begin as the mean of those that it knows: {some_of(new)}"
            )
        elif their_keys and not own:
            logger.info(f"this run has no labels, and begins with the mean of those that {self.path} knows")

    def _changes(self, recipe: Recipe) -> list[str]:
        """Lists how the form of the recipe's sound and generator differs from the MODEL's, other kinds alone if so."""
        changes = recipes.differences(self.recipe, recipe)
        if other_kind := [change for change in changes if change.startswith("generator.name:")]:
            return other_kind
        return [change for change in changes if change.startswith(FORM) and not change.startswith("generator.labels")]

    def _unlike(self, recipe: Recipe, name: str, detail: str) -> RunError:
        changes = [change for change in self._changes(recipe) if not change.startswith(ANY_SIZE)]
        return RunError(
            f"{KEY} is {self.path}, whose {name} has another form ({'; '.join(changes) or detail})",
            "only networks of one form can pass on their weights",
            f"give the recipe these settings of {self.path}, or leave {KEY} out",
        )


def start_of(recipe: Recipe) -> Start | None:
    """Reads the MODEL that a recipe starts from; None if it starts anew.

    Raises RunError where there is no such MODEL, or where its networks have another form than the recipe's.
    """
    if not (path := recipe.training.start_from):
        return None
    place = model_path(Path(path).expanduser())
    if place.is_dir() and not is_model(place) and not shipped.model_folder(str(place)):
        raise RunError(f"{KEY} is {path}, which holds no model", KINDS, "name one, drums say, or leave the key out")
    try:
        content = assemble.migrated(read_content(place))
    except UserError as error:
        raise RunError(f"{KEY}: {error.value}", error.rule, error.remedy) from error
    theirs = recipes.from_dict(content["recipe"])
    names = content["label_names"] if assemble.label_count(theirs) else []
    start = Start(path, theirs, {**content["networks"], **content["averages"]}, names)
    start.refuse_other_form(recipe)
    return start
