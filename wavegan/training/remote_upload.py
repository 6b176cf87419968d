"""Uploads a run folder while it is trained, in a thread of its own, so that training waits for no network."""

import contextlib
import hashlib
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from wavegan.atomic_write import write_text
from wavegan.audio.remote_copy import Remote
from wavegan.errors import UserError
from wavegan.training import checkpoint
from wavegan.training.remote_lease import Lease
from wavegan.training.run_folder import RunFolder

logger = logging.getLogger(__name__)

POINTER = "newest.json"
RECORD = ".uploaded.json"  # in the folder here: its own lease and pointers
POLL_SECONDS = 1.0  # between two looks for a new checkpoint
LOG_SECONDS = 300.0  # after which a longer log is uploaded without one
HURRIED_SECONDS = 100.0  # that an end by a signal or an error waits; a spot machine gives two minutes
PATIENT_SECONDS = 1800.0  # that the end of a whole training waits
LIMIT = "WAVEGAN_UPLOAD_SECONDS"  # the environment variable that sets both
Entry = dict[str, Any]  # of a pointer: a file's size in bytes, and its hash


class Upload:
    """Uploads a run folder after each checkpoint while it is entered, and once more when it is left.

    pointer: that of the run there; files that it names and the folder lacks stay, as long as the folder's rule keeps
    them: the newest `keep_last` checkpoints and the multiples of `keep_every`. An upload that fails is told once, and
    the next checkpoint tries again. limit_seconds: how long leaving waits.
    """

    def __init__(
        self,
        remote: Remote,
        folder: RunFolder,
        lease: Lease,
        pointer: Mapping[str, Any],
        keep_last: int,
        keep_every: int,
    ):
        self.remote, self.folder, self.lease = remote, folder, lease
        self.keep_last, self.keep_every = keep_last, keep_every
        self.files: dict[str, Entry] = dict(pointer["files"])
        self.pointers: list[str] = [pointer["id"]] if "id" in pointer else []
        self.limit_seconds = _limit(HURRIED_SECONDS)
        self.step: int | None = pointer.get("step")
        self._seen: Mapping[str, Any] = {}
        self._tried_at, self._has_failed, self._is_done = time.monotonic(), False, False
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="upload")

    def take_time(self) -> None:
        """Lets the end wait longer, since nothing hurries."""
        self.limit_seconds = _limit(PATIENT_SECONDS)

    def __enter__(self) -> Self:
        self._note()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        if self._thread.is_alive():
            self._thread.join(POLL_SECONDS)
        if self._thread.is_alive():
            logger.info(f"uploading to {self.remote.address}, for at most {self.limit_seconds:g} s")
            self._thread.join(self.limit_seconds)
        if self._is_done:
            if self.step is not None:
                logger.info(f"{self.remote.address} holds the run up to step {self.step:,}")
            return
        what = "the run has no whole checkpoint there yet" if self.step is None else f"step {self.step:,} is the newest"
        late = f"not within {self.limit_seconds:g} s" if self._thread.is_alive() else "not"
        logger.warning(
            f"the last of the run was {late} uploaded to {self.remote.address}, where {what}; the rest lies in "
            f"{self.folder.path}, and the same command on this machine goes on from it"
        )

    def _work(self) -> None:
        while not self._leaving.wait(POLL_SECONDS):
            present = self._present()
            is_late = time.monotonic() - self._tried_at > LOG_SECONDS
            if present != self._seen or is_late:
                self._try(present)
        self._try(self._present(), is_last=True)

    def _present(self) -> dict[str, tuple[int, int]]:
        """Returns what tells a change of the files that start an upload: they are replaced, never written into."""
        present = {}
        for path in (self.folder.recipe, self.folder.corpus, *self.folder.checkpoints.glob("*.pt")):
            try:
                status = path.stat()
            except OSError:  # it was removed since it was listed
                continue
            present[path.relative_to(self.folder.path).as_posix()] = status.st_mtime_ns, status.st_ino
        return present

    def _try(self, present: Mapping[str, Any], *, is_last: bool = False) -> None:
        self._seen, self._tried_at = present, time.monotonic()
        if not any(name.startswith("checkpoints/step") for name in present):
            self._is_done = is_last
            return
        try:
            self._upload(present)
            self._is_done = is_last
            if self._has_failed:
                logger.info(f"{self.remote.address} can be written again, and is up to date")
            self._has_failed = False
        except Exception as error:  # of any kind: it is not the training that failed
            if not self._has_failed:
                text = error.value if isinstance(error, UserError) else str(error)
                logger.warning(f"{text}; the training goes on, and tries again after its next checkpoint")
            self._has_failed = True

    def _upload(self, names: Iterable[str]) -> None:
        """Uploads what is new, moves the pointer, then removes there what the run has pruned."""
        if not self.lease.is_own():
            raise UserError(f"another training has taken {self.remote.address}", "", "nothing more is uploaded there")
        with self._staging() as place:
            staged = self._staged(names, place)
            files = {name: entry for name, entry in self.files.items() if name in self._kept(staged)}
            for name, path in staged.items():
                files[name] = {"bytes": path.stat().st_size, "hash": hash_of(path)}
                if files[name] != self.files.get(name):
                    self._put(path, name)
        steps = [step for step in map(step_of, files) if step is not None]
        before, identity = self.files, secrets.token_hex(8)
        self.pointers = [*self.pointers[-1:], identity]
        self._note()  # before: if this process dies now, the pointer is known as its own
        pointer = {"id": identity, "step": max(steps), "time": datetime.now(UTC).isoformat(), "files": files}
        if not self.lease.is_own():
            raise UserError(f"another training has taken {self.remote.address}", "", "nothing more is uploaded there")
        text, system = json.dumps(pointer, indent=1).encode(), self.remote.system
        self.remote.ask(lambda: system.pipe_file(f"{self.remote.path}/{POINTER}", text))
        self.files, self.step = files, max(steps)
        self._note(uploaded=True)
        for name in before.keys() - files.keys():
            self.remote.ask(lambda name=name: system.rm_file(f"{self.remote.path}/{name}"))

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """Gives an empty folder beside the checkpoints, and removes it; a kill may have left an earlier one."""
        place = self.folder.path / "uploading"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _staged(self, names: Iterable[str], place: Path) -> dict[str, Path]:
        """Returns second names of the files, which keep their content while the training goes on; the newest first."""
        staged = {}
        for name in sorted(names, reverse=True):
            path = place / name.replace("/", "-")
            try:
                _link(self.folder.path / name, path)
            except FileNotFoundError:  # pruned since it was listed
                continue
            staged[name] = path
        if self.folder.log.exists():
            staged[self.folder.log.name] = Path(shutil.copyfile(self.folder.log, place / "log.jsonl"))
        return staged

    def _kept(self, staged: Mapping[str, Any]) -> set[str]:
        """Returns the names of earlier uploads that stay although the folder lacks them: it need not bring them all."""
        steps = {step: name for name in {*self.files, *staged} if (step := step_of(name)) is not None}
        newest = sorted(steps)[-self.keep_last :]
        kept = {name for step, name in steps.items() if step in newest or self._is_kept_forever(step)}
        oldest_here = min((step for name in staged if (step := step_of(name)) is not None), default=0)
        return {name for name in kept if (step_of(name) or 0) < oldest_here}

    def _is_kept_forever(self, step: int) -> bool:
        return bool(self.keep_every) and step % self.keep_every == 0

    def _put(self, path: Path, name: str) -> None:
        target = f"{self.remote.path}/{name}"
        put = self.remote.system.put_file
        self.remote.ask(lambda: put(str(path), target), is_patient=not self._has_failed)

    def _note(self, *, uploaded: bool = False) -> None:
        """Notes in the folder here which lease and which pointers are its own."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        noted = {"lease": self.lease.name, "pointers": self.pointers, "uploaded": uploaded or self.step is not None}
        write_text(self.folder.path / RECORD, json.dumps(noted))


def step_of(name: str) -> int | None:
    """Returns the step of a checkpoint's name in a run, such as checkpoints/step-00000010.pt; None for another file."""
    match = checkpoint.NAME.fullmatch(name.removeprefix("checkpoints/"))
    return int(match[1]) if match else None


def hash_of(path: Path) -> str:
    """Returns a hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _link(path: Path, second: Path) -> None:
    try:
        os.link(path, second)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(path, second)


def _limit(usual: float) -> float:
    """Returns how many seconds an end waits; raises UserError if the environment variable for it is no number."""
    given = os.environ.get(LIMIT) or usual
    with contextlib.suppress(ValueError):
        if (seconds := float(given)) >= 0:
            return seconds
    raise UserError(f"{LIMIT} is {given!r}", "it must be a number of seconds", "try 600")
