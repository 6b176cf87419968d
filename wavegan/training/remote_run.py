"""Keeps a run at an address, such as s3://bucket/runs/drums: downloads it, and uploads what a training adds.

The folder at the address holds recipe.yaml, corpus.json, log.jsonl, the kept checkpoints and best.pt. `newest.json`
points to them: it names every file with its size and hash, and is written when all of them are uploaded. So its reader
always finds a whole run, even if a later upload was interrupted.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from wavegan.atomic_write import atomic_write, write_text
from wavegan.audio.remote_copy import Remote
from wavegan.audio.sources import cache_folder
from wavegan.errors import RunError
from wavegan.file_lock import is_held, locked
from wavegan.training.checkpoint import BEST, NEWEST
from wavegan.training.remote_lease import LEASE, Lease, is_fresh, read_json
from wavegan.training.remote_upload import POINTER, RECORD, Upload, hash_of, step_of
from wavegan.training.run_folder import RunFolder

logger = logging.getLogger(__name__)

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.+)", re.DOTALL)  # a Path has made one slash of two
PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/*")
SMALL = ("recipe.yaml", "corpus.json", "log.jsonl")
BEST_FILE = f"checkpoints/{BEST}.pt"
TRIES = 3  # a training may remove a file while it is read


def address_of(path: Path | str) -> str | None:
    """Returns the address that a path means, such as s3://bucket/run; None for a path of this machine."""
    match = ADDRESS.fullmatch(path.as_posix() if isinstance(path, Path) else path)
    if match and match[1] == "file":  # a path that begins with a slash
        return f"file:///{match[2].strip('/')}"
    return f"{match[1]}://{match[2].rstrip('/')}" if match else None


def local_folder(address: str, kind: str) -> Path:
    """Returns the folder of this machine's cache for a run at an address; kind: "runs" or "copies" of them."""
    digest = hashlib.blake2b(address.encode(), digest_size=8).hexdigest()
    return cache_folder() / f"remote-{kind}" / digest / PurePosixPath(address).name


def copied(address: str) -> Path:
    """Returns the folder that `copy` downloads into; it need not exist."""
    return local_folder(address, "copies")


def copy(address: str, which: str | None = NEWEST) -> Path:
    """Downloads a run at an address, with one checkpoint, and returns the folder of the copy.

    which: "newest", "best", a step, or None for no checkpoint. Raises RunError for an address that holds no run, or
    not this checkpoint; DataError if it cannot be reached.
    """
    remote, folder = _connected(address), copied(address)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "copy.lock", f"copies {address}"):
        for attempt in range(TRIES):
            pointer = read_json(remote, POINTER)
            if pointer is None:
                raise RunError(f"{address} holds no run", "a run there has a file newest.json", "check the address")
            _remove_checkpoints(folder, keep=pointer["files"])
            try:
                _bring(remote, folder, pointer, SMALL)
                if which is not None:
                    _bring_checkpoint(remote, folder, pointer, which)
                return folder
            except FileNotFoundError:  # a training has removed it; its new pointer names others
                if attempt == TRIES - 1:
                    raise
    raise AssertionError("the last try returns or raises")


def is_trained(address: str) -> bool:
    """Returns whether a run at an address seems to be trained now: its lease is fresh, if the clocks agree."""
    return is_fresh(read_json(_connected(address), LEASE))


def folder_of(run_dir: Path) -> RunFolder:
    """Returns the run folder that a training writes for a path or an address; raises RunError for a protocol alone."""
    if PROTOCOL.fullmatch(run_dir.as_posix()):
        remedy = f"write {run_dir.as_posix().rstrip('/')}//bucket/run"
        raise RunError(f"{run_dir} is a protocol alone", "an address names a folder", remedy)
    if address := address_of(run_dir):
        return RunFolder(local_folder(address, "runs"))
    return RunFolder(run_dir.resolve() if run_dir.name in ("", "..") else run_dir)  # "." cannot be moved aside


@contextmanager
def uploaded(run_dir: Path, keep_last: int, keep_every: int, *, fresh: bool) -> Iterator[Upload | None]:
    """Yields the upload of a training at an address and reserves the run for this training; None for a path.

    First it downloads what is needed to go on; at the end it waits for the last upload, see `Upload`. keep_last,
    keep_every: the training's rule for checkpoints. fresh: the run there is moved aside first. Raises RunError if
    another training has reserved the run, or for a folder of other files.
    """
    if address := address_of(run_dir):
        with _RemoteRun(address, folder_of(run_dir)).held(keep_last, keep_every, fresh=fresh) as upload:
            yield upload
    else:
        yield None


