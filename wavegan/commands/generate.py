"""Writes the clips of a model into files."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor

from wavegan import assemble, generation, progress
from wavegan.audio import writing
from wavegan.audio.labels import spelling_key
from wavegan.commands import receipts
from wavegan.commands.directions import as_argument, moves_of
from wavegan.commands.folder_record import FolderRecord
from wavegan.commands.folders import make_folder, refuse_existing
from wavegan.commands.model_loading import LoadedModel, load_model
from wavegan.commands.sound_length import of_seconds
from wavegan.commands.sound_pitch import at_pitch
from wavegan.errors import UserError
from wavegan.generation import Model
from wavegan.steering.directions import Moves, steered

logger = logging.getLogger(__name__)

BATCH_SIZE = 16  # enough to fill a CPU
MOST_SAMPLES = 2**20  # of a batch, unless one sound has more


@dataclass(frozen=True)
class GenerateResult:
    """Lists the files that were written, in the order of the clips, with their folder and format."""

    out: Path
    files: tuple[Path, ...]
    sample_rate: int
    clip_samples: int


def generate(
    model: Path,
    count: int = 16,
    *,
    out: Path | None = None,
    seed: int = 0,
    labels: Sequence[str] = (),
    truncation: float = 1.0,
    extension: str = "wav",
    precision: str = "fp32",
    interpolate: bool = False,
    force: bool = False,
    checkpoint: str = "newest",
    raw: bool = False,
    device: str = "auto",
    directions: Mapping[str, float] | None = None,
    seconds: float | None = None,
    loop: bool = False,
    pitch: str | float | None = None,
) -> GenerateResult:
    """Writes clips 0 to `count - 1` of a seed, or one file that walks between them, of a MODEL into a folder.

    out: generated/ in the MODEL's run folder where None. labels: names that take turns; where the MODEL knows labels
    and none is named, each clip draws its own. directions: amounts from -1 to 1 by name, see `directions.moves_of`.
    seconds: of each clip, see `of_seconds`. loop: clips are loops. pitch: of all clips, see `at_pitch`. Raises RunError
    as `load_model`, UserError for arguments that do not go together and as `moves_of`, `of_seconds` and `at_pitch`,
    DataError where a file exists already that other settings have made, unless `force`, and for a format that cannot
    hold the clips.
    """
    _refuse_arguments(count, truncation, interpolate, loop, directions or {})
    loaded = load_model(model, assemble.device(device), raw=raw, precision=precision, checkpoint=checkpoint)
    refuse_translation(loaded)
    labels = chosen_labels(loaded.model, labels)
    asked, labels = at_pitch(of_seconds(loaded, seconds, loop=loop), pitch, labels)
    folder = out or loaded.result_folder("generated")
    if len(labels) > count and not interpolate:
        logger.info(f"{count} clips are of the first {count} of {len(labels)} labels")
    moves = moves_of(loaded, directions or {})
    write = _write_walk if interpolate else partial(_write_clips, moves=moves)
    paths = write(
        asked.model, folder, count, seed=seed, truncation=truncation, labels=labels, extension=extension, force=force
    )
    return GenerateResult(folder, tuple(paths), asked.model.sample_rate, asked.model.clip_samples)


def _write_clips(
    model: Model,
    out: Path,
    count: int,
    *,
    seed: int,
    truncation: float,
    labels: Sequence[str],
    extension: str,
    force: bool,
    moves: Moves,
) -> list[Path]:
    """Writes clips 0 to `count - 1` of a seed as clip-000000.wav and so on; memory does not grow with `count`.

    labels: names that take turns; where the model knows labels and none is named, each clip draws its own. Clips that
    the same settings have made in this folder are kept, unless `force`.

    Raises errors as `generate`.
    """
    writing.check_format(extension, model.sample_rate, model.channels)
    paths = [out / f"clip-{index:06d}.{extension}" for index in range(count)]
    maker = receipts.maker_of(model)
    steering = {"directions": dict(moves.amounts)} if moves.amounts else {}
    record = FolderRecord(out, f"clip-*.{extension}", _settings(maker, seed, truncation, labels) | steering)
    finished = 0 if force else record.finished
    refuse_existing(paths[record.begun :], force)
    make_folder(out)
    missing = [index for index, path in enumerate(paths) if index >= finished or not path.exists()]
    if len(missing) < count:
        kept = count - len(missing)
        logger.info(f"{out}: {kept:,} of {count:,} clips are there, made with the same settings, and kept")
    record.write(finished=finished, begun=record.begun)
    moved = steered(model, moves.rows)
    clips = _in_batches(moved, missing, count, record, seed=seed, truncation=truncation, labels=labels)
    for index, clip in progress.track(clips, len(missing), "clips"):
        receipt = receipts.of_clip(
            model,
            maker,
            index,
            seed=seed,
            truncation=truncation,
            labels=labels,
            batch=batch_of(model, index, count),
            moves=moves,
        )
        receipts.write(paths[index], clip, model.sample_rate, receipt)
    record.write(finished=max(record.finished, count), begun=record.begun)
    return paths


def _in_batches(
    model: Model, wanted: Sequence[int], count: int, record: FolderRecord, **settings: Any
) -> Iterator[tuple[int, Tensor]]:
    """Yields the wanted ones of clips 0 to count - 1 with their numbers, and notes in the record how far it is.

    Batches are those of a command that was not interrupted, so that every clip is the same to the last bit.
    """
    for (start, size), indices in groupby(wanted, lambda index: batch_of(model, index, count)):
        record.write(finished=max(record.finished, start), begun=max(record.begun, start + size))
        [batch] = generation.generate(model, size, first=start, batch_size=size, **settings)
        yield from ((index, batch[index - start]) for index in indices)


def batch_size_of(model: Model) -> int:
    """Returns how many clips of a model are made at a time: fewer where they are long."""
    return max(1, min(BATCH_SIZE, MOST_SAMPLES // model.clip_samples))


def batch_of(model: Model, index: int, count: int) -> tuple[int, int]:
    """Returns the first number and the size of the batch in which clip `index` of `count` clips is made."""
    size = batch_size_of(model)
    start = index - index % size
    return start, min(size, count - start)


def _write_walk(
    model: Model,
    out: Path,
    stations: int,
    *,
    seed: int,
    truncation: float,
    labels: Sequence[str],
    extension: str,
    force: bool,
) -> list[Path]:
    """Writes one file that walks through the latents of clips 0 to `stations - 1`; errors as `_write_clips`.

    Between several labels it walks with the latent of clip 0. A walk that was interrupted starts again; a complete one
    is kept.
    """
    refuse_short_walk(f"`count` is {stations}", stations, labels, f"try `count={len(labels)}`")
    writing.check_format(extension, model.sample_rate, model.channels)
    path = out / f"walk.{extension}"
    maker = receipts.maker_of(model)
    record = FolderRecord(out, path.name, _settings(maker, seed, truncation, labels) | {"stations": stations})
    refuse_existing([path][record.begun :], force)
    if path.exists() and not force:
        logger.info(f"{path} is there, made with the same settings, and kept")
        return [path]
    make_folder(out)
    clips = generation.interpolate(
        model, stations, seed=seed, truncation=truncation, labels=labels, batch_size=batch_size_of(model)
    )
    count = (stations - 1) * (generation.CLIPS_BETWEEN + 1) + 1
    record.write(finished=0, begun=int(not path.exists()))  # a file that is there now is not of these settings
    receipt = receipts.WalkReceipt(**maker, seed=seed, stations=stations, labels=tuple(labels), truncation=truncation)
    with writing.open_writer(path, model.sample_rate, model.channels, receipts.text_of(receipt)) as sound:
        for clip in progress.track(_each(clips), count, "clips"):
            writing.write_clip(sound, clip.numpy())
    record.write(finished=1, begun=1)
    return [path]


def _settings(maker: Mapping[str, Any], seed: int, truncation: float, labels: Sequence[str]) -> dict[str, Any]:
    """Returns all that decides how a clip with a number sounds."""
    of_model = {key: maker[key] for key in ("model", "step", "weights", "precision")}
    of_model |= {key: maker[key] for key in ("clip_samples", "loop", "pitch") if maker[key]}
    return {**of_model, "seed": seed, "truncation": truncation, "labels": list(labels)}


def _refuse_arguments(count: int, truncation: float, walks: bool, loop: bool, moved: Mapping[str, float]) -> None:
    if walks and moved:
        raise UserError(
            f"{as_argument(*next(iter(moved.items())))} stands beside `interpolate`",
            "a walk goes through sounds as they are",
            "leave one of them out, or morph between moved clips: wavegan morph",
        )
    if walks and loop:
        raise UserError("`loop` stands beside `interpolate`", "a walk has an end", "leave one of them out")
    if walks and count < 2:
        raise UserError(f"`count` is {count}", "`interpolate` walks between two latents or more", "try `count=8`")
    refuse_truncation(truncation)


def refuse_short_walk(given: str, stations: int, labels: Sequence[str], remedy: str) -> None:
    """Raises UserError for a walk with fewer stations than labels; given: what says how many stations there are."""
    if len(labels) > stations:
        raise UserError(f"{given} and there are {len(labels)} labels", "a walk passes through each", remedy)


def refuse_translation(loaded: LoadedModel) -> None:
    """Raises UserError for a MODEL that makes sound from sound."""
    if loaded.is_translation:
        raise UserError(
            f"{loaded.path} translates sound, and makes none from latents",
            "",
            f"try wavegan translate {loaded.path} SOUND",
        )


def refuse_truncation(truncation: float) -> None:
    """Raises UserError unless a truncation is valid."""
    if not 0 < truncation <= 1:
        raise UserError(f"`truncation` is {truncation}", "it must be above 0 and at most 1", "try 0.7")


def chosen_labels(model: Model, labels: Sequence[str], argument: str = "labels") -> tuple[str, ...]:
    """Returns labels and mixes, with every label that a pattern such as "pluck*" matches in the place of the pattern.

    In a pattern * stands for any signs and ? for one; a mix has no patterns. argument: the name under which they were
    given. Raises UserError for those that the model does not know.
    """
    if labels and not model.labels:
        raise UserError(
            f"`{argument}` is {labels[0]}, and {model.name} knows no labels",
            "",
            "leave it out, or train on labelled sound with generator.labels=auto",
        )
    name_of = {spelling_key(name): name for name in model.label_names}
    chosen: list[str] = []
    for text in labels:
        key = spelling_key(text)
        pattern = key.replace("[", "[[]")  # a bracket means itself
        matching = [] if key in name_of else [name for each, name in name_of.items() if fnmatchcase(each, pattern)]
        if key not in name_of and not matching and {"*", "?"} & set(text):
            names = ", ".join(model.label_names)
            rule = f"no label of {model.name} matches it, and a mix has no patterns; it knows {names}"
            raise UserError(f"`{argument}` is {text}", rule, "name labels that it knows")
        if not matching:
            mix = generation.label_mix(model, text, argument)  # refuses what it does not know
            if len(mix) > 1 and ":" not in text:
                logger.info(f"{text} is a mix, in equal shares; for each label in turn, name them one by one")
        chosen += matching or [text]
    return tuple(chosen)


def _each(batches: Iterator[Tensor]) -> Iterator[Tensor]:
    for batch in batches:
        yield from batch
