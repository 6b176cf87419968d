"""The command line: parse, call, print. Torch is imported only by the commands that need it."""

import errno
import signal
import sys
import warnings
from typing import Any, NoReturn

import click

from wavegan import __version__, distributed
from wavegan.cli import judge, sound, train
from wavegan.errors import UserError

EXIT_USER, EXIT_INTERRUPTED = 2, 130
# What a disk or a folder refuses is for the user to put right; any other OSError is a bug of ours.
DISK_ERRORS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG
}  # fmt: skip


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


for command in (
    train.train,
    sound.generate,
    sound.translate,
    judge.evaluate,
    judge.compare,
    judge.classifier,
    train.bench,
    sound.fetch,
):
    cli.add_command(command)


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
