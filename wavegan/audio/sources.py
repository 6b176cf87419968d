"""Lists the sounds of a source without decoding them.

A source is a folder, tar shards, a remote address, a fetched or bundled data set, the drum machine or the synthesiser.
"""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import platformdirs

from wavegan import shipped
from wavegan.audio import drum_effects, drum_machine, public_datasets, remote_cache, synth
from wavegan.audio.files import OpenSound, open_sound
from wavegan.audio.items import Item, Source
from wavegan.audio.labels import merged, spelling_key, split_named
from wavegan.audio.listing import list_sound
from wavegan.audio.metadata import describe
from wavegan.audio.shards import is_shards, list_shards
from wavegan.audio.tables import NAMES as LISTS
from wavegan.errors import DataError, some_of

DRUM_MACHINE_CLIPS = {  # name: kit, seed, clips
    f"drum_machine{suffix}{part}": (kit, *clips)
    for suffix, kit in (("", drum_effects.PLAIN), ("/dry", "dry"), ("/room", "room"))
    for part, clips in (("", (0, 2000)), ("/test", (1, 400)))
}
SYNTH_CLIPS = {  # name: seed, clips, cents above the notes
    "synth": (0, 2400, 0),
    "synth/test": (1, 600, 0),
    "synth/pitches": (2, 600, 50),
}
BUNDLED = {
    f"{name}{part}": f"{folder}/{split}"
    for name, folder in (
        ("spoken_digits", "digits"),
        ("piano_pieces", "piano"),
        ("instrument_notes", "instruments"),
        ("ambience_recordings", "ambience"),
        ("drum_recordings", "drum_kits"),
    )
    for part, split in (("", "train"), ("/test", "test"))
}
BUILT_IN = (*DRUM_MACHINE_CLIPS, *SYNTH_CLIPS, *BUNDLED)


def open_source(
    source: str | Sequence[str],
    *,
    strict: bool = False,
    label_column: str | None = None,
    label_level: int | None = None,
) -> Source:
    """Lists the items of one or several sources.

    strict: refuse a file that can be read only after repair. label_column, label_level: the place of the labels, see
    `metadata.describe`. Raises DataError for an unknown source, and for a source without sound.
    """
    read = partial(_open_one, strict=strict, label_column=label_column, label_level=label_level)
    places = [source] if isinstance(source, str) else list(dict.fromkeys(source))
    if all(map(is_shards, places)):
        return list_shards(places, strict=strict, label_column=label_column, label_level=label_level)
    if len(places) == 1:
        return read(places[0])
    names = [Path(place).name for place in places]
    prefixes = names if len(set(names)) == len(names) else places
    items, kinds, passed_over, notes = [], [], {}, []
    for prefix, place in zip(prefixes, places, strict=True):
        part = read(place)
        items += [replace(item, name=f"{prefix}/{item.name}") for item in part.items]
        kinds += [_kind(place)] * len(part.items)
        for reason, files_passed in part.passed_over.items():
            passed_over[reason] = (*passed_over.get(reason, ()), *(f"{prefix}/{name}" for name in files_passed))
        notes += part.notes
    chosen = label_column, label_level, *(item.label for item in items)
    if not any(chosen) and all(kinds) and len({*map(spelling_key, kinds)}) == len(places):
        items = [replace(item, label=kind) for item, kind in zip(items, kinds, strict=True)]
        named = some_of(dict.fromkeys(kinds))
        notes.append(f"The names of the folders are the labels: {named}; generator.labels=0 learns without them.")
    labels, spellings = merged({Path(item.name): item.label for item in items})
    items = [replace(item, label=labels[Path(item.name)]) for item in items]
    return Source(tuple(items), passed_over, tuple(dict.fromkeys([*notes, *spellings])))


def _kind(source: str) -> str:
    """Returns the name of a folder of the user's as a label for what is in it; "" if it is none."""
    folder = Path(os.path.expanduser(source))
    is_kind = folder.is_dir() and not is_named(source) and not split_named(folder.resolve().name)
    return folder.resolve().name if is_kind else ""


def is_named(source: str) -> bool:
    """Says whether a source is built in, bundled or fetched, and so called the same everywhere."""
    return source in BUILT_IN or _is_fetched(source)


def _is_fetched(source: str) -> bool:
    dataset, _, split = source.partition("/")
    return dataset in public_datasets.DATASETS and split in ("", *public_datasets.SPLITS)


def data_folder() -> Path:
    """Returns the folder of fetched data sets: the environment variable WAVEGAN_DATA, or `data` in the current one."""
    return Path(os.path.expanduser(os.environ.get("WAVEGAN_DATA", "data")))


def cache_folder() -> Path:
    """Returns the folder for decoded sound: the environment variable WAVEGAN_CACHE, or the platform's user cache."""
    return Path(os.path.expanduser(os.environ.get("WAVEGAN_CACHE") or platformdirs.user_cache_dir("wavegan")))


def belongs_to_another_user(path: Path) -> bool:
    """Says whether another user, who is not root, owns a file or folder, or a link in its place."""
    if not hasattr(os, "getuid"):  # Windows
        return False
    return any(status.st_uid not in (os.getuid(), 0) for status in (path.lstat(), path.stat()))


