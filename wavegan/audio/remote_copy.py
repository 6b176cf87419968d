"""Copies files from any fsspec address, several at once, with retries and a journal that lets a later call continue."""

import errno
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.callbacks import Callback

from wavegan import progress
from wavegan.atomic_write import atomic_write, write_text
from wavegan.audio.download import RETRY_PAUSES_SECONDS, TRANSIENT_STATUS
from wavegan.audio.files import TemporaryError
from wavegan.errors import DataError

logger = logging.getLogger(__name__)

WORKERS = 8
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # errors of the local disk
FOR_GOOD = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
PASSING = {  # class names of connection errors; compared by name because the libraries may not be installed
    "ClientConnectionError", "ClientPayloadError",  # aiohttp
    "TransportError", "TimeoutException",  # httpx, google.auth
    "HTTPClientError", "ConnectionError",  # botocore
    "SSHException",  # paramiko
}  # fmt: skip
VERSION_KEYS = (  # info keys that change when the content changes
    "ETag", "etag", "md5Hash", "Content-MD5", "content_md5", "generation", "blob_id", "lfs", "mtime", "LastModified",
    "Last-Modified", "last_modified", "updated", "modify", "created",
)  # fmt: skip
Version = list[str]
Result = TypeVar("Result")


class _Stopped(Exception):
    """Ends a copy because another copy failed or the user stopped the command."""


@dataclass(frozen=True)
class Remote:
    """Holds the connection to an address, and the path on it. kind: source or run, for messages."""

    address: str
    system: fsspec.AbstractFileSystem
    path: str
    kind: str = "source"

    @classmethod
    def connect(cls, address: str, *, kind: str = "source") -> "Remote":
        """Connects to an address. Raises DataError if its protocol is unknown, local, or lacks a package."""
        try:
            system, path = fsspec.url_to_fs(address)
        except ImportError as error:
            raise DataError(
                f"the {kind} {address} cannot be read ({error})",
                "its protocol needs a package",
                'run: pip install "wavegan[cloud]" for s3, gs, hf and http, or install the package that is named',
            ) from error
        except ValueError as error:
            raise DataError(
                f"the {kind} {address} cannot be read ({error})",
                "an address begins with a protocol that fsspec knows, such as s3://, gs://, hf:// or https://",
                "correct it",
            ) from error
        if isinstance(system, fsspec.get_filesystem_class("file")):
            raise DataError(f"the {kind} {address} is on this computer", "", f"name the path itself: {path}")
        system.invalidate_cache()
        return cls(address, system, path, kind)

    def ask(self, call: Callable[[], Result], *, is_patient: bool = True) -> Result:
        """Returns the result of a call to the remote system; retries temporary errors if is_patient.

        Raises DataError with a message for the user, TemporaryError if a later try may succeed, OSError if the local
        disk is full.
        """
        for pause in (*(RETRY_PAUSES_SECONDS if is_patient else ()), None):
            try:
                return call()
            except _Stopped:
                raise
            except Exception as error:  # each protocol has errors of its own
                if isinstance(error, OSError) and error.errno in FULL:
                    raise
                verb = "read" if self.kind == "source" else "used"
                text = f"the {self.kind} {self.address} cannot be {verb} ({_words(error)})"
                if not _is_temporary(error):
                    raise DataError(text, "", "check the address and your access to it") from error
                if pause is None:
                    raise TemporaryError(text, "it takes a network connection", "run the same command again") from error
                logger.info(f"{text}; trying again in {pause} s")
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def find(self, folder: str, *, is_patient: bool = True) -> dict[str, dict[str, Any]]:
        """Returns fsspec's info of each file in a folder and its sub-folders, by path. Raises as `ask`."""
        system: Any = self.system
        general = AsyncFileSystem._find if system.async_impl else fsspec.AbstractFileSystem.find
        if getattr(type(system), general.__name__) is not general:
            return self.ask(lambda: system.find(folder, detail=True), is_patient=is_patient)
        infos, folders = {}, [folder]  # fsspec's own walk silently skips folders that it cannot list
        for each in folders:
            for info in self.ask(lambda each=each: system.ls(each, detail=True), is_patient=is_patient):
                if info["type"] != "directory":
                    infos[info["name"]] = info
                elif info["name"] not in folders:
                    folders.append(info["name"])
        return infos


