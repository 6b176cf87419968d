"""Matches names of sound files, as people and spreadsheets write them, to the files that are there."""

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

# A list may still name these endings after its files were converted.
ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aif", ".aiff", ".wma")


class NameMatcher:
    """Finds which of `paths`, all below `folder`, a written name may mean.

    Besides the exact name it accepts: other upper and lower case, composed or decomposed accents, backslashes; a
    missing or different sound ending; missing leading folders (`a` means `wavs/a.wav`); an absolute path from another
    computer, if its end equals a file's whole path below the folder.
    """

    def __init__(self, folder: Path, paths: Iterable[Path]):
        start = len((folder / "x").as_posix()) - 1  # several times as fast as relative_to
        self.names = {path: path.as_posix()[start:] for path in paths}
        self._exact = {name: path for path, name in self.names.items()}

    def exact(self, written: str, below: str = "") -> Path | None:
        """Returns the file of this name, relative to the sub-folder `below`; `./` and `//` do not count."""
        return self._exact.get(posixpath.normpath(posixpath.join(below, written)))

    def matches(self, written: str, below: str = "") -> list[Path]:
        """Returns the files that a name may mean: several if it is ambiguous, an empty list if no file matches."""
        if path := self.exact(written, below):
            return [path]
        name = posixpath.normpath(written.replace("\\", "/"))
        if not re.match(r"/|[A-Za-z]:", name):
            return self._below(name, below)
        parts = name.split("/")[1:]
        tails = (self._at("/".join(parts[start:]), below) for start in range(len(parts)))
        return next((paths for paths in tails if paths), [])

    def _below(self, name: str, below: str) -> list[Path]:
        if paths := self._at(name, below):
            return paths
        inside = f"{below}/" if below else ""
        wanted = (_key(name), _key(_without_ending(name)))
        return next((paths for key in wanted if (paths := self._inside(key, inside))), [])

    def _inside(self, key: str, inside: str) -> list[Path]:
        return [path for path in self._tails.get(key, []) if self.names[path].startswith(inside)]

    def _at(self, name: str, below: str) -> list[Path]:
        whole = posixpath.normpath(posixpath.join(below, name))
        return self._whole.get(_key(whole)) or self._whole.get(_key(_without_ending(whole)), [])

    @cached_property
    def _whole(self) -> dict[str, list[Path]]:
        """Maps paths below the folder, with and without ending, to files."""
        files = defaultdict(list)
        for path, name in self.names.items():
            for key in (_key(name), _key(posixpath.splitext(name)[0])):
                files[key].append(path)
        return files

    @cached_property
    def _tails(self) -> dict[str, list[Path]]:
        """Maps each tail that starts after a slash (`b/c.wav` and `c.wav` for `a/b/c.wav`) to its files.

        Each tail also stands without its ending.
        """
        files = defaultdict(list)
        for key, paths in self._whole.items():
            parts = key.split("/")
            for start in range(1, len(parts)):
                files["/".join(parts[start:])] += paths
        return files


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _without_ending(name: str) -> str:
    stem, ending = posixpath.splitext(name)
    return stem if ending.lower() in ENDINGS else name
