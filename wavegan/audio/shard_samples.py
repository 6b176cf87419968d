"""Groups the members of tar shards into samples as WebDataset does: members with the same stem belong together."""

import json
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from wavegan.audio import columns, labels, listing, signatures, tables
from wavegan.audio.tar_reader import Tar, members, refusal
from wavegan.errors import some_of

DESCRIBING = ("json", "cls", "txt")
TEXT_BYTES = 1 << 20
LABEL_LENGTH = 32  # characters of a text that may be a label
SOUNDS_PER_TEXT = 4  # texts are labels only if each belongs to this many sounds on average
NO_TEXT = f"cannot be read as descriptions: they are over {TEXT_BYTES >> 20} MiB long, not UTF-8, or not a JSON object"
NO_NAME = "have names that are not valid text"
TWICE = "stand in their shard more than once; the last of each is used"
LISTS = "are lists of files, which are not read in a shard; unpack the tar to use them"


@dataclass
class Sample:
    """Holds the members of a shard that share a stem: each sound's offset and size, and the texts by ending.

    key: the shard's name and the stem. A sound's name is the shard's name and the member's.
    """

    shard: str
    key: str
    tar: Tar
    sounds: dict[str, tuple[int, int]] = field(default_factory=dict)
    texts: dict[str, Any] = field(default_factory=dict)


class Samples:
    """Collects the samples of shards, and the members that are passed over, by reason."""

    def __init__(self):
        self.passed_over: dict[str, list[str]] = defaultdict(list)
        self._samples: dict[str, Sample] = {}

    def add(self, shard: str, path: Path) -> None:
        """Reads the headers and descriptions of a tar file, called `shard` in names. Raises DataError as `members`."""
        tar = Tar.snapshot(path)
        for member, file in members(path):
            if not member.isdir() and (reason := self._take(shard, tar, member, file)):
                name = f"{shard}/{member.name}".encode(errors="surrogateescape")
                self.passed_over[reason].append(name.decode(errors="backslashreplace"))

    def with_sound(self) -> list[Sample]:
        """Returns the samples that hold a sound, in the order of the shards."""
        return [sample for sample in self._samples.values() if sample.sounds]

    def _take(self, shard: str, tar: Tar, member: tarfile.TarInfo, file: BinaryIO) -> str | None:
        """Takes a member into its sample; returns a reason if it is passed over."""
        if reason := refusal(member):
            return reason
        name = "/".join(part for part in member.name.split("/") if part not in ("", "."))
        base = name.rpartition("/")[2]
        stem, _, ending = base.partition(".")
        if not stem:
            return listing.HIDDEN
        try:
            name.encode()
        except UnicodeEncodeError:
            return NO_NAME
        key = f"{shard}/{name[: len(name) - len(base)]}{stem}"
        sample = self._samples.setdefault(key, Sample(shard, key, tar))
        file.seek(member.offset_data)
        if (ending := ending.lower()) in DESCRIBING:
            text = _text(file.read(min(member.size, TEXT_BYTES + 1)), is_json=ending == "json")
            is_again = ending in sample.texts
            sample.texts[ending] = text
            return NO_TEXT if text is None else TWICE if is_again else None
        if reason := listing.reason_against(base, lambda: file.read(min(member.size, signatures.FIRST_BYTES))):
            return LISTS if base.lower() in tables.NAMES else reason
        is_again = f"{shard}/{name}" in sample.sounds
        sample.sounds[f"{shard}/{name}"] = (member.offset_data, member.size)
        return TWICE if is_again else None


def _text(content: bytes, *, is_json: bool) -> Any:
    """Returns a member's text, or its JSON object; None for other content."""
    if len(content) > TEXT_BYTES:
        return None
    try:
        value = json.loads(content) if is_json else content.decode("utf-8-sig").strip()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict if is_json else str) else None


@dataclass(frozen=True)
class Described:
    """Holds each sample's label, group and split, empty if its texts do not say; labels is None if all are empty."""

    labels: list[str] | None
    groups: list[str]
    splits: list[str]
    notes: list[str]


def described(samples: Sequence[Sample], source: Path, label_column: str | None) -> Described:
    """Reads the .json of samples like a metadata list; a label may also be a .cls, or a .txt of few short words.

    Raises DataError if no .json has the key label_column.
    """
    objects = [sample.texts.get("json") or {} for sample in samples]
    keys = [key for key in dict.fromkeys(chain.from_iterable(objects)) if tables.plain(key) != "file_name"]
    rows: list[tuple[int, Sequence[Any]]] = [
        (row, [sample.key, *map(values.get, keys)])
        for row, (sample, values) in enumerate(zip(samples, objects, strict=True), 1)
    ]
    table = tables.Table(source, ("file_name", *keys), rows)
    classes = [sample.texts.get("cls") or "" for sample in samples]
    names = set(map(tables.plain, keys))
    has_labels = label_column is not None or "label" in names or not (any(classes) or names.isdisjoint(columns.LABEL))
    chosen = columns.choose(table, ".json", lambda name: True, label_column=label_column, has_labels=has_labels)
    notes = chosen.notes
    given, kind = table.values(chosen.label), ".json"
    if not any(given) and label_column is None:
        given, kind = classes, ".cls"
    if not any(given) and label_column is None:
        given, kind = _labels_of_texts(samples, notes), ".txt"
    if 0 < (missing := given.count("")) < len(given):
        notes.append(f"{missing:,} of {len(given):,} samples have no label in a {kind} member.")
    return Described(given if any(given) else None, table.values(chosen.group), table.values(chosen.split), notes)


def _labels_of_texts(samples: Sequence[Sample], notes: list[str]) -> list[str]:
    texts = [labels.normalised(sample.texts.get("txt") or "") for sample in samples]
    words = set(filter(None, texts))
    if not words:
        return texts
    if max(map(len, words)) > LABEL_LENGTH or len(words) * SOUNDS_PER_TEXT > len(texts):
        notes.append(
            "The .txt members are taken for texts, not labels, because they are long or nearly all different; "
            "write labels as .cls members."
        )
        return [""] * len(texts)
    notes.append(f"The .txt members are the labels, because they are few and short: {some_of(sorted(words))}.")
    return texts
