"""Reads lists of sound files (metadata.csv, .tsv, .jsonl, .parquet) as tables of text."""

import csv
import importlib
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavegan.errors import DataError

NAMES = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
SEPARATORS = (",", ";", "\t", "|")
FILE = (  # names of the column of file names, AudioFolder's own first
    "file_name", "filename", "file", "file_path", "filepath", "path", "audio_file", "audio_path", "audio", "wav_file",
    "wav_path", "wav", "sound_file", "sound", "fname", "clip", "name", "id",
)  # fmt: skip
MOST_CELLS = (
    20_000_000  # of a list of JSON objects: if each one had keys of its own, the table would grow by the square
)
POINTER = "version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Table:
    """Holds a list of sound files: its path, its columns as written, and its rows with their line numbers.

    A list without a header has no columns; the first value of each row is the file's name.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[tuple[int, Sequence[Any]]]

    def values(self, column: int | None) -> list[str]:
        """Returns a column's values as stripped text, empty if missing. Raises DataError for a nested value."""
        return [self._text(line, row, column) for line, row in self.rows]

    def _text(self, line: int, row: Sequence[Any], column: int | None) -> str:
        value = row[column] if column is not None and column < len(row) else None
        if isinstance(value, list | dict):
            raise DataError(
                f"{self.path}:{line}: {self.columns[column or 0]} is {json.dumps(value, default=str)[:60]}",
                "it must be a text or a number",
                "write one value",
            )
        if value is None or value != value:  # NaN, as pandas writes for an empty field
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value).strip()


def read(path: Path, is_file: Callable[[str], bool]) -> Table:
    """Reads a list of sound files; is_file says whether a written name means an existing sound file.

    Raises DataError with the line if it cannot be read.
    """
    ending = path.suffix.lower()
    try:
        if not path.is_file():
            raise DataError(f"{path} cannot be read", "a list must be a regular file", "rename or remove it")
        if ending == ".parquet":
            return _read_parquet(path)
        text = _text_of(path)
        return _read_lines_of_json(path, text) if ending == ".jsonl" else _read_separated(path, text, is_file)
    except (OSError, UnicodeError) as error:
        remedy = "save it again as UTF-8; Excel calls that CSV UTF-8"
        raise DataError(f"{path} cannot be read ({error})", "it must be UTF-8 text", remedy) from error


def plain(column: str) -> str:
    """Returns a column's name in lower case, with `_` for blanks and hyphens."""
    return re.sub(r"[\s-]+", "_", column.strip().casefold())


def is_of_files(column: str) -> bool:
    """Says whether a column's name is one that means file names, in any spelling."""
    return plain(column) in FILE or plain(column).endswith("_file_name")


def _text_of(path: Path) -> str:
    data = path.read_bytes()
    text = data.decode(_encoding(data))
    if text.startswith(POINTER):
        raise DataError(f"{path} is a pointer of git-lfs, not the file itself", remedy="run: git lfs pull")
    return text


def _encoding(data: bytes) -> str:
    """Returns the encoding of a text that begins with a byte order mark, or with a letter of ASCII."""
    if len(data) % 2 or not (data.startswith((b"\xff\xfe", b"\xfe\xff")) or 0 in data[:2]):
        return "utf-8-sig"
    return "utf-16" if 0 not in data[:2] else "utf-16-be" if data[0] == 0 else "utf-16-le"


def _read_separated(path: Path, text: str, is_file: Callable[[str], bool]) -> Table:
    if mark := re.match(r'"?sep=.{1,3}\r?\n', text):  # a line for Excel
        text = "\n" + text[mark.end() :]  # so that lines keep their numbers
    header = next((line for line in text.splitlines() if line.strip()), "")
    fits = {separator: _header(header, separator) for separator in SEPARATORS}
    named = [mark for mark, columns in fits.items() if any(is_of_files(column) for column in columns)]
    if not any("file_name" in map(plain, columns) for columns in fits.values()):
        for separator in SEPARATORS:
            if is_file(fits[separator][0]):  # there is no header
                return Table(path, (), _rows(path, text, separator))
    separator = max(named or SEPARATORS, key=lambda mark: len(fits[mark]))
    return _checked(path, _rows(path, text, separator))


