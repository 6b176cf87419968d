"""Describes the sound files of a folder: their labels, groups and splits, by lists (AudioFolder) or by folder names."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wavegan.audio import labels, tables
from wavegan.audio.listed import Listed
from wavegan.audio.listing import Listing
from wavegan.audio.name_matching import NameMatcher
from wavegan.errors import DataError, some_of

OTHER_LISTS = (
    ".csv",
    ".tsv",
    ".jsonl",
    ".parquet",
    ".xlsx",
    ".xls",
    ".ods",
    ".csv.txt",
    "metadata.json",
    "labels.json",
)


@dataclass(frozen=True)
class Described:
    """Holds what is known of a sound file: label, group, and split, which is train, validation, test or None."""

    label: str | None
    group: str | None
    split: str | None


@dataclass(frozen=True)
class Description:
    """Holds the files to be used, in a fixed order, what was passed over, and sentences on what was guessed.

    passed_over: reason, as the end of a sentence whose subject is the files, to their names relative to the folder.
    """

    files: dict[Path, Described]
    passed_over: dict[str, tuple[str, ...]]
    notes: list[str]


def describe(
    folder: Path, listing: Listing, *, label_column: str | None = None, label_level: int | None = None
) -> Description:
    """Describes the files of a listing by the lists in the folder, or by the names of sub-folders if it has no list.

    label_column: the lists' column that holds the labels. label_level: 1 takes the folder directly above a file for its
    label, 2 the one above that, splits not counted; both None guesses. If both are given, the column is for folders
    with a list. Raises DataError if a list cannot be understood, names no existing file, or lacks the column.
    """
    names = NameMatcher(folder, listing.paths)
    places = labels.places(names.names)
    lists = _lists(folder, names)
    by_folder = not lists or (label_level is not None and label_column is None)
    listed = Listed(folder, names, label_column=label_column, has_labels=not by_folder)
    for path in lists:
        listed.read(path)
    notes = [*places.notes, *listed.notes]
    if lists:
        used, passed_over = listed.sorted_out(listing.passed_over)
    else:
        _refuse_column_without_list(folder, label_column, label_level)
        used, passed_over = listing.paths, {}
        notes += _lists_above(folder) + _other_lists(listing) + _backslashes(names)
    of_files: Mapping[Path, str | None] = listed.values["label"]
    if by_folder:
        of_files, folder_notes = labels.folder_labels(
            {path: places.folders[path] for path in used}, folder, label_level
        )
        notes += ["The labels are names of folders, as data.label_level asks, whatever the lists say."] if lists else []
        notes += folder_notes
    of_files, merged = labels.merged({path: of_files.get(path) for path in used})
    groups, splits = listed.values["group"], listed.values["split"]
    files = {
        path: Described(of_files[path], groups.get(path), splits.get(path) or places.splits[path]) for path in used
    }
    return Description(files, passed_over, notes + merged)


def _lists(folder: Path, names: NameMatcher) -> list[Path]:
    """Finds the lists in the folder and in the folders of its sounds. Raises DataError for two in one folder."""
    parents = map(PurePosixPath, {name.rpartition("/")[0] for name in names.names.values()})
    above = {PurePosixPath(), *(folder for parent in parents for folder in (parent, *parent.parents))}
    paths = []
    for below in sorted(above):
        lists = sorted(name for name in os.listdir(folder / below) if name.lower() in tables.NAMES)
        if len(lists) > 1:
            remedy = "remove or rename the others"
            raise DataError(f"{folder / below} holds {' and '.join(lists)}", "only one of them can be read", remedy)
        paths += [folder / below / name for name in lists]
    return paths


def _lists_above(folder: Path) -> list[str]:
    above, names = folder.resolve().parent, []
    with suppress(OSError):  # a folder above may be closed to this user
        names = os.listdir(above)
    lists = sorted(name for name in names if name.lower() in tables.NAMES)
    remedy = f"if it describes these sounds, name {above} as the source"
    return [f"{above / lists[0]} is not read, as it lies above the source; {remedy}."] if lists else []


def _other_lists(listing: Listing) -> list[str]:
    names = (name for names in listing.passed_over.values() for name in names)
    others = sorted(name for name in names if name.lower().endswith(OTHER_LISTS))
    note = f"Nothing is read from {some_of(others)}; a list is called metadata.csv and lies beside the sounds or above."
    return [note] if others else []


def _backslashes(names: NameMatcher) -> list[str]:
    odd = [name for name in names.names.values() if "\\" in name]
    if not odd:
        return []
    text = f"{len(odd):,} names hold backslashes, as Windows writes folders ({odd[0]}), so there are no labels in them"
    return [f"{text}; unpack the archive again into real folders, with 7z say."]


def _refuse_column_without_list(folder: Path, label_column: str | None, label_level: int | None) -> None:
    if label_column is not None and label_level is None:
        raise DataError(
            f"data.label_column is {label_column}, and {folder} has no metadata.csv",
            f"a column needs a list ({', '.join(tables.NAMES)})",
            "write one, or set data.label_level too, for folders without a list",
        )
