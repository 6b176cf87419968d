"""What the commands share: options, and the printing of results."""

import json
from pathlib import Path
from typing import Any

import click

LARGEST_SEED = 2**63 - 1

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
device_option = click.option(
    "--device", default="auto", show_default=True, metavar="D", help="auto, cpu, cuda, cuda:N or mps."
)
seed_option = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, LARGEST_SEED), metavar="N", help="Series of clips."
)
raw_option = click.option("--raw", is_flag=True, help="Use the weights that learn, not their running average.")
checkpoint_option = click.option(
    "--checkpoint",
    default="newest",
    show_default=True,
    metavar="WHICH",
    help="Of a run: newest, best (by the evaluations while training) or a step.",
)
data_option = click.option("--data", type=click.Path(path_type=Path), help="Folder of real audio to judge by.")
training_option = click.option(
    "--training", type=click.Path(path_type=Path), help="Folder of what was learned from, to look for copies in."
)
classifier_option = click.option(
    "--classifier", metavar="FILE|none", help="Of labels; trained, once, where the training source has labels."
)


def print_result(values: dict[str, Any], as_json: bool, text: str) -> None:
    """One JSON object, or text for people, on stdout."""
    click.echo(json.dumps(values, ensure_ascii=False) if as_json else text)
