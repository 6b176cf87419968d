"""Defines `wavegan fetch`, which downloads known data sets."""

from pathlib import Path

import click

from wavegan.cli.options import PATH, json_option
from wavegan.cli.output import print_result


@click.command(short_help="Download a known data set.")
@click.argument("name")
@click.option("--to", default=Path("data"), show_default=True, type=PATH, help="Folder to write to.")
@json_option
def fetch(name: str, to: Path, as_json: bool) -> None:
    """Downloads the data set NAME, checks its checksum and extracts it into train, validation and test.

    NAME: sc09, the spoken digits of Speech Commands (1.5 GB).

    \b
    Examples:
      wavegan fetch sc09
      wavegan fetch sc09 --to /data
    """
    from wavegan.audio.public_datasets import fetch as download

    result = download(name, to)
    print_result({"path": str(result.path), "clips": result.clips}, as_json, str(result.path))