class _RemoteRun:
    """Describes a run at an address that is trained here, in a folder of the cache."""

    def __init__(self, address: str, folder: RunFolder):
        self.address, self.folder = address, folder

    @contextmanager
    def held(self, keep_last: int, keep_every: int, *, fresh: bool) -> Iterator[Upload]:
        """Yields the upload; see `uploaded`."""
        remote = _connected(self.address)
        record = self._record()
        lease = Lease(remote)
        lease.take(ended=record.get("lease", "") if not is_held(self.folder.lock) else "")
        try:
            pointer = read_json(remote, POINTER)
            if pointer is None:
                self._refuse_other_files(remote)
            if fresh and pointer:
                logger.info(f"moved the earlier run to {_moved(remote, pointer)}")
                pointer = None
            if fresh:
                self.folder.move_aside()
            self._settle(remote, record, pointer)
            upload = Upload(remote, self.folder, lease, pointer or {"files": {}}, keep_last, keep_every)
            logger.info(
                f"the run at {self.address} is written in {self.folder.path} and uploaded after each checkpoint; "
                "previews, evaluations and trackers' files stay here"
            )
            with upload:
                yield upload
        finally:
            lease.leave()

    def _record(self) -> dict[str, Any]:
        """Returns what the last session here has noted: the names of its lease and its pointers."""
        try:
            return json.loads((self.folder.path / RECORD).read_text())
        except (OSError, ValueError):
            return {}

    def _settle(self, remote: Remote, record: Mapping[str, Any], pointer: Mapping[str, Any] | None) -> None:
        """Replaces the local folder by the run at the address, unless the newest upload came from this folder."""
        own = record.get("pointers", [])
        is_own = pointer["id"] in own if pointer else not record.get("uploaded")
        if self.folder.recipe.exists() and not is_own:
            old = self.folder.move_aside()
            logger.info(f"{self.address} has gone on elsewhere, or was moved; the copy that was here is now {old}")
        if pointer is None or (is_own and self.folder.recipe.exists()):
            return
        self.folder.path.mkdir(parents=True, exist_ok=True)
        _bring(remote, self.folder.path, pointer, (*SMALL, BEST_FILE))
        _bring_checkpoint(remote, self.folder.path, pointer, NEWEST)
        noted = {"pointers": [pointer["id"]], "uploaded": True}
        write_text(self.folder.path / RECORD, json.dumps(noted))

    def _refuse_other_files(self, remote: Remote) -> None:
        """Raises RunError if the address holds files that no run has."""
        own = {*SMALL, "checkpoints", LEASE}
        base = remote.path.strip("/")
        names = {path.strip("/").removeprefix(f"{base}/").split("/")[0] for path in remote.find(remote.path)}
        if foreign := sorted(names - own):
            raise RunError(
                f"{self.address} holds {foreign[0]}, which is not of a run",
                "a new run needs a folder of its own",
                "name a new one with `run_dir`",
            )


def _connected(address: str) -> Remote:
    return Remote.connect(address, kind="run")


def _bring(remote: Remote, folder: Path, pointer: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Downloads files that a pointer names and the folder lacks. A log may be newer than the pointer."""
    for name in names:
        if entry := pointer["files"].get(name):
            _bring_file(remote, folder, name, {} if name in SMALL else entry)


def _bring_checkpoint(remote: Remote, folder: Path, pointer: Mapping[str, Any], which: str) -> None:
    """Downloads a checkpoint: the newest whole one, or the one that is asked for. Raises RunError if there is none."""
    files = pointer["files"]
    by_step = {step: name for name in files if (step := step_of(name)) is not None}
    if which == NEWEST:
        names = [by_step[step] for step in sorted(by_step, reverse=True)]
    else:
        names = [BEST_FILE if which == BEST else by_step.get(int(which), "") if which.isdecimal() else ""]
    if any(_bring_file(remote, folder, name, files[name]) for name in names if name in files):
        return
    steps = ", ".join(str(step) for step in sorted(by_step)) or "none"
    best = " and best" if BEST_FILE in files else ""
    raise RunError(f"{remote.address} has no whole checkpoint `{which}`", f"it has {steps}{best}", "name another")


def _bring_file(remote: Remote, folder: Path, name: str, entry: Mapping[str, Any]) -> bool:
    """Downloads a missing file; returns whether it is whole. entry: its size and hash; empty if any version will do.

    Raises FileNotFoundError if it has gone.
    """
    target = folder / name
    if entry and target.exists() and hash_of(target) == entry["hash"]:
        return True
    if entry:
        logger.info(f"bringing {name} ({entry['bytes'] / 1e6:,.1f} MB) of {remote.address}")
    target.parent.mkdir(parents=True, exist_ok=True)

    def get(here: str) -> bool:
        try:
            remote.system.get_file(f"{remote.path}/{name}", here)  # pyright: ignore  typed as its default
        except FileNotFoundError:
            return False
        return True

    with atomic_write(target) as file:
        if not remote.ask(lambda: get(str(file.path))):
            raise FileNotFoundError(f"{remote.address}/{name}")
        is_whole = not entry or hash_of(file.path) == entry["hash"]
    if not is_whole:
        target.unlink()
        logger.warning(f"{remote.address}/{name} is not as its upload wrote it; it is left out")
    return is_whole


def _remove_checkpoints(folder: Path, keep: Mapping[str, Any]) -> None:
    for path in (folder / "checkpoints").glob("*.pt"):
        if f"checkpoints/{path.name}" not in keep:
            path.unlink()


def _moved(remote: Remote, pointer: Mapping[str, Any]) -> str:
    """Moves a run to the first free of ADDRESS.1, ADDRESS.2, …, and returns that; the old goes last."""
    system = remote.system
    number = next(n for n in count(1) if not remote.ask(lambda n=n: system.exists(f"{remote.path}.{n}/{POINTER}")))
    text = json.dumps(pointer, indent=1).encode()
    for name in pointer["files"]:
        old, new = f"{remote.path}/{name}", f"{remote.path}.{number}/{name}"
        remote.ask(lambda old=old, new=new: system.copy(old, new))
    remote.ask(lambda: system.pipe_file(f"{remote.path}.{number}/{POINTER}", text))
    for name in (POINTER, *pointer["files"]):
        remote.ask(lambda name=name: system.rm_file(f"{remote.path}/{name}"))
    return f"{remote.address}.{number}"
