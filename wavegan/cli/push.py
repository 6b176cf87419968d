"""Defines `wavegan push`, which uploads a model to a hub."""

from pathlib import Path

import click

from wavegan.cli.options import (
    checkpoint_option,
    json_option,
    licence_option,
    model_argument,
    raw_option,
    stored_as_option,
)
from wavegan.cli.output import print_result


@click.command(short_help="Upload a model to a hub.")
@model_argument
@click.argument("repository", metavar="USER/NAME")
@click.option("--private", is_flag=True, help="Make a new name that only its owner sees.")
@stored_as_option
@licence_option
@checkpoint_option
@raw_option
@json_option
def push(
    model: Path,
    repository: str,
    private: bool,
    precision: str,
    licence: str | None,
    checkpoint: str,
    raw: bool,
    as_json: bool,
) -> None:
    """Exports MODEL as wavegan export does, and uploads it to USER/NAME on a hub.

    Every command then reads it as the MODEL hub:USER/NAME. Log in first with hf auth login, or set HF_TOKEN.

    \b
    Examples:
      wavegan push runs/quickstart me/drums --licence cc0-1.0
      wavegan push runs/quickstart me/drums --private
    """
    from wavegan.commands import export
    from wavegan.commands import push as commands

    options = export.ExportOptions(precision, licence)
    result = commands.push(model, repository, options=options, private=private, checkpoint=checkpoint, raw=raw)
    values = {"url": result.address, "model": result.model, "max_difference": result.max_difference}
    print_result(values, as_json, f"{result.address}\nwavegan generate {result.model}")