def _open_one(source: str, *, strict: bool, label_column: str | None, label_level: int | None) -> Source:
    if remote_cache.is_address(source):
        mirror = remote_cache.mirror(source, cache_folder() / "remote")
        part = open_source(str(mirror.folder), strict=strict, label_column=label_column, label_level=label_level)
        reasons = dict.fromkeys((*mirror.passed_over, *part.passed_over))
        passed_over = {each: (*mirror.passed_over.get(each, ()), *part.passed_over.get(each, ())) for each in reasons}
        return replace(part, passed_over=passed_over, notes=(*mirror.notes, *part.notes))
    if is_shards(source):
        return list_shards(source, strict=strict, label_column=label_column, label_level=label_level)
    if source in DRUM_MACHINE_CLIPS:
        return Source(tuple(_drum_machine(*DRUM_MACHINE_CLIPS[source])))
    if source in SYNTH_CLIPS:
        return Source(tuple(_synth(*SYNTH_CLIPS[source])))
    if source in BUNDLED:
        return _folder(shipped.folder("data") / BUNDLED[source], strict, label_column, label_level)
    dataset, _, split = source.partition("/")
    folder = Path(os.path.expanduser(source))
    if _is_fetched(source):
        folder = data_folder() / dataset / (split or "train")
        if not folder.is_dir():
            raise DataError(
                f"the source is {source}, and {folder} does not exist; a data set is downloaded once; "
                f"run: wavegan fetch {dataset} --to {data_folder()}"
            )
    return _folder(folder, strict, label_column, label_level)


def _drum_machine(kit: str, seed: int, clips: int) -> Iterator[Item]:
    for index in range(clips):
        label = drum_machine.label(index)
        fingerprint = ("drum_machine", drum_machine.VERSION, drum_effects.VERSION, kit, seed, index)
        yield Item(f"{index:04d}-{label}", label, fingerprint, partial(_play_drum, kit, seed, index))


@contextmanager
def _play_drum(kit: str, seed: int, index: int, sample_rate: int, channels: int) -> Iterator[OpenSound]:
    sound = drum_effects.render(index, sample_rate, channels=channels, seed=seed, kit=kit)
    yield OpenSound(sample_rate, channels, iter([sound]), [])


def _synth(seed: int, clips: int, cents: int) -> Iterator[Item]:
    for index in range(clips):
        timbre, note = synth.timbre(index), synth.note(index)
        label, group = (timbre, f"{note}+{cents}") if cents else (f"{timbre}-{note}", None)
        fingerprint = ("synth", synth.VERSION, seed, cents, index)
        yield Item(f"{index:04d}-{label}", label, fingerprint, partial(_play_note, seed, cents, index), group)


@contextmanager
def _play_note(seed: int, cents: int, index: int, sample_rate: int, _channels: int) -> Iterator[OpenSound]:
    sound = synth.render(index, sample_rate, seed=seed, cents=cents)
    yield OpenSound(sample_rate, 1, iter([sound[:, None]]), [])


def _folder(folder: Path, strict: bool, label_column: str | None, label_level: int | None) -> Source:
    if not folder.exists():
        if shipped.model_folder(str(folder)):
            rule, remedy = "a source is sound to learn from", f"see what it learned from: wavegan info {folder}"
            raise DataError(f"the source {folder} is a shipped model", rule, remedy)
        names = (*BUILT_IN, *public_datasets.DATASETS)
        near = difflib.get_close_matches(folder.as_posix(), names, 1, 0.75)
        remedy = f"did you mean {near[0]}?" if near else "check the spelling and the folder you are in"
        whole = ", ".join(name for name in names if "/" not in name)
        raise DataError(
            f"the source {folder} does not exist; a source is a folder of sound files, tar files, an address such as "
            f"s3://bucket/sounds, or one of {whole}, or a part of them such as synth/test; {remedy}"
        )
    if not folder.is_dir():
        raise DataError(
            f"the source {folder} is a file; of files only tar files are sources; name the folder of a sound file, or "
            "unpack an archive of another kind"
        )
    listing = list_sound(folder)
    description = describe(folder, listing, label_column=label_column, label_level=label_level)
    passed_over = {**_without_lists(listing.passed_over), **description.passed_over}
    if not description.files:
        reasons = "".join(f"\n  {len(names):,} that {reason}" for reason, names in passed_over.items())
        raise DataError(f"the source {folder} holds no sound file that can be read; name another folder{reasons}")
    items = [
        Item(
            as_text(path.relative_to(folder).as_posix()),
            described.label and as_text(described.label),
            _fingerprint(path),
            partial(_open_file, path, strict),
            described.group,
            described.split,
        )
        for path, described in description.files.items()
    ]
    return Source(tuple(items), passed_over, tuple(description.notes))


def as_text(name: str) -> str:
    """Returns a file's name as valid text: bytes that are not valid UTF-8 become escapes such as \\xe9."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _without_lists(passed_over: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Removes metadata lists from the passed-over files, because they are read."""
    kept = {
        reason: tuple(name for name in names if Path(name).name.lower() not in LISTS)
        for reason, names in passed_over.items()
    }
    return {reason: names for reason, names in kept.items() if names}


def _open_file(path: Path, strict: bool, _sample_rate: int, _channels: int) -> AbstractContextManager[OpenSound]:
    return open_sound(path, strict=strict)


def _fingerprint(path: Path) -> tuple[str | int, ...]:
    """Returns a file's path, size and times, which decide only whether the file is decoded again.

    ctime is included because mtime can be set back by hand.
    """
    try:
        status = path.stat()
    except OSError:  # opening the file later reports the error
        return (str(path.absolute()),)
    return (str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
