"""Defines `wavegan compare`, which compares models or folders and prepares a blind listening test."""

from pathlib import Path

import click

from wavegan.cli.options import PATH, WholeNumber, json_option, judging_options
from wavegan.cli.output import print_result
from wavegan.commands.judging_options import JudgingOptions
from wavegan.errors import UserError


@click.command(short_help="Compare models or folders; make a blind listening test.")
@click.argument("targets", nargs=-1, metavar="[MODEL|DIR]...", type=PATH)
@judging_options
@click.option(
    "--out",
    type=PATH,
    help="HTML file of the report; comparison/report.html if not given, or comparison-2/ … where that holds others.",
)
@click.option(
    "--answers",
    multiple=True,
    type=PATH,
    help="Score a file of answers that listening.html saved; may be given several times.",
)
@click.option(
    "--trials",
    default=40,
    show_default=True,
    type=WholeNumber(1, 1000),
    help="Pairs of clips in the listening test.",
)
@json_option
def compare(
    targets: tuple[Path, ...],
    options: JudgingOptions,
    out: Path | None,
    answers: tuple[Path, ...],
    trials: int,
    as_json: bool,
) -> None:
    """Compares two or more models or folders of sound files, all with the same real sound, seed and number of clips.

    Writes a report, and beside it listening.html, a blind listening test. That page saves a file for --answers.

    \b
    Examples:
      wavegan compare runs/plain runs/nearest --out comparison/report.html
      wavegan compare --answers ~/Downloads/answers.json
    """
    from wavegan.cli import output
    from wavegan.commands import compare as commands
    from wavegan.commands.memory import prepare_process

    if answers and targets:
        raise UserError(
            "both --answers and models are given",
            "--answers scores a finished test, which names its models",
            "give only one of the two",
        )
    if answers:
        scored = commands.score_listening(answers)
        print_result(scored, as_json, output.listening(scored))
        return
    if len(targets) < 2:
        named = f"only {targets[0]} is named" if targets else "no model or folder is named"
        raise UserError(f"{named}; a comparison needs two or more; name another one")
    prepare_process()
    result = commands.compare(targets, options, out=out, trials=trials)
    text = f"{output.comparison(result)}\n{result.report}\n{result.listening}"
    print_result(commands.as_json(result), as_json, text)
