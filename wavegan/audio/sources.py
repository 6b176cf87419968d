"""Lists the sounds of a source, not yet decoded: of folders, of fetched data sets or of the drum machine."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from wavegan.audio import drum_kits, drum_machine, fetch, files, signatures
from wavegan.audio.listing import Listing, list_sound
from wavegan.errors import DataError

DRUM_MACHINE_CLIPS = {  # name: kit, seed, clips
    f"drum_machine{suffix}{part}": (kit, *clips)
    for suffix, kit in (("", drum_kits.PLAIN), ("/dry", "dry"), ("/room", "room"))
    for part, clips in (("", (0, 2000)), ("/test", (1, 400)))
}
METADATA = "metadata.csv"
LabelAndGroup = tuple[str | None, str | None]  # label and group


@dataclass(frozen=True)
class Item:
    """Describes one sound of a source, not yet decoded.

    name: unique within the source. fingerprint: plain values that change when the sound changes. decode(sample_rate,
    channels) yields blocks (frames, channels) float32 and raises DataError with the reason if it cannot. group: a
    property that items share beside the label, such as the speaker.
    """

    name: str
    label: str | None
    fingerprint: tuple[str | int, ...]
    decode: Callable[[int, int], Iterator[np.ndarray]]
    group: str | None = None


def open_source(source: str | Sequence[str]) -> list[Item]:
    """Lists the items of one or several sources in a fixed order.

    A source is a folder, a fetched data set or the drum machine. Raises DataError for a name that is none of these,
    and for a folder without a sound file.
    """
    if isinstance(source, str):
        return _open_one(source)
    if len(source) == 1:
        return _open_one(source[0])
    names = [Path(part).name for part in source]
    prefixes = names if len(set(names)) == len(names) else source
    return [
        replace(item, name=f"{prefix}/{item.name}")
        for prefix, part in zip(prefixes, source, strict=True)
        for item in _open_one(part)
    ]


def data_folder() -> Path:
    """Returns the folder of fetched data sets: the environment variable WAVEGAN_DATA, or `data` in the current one."""
    return Path(os.environ.get("WAVEGAN_DATA", "data"))


def _open_one(source: str) -> list[Item]:
    if source in DRUM_MACHINE_CLIPS:
        return _drum_machine(*DRUM_MACHINE_CLIPS[source])
    dataset, _, split = source.partition("/")
    if dataset in fetch.DATASETS and split in ("", *fetch.SPLITS):
        folder = data_folder() / dataset / (split or "train")
        if not folder.is_dir():
            raise DataError(
                f"the source is {source}, and {folder} does not exist; a data set is downloaded once; "
                f"run: wavegan fetch {dataset} --to {data_folder()}"
            )
        return _folder(folder)
    return _folder(Path(source).expanduser())


def _drum_machine(kit: str, seed: int, clips: int) -> list[Item]:
    return [
        Item(
            name=f"{index:04d}-{drum_machine.label(index)}",
            label=drum_machine.label(index),
            fingerprint=("drum_machine", drum_machine.VERSION, drum_kits.VERSION, kit, seed, index),
            decode=partial(_play_drum, kit, seed, index),
        )
        for index in range(clips)
    ]


def _play_drum(kit: str, seed: int, index: int, sample_rate: int, channels: int) -> Iterator[np.ndarray]:
    yield drum_kits.render(index, sample_rate, channels=channels, seed=seed, kit=kit)


def _folder(folder: Path) -> list[Item]:
    if not folder.exists():
        built_in = ", ".join((*DRUM_MACHINE_CLIPS, *fetch.DATASETS))
        raise DataError(
            f"the source {folder} does not exist; a source is a folder of sound files or one of {built_in}; "
            "check the spelling and the folder you are in"
        )
    if not folder.is_dir():
        raise DataError(f"the source {folder} is a file; a source is a folder of sound files; name its folder")
    metadata = folder / METADATA
    listing = list_sound(folder)
    labels = _read_metadata(metadata) if metadata.exists() else _labels_of_folders(folder, listing)
    if not labels:
        kinds = " ".join(f".{name}" for name in sorted(signatures.EXTENSIONS))
        others = "".join(f"{len(names):,} files {reason}; " for reason, names in listing.passed_over.items())
        raise DataError(
            f"the source {folder} holds no sound file; {others}these are looked for: {kinds}; name another folder"
        )
    return [_file_item(folder, name, *label_and_group) for name, label_and_group in labels.items()]


def _labels_of_folders(folder: Path, listing: Listing) -> dict[str, LabelAndGroup]:
    names = [path.relative_to(folder) for path in listing.paths]
    return {name.as_posix(): (name.parent.name or None, None) for name in names}


def _read_metadata(path: Path) -> dict[str, LabelAndGroup]:
    """Reads each file's label and group from a metadata.csv (AudioFolder convention); only files in it are used."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            if "file_name" not in (table.fieldnames or ()):
                raise DataError(
                    f"{path} has the columns {', '.join(table.fieldnames or ()) or 'none'}; file_name is "
                    "required, label and group are optional; add it or remove the file"
                )
            return {
                row["file_name"]: (row.get("label") or None, row.get("group") or None)
                for row in table
                if row["file_name"]
            }
    except (csv.Error, UnicodeDecodeError, OSError) as fault:
        raise DataError(
            f"{path} cannot be read ({fault}); it must be comma-separated UTF-8; export it again"
        ) from fault


def _file_item(folder: Path, name: str, label: str | None, group: str | None) -> Item:
    path = folder / name
    fingerprint: tuple[str | int, ...] = (str(path.absolute()),)
    if path.is_file():  # decoding reports a missing file that metadata.csv lists
        status = path.stat()
        fingerprint += (status.st_size, status.st_mtime_ns)
    return Item(name, label, fingerprint, partial(files.decode, path), group)
