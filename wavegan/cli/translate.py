"""Defines `wavegan translate`, which makes one kind of sound from another."""

from pathlib import Path

import click

from wavegan.cli.options import (
    checkpoint_option,
    device_option,
    force_option,
    format_option,
    json_option,
    model_argument,
    out_option,
    raw_option,
    sounds_argument,
)
from wavegan.cli.output import print_files


@click.command(short_help="Turn sound files into the other kind of sound.")
@model_argument
@sounds_argument
@click.option(
    "--to",
    default="B",
    show_default=True,
    type=click.Choice(("A", "B"), case_sensitive=False),
    help="Kind of sound to make: A is that of data.source, B that of data.source_b.",
)
@out_option("translated")
@format_option
@force_option
@checkpoint_option
@raw_option
@device_option
@json_option
def translate(
    model: Path,
    sounds: tuple[Path, ...],
    to: str,
    out: Path | None,
    extension: str,
    force: bool,
    checkpoint: str,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Translates sound files of any length with MODEL, a run of a recipe with method.name: translation.

    \b
    Examples:
      wavegan translate runs/translate_drums loop.wav --to B
      wavegan translate runs/translate_drums a.wav b.flac --to A --out dry
    """
    from wavegan.commands import translate as commands
    from wavegan.commands.memory import prepare_process

    prepare_process()
    result = commands.translate(
        model,
        sounds,
        to=to,
        out=out,
        extension=extension,
        force=force,
        checkpoint=checkpoint,
        raw=raw,
        device=device,
    )
    print_files(result, as_json)
