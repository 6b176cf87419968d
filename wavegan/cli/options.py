"""Defines the options that several commands share."""

import os
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from wavegan.commands.judging_options import JudgingOptions

LARGEST_SEED = 2**63 - 1
STORED_AS = ("fp32", "fp16", "bf16")
FORMATS = ("wav", "flac", "ogg", "mp3")


class HomePath(click.Path):
    """Takes a path, in which ~ is the home folder also behind --out=, where some shells leave it as it is."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Returns the path. An empty one would be the folder that the user is in, so it is refused."""
        if value == "":
            self.fail("it is empty, as a shell variable without a value is; name a path.", parameter, context)
        return super().convert(os.path.expanduser(value), parameter, context)


class WholeNumber(click.IntRange):
    """Takes a whole number within bounds, and says both where it gets something else."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Returns the number."""
        try:
            return super().convert(value, parameter, context)
        except click.BadParameter:
            bounds = f"from {self.min:,} to {self.max:,}" if self.max is not None else f"of at least {self.min:,}"
            self.fail(f"{value} is no whole number {bounds}.", parameter, context)


PATH = HomePath(path_type=Path)
model_argument = click.argument("model", type=PATH)
sounds_argument = click.argument("sounds", nargs=-1, required=True, metavar="SOUND…", type=PATH)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="D",
    help="auto, cpu, cuda, cuda:N or mps; auto takes an accelerator if there is one.",
)
seed_option = click.option(
    "--seed",
    default=0,
    show_default=True,
    type=WholeNumber(0, LARGEST_SEED),
    metavar="N",
    help="Seed of all random choices; the same seed gives the same clips.",
)
truncation_option = click.option(
    "--truncation",
    default=1.0,
    show_default=True,
    help="Factor of the latents; below 1, clips are more typical and vary less.",
)
force_option = click.option("--force", is_flag=True, help="Replace existing files.")
raw_option = click.option(
    "--raw", is_flag=True, help="Use the generator's latest weights instead of their running average."
)
checkpoint_option = click.option(
    "--checkpoint",
    default="newest",
    show_default=True,
    metavar="WHICH",
    help="Checkpoint of a run: newest, best (the lowest kad_l, where evaluation.every is set) or a step.",
)
stored_as_option = click.option(
    "--precision",
    default="fp32",
    show_default=True,
    type=click.Choice(STORED_AS),
    help="Numbers that weights are stored as; fp16 and bf16 take half the space and change the clips slightly.",
)
licence_option = click.option(
    "--licence", metavar="NAME", help="Licence of the model for its card, by its SPDX name: cc0-1.0, mit."
)
maker_option = click.option(
    "--model",
    type=PATH,
    help="MODEL to use; if not given, that of the receipt is searched for: around the file, among the shipped models "
    "and in runs/.",
)
data_option = click.option(
    "--data",
    type=PATH,
    help="Folder of real sound to compare with; the run's held-out sound if not given.",
)
training_option = click.option(
    "--training",
    type=PATH,
    help="Folder of training sound, to find copies; the run's own if not given.",
)
classifier_option = click.option(
    "--classifier",
    metavar="FILE|none",
    help="Classifier file, or none; if not given, one is trained once where the sound has labels.",
)
count_option = click.option(
    "--count",
    type=WholeNumber(2),
    metavar="N",
    help="Largest number of clips of each set; the recipe's evaluation.count if not given.",
)
format_option = click.option(
    "--format", "extension", default="wav", show_default=True, type=click.Choice(FORMATS), help="File format."
)


def out_option(kind: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Returns the option --out of a command whose results lie in the folder `kind`, see `models.result_folder`."""
    text = f"Folder to write to; if not given, {kind}/ in the run folder, or {kind}/NAME for a shipped model."
    return click.option("--out", type=PATH, help=text)


def judging_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that `evaluate` and `compare` share; the command receives them as one argument, `options`."""

    @wraps(command)
    def with_options(**values: Any) -> None:
        chosen = {field.name: values.pop(field.name) for field in fields(JudgingOptions)}
        command(**values, options=JudgingOptions(**chosen))

    shared = (
        data_option, training_option, classifier_option, count_option, checkpoint_option, seed_option, raw_option,
        device_option,
    )  # fmt: skip
    for option in reversed(shared):  # the last one added comes first in the help text
        with_options = option(with_options)
    return with_options
