"""Derives labels and splits from the names of folders, and gives each label one spelling."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from wavegan.errors import DataError, some_of

SPLITS = {  # the words that the AudioFolder convention documents
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
MOST_NAMED = 5
_WHOLE_NUMBER = re.compile(r"^([+-]?\d+)\.0+$")


@dataclass(frozen=True)
class Places:
    """Holds each file's split, and the folders above it that are not splits, from the source down."""

    splits: dict[Path, str | None]
    folders: dict[Path, tuple[str, ...]]
    notes: list[str]


def places(names: Mapping[Path, str]) -> Places:
    """Distinguishes folders that are splits from other folders, by their names.

    names: of the files, relative to the source. Sibling folders are splits if all of them have a split's name, or if
    two different splits are among them. So `train` beside `car` and `plane` is not a split. A name that contains a
    split's word (`dev-clean`, `train_1`) counts if the names of all siblings do, and they mean different splits.
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


def folder_labels(
    folders: Mapping[Path, tuple[str, ...]], source: Path, level: int | None
) -> tuple[dict[Path, str | None], list[str]]:
    """Returns each file's label, the name of a folder above it, and notes for the user.

    folders: above each file, from the source down, without splits. level: 1 is the folder directly above the file, 2
    the one above that. None takes level 1, but if most of the lowest folders share their names, the uppermost
    folders that differ. Raises DataError if no file lies so deep.
    """
    if level is None:
        return _guessed_labels(folders)
    labels = {path: above[-level] if len(above) >= level else None for path, above in folders.items()}
    missing = sum(label is None for label in labels.values())
    if labels and missing == len(labels):
        deepest = max(map(len, folders.values()))
        raise DataError(
            f"data.label_level is {level}, and no sound in {source} lies so deep",
            f"the deepest has {counted(deepest, 'folder')} above it, splits not counted",
            f"set it to {deepest} or less" if deepest else "remove it, or move the files into folders",
        )
    note = f"There is no label for {counted(missing, 'file')} with fewer than {counted(level, 'folder')} above."
    return labels, [note] if missing else []


@lru_cache(maxsize=1024)
def normalised(text: str) -> str:
    """Returns a label in composed Unicode, with single blanks inside and none around it."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # names of files may be any bytes
    return unicodedata.normalize("NFC", " ".join(readable.split()))


def spelling_key(label: str) -> str:
    """Returns text that is equal for all spellings of a label; 1.0, as pandas writes 1 beside gaps, is one of 1."""
    return _WHOLE_NUMBER.sub(r"\1", normalised(label).casefold())


def merged(labels: Mapping[Path, str | None]) -> tuple[dict[Path, str | None], list[str]]:
    """Gives labels that differ only as spellings, see `spelling_key`, the commonest spelling; notes say which."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for label, count in Counter(filter(None, labels.values())).items():
        spellings[spelling_key(label)][label] += count
    chosen = {label: _commonest(counts) or None for counts in spellings.values() for label in counts}
    several = sorted({chosen[label] or "" for counts in spellings.values() if len(counts) > 1 for label in counts})
    notes = [
        f"The label {label} is spelled in more than one way (case, blanks, form of accents, .0) and counts as one; "
        "rename a folder or label if they are different sounds."
        for label in several[:MOST_NAMED]
    ]
    if len(several) > MOST_NAMED:
        notes.append(f"{len(several) - MOST_NAMED} more labels are spelled in more than one way and count as one each.")
    return {path: chosen[label] if label else None for path, label in labels.items()}, notes


def counted(number: int, noun: str) -> str:
    """Returns a number with a noun, in the plural where that is needed."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def split_named(name: str) -> str | None:
    """Returns the split that a name has one word for, such as train for Train_set; else None."""
    words = re.split(r"[\W\d_]+", name.casefold())
    splits = {SPLITS[word] for word in words if word in SPLITS}
    return splits.pop() if len(splits) == 1 else None


def _commonest(counts: Counter[str]) -> str:
    totals: Counter[str] = Counter()
    for label, count in counts.items():
        totals[normalised(label)] += count
    return min(totals, key=lambda label: (-totals[label], label))


def _splits(siblings: set[str]) -> dict[str, str]:
    """Returns the splits among sibling folders."""
    exact = {name: SPLITS[name.casefold()] for name in siblings if name.casefold() in SPLITS}
    loose = {name: split for name in siblings if (split := split_named(name))}
    if len(loose) == len(siblings) and (len(exact) == len(siblings) or len(set(loose.values())) > 1):
        return loose
    return exact if len(set(exact.values())) > 1 else {}


def _split_notes(of_folder: Mapping[PurePosixPath, str], children: Mapping[PurePosixPath, set[str]]) -> list[str]:
    notes = []
    if of_folder:
        split_names = sorted({f"{folder.name} ({split})" for folder, split in of_folder.items()})
        notes.append(f"These folders are splits, not labels: {some_of(split_names)}.")
    others = sorted(
        str(parent / name)
        for parent, names in children.items()
        for name in names
        if name.casefold() in SPLITS and parent / name not in of_folder
    )
    if others:
        notes.append(
            f"A folder is called like a split but stands beside other folders, so it counts as one of them: "
            f"{some_of(others)}; rename or move it if it is a split."
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
            text += f", and folders of one name are one label ({some_of(repeated)})"
        return lowest, [f"{text}; data.label_level=2 takes the folders above those."]
    upper: dict[Path, str | None] = {path: above[shared] for path, above in folders.items()}
    names = sorted({label for label in upper.values() if label})
    return upper, [
        f"The labels are the upper folders ({some_of(names)}), because the folders below share their names "
        f"({some_of(repeated)}); data.label_level=1 takes the folders directly above the files."
    ]
