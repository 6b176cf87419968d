"""Defines `wavegan evaluate`, which writes figures, spectrograms and a report."""

from pathlib import Path

import click

from wavegan.cli.options import PATH, json_option, judging_options
from wavegan.cli.output import print_result
from wavegan.commands.judging_options import JudgingOptions


@click.command(short_help="Measure how good a model is; write a report.")
@click.argument("target", metavar="MODEL|DIR", type=PATH)
@judging_options
@click.option(
    "--out",
    type=PATH,
    help="Folder to write to; by default evaluation/step-… of the run, or evaluation/NAME (or NAME-2) of a DIR.",
)
@json_option
def evaluate(target: Path, options: JudgingOptions, out: Path | None, as_json: bool) -> None:
    """Compares clips of MODEL, or the sound files in DIR, with real sound.

    Prints metrics with 95 % intervals, and writes metrics.json, spectrograms.png and report.html. copy_share says which
    share of the clips are near copies of training sound. DIR may come from any other system, and needs --data.

    \b
    Examples:
      wavegan evaluate runs/quickstart
      wavegan evaluate some/clips --data real/clips --out judged
    """
    from wavegan.cli.output import scores
    from wavegan.commands import evaluate as commands
    from wavegan.commands.memory import prepare_process

    prepare_process()
    result = commands.evaluate(target, options, out=out)
    obeyed = "" if result.labels_obeyed is None else f"\nlabels obeyed: {result.labels_obeyed:.2f}"
    table = scores(result.scores) + obeyed
    print_result(commands.as_json(result), as_json, f"{table}\n{result.spectrograms}\n{result.report}")
