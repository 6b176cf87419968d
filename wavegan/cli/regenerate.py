"""Defines `wavegan regenerate`, which makes sounds again from the receipts in their files."""

from pathlib import Path

import click

from wavegan.cli.options import PATH, device_option, force_option, format_option, json_option, maker_option
from wavegan.cli.output import print_result


@click.command(short_help="Make sounds again from their own files.")
@click.argument("sounds", nargs=-1, required=True, metavar="FILE…", type=PATH)
@maker_option
@click.option("--out", default="regenerated", show_default=True, type=PATH, help="Folder to write to.")
@format_option
@force_option
@device_option
@json_option
def regenerate(
    sounds: tuple[Path, ...],
    model: Path | None,
    out: Path,
    extension: str,
    force: bool,
    device: str,
    as_json: bool,
) -> None:
    """Makes the sounds of FILEs again, each by the model, the seed and the number that its receipt names.

    A receipt is in the comment of every file that wavegan generate, vary, morph, invert and kit write.

    \b
    Examples:
      wavegan regenerate generated/drums/clip-000003.wav --format flac
      wavegan regenerate old/*.mp3 --model runs/drums_modern --out again
    """
    from wavegan.commands import regenerate as commands
    from wavegan.commands.memory import prepare_process

    prepare_process()
    result = commands.regenerate(sounds, model=model, out=out, extension=extension, force=force, device=device)
    files = [str(path) for path in result.files]
    lines = [f"{file}  {_told(value)}" for file, value in zip(files, result.differences, strict=True)]
    values = {"out": str(result.out), "files": files, "differences": list(result.differences)}
    print_result(values, as_json, "\n".join(lines))


def _told(difference: float | None) -> str:
    if difference is None:
        return "(not compared: one of the two formats is lossy)"
    return "the same, bit for bit" if difference == 0 else f"differs by up to {difference:.2g} from the original"
