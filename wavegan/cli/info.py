"""Defines `wavegan info`, which says how a sound was made, what a model is, or how runs go."""

from pathlib import Path

import click

from wavegan.cli.options import PATH, json_option
from wavegan.cli.output import print_result


@click.command(short_help="Say how a sound was made, what a model is, or how runs go.")
@click.argument("target", metavar="FILE|MODEL|FOLDER", type=PATH, default="runs")
@json_option
def info(target: Path, as_json: bool) -> None:
    """Shows the receipt of a sound FILE that wavegan has written, or the facts of a MODEL.

    Of a run it also shows how it goes, by its log: step, speed, alarms, figures, machine, and how to go on. Of a FOLDER
    of runs (runs if none is named) it shows a line for each: step, newest evaluation, and whether it runs.

    \b
    Examples:
      wavegan info generated/drums/clip-000003.wav
      wavegan info runs/drums_modern --json
    """
    from wavegan.commands import info as commands

    facts = commands.info(target)
    print_result(facts, as_json, commands.as_text(facts))
