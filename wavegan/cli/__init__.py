"""Parses the command line, calls the command, prints its result. Only commands that need torch import it."""

import os
import signal
import sys
from typing import NoReturn

import click

from wavegan import __version__, distributed
from wavegan.cli import (
    bench,
    classifier,
    compare,
    console,
    doctor,
    evaluate,
    export,
    fetch,
    generate,
    info,
    invert,
    kit,
    models,
    morph,
    push,
    recipes,
    regenerate,
    train,
    translate,
    vary,
)
from wavegan.errors import Interrupted, UserError, system_error
from wavegan.training.signals import interrupting

EXIT_USER = 2


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, invoke_without_command=True
)
@click.version_option(__version__, prog_name="wavegan")
@click.pass_context
def cli(context: click.Context) -> None:
    """Trains networks that make sound, generates clips with them, and measures how good they are.

    A RECIPE is a YAML file with the settings of a training, or the name of one that is shipped; wavegan recipes lists
    those. A MODEL is the folder of a training (runs/NAME by default) or its address, a checkpoint file, an exported
    folder, hub:USER/NAME or the name of a shipped model.

    \b
    Examples:
      wavegan generate drums --label kick -n 8
      wavegan train quickstart
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    recipes.recipes,
    models.models,
    doctor.doctor,
    train.train,
    generate.generate,
    info.info,
    invert.invert,
    regenerate.regenerate,
    vary.vary,
    morph.morph,
    translate.translate,
    evaluate.evaluate,
    compare.compare,
    export.export,
    push.push,
    kit.kit,
    classifier.classifier,
    bench.bench,
    fetch.fetch,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Runs the command line and ends the process.

    The exit code is 0 for success, 2 for what the user can put right, 130 after an interruption, 1 with a traceback for
    a bug, 75 if another process of a training was lost. If a signal ends it, it is 128 plus the signal's number.
    """
    if sys.platform == "darwin":  # torch reads it when it is imported; its warning names each operator that falls back
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    with console.installed():
        _run()
    sys.exit(0)


def _run() -> None:
    try:
        with interrupting():
            cli(prog_name="wavegan", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.UsageError as error:
        named = [word for word in sys.argv[1:2] if word in cli.commands]  # an option without its value has no context
        command = error.ctx.command_path if error.ctx else " ".join(["wavegan", *named])
        _fail(f"{error.format_message().rstrip('.')}; see {command} --help")
    except UserError as error:
        _fail(console.in_options(str(error)), error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        console.end_progress_line()
        cause = error.__cause__ if isinstance(error, click.Abort) else error  # click's own form of KeyboardInterrupt
        ended = cause if isinstance(cause, Interrupted) else Interrupted(signal.SIGINT)
        click.echo(f"{ended}; the same command goes on where it can", err=True)
        sys.exit(ended.exit_code)
    except BrokenPipeError:  # the reader of stdout has gone, for example `| head`
        if hasattr(signal, "SIGPIPE"):  # Windows has none
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.errno is None:  # not the system but a library or a bug of ours raised it
            raise
        _fail(system_error(error))


def _fail(text: str, exit_code: int = EXIT_USER) -> NoReturn:
    try:
        reports = distributed.reports_errors()  # only one of several processes reports
    except KeyboardInterrupt:  # torchrun ends this process, since another has reported
        reports = False
    if reports:
        console.end_progress_line()
        click.echo(console.message(f"error: {text}"), err=True)
    sys.exit(exit_code)
