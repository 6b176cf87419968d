"""Judging what was made: figures, comparisons, and the classifier that some of them need."""

from pathlib import Path

import click

from wavegan.cli.options import (
    checkpoint_option,
    classifier_option,
    data_option,
    device_option,
    json_option,
    print_result,
    raw_option,
    seed_option,
    training_option,
)
from wavegan.errors import UserError

count_option = click.option(
    "--count", type=click.IntRange(2), metavar="N", help="Clips at most; the recipe's evaluation.count if not given."
)


@click.command(short_help="Figures, spectrograms and a report.")
@click.argument("target", metavar="MODEL|DIR", type=click.Path(path_type=Path))
@data_option
@training_option
@classifier_option
@count_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder; MODEL's evaluation/step-… if not given.")
@checkpoint_option
@seed_option
@raw_option
@device_option
@json_option
def evaluate(
    target: Path,
    data: Path | None,
    training: Path | None,
    classifier: str | None,
    count: int | None,
    out: Path | None,
    checkpoint: str,
    seed: int,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Judges MODEL, or a folder of audio made by any other system, by real sound.

    \b
    Examples:
      wavegan evaluate runs/quickstart
      wavegan evaluate some/clips --data real/clips --out judged
    """
    from wavegan.cli.output import scores
    from wavegan.commands.evaluate import as_json as plain
    from wavegan.commands.evaluate import evaluate as judge

    result = judge(
        target,
        data=data,
        training=training,
        classifier=classifier,
        count=count,
        out=out,
        seed=seed,
        device=device,
        raw=raw,
        checkpoint=checkpoint,
    )
    print_result(plain(result), as_json, scores(result.scores) + f"\n{result.spectrograms}\n{result.report}")


@click.command(short_help="Models or folders side by side, and a blind listening test.")
@click.argument("targets", nargs=-1, metavar="[MODEL|DIR]...", type=click.Path(path_type=Path))
@data_option
@training_option
@classifier_option
@count_option
@click.option("--out", type=click.Path(path_type=Path), help="The report; comparison/report.html if not given.")
@click.option(
    "--answers",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Score the answers that a listening page has saved; may be given several times.",
)
@click.option(
    "--trials", default=40, show_default=True, type=click.IntRange(1, 1000), help="Pairs in the listening test."
)
@checkpoint_option
@seed_option
@raw_option
@device_option
@json_option
def compare(
    targets: tuple[Path, ...],
    data: Path | None,
    training: Path | None,
    classifier: str | None,
    count: int | None,
    out: Path | None,
    answers: tuple[Path, ...],
    trials: int,
    checkpoint: str,
    seed: int,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Compares models or folders: the same real sound, the same seed, the same number of clips.

    Beside the report lies listening.html, a blind test for ears. It saves its answers as a file for --answers.

    \b
    Examples:
      wavegan compare runs/plain runs/nearest --out comparison/report.html
      wavegan compare --answers ~/Downloads/answers.json
    """
    from wavegan.cli import output
    from wavegan.commands import compare as commands

    if answers and targets:
        raise UserError("--answers scores a test that was taken, and names its models itself; give either, not both")
    if answers:
        found = commands.score_listening(answers)
        print_result(found, as_json, output.listening(found))
        return
    if len(targets) < 2:
        raise UserError(f"{len(targets)} to compare; two or more models or folders are needed; name another one")
    result = commands.compare(
        targets,
        data=data,
        training=training,
        classifier=classifier,
        count=count,
        out=out,
        trials=trials,
        seed=seed,
        device=device,
        raw=raw,
        checkpoint=checkpoint,
    )
    text = f"{output.comparison(result)}\n{result.report}\n{result.listening}"
    print_result(commands.as_json(result), as_json, text)


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
    from wavegan.commands.classify import as_json as plain
    from wavegan.commands.classify import train_classifier as learn

    result = learn(
        source,
        out=out or Path("classifier.pt"),
        test=test,
        clip_samples=clip_samples,
        sample_rate=sample_rate,
        seed=seed,
        device=device,
    )
    print_result(plain(result), as_json, output.classifier(result))
