"""Defines `wavegan models`, which lists the shipped models and shows their cards."""

from dataclasses import asdict

import click

from wavegan.cli.options import json_option
from wavegan.cli.output import print_result
from wavegan.errors import some_of


@click.command(short_help="List the shipped models, which make sound without training.")
@click.option("--show", metavar="NAME", help="Print the card of the model NAME.")
@json_option
def models(show: str | None, as_json: bool) -> None:
    """Lists the models that wavegan generate knows by name: what each makes, and the labels that it knows.

    \b
    Examples:
      wavegan models
      wavegan models --show drums
    """
    from wavegan.commands import shipped_models as commands

    if show:
        text = commands.card_of(show)
        print_result({"name": show, "card": text}, as_json, text.rstrip("\n"))
    else:
        listed = commands.shipped_models()
        width = max((len(model.name) for model in listed), default=0)
        lines = [f"{model.name:<{width}}  {model.about} {_labels(model.labels)}" for model in listed]
        values = [{key: value for key, value in asdict(model).items() if key != "recipe"} for model in listed]
        print_result({"models": values}, as_json, "\n".join(lines))


def _labels(names: tuple[str, ...]) -> str:
    if not names:
        return "No labels."
    return f"Labels: {some_of(names, 12)}."
