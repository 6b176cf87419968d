"""Defines `wavegan export`, which writes a model as a folder for use elsewhere."""

from pathlib import Path

import click

from wavegan.cli.options import (
    PATH,
    checkpoint_option,
    json_option,
    licence_option,
    model_argument,
    raw_option,
    stored_as_option,
)
from wavegan.cli.output import print_result

FORMATS = ("safetensors", "onnx", "web")


@click.command(short_help="Write a model as a folder for use elsewhere.")
@model_argument
@click.option(
    "--format",
    "kind",
    default="safetensors",
    show_default=True,
    type=click.Choice(FORMATS),
    help="Kind of folder; web is an instrument, one page to open in a browser.",
)
@click.option(
    "--out",
    type=PATH,
    help="Folder to write to; if not given, export/FORMAT in the run folder, or export/NAME/FORMAT for a shipped one.",
)
@stored_as_option
@licence_option
@click.option("--force", is_flag=True, help="Replace files of an earlier export.")
@checkpoint_option
@raw_option
@json_option
def export(
    model: Path,
    kind: str,
    out: Path | None,
    precision: str,
    licence: str | None,
    force: bool,
    checkpoint: str,
    raw: bool,
    as_json: bool,
) -> None:
    """Writes MODEL as a folder that wavegan and other programs can load, with a card and sample clips.

    With --format web it writes instrument.html: pads, a sequencer and more, which work without a network.
    With --format onnx it writes model.onnx and generate.py, which needs onnxruntime and numpy alone.

    Before the folder is kept, its clips are compared with those of MODEL.

    \b
    Examples:
      wavegan export runs/quickstart --precision fp16 --licence cc0-1.0
      wavegan export drums --format onnx --out drums_onnx
    """
    from wavegan.commands import export as commands

    options = commands.ExportOptions(precision, licence)
    result = commands.export(model, kind, out=out, options=options, force=force, checkpoint=checkpoint, raw=raw)
    files = [str(path) for path in result.files]
    values = {"out": str(result.out), "files": files, "max_difference": result.max_difference}
    difference = f"largest difference of a sample from the original's clips: {result.max_difference:.2g}"
    print_result(values, as_json, "\n".join([*files, difference]))
