"""Chooses the columns of a list of sound files that hold names, labels, groups and splits, and says what it guessed."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from wavegan.audio.labels import split_named
from wavegan.audio.tables import FILE, Table, is_of_files, plain
from wavegan.errors import DataError, some_of

# Names of columns, the usual first. Case, blanks and hyphens do not count.
LABEL = (
    "label", "label_name", "labels", "category", "class", "class_name", "classname", "target", "word", "tag", "keyword",
    "command", "instrument", "sound_class", "genre", "species", "emotion", "digit",
)  # fmt: skip
GROUP = ("group", "speaker", "speaker_id", "client_id", "singer", "artist", "performer", "player", "kit", "session")
SPLIT = ("split", "subset", "partition")
TIMES = ("start", "end", "onset", "offset", "begin", "start_time", "end_time", "start_seconds", "end_seconds")


@dataclass(frozen=True)
class Columns:
    """Holds the indices of a table's columns, None for a missing column, and sentences on what was guessed."""

    file: int
    label: int | None
    group: int | None
    split: int | None
    notes: list[str]


def choose(
    table: Table, name: str, is_file: Callable[[str], bool], *, label_column: str | None, has_labels: bool
) -> Columns:
    """Chooses the columns of a table that is called `name`.

    is_file: says whether a written name means an existing file. label_column: the column of the labels if the user
    named it. has_labels: False if labels come from elsewhere. Raises DataError if there is no column of file names, or
    no column called label_column.
    """
    notes: list[str] = []
    file = _file_column(table, is_file)
    if table.columns and plain(table.columns[file]) != "file_name":
        notes.append(f"The files' names are taken from the column {table.columns[file]} of {name}.")
    taken = [file]
    label = None
    if has_labels and label_column is not None:
        label = _named(table, label_column)
    elif has_labels:
        label = _label_column(table, name, notes, taken)
    taken += [] if label is None else [label]
    group = next((column for column in _called(table, GROUP) if column not in taken), None)
    if group is not None and plain(table.columns[group]) != "group":
        notes.append(f"The groups are taken from the column {table.columns[group]} of {name}.")
    taken += [] if group is None else [group]
    times = [column for number, column in enumerate(table.columns) if plain(column) in TIMES and number not in taken]
    if times:
        notes.append(f"The columns of times of {name} ({some_of(times)}) are not read: whole files are used.")
    return Columns(file, label, group, _split_column(table, name, notes, taken), notes)


def _called(table: Table, words: Sequence[str]) -> list[int]:
    """Returns the columns that are called by one of these words, in the words' order."""
    names = list(map(plain, table.columns))
    columns = [column for word in words for column, name in enumerate(names) if name == word]
    for column in columns:
        if names.count(names[column]) > 1:
            twice = [repr(table.columns[other]) for other, name in enumerate(names) if name == names[column]]
            raise DataError(
                f"{table.path} has the columns {' and '.join(twice)}",
                "the names of columns must differ in more than case and blanks",
                "rename or remove one",
            )
    return columns


def _file_column(table: Table, is_file: Callable[[str], bool]) -> int:
    if not table.columns:
        return 0  # of a list without a header
    rest = [plain(column) for column in table.columns if is_of_files(column) and plain(column) not in FILE]
    columns = _called(table, [*FILE, *rest])
    if not columns:
        near = difflib.get_close_matches("file_name", table.columns, 1)
        raise DataError(
            f"{table.path} has the columns {', '.join(table.columns)}",
            "file_name is required, label and group are optional",
            f"rename {near[0]} to file_name" if near else "add it or remove the file",
        )
    if plain(table.columns[columns[0]]) == "file_name":
        return columns[0]
    return next((column for column in columns if any(map(is_file, table.values(column)))), columns[0])


def _named(table: Table, name: str) -> int:
    if table.columns.count(name) == 1:
        return table.columns.index(name)
    if columns := _called(table, [plain(name)]):
        return columns[0]
    names = {plain(column): column for column in table.columns}
    near = difflib.get_close_matches(plain(name), names, 1, 0.0)
    raise DataError(
        f"data.label_column is {name}",
        f"the columns of {table.path} are {', '.join(table.columns) or 'none, because it has no header'}",
        f"try {names[near[0]]}" if near else "add a first line with the names of the columns",
    )


def _label_column(table: Table, name: str, notes: list[str], taken: Sequence[int]) -> int | None:
    if not table.columns:
        notes.append(
            f"{name} has no header, so its first column names the files and there are no labels; a first line such as "
            "file_name,label names the columns."
        )
        return None
    candidates = [column for column in _called(table, LABEL) if column not in taken]
    is_usual = bool(candidates) and plain(table.columns[candidates[0]]) == "label"
    if is_usual and any(table.values(candidates[0])):
        return candidates[0]
    filled = [column for column in candidates if any(table.values(column))]
    if is_usual and not filled:
        return candidates[0]
    candidates = filled or candidates
    if not candidates:
        others = [column for number, column in enumerate(table.columns) if column and number not in taken]
        if others:
            notes.append(
                f"{name} has no column label, so there are no labels; data.label_column can name one of "
                f"{some_of(others)}, or data.label_level=1 take the names of folders."
            )
        return None
    candidates.sort(key=lambda column: all(map(_is_number, table.values(column))))  # text first, else in their order
    label, *others = [table.columns[column] for column in candidates]
    rest = f"; data.label_column={others[0]} takes {others[0]} instead" if others else ""
    notes.append(f"The labels are taken from the column {label} of {name}{rest}.")
    return candidates[0]


def _split_column(table: Table, name: str, notes: list[str], taken: Sequence[int]) -> int | None:
    chosen = None
    for column in _called(table, SPLIT):
        texts = {text for text in table.values(column) if text}
        unknown = sorted(text for text in texts if not split_named(text))
        is_other = len(unknown) == len(texts) and plain(table.columns[column]) != SPLIT[0]
        if column in taken or is_other or not texts:
            continue
        if not unknown:
            chosen = column
            break
        notes.append(
            f"The column {table.columns[column]} of {name} is not used as splits, because it holds {some_of(unknown)}; "
            "splits are train, validation and test."
        )
    others = (column for column in range(len(table.columns)) if column not in taken)
    chosen = next(filter(partial(_holds_splits_alone, table), others), None) if chosen is None else chosen
    if chosen is not None:
        notes.append(f"The splits are taken from the column {table.columns[chosen]} of {name}.")
    return chosen


def _holds_splits_alone(table: Table, column: int) -> bool:
    """Says whether a column, whatever its name, holds more than one split and nothing else."""
    values = [row[column] for _, row in table.rows if column < len(row) and row[column] not in (None, "")]
    is_split = (isinstance(value, str) and split_named(value) is not None for value in values)
    return all(is_split) and len(set(map(split_named, values))) > 1


def _is_number(text: str) -> bool:
    return not text or text.lstrip("+-").replace(".", "", 1).isdigit()
