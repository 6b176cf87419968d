"""The command line: parse, call, print. Torch is imported only by the commands that need it."""

import errno
import json
import shlex
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

import click

from wavegan import __version__, distributed
from wavegan.errors import UserError

EXIT_USER, EXIT_INTERRUPTED = 2, 130
FORMATS = ("wav", "flac", "ogg", "mp3")
PRECISIONS = ("fp32", "bf16")
# What a disk or a folder refuses is for the user to put right; any other OSError is a bug of ours.
DISK_ERRORS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG
}  # fmt: skip
LARGEST_SEED = 2**63 - 1
MOST_CLIPS = 10**6  # a clip's name has six digits

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
device_option = click.option(
    "--device", default="auto", show_default=True, metavar="D", help="auto, cpu, cuda, cuda:N or mps."
)
seed_option = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, LARGEST_SEED), help="Series of clips."
)
raw_option = click.option("--raw", is_flag=True, help="Use the weights that learn, not their running average.")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, invoke_without_command=True
)
@click.version_option(__version__, prog_name="wavegan")
@click.pass_context
def cli(context: click.Context) -> None:
    """From a folder of sounds and one recipe to new sounds.

    \b
    Examples:
      wavegan train recipes/quickstart.yaml
      wavegan generate runs/quickstart -n 16
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command(short_help="Train a recipe, or go on where it ended.")
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
    from wavegan.jobs.train import train as start

    result = start(settings, run or Path("runs") / settings.name, device=device, fresh=fresh)
    values = {
        "run": str(result.run),
        "step": result.step,
        "seconds": round(result.seconds, 3),
        "steps_per_second": round(result.steps_per_second, 3),
        "checkpoint": str(result.checkpoint),
    }
    _print(values, as_json, f"{result.checkpoint}")
    if result.signal is not None:
        again = shlex.join(["wavegan", *(word for word in sys.argv[1:] if word != "--fresh")])
        click.echo(f"stopped at step {result.step:,} and saved; go on with: {again}", err=True)
        sys.exit(128 + result.signal)


@cli.command(short_help="Write new clips.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-n", "count", default=16, show_default=True, type=click.IntRange(1, MOST_CLIPS), help="How many clips.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder; generated/ beside MODEL's checkpoints if not given."
)
@seed_option
@click.option("--truncation", default=1.0, show_default=True, help="Below 1: more typical, less varied.")
@click.option("--format", "extension", default="wav", show_default=True, type=click.Choice(FORMATS))
@click.option("--precision", default="fp32", show_default=True, type=click.Choice(PRECISIONS), help="bf16 is faster.")
@click.option("--interpolate", is_flag=True, help="One file that walks between the latents of -n clips.")
@click.option("--force", is_flag=True, help="Write over existing clips.")
@raw_option
@device_option
@json_option
def generate(
    model: Path,
    count: int,
    out: Path | None,
    seed: int,
    truncation: float,
    extension: str,
    precision: str,
    interpolate: bool,
    force: bool,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Writes new clips of MODEL, a run folder or a checkpoint file.

    \b
    Examples:
      wavegan generate runs/quickstart -n 100 --out kicks --seed 7
      wavegan generate runs/quickstart --interpolate -n 8 --format flac
    """
    if interpolate and count < 2:
        raise UserError("-n is 1; --interpolate walks between two latents or more; try -n 8")
    if not 0 < truncation <= 1:
        raise UserError(f"--truncation is {truncation:g}; it must be above 0 and at most 1; try 0.7")
    from wavegan import assemble
    from wavegan.jobs.generate import generate as write_clips
    from wavegan.jobs.generate import generate_walk
    from wavegan.jobs.models import home, load_model

    _, loaded = load_model(model, assemble.device(device), raw=raw, precision=precision)
    folder = out or home(model) / "generated"
    write = generate_walk if interpolate else write_clips
    paths = write(loaded, folder, count, seed=seed, truncation=truncation, extension=extension, force=force)
    values = {
        "out": str(folder),
        "files": [str(path) for path in paths],
        "sample_rate": loaded.sample_rate,
        "clip_samples": loaded.clip_samples,
    }
    _print(values, as_json, "\n".join(values["files"]))


