"""Sound that goes out and sound that comes in: generating clips, fetching data sets."""

from pathlib import Path

import click

from wavegan.cli.options import checkpoint_option, device_option, json_option, print_result, raw_option, seed_option
from wavegan.errors import UserError

FORMATS = ("wav", "flac", "ogg", "mp3")
PRECISIONS = ("fp32", "bf16")
MOST_CLIPS = 10**6  # a clip's name has six digits


@click.command(short_help="Write new clips.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-n", "count", default=16, show_default=True, type=click.IntRange(1, MOST_CLIPS), help="How many clips.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder; generated/ beside MODEL's checkpoints if not given."
)
@seed_option
@click.option("--label", "labels", multiple=True, help="What the clips are to be; several take turns.")
@click.option("--truncation", default=1.0, show_default=True, help="Below 1: more typical, less varied.")
@click.option("--format", "extension", default="wav", show_default=True, type=click.Choice(FORMATS))
@click.option("--precision", default="fp32", show_default=True, type=click.Choice(PRECISIONS), help="bf16 is faster.")
@click.option("--interpolate", is_flag=True, help="One file that walks between the latents of -n clips.")
@click.option("--force", is_flag=True, help="Write over existing clips.")
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
    truncation: float,
    extension: str,
    precision: str,
    interpolate: bool,
    force: bool,
    checkpoint: str,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Writes new clips of MODEL, a run folder or a checkpoint file.

    \b
    Examples:
      wavegan generate runs/quickstart -n 100 --out kicks --seed 7
      wavegan generate runs/drums_conditional --label kick --label snare --interpolate -n 2
    """
    if interpolate and count < 2:
        raise UserError("-n is 1; --interpolate walks between two latents or more; try -n 8")
    if interpolate and len(labels) > count:
        raise UserError(
            f"-n is {count} and there are {len(labels)} labels; a walk passes through each; try -n {len(labels)}"
        )
    if not 0 < truncation <= 1:
        raise UserError(f"--truncation is {truncation:g}; it must be above 0 and at most 1; try 0.7")
    from wavegan import assemble
    from wavegan.commands.generate import generate as write_clips
    from wavegan.commands.generate import generate_walk
    from wavegan.commands.models import home, load_model

    recipe, loaded = load_model(model, assemble.device(device), raw=raw, precision=precision, which=checkpoint)
    if recipe.method.name == "translation":
        raise UserError(f"{model} makes sound from sound and not from nothing; try wavegan translate {model} SOUND")
    folder = out or home(model) / "generated"
    write = generate_walk if interpolate else write_clips
    paths = write(
        loaded, folder, count, seed=seed, truncation=truncation, labels=labels, extension=extension, force=force
    )
    values = {
        "out": str(folder),
        "files": [str(path) for path in paths],
        "sample_rate": loaded.sample_rate,
        "clip_samples": loaded.clip_samples,
    }
    print_result(values, as_json, "\n".join(values["files"]))


@click.command(short_help="Make one kind of sound from another.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("sounds", nargs=-1, required=True, metavar="SOUND…", type=click.Path(path_type=Path))
@click.option(
    "--to",
    default="B",
    show_default=True,
    type=click.Choice(("A", "B"), case_sensitive=False),
    help="data.source is A, data.source_b is B.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder; translated/ beside MODEL's checkpoints if not given."
)
@click.option("--format", "extension", default="wav", show_default=True, type=click.Choice(FORMATS))
@click.option("--force", is_flag=True, help="Write over existing files.")
@checkpoint_option
@raw_option
@device_option
@json_option
def translate(
    model: Path,
    sounds: tuple[Path, ...],
    to: str,
    out: Path | None,
    extension: str,
    force: bool,
    checkpoint: str,
    raw: bool,
    device: str,
    as_json: bool,
) -> None:
    """Translates sound files of any length by MODEL, which was trained with method.name: translation.

    \b
    Examples:
      wavegan translate runs/translate_drums loop.wav --to B
      wavegan translate runs/translate_drums a.wav b.flac --to A --out dry
    """
    from wavegan import assemble
    from wavegan.commands.models import home
    from wavegan.commands.translate import load_translator
    from wavegan.commands.translate import translate as write_translations

    recipe, loaded = load_translator(model, to, assemble.device(device), raw=raw, which=checkpoint)
    folder = out or home(model) / "translated"
    paths = write_translations(recipe, loaded, sounds, folder, to=to, extension=extension, force=force)
    values = {
        "out": str(folder),
        "files": [str(path) for path in paths],
        "sample_rate": loaded.sample_rate,
    }
    print_result(values, as_json, "\n".join(values["files"]))


@click.command(short_help="Download a known data set.")
@click.argument("name")
@click.option("--to", default=Path("data"), show_default=True, type=click.Path(path_type=Path), help="Where to.")
@json_option
def fetch(name: str, to: Path, as_json: bool) -> None:
    """Downloads the data set NAME, checks it and lays it out in its official parts.

    \b
    Examples:
      wavegan fetch sc09
      wavegan fetch sc09 --to /data
    """
    from wavegan.audio.fetch import fetch as bring

    result = bring(name, to)
    print_result({"path": str(result.path), "clips": result.clips}, as_json, str(result.path))
