"""Defines `wavegan translate`, which makes one kind of sound from another."""

from pathlib import Path

import click

from wavegan.cli.options import checkpoint_option, device_option, force_option, format_option, json_option, raw_option
from wavegan.cli.output import print_result


@click.command(short_help="Turn sound files into the other kind of sound.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("sounds", nargs=-1, required=True, metavar="SOUND…", type=click.Path(path_type=Path))
@click.option(
    "--to",
    default="B",
    show_default=True,
    type=click.Choice(("A", "B"), case_sensitive=False),
    help="Kind of sound to make: A is that of data.source, B that of data.source_b.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to write to; translated/ in the run folder if not given."
)
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
    files = [str(path) for path in result.files]
    values = {"out": str(result.out), "files": files, "sample_rate": result.sample_rate}
    print_result(values, as_json, "\n".join(files))
