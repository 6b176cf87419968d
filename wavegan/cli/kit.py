"""Defines `wavegan kit`, which writes a playable kit for samplers."""

from pathlib import Path

import click

from wavegan.cli.options import (
    checkpoint_option,
    device_option,
    force_option,
    json_option,
    model_argument,
    out_option,
    raw_option,
    seed_option,
    truncation_option,
)
from wavegan.cli.output import print_result

FORMATS = ("sfz", "decentsampler", "folder")
LAYOUTS = ("general-midi", "row")


@click.command(short_help="Write a playable kit for samplers.")
@model_argument
@click.option("--pads", type=int, help="Number of sounds, on one key each; 16 if not given.")
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    help="Keys of the pads: general-midi has those of drum tracks, kick on 36, snare on 38; row the MIDI notes from 36 "
    "up. If not given, general-midi where all labels are drums.",
)
@click.option(
    "--keys",
    metavar="LOW-HIGH",
    help="Keys, such as C2-C5, over which one sound is spread in place of pads, each third at its own pitch, of a "
    "model that draws pitches.",
)
@click.option(
    "--seconds", type=float, help="Length of each sound, with a model of sounds of any length; else its own length."
)
@click.option(
    "--loop", is_flag=True, help="Sounds are loops, which play as long as a key is held, with a model that makes them."
)
@click.option(
    "--format",
    "kind",
    default="sfz",
    show_default=True,
    type=click.Choice(FORMATS),
    help="What maps the sounds to keys: an SFZ file, a DecentSampler preset, or nothing but the folder.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    help="Label that gets pads, or a pattern such as 'h*'; may be given several times; all if not given.",
)
@out_option("kit")
@seed_option
@truncation_option
@force_option
@checkpoint_option
@raw_option
@device_option
@json_option
def kit(
    model: Path,
    pads: int | None,
    layout: str | None,
    keys: str | None,
    seconds: float | None,
    loop: bool,
    kind: str,
    labels: tuple[str, ...],
    out: Path | None,
    seed: int,
    truncation: float,
    force: bool,
    checkpoint: str,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Writes a kit of MODEL: sounds that differ as much as they can, cut, made equally loud, named and mapped to keys.

    With --keys it is an instrument, of one sound. With --loop it is a kit of rain, wind or music that goes on. Each
    sound has a receipt, so wavegan regenerate, vary and morph take it.

    \b
    Examples:
      wavegan kit drums --out kit
      wavegan kit tones --label 'flute-*' --keys C4-B4 --format decentsampler --out flute
    """
    from wavegan.commands import kit as commands
    from wavegan.commands.memory import prepare_process

    prepare_process()
    result = commands.kit(
        model,
        pads,
        kind,
        layout=layout,
        keys=keys,
        seconds=seconds,
        loop=loop,
        labels=labels,
        out=out,
        seed=seed,
        truncation=truncation,
        force=force,
        checkpoint=checkpoint,
        raw=raw,
        device=device,
    )
    sounds = {note: str(path) for note, path in result.sounds.items()}
    values = {"out": str(result.out), "file": str(result.file) if result.file else None, "sounds": sounds}
    lines = [f"{note}  {path}" for note, path in sounds.items()]
    print_result(values, as_json, "\n".join([*lines, *([str(result.file)] if result.file else [])]))
