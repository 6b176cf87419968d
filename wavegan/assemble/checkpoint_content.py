"""Checks that a checkpoint holds what its recipe needs, before anything is made of it."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from wavegan import recipe as recipes
from wavegan.assemble.checkpoint_migration import migrated
from wavegan.assemble.models import GENERATING
from wavegan.assemble.training import method, optimizer
from wavegan.errors import RecipeError
from wavegan.methods.base import Method
from wavegan.models.statistics_since import STATISTICS_SINCE
from wavegan.models.without_memory import WithoutMemory
from wavegan.recipe import Recipe
from wavegan.torch_files import ContentError, Fields, refuse_other_form
from wavegan.training.checkpoint import CHECKPOINT_FORMAT
from wavegan.training.muon import is_kernel
from wavegan.training.precision import PRECISIONS

MOST_STEPS = 10**12
FREE_SETTINGS = ("lr", "fused", "foreach", "capturable", "initial_lr")  # of an optimiser; the machine decides them


class _Model(Fields):
    """Lists what generation and evaluation read."""

    step: int = Field(ge=0, le=MOST_STEPS)
    recipe: dict[str, Any]
    label_names: list[str]
    label_counts: list[Annotated[int, Field(ge=0)]] = []
    networks: dict[str, dict[str, Tensor]]
    averages: dict[str, dict[str, Tensor]]


class _History(BaseModel):
    model_config = Fields.model_config
    kept: list[float]
    recent: list[float]
    stride: int = Field(ge=1)
    lines: int = Field(ge=0)
    usual_step: int
    last_step: int


class _Watchdog(BaseModel):
    model_config = Fields.model_config
    histories: dict[str, _History]
    healthy_steps: dict[str, int]
    alarms: dict[str, tuple[str, bool] | list[str | bool]]


class _Training(_Model):
    """Lists what a training needs besides, to go on."""

    precision: str
    threads: int | None = Field(default=None, ge=1)
    seconds: float = Field(ge=0)
    files: int = Field(ge=0)
    seconds_of_sound: float = Field(ge=0)
    optimizers: dict[str, dict[str, Any]]
    method: dict[str, Any]
    rollbacks: int = Field(default=0, ge=0)
    healthy_step: int | None = None
    watchdog: _Watchdog | None = None
    evaluation_due: bool = False


def check_model(content: dict[str, Any]) -> None:
    """Raises ContentError unless a checkpoint, also an older one, can make clips."""
    content = migrated(content)
    recipe, expected = _checked_basics(content)
    names = ("a_to_b", "b_to_a") if recipe.method.name == "translation" else (GENERATING[recipe.method.name],)
    for kind in ("networks", "averages"):
        if content[kind] or kind == "networks":
            for name in names:
                stored = content[kind].get(name)
                refuse_other_form(_expected(expected.networks[name], stored), stored, f"{kind}.{name}")


def check_training(content: dict[str, Any]) -> None:
    """Raises ContentError unless a training can go on from a checkpoint; of an older format, see `check_model`."""
    if content["format"] != CHECKPOINT_FORMAT:
        return check_model(content)
    recipe, expected = _checked_basics(content)
    _Training.check(content)
    if content["precision"] not in PRECISIONS:
        raise ContentError(f"precision: it is {content['precision']!r}")
    networks = {name: _expected(network, content["networks"].get(name)) for name, network in expected.networks.items()}
    averaged = expected.averaged if recipe.training.ema or recipe.training.ema_half_life else ()
    refuse_other_form(networks, content["networks"], "networks")
    refuse_other_form({name: networks[name] for name in averaged}, content["averages"], "averages")
    refuse_other_form(expected.state(), content["method"], "method")
    if content["optimizers"].keys() != networks.keys():
        raise ContentError("optimizers: they are not those of the networks")
    for name, network in expected.networks.items():
        _check_optimizer(recipe, name, network, content["optimizers"][name])


def _expected(network: nn.Module, stored: Any) -> dict[str, Tensor]:
    """Returns the state of a network, but for what the stored one of an earlier version may lack."""
    state = network.state_dict()
    lacking = STATISTICS_SINCE.keys() - stored.keys() if isinstance(stored, Mapping) else ()
    return {name: values for name, values in state.items() if name not in lacking}


def _checked_basics(content: dict[str, Any]) -> tuple[Recipe, Method]:
    """Checks all but the networks' contents; returns the recipe, and its method without memory for weights."""
    _Model.check(content)
    recipe, expected = _recipe_and_method(content)
    _check_items(content)
    _check_labels(recipe, content)
    return recipe, expected


