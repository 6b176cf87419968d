"""Makes labels and splits of the names of folders, and labels of one spelling."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wavegan.errors import DataError

SPLITS = {  # the words that the AudioFolder convention documents
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


@dataclass(frozen=True)
class Places:
    """Holds each file's split and the folders above it that are no splits, from the source down."""

    splits: dict[Path, str | None]
    folders: dict[Path, tuple[str, ...]]
    notes: list[str]


def places(names: Mapping[Path, str]) -> Places:
    """Tells folders that are splits from others, by their names; names: of the files, relative to the source.

    Folders are splits if all beside each other are called so, or if two different splits are among them. So `train`
    beside `car` and `plane` is no split. Words beside the split's count (`dev-clean`, `train_1`) if all folders beside
    each other have a split's word and not all the same.
    """
    parents = {path: name.rpartition("/")[0] for path, name in names.items()}
    above = {parent: [*reversed(PurePosixPath(parent, "file").parents)][1:] for parent in set(parents.values())}
    children: dict[PurePosixPath, set[str]] = defaultdict(set)
    for folder in {folder for folders in above.values() for folder in folders}:
        children[folder.parent].add(folder.name)
    of_folder = {parent / name: split for parent, down in children.items() for name, split in _splits(down).items()}
    splits = {parent: next(filter(None, map(of_folder.get, folders)), None) for parent, folders in above.items()}
    plain = {parent: tuple(each.name for each in folders if each not in of_folder) for parent, folders in above.items()}
    return Places(
        {path: splits[parent] for path, parent in parents.items()},
        {path: plain[parent] for path, parent in parents.items()},
        _split_notes(of_folder, children),
    )


def folder_labels(places: Places, source: Path, level: int | None) -> tuple[dict[Path, str | None], list[str]]:
    """Returns each file's label, the name of a folder above it that is no split, and what there is to say about it.

    level: 1 is the folder directly above the file, 2 the one above that. None takes the first, but the uppermost that
    differs if most of the lowest folders share their name with another. Raises DataError if no file lies that deep.
    """
    folders = places.folders
    if level is None:
        return _guessed_labels(folders)
    labels = {path: above[-level] if len(above) >= level else None for path, above in folders.items()}
    if missing := sum(label is None for label in labels.values()):
        if missing == len(labels):
            deepest = max(map(len, folders.values()), default=0)
            remedy = f"set it to {deepest} or less" if deepest else "remove it, or move the files into folders"
            raise DataError(
                f"data.label_level is {level}, and no sound of {source} lies that deep",
                f"at most {deepest} folders stand above a file, splits not counted",
                remedy,
            )
        return labels, [f"{missing} of {len(labels)} files have no label: they lie less than {level} folders deep."]
    return labels, []


def normalised(text: str) -> str:
    """Returns a label in composed Unicode, with single blanks inside and none around it."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # names of files may be any bytes
    return unicodedata.normalize("NFC", " ".join(readable.split()))


def spelling_key(label: str) -> str:
    """Returns text that is equal for all spellings of a label."""
    return normalised(label).casefold()


def merged(labels: Mapping[Path, str | None]) -> tuple[dict[Path, str | None], list[str]]:
    """Gives labels that differ only in case, blanks or the form of accents the commonest spelling; notes say which."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for label in labels.values():
        spellings[spelling_key(label or "")][label or ""] += 1
    chosen = {key: _commonest(counts) for key, counts in spellings.items()}
    several = [chosen[key] for key, counts in sorted(spellings.items()) if len(counts) > 1 and key]
    notes = (
        [f"{listing(several)} is spelled in more than one way (case, blanks, form of accents) and counts as one label; "
         "rename it if they are different sounds."]
        if several
        else []
    )  # fmt: skip
    return {path: chosen[spelling_key(label or "")] or None for path, label in labels.items()}, notes


def listing(words: Iterable[str], most: int = 5) -> str:
    """Joins words by commas; after `most` of them it gives the number of the others."""
    words = list(words)
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")


def _commonest(counts: Counter[str]) -> str:
    totals: Counter[str] = Counter()
    for label, count in counts.items():
        totals[normalised(label)] += count
    return min(totals, key=lambda label: (-totals[label], label))


def _splits(siblings: set[str]) -> dict[str, str]:
    """Returns the splits among folders beside each other."""
    exact = {name: SPLITS[name.casefold()] for name in siblings if name.casefold() in SPLITS}
    loose = {name: split for name in siblings if (split := _split_in(name))}
    if len(loose) == len(siblings) and (len(exact) == len(siblings) or len(set(loose.values())) > 1):
        return loose
    return exact if len(set(exact.values())) > 1 else {}


def _split_in(name: str) -> str | None:
    words = re.split(r"[\W\d_]+", name.casefold())
    splits = {SPLITS[word] for word in words if word in SPLITS}
    return splits.pop() if len(splits) == 1 else None


def _split_notes(of_folder: Mapping[PurePosixPath, str], children: Mapping[PurePosixPath, set[str]]) -> list[str]:
    notes = []
    if of_folder:
        split_names = sorted({f"{folder.name} ({split})" for folder, split in of_folder.items()})
        notes.append(f"These folders are splits, not labels: {listing(split_names)}.")
    others = sorted(
        str(parent / name)
        for parent, names in children.items()
        for name in names
        if name.casefold() in SPLITS and parent / name not in of_folder
    )
    if others:
        notes.append(
            f"{listing(others)} is called as a split but stands beside other folders, so it is taken as one of them; "
            "rename it if it is a split."
        )
    return notes


def _guessed_labels(folders: Mapping[Path, tuple[str, ...]]) -> tuple[dict[Path, str | None], list[str]]:
    lowest: dict[Path, str | None] = {path: above[-1] if above else None for path, above in folders.items()}
    lists = set(folders.values())
    shared = 0  # uppermost levels at which all files agree
    while all(len(above) > shared for above in lists) and len({above[shared] for above in lists}) == 1:
        shared += 1
    deep = {above for above in lists if len(above) > shared + 1}
    if not deep or len({above[shared] for above in deep}) < 2:
        return lowest, []
    counts = Counter(above[-1] for above in deep)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if 2 * sum(counts[name] for name in repeated) < len(deep) or len(deep) < len(lists):
        text = "The labels are the names of the folders directly above the files"
        if repeated:
            text += f"; {listing(repeated)} is the name of several folders and one label"
        return lowest, [f"{text}; data.label_level=2 takes the folders above those."]
    upper: dict[Path, str | None] = {path: above[shared] for path, above in folders.items()}
    names = sorted({label for label in upper.values() if label})
    return upper, [
        f"The labels are the upper folders ({listing(names)}), because the folders below share their names "
        f"({listing(repeated)}); data.label_level=1 takes those directly above the files."
    ]
