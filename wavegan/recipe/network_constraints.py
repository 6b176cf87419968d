"""Finds lengths of clips, windows, hops and rates that networks and views cannot work with."""

from collections.abc import Iterator
from inspect import signature
from typing import Any

from wavegan.dsp.views import VIEWS
from wavegan.models.catalogue import DISCRIMINATORS, GENERATORS
from wavegan.recipe.conflict import Conflict, judges
from wavegan.recipe.kinds import arguments
from wavegan.recipe.schema import Recipe
from wavegan.recipe.yaml_text import format_value


def network_conflicts(recipe: Recipe) -> Iterator[Conflict]:
    """Yields all that the networks of a recipe cannot work with."""
    yield from _lengths(recipe)
    yield from _window(recipe)
    yield from _views(recipe)


def _lengths(recipe: Recipe) -> Iterator[Conflict]:
    """Yields a conflict if some network cannot work with the clip's length."""
    data = recipe.data
    networks = [("generator.name", recipe.generator.name, GENERATORS)]
    networks += [(f"discriminators.{name}.name", each.name, DISCRIMINATORS) for name, each in judges(recipe)]
    lengths = [table[name].lengths for _, name, table in networks]
    refusing = [at for at in range(len(networks)) if lengths[at].nearest(data.clip_samples) != data.clip_samples]
    if not refusing:
        return
    nearest = {at: lengths[at].nearest(data.clip_samples) for at in refusing}
    fits_all = [at for at in refusing if all(each.nearest(nearest[at]) == nearest[at] for each in lengths)]
    at = (fits_all or refusing)[0]
    key, name, _ = networks[at]
    duration = f"{nearest[at] / data.sample_rate:.3g} s at {data.sample_rate / 1000:g} kHz"
    rule = f"{key}: {name} is for {lengths[at]}"
    text = f"data.clip_samples is {format_value(data.clip_samples)}; {rule}; try {nearest[at]} ({duration})"
    yield Conflict(("data.clip_samples", key, "data.sample_rate", "method.name"), text)


def _window(recipe: Recipe) -> Iterator[Conflict]:
    """Yields the conflicts of a generator of spectra.

    Its class may refuse the window or the hop, and a clip must hold at least one window.
    """
    generator, kind = recipe.generator, GENERATORS[recipe.generator.name]
    if not hasattr(kind, "require_window"):
        return
    keys = ("generator.window", "generator.hop", "generator.name")
    try:
        kind.require_window(generator.window, generator.hop)
    except ValueError as error:
        yield Conflict(keys, f"generator.{error}")
    if recipe.data.clip_samples < generator.window:
        rule = f"generator.window is {generator.window}, and a clip must hold one; try {generator.window}"
        yield Conflict(("data.clip_samples", *keys), f"data.clip_samples is {recipe.data.clip_samples}; {rule}")
    elif (times := generator.long_frames) * generator.window > recipe.data.clip_samples:
        most = recipe.data.clip_samples // generator.window
        remedy = f"try {most if most > 1 else 0}"
        rule = f"a window of {times} times {generator.window} samples is longer than a clip; {remedy}"
        yield Conflict(
            ("generator.long_frames", "data.clip_samples", *keys), f"generator.long_frames is {times}; {rule}"
        )


def _views(recipe: Recipe) -> Iterator[Conflict]:
    """Yields the conflicts of views.

    The class of a view may refuse its window, hop or bands. A low rate does not suit a discriminator of fixed lengths.
    """
    for name, settings in recipe.discriminators.items():
        if (view := getattr(settings, "view", None)) is None:
            continue
        path, lengths = f"discriminators.{name}.view", DISCRIMINATORS[settings.name].lengths
        if view.name == "low_rate" and lengths.values:
            rule = f"discriminators.{name}.name: {settings.name} is for {lengths}; try name: tiled_waveform"
            yield Conflict((f"{path}.name", f"discriminators.{name}.name"), f"{path}.name is low_rate; {rule}")
        if problem := _view_problem(view, recipe.data.sample_rate):
            keys = (f"{path}.{problem.partition(' is ')[0]}", f"{path}.*", "data.sample_rate")
            yield Conflict(keys, f"{path}.{problem}")


def _view_problem(settings: Any, sample_rate: int) -> str:
    """Returns why a view cannot be made, as its class words it: `KEY is VALUE; RULE; REMEDY`; empty if it can."""
    kind = VIEWS[settings.name]
    rate = {"sample_rate": sample_rate} if "sample_rate" in signature(kind).parameters else {}
    try:
        kind(**rate, **{key: getattr(settings, key) for key in arguments(kind)})
    except ValueError as error:
        return str(error)
    return ""
