"""Fetches known public data sets: downloads, verifies the checksum, extracts safely and applies the official split."""

import difflib
import hashlib
import logging
import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wavegan import progress
from wavegan.atomic_write import partial_path
from wavegan.audio.download import download
from wavegan.errors import DataError, remedy_of

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
SPLIT_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
CLIP_NAME = re.compile(r"\w[\w.-]*\.wav")


@dataclass(frozen=True)
class Dataset:
    """Describes a data set: its address, its archive's checksum and sizes, and the words whose clips we keep.

    The archive is a gzipped tar of `WORD/NAME.wav` with the two lists of SPLIT_LISTS beside the word folders.
    """

    name: str
    url: str
    sha256: str
    archive_bytes: int
    extracted_bytes: int
    words: tuple[str, ...]
    origin: str
    licence: str

    @property
    def archive_name(self) -> str:
        """Returns the archive's file name."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class FetchResult:
    """Holds the folder of a fetched data set and the number of its clips per split."""

    path: Path
    clips: dict[str, int]


DATASETS = {
    "sc09": Dataset(
        name="sc09",
        url="http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz",
        sha256="743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        archive_bytes=1_489_096_277,
        extracted_bytes=780_000_000,
        words=("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
        origin="Pete Warden, Google: Speech Commands, version 0.01 (2017)",
        licence="CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
    )
}


def fetch(name: str, to: Path, *, dataset: Dataset | None = None) -> FetchResult:
    """Fetches a data set into the folder `to/name`: `{train,validation,test}/WORD/*.wav` and a SOURCE.md.

    A folder that already exists is used as it is, and the archive beside it is removed. An interrupted download
    continues where it stopped. An archive that is already in `to` is used. The archive is removed after its clips are
    extracted. dataset: replaces the entry of DATASETS. Raises DataError for an unknown name, too little disk space, no
    connection or wrong content.
    """
    dataset = dataset or _known(name)
    folder = to / dataset.name
    try:
        archive = to / dataset.archive_name
        if folder.exists():
            result = _present(folder)
            archive.unlink(missing_ok=True)  # a kill may leave it although its clips are extracted
            return result
        to.mkdir(parents=True, exist_ok=True)
        partial = partial_path(archive)  # stays after an error, so that the next call continues it
        _check_room(dataset, to, archive if archive.exists() else partial)
        if not archive.exists():
            download(dataset.url, partial, total_bytes=dataset.archive_bytes)
            partial.rename(archive)
        _verify(dataset, archive)
        clips = _build(dataset, archive, folder)
        archive.unlink()
    except OSError as error:
        raise DataError(
            f"{error.filename or to}: {error.strerror or error}", "", f"{remedy_of(error)}; `to` names another folder"
        ) from error
    return FetchResult(folder, clips)


def _known(name: str) -> Dataset:
    if name in DATASETS:
        return DATASETS[name]
    nearest = difflib.get_close_matches(name, DATASETS, n=1, cutoff=0.0)[0]
    raise DataError(
        f"{name!r} is not a data set that wavegan can fetch",
        f"known are {', '.join(DATASETS)}",
        f"did you mean {nearest}?",
    )


def _present(folder: Path) -> FetchResult:
    if not (folder / "SOURCE.md").is_file():
        raise DataError(
            f"{folder} is there but was not made by wavegan fetch (it holds no SOURCE.md)",
            "",
            "move it away or choose another folder with `to`",
        )
    logger.info(f"{folder} is already there; nothing to download")
    return FetchResult(folder, {split: len(list(folder.glob(f"{split}/*/*.wav"))) for split in SPLITS})


def _check_room(dataset: Dataset, to: Path, archive: Path) -> None:
    needed = dataset.archive_bytes - _size(archive) + dataset.extracted_bytes
    free = shutil.disk_usage(to).free
    if free < needed:
        raise DataError(
            f"{to} has {free / 1000000000.0:.2f} GB free",
            f"{dataset.name} still needs {needed / 1000000000.0:.2f} GB (the rest of the archive and its clips)",
            "make room or choose another disk with `to`",
        )


def _verify(dataset: Dataset, archive: Path) -> None:
    with open(archive, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != dataset.sha256:
        archive.unlink()
        raise DataError(
            f"{archive} has sha256 {digest}",
            f"{dataset.name} has {dataset.sha256}",
            "the file is deleted: run the same command again to download it afresh",
        )


def _build(dataset: Dataset, archive: Path, folder: Path) -> dict[str, int]:
    """Unpacks an archive into a temporary folder, renamed to `folder` at the end; returns the clips per split."""
    partial = partial_path(folder)
    if partial.exists():
        shutil.rmtree(partial)
    for split in SPLITS:
        for word in dataset.words:
            (partial / split / word).mkdir(parents=True)
    clips = _split(partial, _extract(dataset, archive, partial))
    (partial / "SOURCE.md").write_text(_source_text(dataset, clips), encoding="utf-8")
    partial.rename(folder)
    return clips


def _extract(dataset: Dataset, archive: Path, folder: Path) -> dict[str, str]:
    """Writes every clip of the wanted words to `folder/train`; returns the text of each split's list.

    The archive's checksum has been verified. Nothing is written outside the words' folders, whatever it holds.
    """
    split_of_list = {file: split for split, file in SPLIT_LISTS.items()}
    lists = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in progress.track(tar, 0, "files", f"extracting {dataset.name}"):
            if not member.isfile():
                continue
            path = PurePosixPath(member.name)
            content = tar.extractfile(member)
            assert content is not None, f"{member.name} is a file and cannot be read"
            if str(path) in split_of_list:
                lists[split_of_list[str(path)]] = content.read().decode("utf-8", errors="replace")
            elif len(path.parts) == 2 and path.parts[0] in dataset.words and CLIP_NAME.fullmatch(path.name):
                (folder / "train" / path).write_bytes(content.read())
    return lists


def _split(folder: Path, lists: dict[str, str]) -> dict[str, int]:
    """Moves the listed clips from `folder/train` to their split; returns the clips per split."""
    split_of = {name: split for split, text in lists.items() for name in text.split()}
    clips: dict[str, int] = dict.fromkeys(SPLITS, 0)
    for clip in sorted((folder / "train").glob("*/*.wav")):
        word, name = clip.parts[-2:]
        split = split_of.get(f"{word}/{name}", "train")
        clips[split] += 1
        if split != "train":
            clip.rename(folder / split / word / name)
    return clips


def _source_text(dataset: Dataset, clips: dict[str, int]) -> str:
    counts = ", ".join(f"{split} {count:,}" for split, count in clips.items())
    return (
        f"# {dataset.name}\n\n"
        f"- Origin: {dataset.origin}, {dataset.url}\n"
        f"- Licence: {dataset.licence}; name the origin above when you pass clips on.\n"
        f"- Clips: {counts}; split by the official lists, unchanged.\n"
        f"- Labels: {', '.join(dataset.words)}.\n"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