def _header(line: str, separator: str) -> list[str]:
    return [column.strip().strip('"').strip() for column in line.split(separator)]


def _rows(path: Path, text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Splits lines. With bars and tabs, quotes belong to the text unless they enclose a whole field."""
    is_quoted = separator in ",;"
    quoting = csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, skipinitialspace=is_quoted, strict=True
    )
    rows = []
    try:
        for row in reader:
            if any(field.strip() for field in row):
                rows.append((reader.line_num, row if is_quoted else [_unquoted(field) for field in row]))
    except csv.Error as error:
        text = f"{path}:{reader.line_num}: this line cannot be read ({error})"
        raise DataError(text, 'a field with quotes is written "so, ""quoted"""', "export it again") from error
    return rows


def _unquoted(field: str) -> str:
    field = field.strip()
    return field[1:-1].replace('""', '"') if len(field) > 1 and field[0] == field[-1] == '"' else field


def _checked(path: Path, rows: list[tuple[int, list[str]]]) -> Table:
    """Takes the first row as the columns' names; refuses a comment there, and a row with more fields after it.

    In such a row labels may have shifted.
    """
    columns = tuple(column.strip() for column in rows[0][1]) if rows else ()
    if columns and columns[0].startswith("#") and not is_of_files(columns[0].lstrip("#")):
        rule = "the first line must hold the names of the columns, such as file_name,label"
        raise DataError(f"{path}:{rows[0][0]}: this line is a comment: {columns[0]}", rule, "remove it")
    for line, row in rows[1:]:
        if any(field.strip() for field in row[len(columns) :]):
            raise DataError(
                f"{path}:{line}: there are {len(row)} fields where the first line names {len(columns)}",
                "a field with the separator in it must stand in quotes",
                "put quotes around it",
            )
    return Table(path, columns, rows[1:])


def _read_lines_of_json(path: Path, text: str) -> Table:
    rows, columns = [], {}
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            row = json.loads(written, object_pairs_hook=_without_repeats)
        except (ValueError, RecursionError) as error:
            raise _no_object(path, line, str(error)) from error
        if not isinstance(row, dict):
            raise _no_object(path, line, f"it is {written.strip()[:40]}")
        columns |= dict.fromkeys(row)
        rows.append((line, row))
        if len(rows) * len(columns) > MOST_CELLS:
            raise DataError(
                f"{path} has {len(columns):,} different keys by line {line}",
                f"rows of all keys may have {MOST_CELLS:,} values",
                "give all lines the same keys",
            )
    return Table(path, tuple(columns), [(line, [row.get(column) for column in columns]) for line, row in rows])


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object; raises ValueError for a key that is written twice, of which Python keeps the last."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} is written twice")
    return row


def _no_object(path: Path, line: int, reason: str) -> DataError:
    remedy = 'write it like {"file_name": "a.wav", "label": "kick"}'
    return DataError(f"{path}:{line}: this line cannot be read ({reason})", "each line must be a JSON object", remedy)


def _read_parquet(path: Path) -> Table:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
        arrow = importlib.import_module("pyarrow")
    except ImportError as error:
        remedy = "run: pip install pyarrow, or export it as metadata.csv"
        raise DataError(
            f"{path} is a Parquet file", "reading it needs pyarrow, which is not installed", remedy
        ) from error
    try:
        schema = parquet.read_schema(path)
        kept = [field.name for field in schema if not _holds_bytes(field.type, arrow)]
        columns = parquet.read_table(path, columns=kept).to_pydict()
    except arrow.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read ({error})", "it must be a Parquet file", "export it again") from error
    rows = zip(*(columns[name] for name in kept), strict=True)
    return Table(path, tuple(kept), [(number, row) for number, row in enumerate(rows, 1)])


def _holds_bytes(kind: Any, arrow: Any) -> bool:
    """Says whether a column holds sound itself, which may be large."""
    types = arrow.types
    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_struct(kind)
