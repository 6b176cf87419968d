"""Defines `wavegan doctor`, which examines a source before training."""

import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wavegan.cli.options import PATH, WholeNumber, device_option, json_option
from wavegan.cli.output import print_result

if TYPE_CHECKING:
    from wavegan.commands.doctor import Diagnosis, Problem

WIDTH = 100
NAME_WIDTH = 14


@click.command(short_help="Examine sound before training, and advise a recipe.")
@click.argument("source", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--recipe", type=PATH, metavar="FILE", help="Write the recipe that fits to FILE.")
@click.option("--force", is_flag=True, help="Write over an existing recipe.")
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="Folder for doctor.html, with pictures and players.",
)
@click.option(
    "--sample-rate",
    type=WholeNumber(1000, 192_000),
    metavar="HZ",
    help="Rate to learn at, such as 16000; else the lowest that keeps the sound of nine of ten files.",
)
@click.option("--no-timing", is_flag=True, help="Do not time the recipe's step.")
@device_option
@json_option
def doctor(
    source: tuple[str, ...],
    recipe: Path | None,
    force: bool,
    out: Path | None,
    sample_rate: int | None,
    no_timing: bool,
    device: str,
    as_json: bool,
) -> None:
    """Says what SOURCE holds, what will go wrong in training and why, and which recipe fits.

    SOURCE is a folder of sounds, tar files, an address such as s3://bucket/sounds, or the name of a built-in source
    such as drum_machine. The sound is decoded once; a training then reads it from the cache.

    \b
    Examples:
      wavegan doctor my/drums --recipe drums.yaml
      wavegan doctor my/words --out checked --json
    """
    from wavegan.commands import doctor as commands

    result = commands.doctor(
        source, out=out, recipe=recipe, force=force, timing=not no_timing, sample_rate=sample_rate, device=device
    )
    print_result(commands.as_json(result), as_json, _text(result))


def _text(result: "Diagnosis") -> str:
    """Returns a diagnosis as text; a fatal problem comes first."""
    yours = [problem for problem in result.problems if not problem.is_mended]
    mended = [problem for problem in result.problems if problem.is_mended]
    fatal = [problem for problem in yours if problem.finding.is_fatal]
    blocks = [[f"nothing can be learned so: {problem.finding}"] for problem in fatal]
    blocks.append(["What is there", *(_row(name, text) for name, text in result.facts.items())])
    if yours:
        blocks.append(["What will go wrong, the worst first", *map(_problem, yours)])
    if mended:
        blocks.append(["What would go wrong without the recipe below", *map(_problem, mended)])
    if not result.problems:
        blocks.append(["Nothing is wrong."])
    return "\n\n".join("\n".join(block) for block in [*blocks, *_recipe(result)])


def _row(name: str, text: str) -> str:
    lines = textwrap.wrap(text, WIDTH - NAME_WIDTH - 2, break_on_hyphens=False)
    return f"  {name:<{NAME_WIDTH}}" + f"\n{'':{NAME_WIDTH + 2}}".join(lines)


def _problem(problem: "Problem") -> str:
    finding = problem.finding
    text = textwrap.fill(f"- {finding.text}", WIDTH, initial_indent="  ", subsequent_indent="    ")
    if not finding.remedy or problem.is_mended:
        return text
    return text + "\n" + textwrap.fill(f"→ {finding.remedy}", WIDTH, initial_indent="    ", subsequent_indent="      ")


def _recipe(result: "Diagnosis") -> list[list[str]]:
    from wavegan.audio.checks import duration
    from wavegan.commands.doctor import training_seconds

    page = [[f"page: {result.page}"]] if result.page else []
    if result.advice is None:
        return [*page, ["No recipe helps, so none is written."]]
    steps = result.advice.recipe.training.steps
    seconds = training_seconds(result)
    time = f"{steps:,} steps"
    if seconds:
        time += f", about {duration(seconds)} at {result.step_seconds:.2f} s a step on this {result.device}"
    if result.recipe_file:
        command = shlex.join(["wavegan", "train", str(result.recipe_file)])
        return [*page, [f"{result.recipe_file} holds the recipe that fits: {time}", f"next: {command}"]]
    return [*page, [f"The recipe that fits ({time}); --recipe FILE writes it", "", result.advice.text.rstrip()]]