@cli.command(short_help="Figures, spectrograms and a report.")
@click.argument("target", metavar="MODEL|DIR", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Folder of real audio to judge by.")
@click.option("--count", type=click.IntRange(2), help="Clips at most; the recipe's evaluation.count if not given.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder; MODEL's evaluation/step-… if not given.")
@seed_option
@raw_option
@device_option
@json_option
def evaluate(
    target: Path,
    data: Path | None,
    count: int | None,
    out: Path | None,
    seed: int,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Judges MODEL, or a folder of audio made by any other system, by real sound.

    \b
    Examples:
      wavegan evaluate runs/quickstart
      wavegan evaluate some/clips --data real/clips --out judged
    """
    from wavegan.jobs.evaluate import as_json as plain
    from wavegan.jobs.evaluate import evaluate as judge
    from wavegan.jobs.tables import scores

    result = judge(target, data=data, count=count, out=out, seed=seed, device=device, raw=raw)
    _print(plain(result), as_json, scores(result.scores) + f"\n{result.spectrograms}\n{result.report}")


@cli.command(short_help="Time a recipe's step.")
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
    from wavegan.jobs.bench import bench as measure
    from wavegan.jobs.tables import benchmark

    result = measure(recipes.load(recipe, overrides), repeats=repeats, device=device)
    _print(result, as_json, benchmark(result))


@cli.command(short_help="Download a known data set.")
@click.argument("name")
@click.option("--to", default=Path("data"), show_default=True, type=click.Path(path_type=Path), help="Where to.")
@json_option
def fetch(name: str, to: Path, as_json: bool) -> None:
    """Downloads the data set NAME, checks it and lays it out in its official parts.

    \b
    Examples:
      wavegan fetch sc09
      wavegan fetch sc09 --to /data
    """
    from wavegan.audio.fetch import fetch as bring

    result = bring(name, to)
    _print({"path": str(result.path), "clips": result.clips}, as_json, str(result.path))


def main() -> NoReturn:
    """Runs the command line: exit 0, 2 for what the user can put right, 130 interrupted, 1 with a traceback."""
    warnings.showwarning = _show_warning
    try:
        cli(prog_name="wavegan", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.UsageError as fault:
        command = fault.ctx.command_path if fault.ctx else "wavegan"
        _fail(f"{fault.format_message().rstrip('.')}; see {command} --help")
    except UserError as fault:
        _fail(str(fault))
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; the same command goes on where it can", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of stdout has gone, `| head` say
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        sys.stderr.close()
        sys.exit(1)
    except OSError as fault:
        if fault.errno not in DISK_ERRORS:
            raise
        place = f"{fault.filename}: " if fault.filename else ""
        _fail(f"{place}{fault.strerror}; wavegan must be able to write there; free some space or name another folder")
    sys.exit(0)


def _fail(text: str) -> NoReturn:
    if distributed.speaks():  # of several processes one
        click.echo(f"error: {text}", err=True)
    sys.exit(EXIT_USER)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"warning: {message}", err=True)


def _print(values: dict[str, Any], as_json: bool, text: str) -> None:
    click.echo(json.dumps(values, ensure_ascii=False) if as_json else text)


def _print_dry_run(settings: Any, as_json: bool) -> None:
    from wavegan import recipe as recipes
    from wavegan.jobs.train import dry_run

    sizes = dry_run(settings)
    lines = "\n".join(f"# {name}: {size:,} parameters" for name, size in sizes.items())
    _print({"recipe": recipes.as_dict(settings), "parameters": sizes}, as_json, f"{recipes.dump(settings)}{lines}")
