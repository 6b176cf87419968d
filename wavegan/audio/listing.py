"""Lists the sound files of a folder, and the files that are passed over, with the reasons."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from wavegan.audio import signatures

HIDDEN = "are hidden (the name starts with a dot)"
NO_SOUND = "are not sound but texts, pictures and the like"
OTHER_DECODER = "need another decoder; convert them to WAV or FLAC, e.g. with ffmpeg"
HEADERLESS = "are sound without a header, which says no sample rate; convert them to WAV or FLAC, e.g. with sox"
ARCHIVE = "are archives; unpack them"
SAMPLER = "hold sounds in the form of a sampler; export them from it as WAV"
UNFINISHED = "are unfinished downloads, copies or backups by their names"
BY_NAME = {NO_SOUND: signatures.NO_SOUND, ARCHIVE: signatures.ARCHIVES, SAMPLER: signatures.SAMPLERS}
NO_FILE = "are pipes, sockets or devices, not regular files"
LINK_TO_NOTHING = "are links to nothing"
LINKED_AGAIN = "are links to folders that are read already, or that this folder lies in"
PARTS_OF_A_RUN = frozenset(
    ["checkpoints", "previews", "generated", "translated", "evaluation", "tensorboard", "mlflow", "wandb"]
)
CLIP = re.compile(r"(clip-\d{6,}|walk)\.(wav|flac|ogg|mp3)(\.\w+)?(\.partial)?")  # as wavegan generate names them


def _is_run(names: set[str]) -> bool:
    return "recipe.yaml" in names and not names.isdisjoint({"log.jsonl", "checkpoints", "corpus.json"})


def _is_generated(names: set[str]) -> bool:
    shown = {name for name in names if not name.startswith(".")}
    return any(name.startswith("clip-000000.") for name in shown) and all(map(CLIP.fullmatch, shown))


MADE_HERE: dict[str, Callable[[set[str]], bool]] = {  # reason: whether it holds for a folder with these names in it
    "are runs, made by wavegan train": _is_run,
    "are evaluations, made by wavegan evaluate": lambda names: {"metrics.json", "report.html"} <= names,
    "are models (config.json, model.safetensors or model.onnx), as wavegan export makes them": lambda names: (
        "config.json" in names and not names.isdisjoint({"model.safetensors", "model.onnx"})
    ),
    "are caches, made by wavegan": lambda names: {"samples.i16", "items.jsonl"} <= names,
    "are generated clips, made by wavegan (clip-000000.wav …); name that folder itself to use them": _is_generated,
}
WITH_RECEIPT = "were made by wavegan, as their comments say; name their folder itself to use them"
RECEIPT = b'{"wavegan"'  # begins the comment of a generated sound, which lies before its samples
RECEIPT_WITHIN = 4096  # bytes
MANY_FILES = 1000  # of one folder
PART_OF_THIS_RUN = "are parts of this run, made by wavegan; name one of these folders itself to use it"


@dataclass(frozen=True)
class Listing:
    """Lists the sound files of a folder, sorted, and what is passed over.

    paths: below the folder as it was named; links in them are not resolved. passed_over: reason, as the end of a
    sentence whose subject is the files, to their names relative to the folder; a folder's name ends with a slash.
    """

    paths: tuple[Path, ...]
    passed_over: dict[str, tuple[str, ...]]


@dataclass
class _Walk:
    """Collects the files below a folder; each real folder is read once, by its own path rather than by a link."""

    root: Path
    paths: list[str] = field(default_factory=list)
    passed_over: dict[str, list[str]] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    read: set[tuple[int, int]] = field(default_factory=set)

    def skip(self, reason: str, path: str, mark: str = "") -> None:
        name = Path(path).relative_to(self.root).as_posix() + mark
        self.passed_over.setdefault(reason, []).append(os.fsencode(name).decode(errors="backslashreplace"))

    def enter(self, folder: str, *, is_root: bool = False) -> Iterator[str]:
        """Adds the files of a folder; yields its sub-folders that are not links."""
        try:
            identity = _identity(folder)
            if identity in self.read:
                self.skip(LINKED_AGAIN, folder, "/")
                return
            self.read.add(identity)
            with os.scandir(folder) as entries:
                content = {entry.name: entry for entry in entries}
        except OSError as error:
            self.skip(_unreadable(error), folder, "/")
            return
        names = set(content)
        made_here = next((reason for reason, is_such in MADE_HERE.items() if is_such(names)), None)
        if made_here and not is_root:
            self.skip(made_here, folder, "/")
            return
        own = PARTS_OF_A_RUN if is_root and _is_run(names) else ()
        before = len(self.paths)
        for name in sorted(content):
            entry = content[name]
            if name.startswith("."):
                self.skip(HIDDEN, entry.path)
            elif not os.path.isdir(entry.path) if entry.is_symlink() else not entry.is_dir():
                self.take(entry)
            elif name in own:
                self.skip(PART_OF_THIS_RUN, entry.path, "/")
            elif entry.is_symlink():
                self.links.append(entry.path)
            else:
                yield entry.path
        if not is_root:
            self.leave_out_made(before)

    def leave_out_made(self, first: int) -> None:
        """Passes over the files from the number `first` on, those of one folder, that wavegan has made.

        Where there are more than MANY_FILES, all are opened only if the first or the last of them has a receipt: on a
        network drive that takes a while.
        """
        paths = self.paths[first:]
        if len(paths) > MANY_FILES and not any(map(_has_receipt, {paths[0], paths[-1]})):
            return
        self.paths[first:] = [path for path in paths if not _has_receipt(path)]
        for path in sorted({*paths} - {*self.paths[first:]}):
            self.skip(WITH_RECEIPT, path)

    def take(self, entry: os.DirEntry[str]) -> None:
        """Adds a file if it is sound; otherwise adds the reason why it is passed over."""
        try:
            if entry.is_symlink() and not os.path.exists(entry.path):
                if _extension(entry.name) in signatures.EXTENSIONS:
                    self.paths.append(entry.path)  # a lost sound counts as a bad file
                else:
                    self.skip(LINK_TO_NOTHING, entry.path)
            elif not entry.is_file():
                self.skip(NO_FILE, entry.path)
            elif reason := reason_against(entry.name, partial(_first_bytes, entry.path)):
                self.skip(reason, entry.path)
            else:
                self.paths.append(entry.path)
        except OSError as error:
            self.skip(_unreadable(error), entry.path)


def list_sound(folder: Path) -> Listing:
    """Lists the sound files in a folder, in its sub-folders and in linked folders.

    A file counts as sound by its extension, or by its first bytes if the extension is unknown. Opens only regular
    files. Passes over what wavegan itself has made below the folder, because that is not a recording.
    """
    walk = _Walk(folder, read={_identity(above) for above in folder.resolve().parents if above.exists()})
    _read_all(walk, walk.enter(str(folder), is_root=True))
    while walk.links:  # after all real folders, so that a link to one of them is passed over, not the folder
        walk.links.sort()
        _read_all(walk, walk.enter(walk.links.pop(0)))
    passed_over = {reason: tuple(sorted(names)) for reason, names in sorted(walk.passed_over.items())}
    return Listing(tuple(sorted(map(Path, walk.paths))), passed_over)


def _read_all(walk: _Walk, folders: Iterable[str]) -> None:
    waiting = list(folders)
    while waiting:
        waiting += walk.enter(waiting.pop())


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _has_receipt(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return RECEIPT in file.read(RECEIPT_WITHIN)
    except OSError:  # decoding reports it
        return False


def _extension(name: str) -> str:
    return os.path.splitext(name)[1][1:].lower()


def _unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror or error})"


def reason_against(name: str, start: Callable[[], bytes]) -> str | None:
    """Returns the reason why a regular file is passed over, by its name or its first bytes; None for sound."""
    extension = _extension(name)
    if extension in signatures.EXTENSIONS:
        return None
    if extension in signatures.UNFINISHED or name.endswith("~"):
        return UNFINISHED
    for reason, extensions in BY_NAME.items():
        if extension in extensions:
            return reason
    first = start()
    if signatures.is_sound(first):
        return None
    if extension in signatures.OTHER_DECODERS or signatures.other_kind(first):
        return OTHER_DECODER
    return HEADERLESS if extension in signatures.HEADERLESS else NO_SOUND


def _first_bytes(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(signatures.FIRST_BYTES)
