"""Mirrors the sounds or tar shards of any fsspec address (s3://, hf://, gs://, http://) in a local folder."""

import hashlib
import logging
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from wavegan.audio import listing, remote_copy, signatures, tables, tar_reader
from wavegan.audio.files import TemporaryError
from wavegan.audio.remote_copy import FetchJournal, Remote
from wavegan.audio.shards import TAR, expanded
from wavegan.errors import DataError, some_of
from wavegan.file_lock import locked

logger = logging.getLogger(__name__)

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
OTHER_KINDS = "are not fetched: their names are not those of a sound, a tar file or a metadata list"
TARS_BESIDE = "are not fetched: they are tar files beside sound files; name them to use them"
LEADS_OUT = "are refused: their names lead out of the folder (absolute, with .. or with empty parts)"


@dataclass(frozen=True)
class Mirror:
    """Holds the local copy of an address: its folder, remote files not fetched (by reason), and notes for the user."""

    folder: Path
    passed_over: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def is_address(source: str) -> bool:
    """Says whether a source is an address, such as s3://bucket/sounds, rather than a path."""
    return bool(ADDRESS.match(source))


def mirror(address: str, cache: Path) -> Mirror:
    """Returns a folder below `cache` with the sounds, tar files and metadata lists of an address.

    The address is a folder, a file, or a pattern with braces or `*`. Downloads only missing or changed files, several
    at once; after a kill the next call continues. Without a connection, a complete folder is used as it is. Raises
    DataError if the address cannot be read or holds no sound, TemporaryError if a later try may succeed.
    """
    folder = cache / hashlib.blake2b(address.rstrip("/").encode(), digest_size=12).hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "lock", f"fetches {address}"):  # the second process then finds all files
            return _mirror(address, folder)
    except OSError as error:
        raise DataError(
            f"the cache folder {folder} cannot be used ({error.strerror or error})",
            f"the files of {address} are kept in it",
            "free some space or name another folder in the environment variable WAVEGAN_CACHE",
        ) from error


def _mirror(address: str, folder: Path) -> Mirror:
    files, complete = folder / "files", folder / "complete"
    journal = FetchJournal(folder / "fetched.jsonl", files)
    was_complete = complete.exists() and journal.is_whole()
    remote = Remote.connect(address)
    try:
        infos = _listed(remote, is_patient=not was_complete)
        paths, passed_over = _chosen(remote, infos)
        infos = remote_copy.complete_infos(remote, {path: infos[path] for path in paths.values()})
    except TemporaryError as error:
        if not was_complete:
            raise
        note = f"{error.value}, so its {len(journal.lines):,} files are used as fetched before."
        return Mirror(files, notes=(note,))
    missing = {name: path for name, path in paths.items() if not journal.holds(name, remote_copy.version(infos[path]))}
    if missing or set(journal.lines) != set(paths):
        complete.unlink(missing_ok=True)
        _remove_others(files, paths)
    if missing:
        size = sum(infos[path].get("size") or 0 for path in missing.values())
        _check_room(address, folder, size)
        kept = f"; {len(paths) - len(missing):,} are already in it" if len(missing) < len(paths) else ""
        logger.info(f"fetching {len(missing):,} files ({size / 1e6:,.1f} MB) of {address} to {files}{kept}")
        remote_copy.fetch_all(remote, infos, missing, journal)
    if not complete.exists():
        journal.keep(paths)
        complete.touch()
    return Mirror(files, passed_over)


def _listed(remote: Remote, *, is_patient: bool) -> dict[str, dict[str, Any]]:
    """Returns fsspec's info of each file of the address, by remote path."""
    infos = {}
    for pattern in expanded(remote.path):
        if "*" in pattern:
            in_folder = remote.find(_folder_of(pattern), is_patient=is_patient)
            infos |= {path: info for path, info in in_folder.items() if fnmatch(path, pattern)}
        elif _is_wanted(pattern):
            infos[pattern] = remote.ask(lambda pattern=pattern: remote.system.info(pattern), is_patient=is_patient)
        else:
            infos |= remote.find(pattern, is_patient=is_patient)
    return {path: info for path, info in infos.items() if info.get("type") != "directory" and not path.endswith("/")}


def _folder_of(pattern: str) -> str:
    """Returns the remote folder that holds all files of a pattern, without a final slash."""
    fixed = re.split(r"[{*]", pattern)[0]
    is_folder = fixed == pattern and not _is_wanted(fixed)
    return fixed.rstrip("/") if is_folder else fixed.rpartition("/")[0]


def _chosen(remote: Remote, infos: Iterable[str]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Returns the files to fetch, local name to remote path, and those not fetched, by reason.

    Raises DataError if there is neither a sound nor a tar file.
    """
    base = _folder_of(remote.path)
    paths: dict[str, str] = {}
    passed_over: dict[str, list[str]] = defaultdict(list)
    for path in sorted(infos):
        name = path.removeprefix(f"{base}/") if base else path
        name = unquote(name) if path.startswith(("http://", "https://")) else name
        if reason := _reason_against(name):
            passed_over[reason].append(name)
        else:
            paths[name] = path
    if any(map(_is_sound, paths)) and (tars := list(filter(TAR.fullmatch, paths))):
        passed_over[TARS_BESIDE] += tars
        paths = {name: path for name, path in paths.items() if name not in tars}
    if not any(_is_sound(name) or TAR.fullmatch(name) for name in paths):
        kinds = sorted({Path(name).suffix or name for name in passed_over[OTHER_KINDS]})
        raise DataError(
            f"the source {remote.address} holds no sound file and no tar file",
            f"it holds {len(passed_over[OTHER_KINDS]):,} others ({some_of(kinds)})" if kinds else "it is empty",
            "see whether the address is right and names the folder of the sounds",
        )
    return paths, {reason: tuple(names) for reason, names in passed_over.items()}


def _reason_against(name: str) -> str | None:
    """Returns the reason why a remote file is not fetched; None if it is."""
    parts = name.split("/")
    if tar_reader.LEADS_OUT.match(name) or "\0" in name or not {"", ".", ".."}.isdisjoint(parts):
        return LEADS_OUT
    if any(part.startswith(".") for part in parts):
        return listing.HIDDEN
    return None if _is_wanted(name) else OTHER_KINDS


def _is_wanted(name: str) -> bool:
    return _is_sound(name) or bool(TAR.fullmatch(name)) or name.rpartition("/")[2].lower() in tables.NAMES


def _is_sound(name: str) -> bool:
    return Path(name).suffix[1:].lower() in signatures.EXTENSIONS


def _remove_others(files: Path, names: Mapping[str, str]) -> None:
    """Removes files that the address no longer holds, and unfinished ones."""
    others = [path for path in files.rglob("*") if path.is_file() and path.relative_to(files).as_posix() not in names]
    for path in others:
        path.unlink()


def _check_room(address: str, folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DataError(
            f"the files of {address} still to be fetched take {size / 1e9:,.2f} GB",
            f"{folder} has {free / 1e9:,.2f} GB free",
            "free some space or name another folder in the environment variable WAVEGAN_CACHE",
        )
