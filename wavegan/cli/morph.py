"""Defines `wavegan morph`, which makes the steps between two sounds."""

from pathlib import Path

import click

from wavegan.cli.options import (
    PATH,
    device_option,
    force_option,
    format_option,
    json_option,
    maker_option,
    out_option,
)
from wavegan.cli.output import print_files


@click.command(short_help="Make the steps between two sounds.")
@click.argument("first", metavar="A", type=PATH)
@click.argument("last", metavar="B", type=PATH)
@click.option("--steps", default=8, show_default=True, help="Number of sounds, A and B included.")
@maker_option
@out_option("morphed")
@format_option
@force_option
@device_option
@json_option
def morph(
    first: Path,
    last: Path,
    steps: int,
    model: Path | None,
    out: Path | None,
    extension: str,
    force: bool,
    device: str,
    as_json: bool,
) -> None:
    """Makes the sounds between the files A and B, a file for each step, as A-to-B-000.wav and so on.

    A and B are sounds that wavegan has made. Other sounds need --model: the nearest clips of that model are searched
    for first, as wavegan invert does. Latents and labels go in even steps from A to B.

    \b
    Examples:
      wavegan morph generated/drums/clip-000003.wav generated/drums/clip-000007.wav --steps 8
      wavegan morph my/kick.wav my/snare.wav --model drums --out between
    """
    from wavegan.commands import steer
    from wavegan.commands.memory import prepare_process

    prepare_process()
    result = steer.morph(first, last, steps, model=model, out=out, extension=extension, force=force, device=device)
    print_files(result, as_json)
