"""Lists the sounds of tar shards, as WebDataset writes them, without unpacking."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

from wavegan import progress
from wavegan.audio import labels, signatures
from wavegan.audio.files import OpenSound, open_sound
from wavegan.audio.items import Item, Source
from wavegan.audio.shard_samples import Sample, Samples, described
from wavegan.audio.tar_reader import Tar
from wavegan.errors import DataError, some_of

TAR = re.compile(r".*\.(tar(\.\w+)?|tgz|tbz2?|txz)", re.IGNORECASE | re.DOTALL)
BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")
MOST_SHARDS = 100_000
NO_TAR = "are not tar files but lie beside the shards"


def is_shards(source: str) -> bool:
    """Says whether a source means tar shards: by its name, or as a folder that holds tar files and no sound."""
    folder = Path(os.path.expanduser(source))
    if not folder.is_dir():
        return bool(TAR.fullmatch(source)) and "://" not in source
    names = [name for _, names in _walk(folder) for name in names]
    return any(map(TAR.fullmatch, names)) and not any(map(_is_sound, names))


def list_shards(
    source: str | Sequence[str],
    *,
    strict: bool = False,
    label_column: str | None = None,
    label_level: int | None = None,
) -> Source:
    """Lists the sounds of tar files: one, a list, a pattern such as `shard-{000..099}.tar`, or a folder of them.

    Reads headers and descriptions; a sound is read at its place in the tar when its item is opened. A label is the key
    `label`, or label_column, of a sample's .json, its .cls, its .txt if these are few short words, or the folder of the
    member (label_level: which, see `labels.folder_labels`). Raises DataError for a shard that is damaged, compressed or
    missing, and if the shards hold no sound.
    """
    sources = [source] if isinstance(source, str) else list(source)
    shown = Path(sources[0])
    shards = _named([*dict.fromkeys(chain.from_iterable(map(shard_paths, sources)))])
    collected = Samples()
    for folder in filter(Path.is_dir, map(Path, sources)):
        if others := [path.relative_to(folder).as_posix() for path in _files(folder) if not _is_tar(path)]:
            collected.passed_over[NO_TAR] += others
    for shard, path in progress.track(shards.items(), len(shards), "shards", "listing"):
        collected.add(shard, path)
    samples = collected.with_sound()
    passed_over = {reason: tuple(names) for reason, names in sorted(collected.passed_over.items())}
    if not samples:
        reasons = "".join(f"\n  {len(names):,} passed over: {reason}" for reason, names in passed_over.items())
        raise DataError(f"the source {shown} holds no sound that can be read; name another{reasons}")
    notes: list[str] = []
    items = _items(samples, shown, list(shards), notes, strict=strict, column=label_column, level=label_level)
    return Source(tuple(items), passed_over, tuple(notes))


def _items(
    samples: list[Sample],
    source: Path,
    shards: list[str],
    notes: list[str],
    *,
    strict: bool,
    column: str | None,
    level: int | None,
) -> list[Item]:
    """Makes the items of samples, described by their texts or by the folders of their members; adds to the notes."""
    folders = labels.places(
        {Path(name): name.removeprefix(f"{each.shard}/") for each in samples for name in each.sounds}
    )
    of_shards = labels.places({Path(shard): f"{shard}/" for shard in shards})
    notes += [*folders.notes, *of_shards.notes]
    texts = described(samples, source, column)
    notes += texts.notes
    if texts.labels and (level is None or column is not None):
        pairs = zip(samples, texts.labels, strict=True)
        label_of = {Path(name): label or None for sample, label in pairs for name in sample.sounds}
    else:
        label_of, folder_notes = labels.folder_labels(folders.folders, source, level)
        notes += folder_notes
    label_of, spellings = labels.merged(label_of)
    notes += spellings
    return [
        Item(
            name,
            label_of[Path(name)],
            (*sample.tar.fingerprint, *place),
            partial(_open, sample.tar, *place, strict),
            group or (sample.key if sample.texts and len(sample.sounds) > 1 else None),  # a song's parts stay together
            labels.split_named(split) or folders.splits[Path(name)] or of_shards.splits[Path(sample.shard)],
        )
        for sample, group, split in zip(samples, texts.groups, texts.splits, strict=True)
        for name, place in sample.sounds.items()
    ]


@contextmanager
def _open(tar: Tar, offset: int, size: int, strict: bool, _rate: int, _channels: int) -> Iterator[OpenSound]:
    with tar.open(offset, size) as part, open_sound(part, strict=strict) as sound:
        yield sound


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields a folder and its sub-folders, each with the names of its files, without hidden ones."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield parent, [name for name in names if not name.startswith(".")]


def _files(folder: Path) -> list[Path]:
    return sorted(Path(parent, name) for parent, names in _walk(folder) for name in names)


def _is_sound(name: str) -> bool:
    return os.path.splitext(name)[1][1:].lower() in signatures.EXTENSIONS


def _is_tar(path: Path) -> bool:
    return bool(TAR.fullmatch(path.name))


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Names shards by their paths below the folder they share, without the ending."""
    absolute = {path.absolute(): path for path in paths}
    base = os.path.commonpath([path.parent for path in absolute])
    names = {path: path.relative_to(base).as_posix() for path in absolute}
    return {names[path].removesuffix(".tar"): given for path, given in absolute.items()}


def shard_paths(source: str) -> list[Path]:
    """Returns the tar files that a source means: a path, one with braces or wildcards, or a folder.

    Raises DataError if a file is missing.
    """
    path = Path(os.path.expanduser(source))
    if path.is_dir():
        return list(filter(_is_tar, _files(path)))
    names = [str(path)] if path.exists() else expanded(str(path))
    paths = list(map(Path, chain.from_iterable(sorted(glob.glob(name)) or [name] for name in names)))
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise DataError(
            f"the source {source} means {len(paths):,} shards",
            f"{len(missing):,} of them are not there ({some_of(missing)})",
            "correct the numbers in the braces, or the folder",
        )
    return paths


def expanded(pattern: str) -> list[str]:
    """Returns the names that a pattern with braces means, in order: `{00..12}` counts, `{a,b}` chooses."""
    match = BRACES.search(pattern)
    if not match:
        return [pattern]
    first, last, words = match.groups()
    if words is None and not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise DataError(
            f"the source {pattern} counts from {first} to {last}",
            f"braces count upwards, to at most {MOST_SHARDS:,} shards",
            "correct the numbers",
        )
    choices = words.split(",") if words else [f"{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return list(dict.fromkeys(chain.from_iterable(expanded(f"{before}{choice}{after}") for choice in choices)))
