"""Defines `wavegan train`, which trains a recipe in a run folder."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wavegan.cli.console import Unbreakable, printable
from wavegan.cli.options import PATH, device_option, json_option
from wavegan.cli.output import print_result
from wavegan.errors import UserError

if TYPE_CHECKING:
    from wavegan.commands.train import TrainingResult


def _refuse_old_option(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise UserError(f"--run is {value}", "the option is called --run-dir now", f"write --run-dir {value}")


@click.command(short_help="Train a recipe, or continue an interrupted training.")
@click.argument("recipe", metavar="RECIPE|RUN", type=PATH)
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE]...")
@click.option(
    "--run-dir",
    type=PATH,
    help="Folder of the training, or its address (s3://…); runs/<recipe name> if not given.",
)
@click.option("--run", hidden=True, expose_value=False, callback=_refuse_old_option)
@device_option
@click.option("--fresh", is_flag=True, help="Start again; an earlier run is renamed to NAME.1, not deleted.")
@click.option("--dry-run", is_flag=True, help="Print and explain all settings, and count parameters; train nothing.")
@json_option
def train(
    recipe: Path,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    device: str,
    fresh: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Trains RECIPE in its run folder; the same command again continues from the newest checkpoint.

    RECIPE is a file, or the name of a shipped recipe where there is no such file; wavegan recipes lists them. RUN is
    the folder of an earlier training, or its address, which continues. KEY.PATH=VALUE sets any key of the recipe, for
    example data.source=my/sounds. Ctrl-C saves a checkpoint and stops.

    \b
    Examples:
      wavegan train quickstart
      wavegan train drums_modern data.source=my/drums training.batch_size=16 --run-dir runs/mine
    """
    from wavegan.commands.named_run import recipe_and_folder

    settings, folder = recipe_and_folder(recipe, overrides, run_dir)
    if dry_run:
        _print_dry_run(settings, as_json)
        return
    from wavegan import distributed
    from wavegan.commands import train as commands
    from wavegan.commands.memory import prepare_process
    from wavegan.training.remote_run import address_of
    from wavegan.training.signals import LAUNCHER_REPEAT_SECONDS, REPEAT_SECONDS, StopRequest

    prepare_process()
    is_launched = bool(distributed.find_environment().origin)
    stop = StopRequest(repeat_seconds=LAUNCHER_REPEAT_SECONDS if is_launched else REPEAT_SECONDS)
    result = commands.train(
        settings,
        folder,
        device=device,
        fresh=fresh,
        stop=stop,
        supervised=True,
    )
    if result.signal is not None:
        sys.stdout = Unbreakable(sys.stdout)  # after SIGHUP nobody may read it
    if distributed.find_environment().is_main:
        _print(result, address_of(folder), as_json)
    if result.signal is not None:
        sys.exit(128 + result.signal)


def _print(result: "TrainingResult", address: str | None, as_json: bool) -> None:
    values = {
        "run": address or str(result.run),
        "step": result.step,
        "seconds": round(result.seconds, 3),
        "steps_per_second": round(result.steps_per_second, 3),
        "checkpoint": str(result.checkpoint),
    }
    print_result(values, as_json, f"{result.checkpoint}")
    if result.signal is not None:
        again = shlex.join(["wavegan", *(word for word in sys.argv[1:] if word != "--fresh")])
        click.echo(printable(f"stopped at step {result.step:,} and saved; go on with: {again}"), err=True)


def _print_dry_run(settings: Any, as_json: bool) -> None:
    from wavegan import recipe as recipes
    from wavegan.commands.train import dry_run

    sizes = dry_run(settings)
    lines = "\n".join(f"# {name}: {size:,} parameters" for name, size in sizes.items())
    values = {"recipe": recipes.as_dict(settings), "parameters": sizes}
    print_result(values, as_json, f"{recipes.explained(settings)}{lines}")
