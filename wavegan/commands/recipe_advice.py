"""Advises a recipe of the modern model for a source: rate, clips, labels, split and size, as YAML with reasons."""

import math
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wavegan import recipe as recipes
from wavegan.audio.checks import LEAST_PER_LABEL, Cutting, duration
from wavegan.audio.corpus import Corpus
from wavegan.audio.labels import spelling_key
from wavegan.audio.public_datasets import DATASETS
from wavegan.audio.sources import BUNDLED, DRUM_MACHINE_CLIPS, SYNTH_CLIPS
from wavegan.audio.splits import LEAST_GROUPS, keeps_groups, training_part
from wavegan.commands.data_format import DataFormat, scale_of
from wavegan.commands.shipped_models import shipped_models
from wavegan.commands.starting import start_of
from wavegan.errors import RunError
from wavegan.evaluation.reference_sets import FEWEST_JUDGED
from wavegan.recipe import Recipe
from wavegan.recipe.schema import DataSettings
from wavegan.recipe.yaml_text import flow

TEMPLATE = "recipe_advice.yaml.j2"
ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
MOST_HELD_OUT = 0.5  # of few sounds
SMALL_SOURCE = 1000  # files or clips; a smaller source holds out a larger share, and its short sounds are augmented
HEARD_OFTEN = 40  # times that a word is heard, after which discriminators know it by heart
VOICE_SPEED = 0.15  # octaves
HEARD_LEAST, HEARD_MOST = 20, 400  # times that each clip is heard; after 330 recorded drums were not copied yet
MOST_WHOLE = 0.1  # share of the clips that may hold a whole short sound, for a generator that knows no places
MUSIC_MOST = 200  # on a CPU, of music; piano was better after 194 than after 97
AUGMENTED_MOST = 80  # on a CPU, of short sounds; recorded drums were as good after 74 as after 207
LEAST_STEPS = 2000  # after fewer a model that begins at random is no use, however slow the machine
MOST_HOURS = {"cpu": 2, "cuda": 8}  # of a training


@dataclass(frozen=True)
class Size:
    """Says how large a model is and how long it is trained, for a device."""

    dim: int = 128
    judge_dim: int = 32
    latent_dim: int = 64
    batch_size: int = 8
    steps: int = 20_000
    ema_half_life: int = 10_000
    checkpoint_every: int = 500


SIZES = {  # as in the shipped recipes base/modern and sc09_modern
    "cpu": Size(),
    "cuda": Size(512, 128, 128, 64, 50_000, 100_000, 1000),
}


@dataclass(frozen=True)
class Advice:
    """Holds a recipe that fits a source, as text with reasons and as settings."""

    text: str
    recipe: Recipe = field(repr=False)


