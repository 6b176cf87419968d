"""Defines `wavegan vary`, which makes neighbours of a sound."""

from pathlib import Path

import click

from wavegan.cli.options import (
    PATH,
    WholeNumber,
    device_option,
    force_option,
    format_option,
    json_option,
    maker_option,
    out_option,
    seed_option,
)
from wavegan.cli.output import print_files


@click.command(short_help="Make neighbours of a sound.")
@click.argument("sound", metavar="FILE", type=PATH)
@click.option("-n", "count", default=16, show_default=True, type=WholeNumber(1, 1000), help="Number of neighbours.")
@click.option(
    "--amount",
    default=0.3,
    show_default=True,
    help="How far they are: 0.1 is hardly another sound, 1 is any other sound of the same label.",
)
@seed_option
@maker_option
@out_option("varied")
@format_option
@force_option
@device_option
@json_option
def vary(
    sound: Path,
    count: int,
    amount: float,
    seed: int,
    model: Path | None,
    out: Path | None,
    extension: str,
    force: bool,
    device: str,
    as_json: bool,
) -> None:
    """Makes sounds that are like FILE, as NAME-vary-000.wav and so on.

    FILE is a sound that wavegan has made. Any other sound needs --model: the nearest clip of that model is searched
    for first, as wavegan invert does, and varied.

    \b
    Examples:
      wavegan vary generated/drums/clip-000003.wav -n 16 --amount 0.3
      wavegan vary my/kick.wav --model drums --out kicks
    """
    from wavegan.commands import steer
    from wavegan.commands.memory import prepare_process

    prepare_process()
    result = steer.vary(
        sound,
        count,
        amount=amount,
        seed=seed,
        model=model,
        out=out,
        extension=extension,
        force=force,
        device=device,
    )
    print_files(result, as_json)
