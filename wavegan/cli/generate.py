"""Defines `wavegan generate`, which writes new clips of a model."""

from pathlib import Path

import click

from wavegan.cli.options import (
    WholeNumber,
    checkpoint_option,
    device_option,
    force_option,
    format_option,
    json_option,
    model_argument,
    out_option,
    raw_option,
    seed_option,
    truncation_option,
)
from wavegan.cli.output import print_files

PRECISIONS = ("fp32", "bf16")
MOST_CLIPS = 10**6  # a clip's name has six digits


@click.command(short_help="Write new clips of a model.")
@model_argument
@click.option("-n", "count", default=16, show_default=True, type=WholeNumber(1, MOST_CLIPS), help="Number of clips.")
@out_option("generated")
@seed_option
@click.option(
    "--label",
    "labels",
    multiple=True,
    help="Label of the clips, a mix such as kick:0.7,snare:0.3, or a pattern such as 'pluck*'; of several, clips take "
    "turns; if not given, labels are as frequent as in the training sound.",
)
@click.option(
    "--seconds",
    type=float,
    help="Length of each clip, of a model that makes sounds of any length; if not given, its own.",
)
@click.option(
    "--loop", is_flag=True, help="Make loops, whose end goes on at their start, with a model of sounds of any length."
)
@click.option(
    "--pitch",
    metavar="NOTE|HZ",
    help="Pitch of all clips, such as A4 or 440, of a model that draws pitches: notes and voices; if not given, "
    "pitches are spread as in the training sound.",
)
@truncation_option
@click.option(
    "--more",
    multiple=True,
    metavar="NAME[=AMOUNT]",
    help="Make the clips brighter, longer or noisier: brightness, length or noisiness, by 0 to 1; 0.5 if not given.",
)
@click.option(
    "--less", multiple=True, metavar="NAME[=AMOUNT]", help="The opposite of --more: darker, shorter, less noisy."
)
@format_option
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    type=click.Choice(PRECISIONS),
    help="Arithmetic; bf16 is faster on some machines and adds noise of about -40 dB.",
)
@click.option("--interpolate", is_flag=True, help="Write one file that moves smoothly through the latents of -n clips.")
@force_option
@checkpoint_option
@raw_option
@device_option
@json_option
def generate(
    model: Path,
    count: int,
    out: Path | None,
    seed: int,
    labels: tuple[str, ...],
    seconds: float | None,
    loop: bool,
    pitch: str | None,
    truncation: float,
    more: tuple[str, ...],
    less: tuple[str, ...],
    extension: str,
    precision: str,
    interpolate: bool,
    force: bool,
    checkpoint: str,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Writes new clips of MODEL: a run folder, a checkpoint file, an exported folder, hub:USER/NAME or a shipped model.

    \b
    Examples:
      wavegan generate runs/quickstart -n 100 --out kicks --seed 7
      wavegan generate drums --label snare --more brightness=0.5 --less noisiness=0.3 --out bright
    """
    from wavegan.commands import generate as commands
    from wavegan.commands.directions import amounts_of
    from wavegan.commands.memory import prepare_process

    prepare_process()
    result = commands.generate(
        model,
        count,
        out=out,
        seed=seed,
        labels=labels,
        truncation=truncation,
        extension=extension,
        precision=precision,
        interpolate=interpolate,
        force=force,
        checkpoint=checkpoint,
        raw=raw,
        device=device,
        directions=amounts_of(more, less),
        seconds=seconds,
        loop=loop,
        pitch=pitch,
    )
    print_files(result, as_json, clip_samples=result.clip_samples)
