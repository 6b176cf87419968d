"""Defines `wavegan bench`, which times a recipe's step."""

from pathlib import Path

import click

from wavegan.cli.options import PATH, WholeNumber, device_option, json_option
from wavegan.cli.output import print_result


@click.command(short_help="Measure how fast a recipe trains here.")
@click.argument("recipe", type=PATH)
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE]...")
@click.option(
    "--repeats",
    default=5,
    show_default=True,
    type=WholeNumber(1, 1000),
    help="Measurements of which the median is shown.",
)
@device_option
@json_option
def bench(recipe: Path, overrides: tuple[str, ...], repeats: int, device: str, as_json: bool) -> None:
    """Measures the time of one training step of RECIPE on this machine, in total and by part.

    Beside it stand the same step in plain PyTorch and the floor: the least time that this machine could need.
    Where the recipe's sound is missing, it uses noise. Under torchrun or srun each process times its share of the step,
    without the plain one; the times are those of the slowest.

    \b
    Examples:
      wavegan bench quickstart
      wavegan bench sc09 training.batch_size=16 training.precision=bf16
    """
    from wavegan import distributed
    from wavegan import recipe as recipes
    from wavegan.cli.output import benchmark
    from wavegan.commands.bench import bench as measure

    result = measure(recipes.load(recipe, overrides), repeats=repeats, device=device, supervised=True)
    if distributed.find_environment().is_main:
        print_result(result, as_json, benchmark(result))
