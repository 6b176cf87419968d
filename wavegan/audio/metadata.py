"""Describes the sound files of a folder: their labels, groups and splits, by lists (AudioFolder) or by folder names."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wavegan.audio import labels, tables
from wavegan.audio.file_names import FileNames
from wavegan.audio.labels import listing as joined
from wavegan.audio.listing import Listing
from wavegan.errors import DataError

OTHER_LISTS = (".csv", ".tsv", ".jsonl", ".parquet")


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
    """Describes the listed files by the lists in the folder, or by the names of sub-folders if there is no list.

    label_column: the lists' column that holds the labels. label_level: 1 takes the folder directly above a file for its
    label, 2 the one above that, splits not counted; both None guesses. Where both are given, the column is for folders
    with a list. Raises DataError if a list cannot be understood, names no file that is there, or has no such column.
    """
    names = FileNames(folder, listing.paths)
    places = labels.places(names.names)
    lists = _lists(folder, names)
    if lists:
        reading = _Reading(folder, names, label_column)
        for path in lists:
            reading.add(path)
        described, passed_over, notes = reading.result(listing)
    else:
        _refuse_column_without_list(folder, label_column, label_level)
        described = {path: Described(None, None, None) for path in names.names}
        passed_over, notes = {}, _other_lists(folder)
    by_folder = not lists or (label_level is not None and label_column is None)
    if by_folder:
        used = {path: places.folders[path] for path in described}
        of_folder, told = labels.folder_labels(labels.Places({}, used, []), folder, label_level)
    else:
        of_folder, told = {path: value.label for path, value in described.items()}, []
    of_files, merged = labels.merged(of_folder)
    files = {
        path: Described(of_files[path], value.group, value.split or places.splits[path])
        for path, value in described.items()
    }
    return Description(files, passed_over, [*places.notes, *notes, *told, *merged])


def _lists(folder: Path, names: FileNames) -> list[Path]:
    """Finds the lists in the folder and in the folders of its sounds. Raises DataError for two in one folder."""
    parents = {name.rpartition("/")[0] for name in names.names.values()}
    above = {
        "",
        *("/".join(parts[:end]) for parts in (p.split("/") for p in parents) for end in range(1, len(parts) + 1)),
    }
    paths = []
    for below in sorted(above):
        there = sorted(name for name in os.listdir(folder / below) if name.lower() in tables.NAMES)
        if len(there) > 1:
            raise DataError(
                f"{folder / below} holds {' and '.join(there)}",
                "one of them is read",
                "remove or rename the others",
            )
        paths += [folder / below / name for name in there]
    return paths


def _other_lists(folder: Path) -> list[str]:
    others = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in OTHER_LISTS)
    return [f"{joined(others)} is not read; a list of files and labels is called metadata.csv."] if others else []


def _refuse_column_without_list(folder: Path, label_column: str | None, label_level: int | None) -> None:
    if label_column is not None and label_level is None:
        raise DataError(
            f"data.label_column is {label_column}, and {folder} has no metadata.csv",
            "a column needs a list (metadata.csv, .tsv, .jsonl or .parquet)",
            "write one, or set data.label_level too, by which folders without a list give labels",
        )


@dataclass
class _Reading:
    """Collects what lists say of the files."""

    folder: Path
    names: FileNames
    label_column: str | None
    values: dict[Path, dict[str, dict[str, str]]] = field(default_factory=dict)  # file, label …, key, value
    passed_over: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    absent: list[str] = field(default_factory=list)
    listed: int = 0
    lists: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, path: Path) -> None:
        """Reads one list."""
        below = path.parent.relative_to(self.folder).as_posix().removeprefix(".")
        name = path.relative_to(self.folder).as_posix()

        def is_file(written: str) -> bool:
            return len(self.names.matches(written, below)) == 1

        table = tables.read(path, is_file)
        file_column = tables.file_column(table, is_file)
        columns = self._columns(table, name, file_column)
        self.lists.append(name)
        values = {kind: table.values(column) for kind, column in columns.items() if column is not None}
        loose: dict[str, str] = {}
        twice = 0
        for row, written in enumerate(table.values(file_column)):
            if not written:
                continue
            self.listed += 1
            matches = self.names.matches(written, below)
            if len(matches) != 1:
                self._miss(name, below, written, bool(matches))
                continue
            if not self.names.exact(written, below):
                loose[written] = self.names.names[matches[0]]
            twice += matches[0] in self.values
            self._take(matches[0], {kind: texts[row] for kind, texts in values.items()})
        self._tell(name, table, values, loose, twice)

    def result(self, listing: Listing) -> tuple[dict[Path, Described], dict[str, tuple[str, ...]], list[str]]:
        """Returns the files that are listed, what is passed over and why, and the notes. Raises DataError if none is."""
        lists = joined(self.lists)
        described = {}
        for path, kinds in self.values.items():
            several = [kind for kind, texts in kinds.items() if len(texts) > 1]
            if several:
                reason = f"are listed in {lists} with more than one {several[0]}; keep one line for each"
                self.passed_over[reason].append(self.names.names[path])
            else:
                texts = {kind: next(iter(texts.values()), None) for kind, texts in kinds.items()}
                described[path] = Described(texts.get("label"), texts.get("group"), texts.get("split"))
        unlisted = [name for path, name in self.names.names.items() if path not in self.values]
        if unlisted:
            self.passed_over[f"are not listed in {lists}"] += unlisted
        if not described:
            self._refuse(lists)
        known = {name for names in listing.passed_over.values() for name in names}  # told already, with the reason
        passed_over = {
            reason: tuple(sorted(rest))
            for reason, written in self.passed_over.items()
            if (rest := {name for name in written if name not in known})
        }
        return described, passed_over, self.notes

    def _columns(self, table: tables.Table, name: str, file_column: int) -> dict[str, int | None]:
        others = [column for column in range(len(table.columns)) if column != file_column]
        if table.columns and table.columns[file_column] != "file_name":
            self.notes.append(f"The files' names are taken from the column {table.columns[file_column]} of {name}.")
        label = self._label_column(table, name, others)
        group = self._guess(table, name, "group", tables.GROUP, [other for other in others if other != label])
        split = self._split_column(table, name, [other for other in others if other not in (label, group)])
        return {"label": label, "group": group, "split": split}

    def _label_column(self, table: tables.Table, name: str, others: Sequence[int]) -> int | None:
        if self.label_column is not None:
            return table.named(self.label_column, "data.label_column")
        if not table.columns:
            self.notes.append(
                f"{name} has no header, so its first column names the files and there are no labels; "
                "a first line as file_name,label names the columns."
            )
            return None
        candidates = [column for column in table.candidates(tables.LABEL) if column in others]
        if candidates and table.columns[candidates[0]].casefold() == "label":
            return candidates[0]
        textual = [column for column in candidates if not all(map(_is_number, table.values(column)))]
        ranked = [*textual, *(column for column in candidates if column not in textual)]
        columns = [table.columns[column] for column in ranked or others if table.columns[column]]
        if not ranked:
            if columns:
                self.notes.append(
                    f"{name} has no column label, so there are no labels; data.label_column can name one of "
                    f"{joined(columns)}."
                )
            return None
        rest = f"; data.label_column={columns[1]} takes {columns[1]} instead" if columns[1:] else ""
        self.notes.append(f"The labels are taken from the column {columns[0]} of {name}{rest}.")
        return ranked[0]

    def _guess(
        self, table: tables.Table, name: str, kind: str, words: Sequence[str], others: Sequence[int]
    ) -> int | None:
        column = next((column for column in table.candidates(words) if column in others), None)
        if column is not None and table.columns[column].casefold() != kind:
            self.notes.append(f"The {kind}s are taken from the column {table.columns[column]} of {name}.")
        return column

    def _split_column(self, table: tables.Table, name: str, others: Sequence[int]) -> int | None:
        for column in table.candidates(tables.SPLIT):
            if column in others and all(text.casefold() in labels.SPLITS for text in table.values(column) if text):
                self.notes.append(f"The splits are taken from the column {table.columns[column]} of {name}.")
                return column
        return None

    def _take(self, path: Path, texts: dict[str, str]) -> None:
        kinds = self.values.setdefault(path, {})
        for kind, text in texts.items():
            if text:
                value = labels.SPLITS[text.casefold()] if kind == "split" else labels.normalised(text)
                kinds.setdefault(kind, {}).setdefault(labels.spelling_key(value), value)

    def _miss(self, name: str, below: str, written: str, is_ambiguous: bool) -> None:
        shown = f"{below}/{written}" if below else written
        if is_ambiguous:
            self.passed_over[f"are listed in {name} by names that fit several files; add the folder"].append(shown)
        elif os.path.lexists(self.folder / below / written):
            self.passed_over[f"are listed in {name} but are no sound that can be read"].append(shown)
        else:
            self.absent.append(shown)
            self.passed_over[f"are listed in {name} but not there"].append(shown)

    def _tell(
        self, name: str, table: tables.Table, values: dict[str, list[str]], loose: dict[str, str], twice: int
    ) -> None:
        if loose:
            written, actual = next(iter(loose.items()))
            self.notes.append(
                f"{len(loose)} names in {name} are not written as the files' own and were matched to the only files "
                f"that fit, {written} to {actual} for one."
            )
        if twice:
            self.notes.append(f"{twice} lines of {name} name a file that is listed before; each file is used once.")
        empty = sum(not text for text in values.get("label", []))
        if 0 < empty:
            self.notes.append(f"{empty} of {len(table.rows)} lines of {name} have no label.")

    def _refuse(self, lists: str) -> None:
        if not self.listed:
            raise DataError(
                f"{self.folder / lists} lists no file", "only listed files are used", "add files or remove it"
            )
        reasons = "; ".join(f"{len(names)} {reason}" for reason, names in self.passed_over.items())
        example = f", {self.absent[0]} for one" if self.absent else ""
        raise DataError(
            f"of the {self.listed} files that {self.folder / lists} lists none can be used{example} ({reasons})",
            "names in a list are relative to its own folder",
            "correct the names, or remove the list",
        )


def _is_number(text: str) -> bool:
    return not text or text.lstrip("+-").replace(".", "", 1).isdigit()
