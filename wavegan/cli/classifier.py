"""Defines `wavegan classifier`, which trains networks that recognise labels, for evaluation."""

from pathlib import Path

import click

from wavegan.cli.options import (
    LARGEST_SEED,
    PATH,
    WholeNumber,
    device_option,
    json_option,
)
from wavegan.cli.output import print_result


@click.group(short_help="Train a classifier of labels, for evaluation.")
def classifier() -> None:
    """Trains networks that recognise the labels of sounds; kad_c, fad_c and the metrics of labels use one.

    \b
    Examples:
      wavegan classifier train spoken_digits
      wavegan classifier train my/drums --out drums.pt
    """


@classifier.command("train", short_help="Train a classifier on labelled sound.")
@click.argument("source", nargs=-1, required=True, metavar="DATA...")
@click.option("--test", help="Another labelled folder, on which the accuracy is measured as well.")
@click.option("--out", type=PATH, help="File to write; classifier.pt if not given.")
@click.option(
    "--clip-samples",
    default=16384,
    show_default=True,
    type=WholeNumber(1024, 65536),
    metavar="N",
    help="Length of a clip in samples.",
)
@click.option(
    "--windows",
    default="first",
    show_default=True,
    type=click.Choice(("first", "all")),
    help="first: clips are starts of sounds. all: they are cut from the whole of each.",
)
@click.option(
    "--sample-rate",
    default=16000,
    show_default=True,
    type=WholeNumber(1000, 192000),
    metavar="HZ",
    help="Sound is resampled to this rate.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=WholeNumber(0, LARGEST_SEED),
    metavar="N",
    help="Seed of the start weights and the order of clips; the split does not depend on it.",
)
@device_option
@json_option
def train_classifier(
    source: tuple[str, ...],
    test: str | None,
    out: Path | None,
    clip_samples: int,
    windows: str,
    sample_rate: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Trains a classifier of the labels of DATA: names of sub-folders, or the column label of metadata.csv.

    The accuracy is measured on a part that is held out of training, and stored in the file. Sounds with the same value
    in the column group of metadata.csv, for example one speaker, are all trained on or all held out.

    \b
    Examples:
      wavegan classifier train spoken_digits --test spoken_digits/test
      wavegan classifier train my/drums --out drums.pt
    """
    from wavegan.cli import output
    from wavegan.commands import classify as commands
    from wavegan.commands.memory import prepare_process

    prepare_process()
    result = commands.train_classifier(
        source,
        out=out or Path("classifier.pt"),
        test=test,
        clip_samples=clip_samples,
        windows=windows,
        sample_rate=sample_rate,
        seed=seed,
        device=device,
    )
    print_result(commands.as_json(result), as_json, output.classifier(result))