def _recipe_and_method(content: dict[str, Any]) -> tuple[Recipe, Method]:
    """Returns a checkpoint's recipe, and its method without memory for weights."""
    try:
        plain = json.loads(json.dumps(content["recipe"]))
    except TypeError as error:
        raise ContentError("recipe: it holds more than plain values") from error
    try:
        recipe = recipes.from_dict(plain)
        with WithoutMemory():
            return recipe, method(recipe, torch.device("meta"))
    except RecipeError as error:
        raise ContentError(str(error).splitlines()[0]) from error


def _check_labels(recipe: Recipe, content: dict[str, Any]) -> None:
    labels = getattr(recipe.generator, "labels", 0)
    if labels and labels != len(content["label_names"]):
        raise ContentError(f"label_names: there are {len(content['label_names'])}, and generator.labels is {labels}")
    counts = content.get("label_counts")
    if labels and counts and (len(counts) != labels or not any(counts)):
        raise ContentError(f"label_counts: there are {len(counts)}, {sum(counts)} in all, and {labels} labels")


def _check_items(content: Mapping[str, Any]) -> None:
    for key, items in content.items():
        is_record = str(key).startswith(("training_items", "held_out_items"))
        if is_record and not (isinstance(items, Tensor) and items.dtype == torch.int64 and _is_row(items)):
            raise ContentError(f"{key}: it is no row of hashes")


def _is_row(items: Tensor) -> bool:
    return items.dim() == 1 and items.is_contiguous()


def _check_optimizer(recipe: Recipe, name: str, network: nn.Module, stored: dict[str, Any]) -> None:
    """Compares an optimiser's state with that of the same one after a step of a small network."""
    place = f"optimizers.{name}"
    with torch.random.fork_rng([]):
        small = nn.Conv1d(2, 3, 1)  # has a kernel and a bias, which an optimiser may treat differently
    template = optimizer(recipe, name, small)
    small(torch.ones(1, 2, 1)).sum().backward()
    template.step()
    (settings,), memory = template.state_dict()["param_groups"], template.state_dict()["state"]
    groups, states = stored.get("param_groups"), stored.get("state")
    parameters = list(network.parameters())
    if (
        not isinstance(groups, list)
        or len(groups) != 1
        or not isinstance(groups[0], dict)
        or not isinstance(states, dict)
    ):
        raise ContentError(f"{place} is no state of an optimiser")
    if groups[0].get("params") != list(range(len(parameters))):
        raise ContentError(f"{place} is of another number of tensors")
    for key, value in settings.items():
        if key not in (*FREE_SETTINGS, "params") and key in groups[0] and _plain(groups[0][key]) != _plain(value):
            raise ContentError(f"{place}.{key} is {groups[0][key]!r}, and the recipe's is {value!r}")
    lr = groups[0].get("lr")
    if not isinstance(lr, float) or not 0 <= lr <= settings["lr"]:
        raise ContentError(f"{place}.lr is {lr!r}, and the recipe's is {settings['lr']!r}")
    for index, state in states.items():
        if not isinstance(index, int) or not 0 <= index < len(parameters):
            raise ContentError(f"{place} has memory of tensor {index!r}, which is not there")
        own = memory.get(0 if is_kernel(parameters[index]) else 1, {})
        forms = {key: value if _is_number(value) else parameters[index] for key, value in own.items()}
        refuse_other_form(forms, state, f"{place}.{index}")


def _is_number(value: Any) -> bool:
    return not isinstance(value, Tensor) or value.dim() == 0


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
