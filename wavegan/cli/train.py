"""Training a recipe, and timing its step."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from wavegan.cli.options import device_option, json_option, print_result


@click.command(short_help="Train a recipe, or go on where it ended.")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE]...")
@click.option("--run", type=click.Path(path_type=Path), help="Run folder; runs/<recipe name> if not given.")
@device_option
@click.option("--fresh", is_flag=True, help="Start again; an earlier run in the folder is moved aside.")
@click.option("--dry-run", is_flag=True, help="Print the resolved recipe and the networks' sizes, and stop.")
@json_option
def train(
    recipe: Path, overrides: tuple[str, ...], run: Path | None, device: str, fresh: bool, dry_run: bool, as_json: bool
) -> None:
    """Trains RECIPE, or goes on where its run folder ended.

    \b
    Examples:
      wavegan train recipes/quickstart.yaml
      wavegan train recipes/drums.yaml data.source=my/drums training.batch_size=16 --run runs/mine
    """
    from wavegan import recipe as recipes

    settings = recipes.load(recipe, overrides)
    if dry_run:
        _print_dry_run(settings, as_json)
        return
    from wavegan.commands.train import train as start

    result = start(settings, run or Path("runs") / settings.name, device=device, fresh=fresh)
    values = {
        "run": str(result.run),
        "step": result.step,
        "seconds": round(result.seconds, 3),
        "steps_per_second": round(result.steps_per_second, 3),
        "checkpoint": str(result.checkpoint),
    }
    print_result(values, as_json, f"{result.checkpoint}")
    if result.signal is not None:
        again = shlex.join(["wavegan", *(word for word in sys.argv[1:] if word != "--fresh")])
        click.echo(f"stopped at step {result.step:,} and saved; go on with: {again}", err=True)
        sys.exit(128 + result.signal)


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


def _print_dry_run(settings: Any, as_json: bool) -> None:
    from wavegan import recipe as recipes
    from wavegan.commands.train import dry_run

    sizes = dry_run(settings)
    lines = "\n".join(f"# {name}: {size:,} parameters" for name, size in sizes.items())
    values = {"recipe": recipes.as_dict(settings), "parameters": sizes}
    print_result(values, as_json, f"{recipes.dump(settings)}{lines}")
