"""Defines `wavegan bench`, which times a recipe's step."""

from pathlib import Path

import click

from wavegan.cli.options import device_option, json_option
from wavegan.cli.output import print_result


@click.command(short_help="Time a recipe's step.")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE]...")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1, 1000), help="Figures behind a median.")
@device_option
@json_option
def bench(recipe: Path, overrides: tuple[str, ...], repeats: int, device: str, as_json: bool) -> None:
    """Times the step of RECIPE by part, beside the plain one and the least that this machine could need.

    \b
    Examples:
      wavegan bench recipes/quickstart.yaml
      wavegan bench recipes/sc09.yaml training.batch_size=16 training.precision=bf16
    """
    from wavegan import recipe as recipes
    from wavegan.cli.output import benchmark
    from wavegan.commands.bench import bench as measure

    result = measure(recipes.load(recipe, overrides), repeats=repeats, device=device)
    print_result(result, as_json, benchmark(result))