def steps_for(
    clips: int, device: torch.device, step_seconds: float | None, most_on_cpu: int = HEARD_MOST
) -> tuple[int, str]:
    """Chooses the number of steps by the sound and by the machine's speed; returns it with the reason.

    clips: how many different ones there are. step_seconds: None if it is not known. most_on_cpu: how many times each
    clip may be heard there.
    """
    size, heard_most = _size(device), most_on_cpu if device.type == "cpu" else HEARD_MOST
    by_sound = min(max(size.steps, HEARD_LEAST * clips // size.batch_size), heard_most * clips // size.batch_size)
    reason = f"each of {clips:,} clips is heard about {by_sound * size.batch_size / clips:,.0f} times"
    hours = MOST_HOURS.get(device.type, MOST_HOURS["cpu"])
    if step_seconds and by_sound * step_seconds > 3600 * hours:
        reason = f"what this machine does in {hours} hours; {_round(by_sound, size):,} would suit the sound"
        by_sound = int(3600 * hours / step_seconds)
    if by_sound < LEAST_STEPS:
        reason = "the least that doctor advises"
    return max(LEAST_STEPS, _round(by_sound, size)), reason


def advised(
    source: Sequence[str],
    corpus: Corpus,
    form: DataFormat,
    cutting: Cutting,
    device: torch.device,
    file: Path | None,
    clips: int,
    step_seconds: float | None,
) -> Advice:
    """Writes the recipe of the modern model for a source.

    corpus: all of its items, loaded in this form. clips, step_seconds: see `steps_for`.
    """
    size, scale = _size(device), scale_of(form.sample_rate)
    augmented = cutting.windows == "first" and clips < SMALL_SOURCE and not form.is_tonal
    is_endless = cutting.windows == "random" and (form.is_tonal or _are_parts(corpus, cutting))
    is_music = is_endless and not form.is_voice
    most_on_cpu = AUGMENTED_MOST if augmented else MUSIC_MOST if is_music else HEARD_MOST
    steps = steps_for(clips, device, step_seconds, most_on_cpu)
    heard_often = form.is_voice and cutting.windows == "first" and steps[0] * size.batch_size > HEARD_OFTEN * clips
    path = file or Path("my.yaml")
    fit = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in path.stem)
    values = dict(
        source=" ".join(", ".join(source).split()),
        summary=_summary(corpus),
        remarks=form.remarks,
        file=" ".join(shlex.quote(str(path)).split()),
        name=None if fit == path.stem.replace("_", "-") else fit.strip("-") or "recipe",
        source_value=flow(source[0] if len(source) == 1 else list(source)),
        data=_data_lines(corpus, form, cutting, heard_often),
        heard_often=heard_often,
        windows=cutting.windows,
        augmented=augmented,
        is_tonal=form.is_tonal or is_music,
        is_music=is_music,
        is_endless=is_endless,
        is_voice=form.is_voice,
        is_notes=form.is_notes and cutting.windows == "first",
        labels=_labels_line(corpus, cutting),
        tuned=SIZES["cpu"],  # as base/modern has it
        scale=scale,
        rate=form.sample_rate,
        scaled=lambda samples: max(2, round(samples * scale)),
        bands=160 if scale >= 2 else 128 if scale >= 1 else 64 if form.sample_rate >= 2000 else 32,
        **vars(size) | {"steps": steps[0], "steps_reason": steps[1]} | _split_values(source, corpus, cutting),
    )
    template = ENVIRONMENT.get_template(TEMPLATE)
    if start := _start(source, corpus, form, cutting):
        text = template.render(values, start=start)
        recipe = _parsed(text, path)
        with suppress(RunError):  # the advised generator has another form than the model's
            start_of(recipe)
            return Advice(text, recipe)
    text = template.render(values, start=None)
    return Advice(text, _parsed(text, path))


def _split_values(source: Sequence[str], corpus: Corpus, cutting: Cutting) -> dict[str, Any]:
    """Returns what the template says of the split: the source's test part, or which share is held out."""
    if any(corpus.splits):
        return {"test_value": None, "holdout": None}
    if test := own_test_part(source):
        return {"test_value": flow(test), "holdout": None}
    share = 0.2 if len(corpus.names) < SMALL_SOURCE else 0.1
    needed = math.ceil(200 * FEWEST_JUDGED / len(corpus.names)) / 100  # of starts, in both halves
    if cutting.windows == "first" and share < needed <= MOST_HELD_OUT:
        share = needed
    return {"test_value": None, "holdout": share, "holdout_ends": _holds_out_ends(corpus, cutting, share)}


def _holds_out_ends(corpus: Corpus, cutting: Cutting, share: float) -> bool:
    """Says whether to hold out ends of files: most sound is in long ones, and whole ones are too few to spare.

    They are too few if there are under ten, or under five of a label that is learned.
    """
    if cutting.windows == "first" or len(corpus.names) == 1 or keeps_groups(corpus):
        return False
    of_labels = np.bincount(corpus.labels[corpus.labels >= 0]) if cutting.knows_labels else np.zeros(0)
    is_few = len(corpus.names) < LEAST_GROUPS or of_labels.min(initial=LEAST_PER_LABEL) < LEAST_PER_LABEL
    is_long = corpus.lengths * share >= cutting.clip_samples
    return is_few and 2 * int(corpus.lengths[is_long].sum()) >= int(corpus.lengths.sum())


def _are_parts(corpus: Corpus, cutting: Cutting) -> bool:
    """Says whether nearly all clips are parts of longer sounds, so that they have neither a beginning nor an end."""
    return int((corpus.lengths < cutting.clip_samples).sum()) <= MOST_WHOLE * int(cutting.clips(corpus).sum())


def _summary(corpus: Corpus) -> str:
    learned = len(training_part(corpus).names)
    part = f", {learned:,} of them to learn from" if learned < len(corpus.names) else ""
    return f"{len(corpus.names):,} files, {duration(corpus.seconds)}{part}"


def _size(device: torch.device) -> Size:
    return SIZES.get(device.type, SIZES["cpu"])


def _round(steps: int, size: Size) -> int:
    """Rounds to whole checkpoints, so that two measurements of a machine's speed seldom differ."""
    return max(1, round(steps / size.checkpoint_every)) * size.checkpoint_every


def _data_lines(corpus: Corpus, form: DataFormat, cutting: Cutting, heard_often: bool) -> list[str]:
    """Returns the keys of the section data, each with its reason. heard_often: words, more than HEARD_OFTEN times."""
    seconds = cutting.clip_samples / form.sample_rate
    if cutting.windows == "first":
        reason = f"{seconds:.2f} s, in which nine of ten files die away"
        windows = "the start of each file"
    else:
        reason = f"{seconds:.2f} s"
        windows = "clips from anywhere, as the files are longer; all tiles them"
    lines = [
        (f"sample_rate: {form.sample_rate}", ""),
        (f"channels: {form.channels}", "left and right differ" if form.channels > 1 else ""),
        (f"clip_samples: {cutting.clip_samples}", reason),
        (f"windows: {cutting.windows}", windows),
    ]
    if form.reading.channel:
        lines.append((f"channel: {form.reading.channel}", "the left one; mixed, the channels work against each other"))
    if form.reading.remove_dc:
        lines.append(("remove_dc: true", "the sound is shifted from zero"))
    if form.reading.trim_silence:
        lines.append(("trim_silence: true", "files begin with silence"))
    if heard_often:
        lines.append((f"vary_speed: {VOICE_SPEED:g}", "octaves; few voices become many, and are not learned by heart"))
    bad = len(corpus.skipped) / (len(corpus.skipped) + len(corpus.names))
    if bad > DataSettings().max_bad_fraction:
        share = math.ceil(bad * 100) / 100
        lines.append((f"max_bad_fraction: {share:g}", f"not used: {len(corpus.skipped):,} of the files"))
    return [f"{key:<24}# {reason}" if reason else key for key, reason in lines]


def _labels_line(corpus: Corpus, cutting: Cutting) -> str:
    names = len(corpus.label_names)
    if cutting.knows_labels:
        return f"auto            # the sound's labels, {names:,}"
    if names < 2:
        return "0"
    few = "too few files: wavegan doctor says how many labels need"
    return f"0               # {'some files have none' if (corpus.labels < 0).any() else few}"


def _start(source: Sequence[str], corpus: Corpus, form: DataFormat, cutting: Cutting) -> tuple[str, int, int] | None:
    """Returns the shipped model of such sound that knows at least half of the labels, and how many of how many.

    Its clips may last half or twice as long. Of models that know as many labels the one with the nearest rate counts,
    and of these one that learned from recordings if the sound is recorded. None if there is none, or if that one has
    learned from this very source at this rate.
    """
    if not cutting.knows_labels:
        return None
    own, best = {spelling_key(name) for name in corpus.label_names}, (0, 0.0, False, "", False)
    synthesised = {*DRUM_MACHINE_CLIPS, *SYNTH_CLIPS}
    for model in shipped_models():
        data = model.recipe["data"]
        rate = form.sample_rate / data["sample_rate"]
        is_as_long = 0.5 <= cutting.clip_samples / rate / data["clip_samples"] <= 2
        is_its_own = list(source) == data["source"] and rate == 1
        if data["windows"] == cutting.windows and is_as_long:
            shared = len(own & {spelling_key(name) for name in model.labels})
            is_alike = synthesised.isdisjoint(source) == synthesised.isdisjoint(data["source"])
            best = max(best, (shared, -abs(math.log(rate)), is_alike, model.name, is_its_own))
    shared, *_, name, is_its_own = best
    return None if is_its_own or 2 * shared < len(own) else (name, shared, len(own))


def _parsed(text: str, path: Path) -> Recipe:
    with TemporaryDirectory() as folder:
        file = Path(folder, path.name)
        file.write_text(text, encoding="utf-8")
        return recipes.load(file)


def own_test_part(source: Sequence[str]) -> str | None:
    """Returns the test part that belongs to a source: a folder `test` beside `train`, or that of a built-in source."""
    if len(source) > 1:
        return None
    name, folder = source[0], Path(source[0])
    if f"{name}/test" in (*DRUM_MACHINE_CLIPS, *SYNTH_CLIPS, *BUNDLED) or name in DATASETS:
        return f"{name}/test"
    beside = folder.parent / "test"
    return str(beside) if folder.name == "train" and beside.expanduser().is_dir() else None
