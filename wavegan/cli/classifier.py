"""Defines `wavegan classifier`, which trains networks that recognise labels, for evaluation."""

from pathlib import Path

import click

from wavegan.cli.options import (
    device_option,
    json_option,
    seed_option,
)
from wavegan.cli.output import print_result


@click.group(short_help="Networks that recognise labels, for evaluation.")
def classifier() -> None:
    """Networks that recognise the labels of sounds; some metrics listen through one.

    \b
    Examples:
      wavegan classifier train data/digits/train
      wavegan classifier train my/drums --out drums.pt
    """


@classifier.command("train", short_help="Learn the labels of a source.")
@click.argument("source", nargs=-1, required=True, metavar="DATA...")
@click.option("--test", help="Another labelled folder, to tell how well they are recognised there.")
@click.option("--out", type=click.Path(path_type=Path), help="File; classifier.pt if not given.")
@click.option("--clip-samples", default=16384, show_default=True, type=click.IntRange(1024, 65536), metavar="N")
@click.option("--sample-rate", default=16000, show_default=True, type=click.IntRange(1000, 192000), metavar="HZ")
@seed_option
@device_option
@json_option
def train_classifier(
    source: tuple[str, ...],
    test: str | None,
    out: Path | None,
    clip_samples: int,
    sample_rate: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Learns the labels of DATA: the names of its sub-folders, or the label column of its metadata.csv.

    How well is measured on a part that it does not learn from, and stored with it. A column group of metadata.csv,
    the speaker say, is kept on one side.

    \b
    Examples:
      wavegan classifier train data/digits/train --test data/digits/test
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
        sample_rate=sample_rate,
        seed=seed,
        device=device,
    )
    print_result(commands.as_json(result), as_json, output.classifier(result))