class FetchJournal:
    """Records which files are in the local folder, in which version, so that an interrupted fetch continues."""

    def __init__(self, path: Path, folder: Path):
        self.path, self.folder, self._lock = path, folder, threading.Lock()
        self.lines: dict[str, dict[str, Any]] = {}
        text = path.read_text() if path.exists() else ""
        for line in text.splitlines():
            with suppress(ValueError):  # a kill cut this line off
                entry = json.loads(line)
                self.lines[entry["name"]] = entry
        if not text.endswith("\n") and text:
            self.keep(self.lines)

    def holds(self, name: str, version: Version) -> bool:
        """Says whether the local folder holds a file in this version."""
        return name in self.lines and self.lines[name]["version"] == version and self._is_there(name)

    def is_whole(self) -> bool:
        """Says whether the local folder still holds all files that were fetched."""
        return all(map(self._is_there, self.lines))

    def add(self, name: str, version: Version) -> None:
        """Adds a file that has just been fetched; several threads may call it."""
        entry = {"name": name, "version": version, "bytes": (self.folder / name).stat().st_size}
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
            self.lines[name] = entry

    def keep(self, names: Iterable[str]) -> None:
        """Rewrites the journal with these names only."""
        self.lines = {name: self.lines[name] for name in names}
        write_text(self.path, "".join(json.dumps(entry) + "\n" for entry in self.lines.values()))

    def _is_there(self, name: str) -> bool:
        try:
            return (self.folder / name).stat().st_size == self.lines[name]["bytes"]
        except OSError:
            return False


def version(info: Mapping[str, Any]) -> Version:
    """Returns strings that change when a remote file changes."""
    return [str(info[key]) for key in ("size", *VERSION_KEYS) if info.get(key) is not None]


def complete_infos(remote: Remote, infos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Completes the info of files whose size the listing lacks, as over http."""

    def info(path: str) -> dict[str, Any]:
        return infos[path] | remote.ask(lambda: remote.system.info(path))

    lacking = [path for path, listed in infos.items() if listed.get("size") is None]
    with ThreadPoolExecutor(_workers(remote)) as pool:
        return infos | dict(zip(lacking, pool.map(info, lacking), strict=True))


def fetch_all(
    remote: Remote, infos: Mapping[str, dict[str, Any]], paths: Mapping[str, str], journal: FetchJournal
) -> None:
    """Copies remote files into the journal's folder, several at a time; each appears under its name only when complete.

    paths: local name to remote path. Raises as `Remote.ask`; files already fetched stay.
    """
    stop = threading.Event()
    total = sum(infos[path].get("size") or 0 for path in paths.values())
    bar = progress.bar(total, "B", unit_scale=True, desc="fetching", leave=False)

    def fetch(name: str, path: str) -> None:
        target = journal.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        remote.ask(lambda: _copy(remote, path, target, infos[path].get("size"), _Count(bar, stop)))
        journal.add(name, version(infos[path]))

    with bar, ThreadPoolExecutor(_workers(remote)) as pool:
        try:
            for future in as_completed([pool.submit(fetch, name, path) for name, path in paths.items()]):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Count(Callback):
    """Counts the bytes of a copy on the bar; ends the copy once `stop` is set."""

    def __init__(self, bar: Any, stop: threading.Event):
        super().__init__()
        self.bar, self.stop = bar, stop

    def relative_update(self, inc: int = 1) -> None:
        if self.stop.is_set():
            raise _Stopped
        self.value += inc
        self.bar.update(inc)


def _copy(remote: Remote, path: str, target: Path, size: int | None, count: _Count) -> None:
    try:
        with atomic_write(target) as file:
            count.relative_update(0)
            remote.system.get_file(path, str(file.path), callback=count)  # pyright: ignore  typed as its default
            present = file.path.stat().st_size
            if size is not None and present != size:
                raise ConnectionError(f"{path} has {size:,} bytes and {present:,} came")
    except BaseException:
        count.bar.update(-count.value)
        count.value = 0
        raise


def _workers(remote: Remote) -> int:
    """Returns the number of parallel reads: 1 if the protocol is not known to be safe for threads (ftp), else 8."""
    return WORKERS if remote.system.async_impl or {"hf", "memory"} & set(_protocols(remote)) else 1


def _protocols(remote: Remote) -> tuple[str, ...]:
    protocol = remote.system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _is_temporary(error: BaseException) -> bool:
    """Says whether a retry may help.

    Yes for a busy server or a broken connection, no for a wrong address or a missing permission.
    """
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    if status := status or getattr(error, "code", None):
        return str(status) in map(str, TRANSIENT_STATUS)
    if isinstance(error, FOR_GOOD):  # over http fsspec raises one of these for any error, so look at the cause
        return type(error.__cause__).__module__.startswith("aiohttp") and _is_temporary(error.__cause__ or error)
    return isinstance(error, OSError) or not PASSING.isdisjoint(base.__name__ for base in type(error).__mro__)


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
