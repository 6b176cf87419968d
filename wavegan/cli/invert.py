"""Defines `wavegan invert`, which finds the clips of a model that are nearest to real sounds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    sounds_argument,
)
from wavegan.cli.output import print_result

if TYPE_CHECKING:
    from wavegan.commands.invert import InvertedSound


@click.command(short_help="Find the clips of a model that are nearest to real sounds.")
@model_argument
@sounds_argument
@click.option(
    "--label",
    "labels",
    multiple=True,
    help="Label to search among, a mix such as kick:0.7,snare:0.3, or a pattern such as 'h*'; if not given, the best "
    "mix is searched.",
)
@out_option("inverted")
@seed_option
@force_option
@checkpoint_option
@raw_option
@device_option
@json_option
def invert(
    model: Path,
    sounds: tuple[Path, ...],
    labels: tuple[str, ...],
    out: Path | None,
    seed: int,
    force: bool,
    checkpoint: str,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Searches for the clip of MODEL that is nearest to each SOUND, by spectra of three resolutions.

    Writes that clip, SOUND converted as the model's training sound was, the nearest training clip, if the training
    sound can be read, and a picture of all. The clip has a receipt, so wavegan vary and morph take it.

    \b
    Examples:
      wavegan invert drums my/kick.wav my/snare.wav --out near
      wavegan invert runs/drums_modern my/kick.wav --label kick
    """
    from wavegan.commands import invert as commands
    from wavegan.commands.memory import prepare_process

    prepare_process()
    result = commands.invert(
        model,
        sounds,
        labels=labels,
        out=out,
        seed=seed,
        force=force,
        checkpoint=checkpoint,
        raw=raw,
        device=device,
    )
    values = {"out": str(result.out), "sounds": [_values(reached) for reached in result.sounds]}
    print_result(values, as_json, "\n".join(map(_told, result.sounds)))


def _values(reached: "InvertedSound") -> dict[str, Any]:
    return {
        "sound": str(reached.sound),
        "distance": reached.inversion.distance,
        "random_distance": reached.inversion.random,
        "can_be_made": reached.can_be_made,
        "label": reached.label,
        "nearest": reached.nearest and reached.nearest.name,
        "nearest_distance": reached.nearest and reached.nearest.distance,
        "files": [str(path) for path in reached.files],
    }


def _told(reached: "InvertedSound") -> str:
    inversion, nearest = reached.inversion, reached.nearest
    parts = [f"{inversion.distance:.2f} dB from {reached.sound}"]
    if reached.label:
        parts.append(f"label {reached.label}")
    if nearest:
        parts.append(f"the nearest training clip, {nearest.name}, is {nearest.distance:.2f} dB from it")
    parts.append(f"a random clip {inversion.random:.2f} dB")
    if not reached.can_be_made:
        parts.append("the model cannot make this sound")
    return f"{reached.files[1]}: {'; '.join(parts)}"
