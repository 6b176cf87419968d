"""Collects what metadata lists say of each sound file, and separates files that cannot be used."""

import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from wavegan.audio import columns, tables
from wavegan.audio.labels import counted, normalised, spelling_key, split_named
from wavegan.audio.name_matching import NameMatcher
from wavegan.errors import DataError, some_of

FOR_EMPTY = frozenset(("nan", "none", "null", "na", "n/a", "<na>", "nat"))  # pandas and others write them


class Listed:
    """Reads lists one after the other; `values` then holds the files' labels, groups and splits, `notes` sentences.

    label_column: the column of the labels if the user named it. has_labels: False if labels come from elsewhere.
    """

    def __init__(self, folder: Path, names: NameMatcher, *, label_column: str | None, has_labels: bool):
        self.folder, self.names = folder, names
        self.label_column, self.has_labels = label_column, has_labels
        self.values: dict[str, dict[Path, str]] = {"label": {}, "group": {}, "split": {}}
        self.notes: list[str] = []
        self._files: dict[Path, str] = {}  # listed: the kind of value in which its lines differ, or empty
        self._passed_over: dict[str, list[str]] = defaultdict(list)
        self._lists: list[str] = []
        self._lines = 0

    def read(self, path: Path) -> None:
        """Reads a list. Raises DataError if it cannot be understood."""
        below = path.parent.relative_to(self.folder).as_posix().removeprefix(".")
        name = posixpath.join(below, path.name)
        self._lists.append(name)

        def is_file(written: str) -> bool:
            return len(self.names.matches(written, below)) == 1

        table = tables.read(path, is_file)
        chosen = columns.choose(table, name, is_file, label_column=self.label_column, has_labels=self.has_labels)
        numbers = {"label": chosen.label, "group": chosen.group, "split": chosen.split}
        texts = {kind: table.values(column) for kind, column in numbers.items() if column is not None}
        loose: dict[str, str] = {}
        again = without = 0
        for row, written in enumerate(table.values(chosen.file)):
            if not written:
                continue
            self._lines += 1
            matches = self.names.matches(written, below)
            if len(matches) != 1:
                self._miss(name, posixpath.normpath(posixpath.join(below, written)), bool(matches))
                continue
            if not self.names.exact(written, below):
                loose[written] = self.names.names[matches[0]]
            again += matches[0] in self._files
            without += "label" in texts and not texts["label"][row]
            self._take(matches[0], {kind: values[row] for kind, values in texts.items()})
        self.notes += chosen.notes + _told(name, loose, again, without)
        for kind in ("label", "group"):
            self.notes += _words_for_empty(name, kind, texts.get(kind, []))

    def sorted_out(self, known: Mapping[str, tuple[str, ...]]) -> tuple[list[Path], dict[str, tuple[str, ...]]]:
        """Returns the files that can be used, in the lists' order, and the names passed over, by reason.

        known: names that were passed over before, which are not repeated. Raises DataError if no file can be used.
        """
        lists = some_of(self._lists)
        for path, kind in self._files.items():
            if kind:
                reason = f"are listed in {lists} with more than one {kind}; keep one line for each file"
                self._passed_over[reason].append(self.names.names[path])
        used = [path for path, kind in self._files.items() if not kind]
        if not used:
            self._refuse(lists)
        if unlisted := [name for path, name in self.names.names.items() if path not in self._files]:
            self._passed_over[f"are not listed in {lists}"] += unlisted
        passed_before = {name for names in known.values() for name in names}
        passed_over = {reason: tuple(sorted({*names} - passed_before)) for reason, names in self._passed_over.items()}
        return used, {reason: names for reason, names in passed_over.items() if names}

    def _take(self, path: Path, texts: dict[str, str]) -> None:
        self._files.setdefault(path, "")
        for kind, text in texts.items():
            if text:
                value = split_named(text) or "" if kind == "split" else normalised(text)
                before = self.values[kind].setdefault(path, value)
                if before != value and spelling_key(before) != spelling_key(value):
                    self._files[path] = kind

    def _miss(self, name: str, written: str, is_ambiguous: bool) -> None:
        if is_ambiguous:
            reason = f"are listed in {name} by names that fit several files; write the folder and the ending"
        elif not os.path.lexists(self.folder / written):
            reason = f"are listed in {name} but not there"
        elif written.startswith(("/", "../")):
            reason = f"are listed in {name} but lie outside the folder"
        else:
            reason = f"are listed in {name} but are not sound, or lie in a folder that is passed over"
        self._passed_over[reason].append(written)

    def _refuse(self, lists: str) -> None:
        if not self._lines:
            raise DataError(f"{lists} in {self.folder} names no file", "only listed files are used", "remove it")
        reasons = "; ".join(f"{len(names)} {reason}, {names[0]} for one" for reason, names in self._passed_over.items())
        raise DataError(
            f"of {counted(self._lines, 'line')} of {lists} in {self.folder} none names a file that can be used "
            f"({reasons})",
            "names are relative to the list's own folder",
            "correct them or remove the list",
        )


def _told(name: str, loose: dict[str, str], again: int, without: int) -> list[str]:
    notes = []
    if loose:
        written, actual = next(iter(loose.items()))
        notes.append(
            f"The only file that fits was taken for {counted(len(loose), 'name')} spelled otherwise in {name}, such as "
            f"{actual} for {written}."
        )
    if again:
        notes.append(f"Files are listed again in {counted(again, 'line')} of {name}; each is used once at most.")
    if without:
        notes.append(f"There is no label in {counted(without, 'line')} of {name}.")
    return notes


def _words_for_empty(name: str, kind: str, texts: list[str]) -> list[str]:
    words = Counter(text for text in texts if text.casefold() in FOR_EMPTY)
    return [
        f"The {kind} {word} in {counted(count, 'line')} of {name} counts like any other; leave the field empty where "
        f"there is no {kind}."
        for word, count in words.items()
    ]
