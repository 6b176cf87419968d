"""Keeps a second training out of a run folder that lies at an address, as well as a store without locks allows."""

import json
import logging
import os
import secrets
import socket
import threading
import time
from typing import Any

from wavegan.audio.remote_copy import Remote
from wavegan.errors import RunError, UserError

logger = logging.getLogger(__name__)

LEASE = "lock.json"
BEAT_SECONDS = 15.0  # between two signs of life
PATIENCE_SECONDS = 60.0  # a holder that gives no sign for so long is gone
LOOK_SECONDS = 2.0
SETTLE_SECONDS = 1.0  # two that write at the same moment then both read what the last one wrote


class Lease:
    """Is a file in a remote run folder that names the training there, which changes it every 15 seconds.

    It is made only if there is none, where the store can do that at once (S3, Google's, memory); another store leaves
    a gap of a moment, in which the last writer wins. A file that is left by a kill is noticed by its standing still
    for a minute, whatever the clocks say. `is_lost` turns true once another training has taken the folder, which it
    does only after this one could not reach the store for a minute.
    """

    def __init__(self, remote: Remote):
        self.remote, self.path = remote, f"{remote.path}/{LEASE}"
        self.name, self.is_lost = secrets.token_hex(8), False
        self._beats, self._left = 0, threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True, name="lease")

    def take(self, ended: str = "") -> None:
        """Takes the folder; ended: the name of a lease whose holder is known to have ended.

        Raises RunError if another training holds it.
        """
        if holder := self.holder():
            if holder["name"] != ended:
                self._wait_for_end(holder)
            self._write()
        else:
            self._create()
        time.sleep(SETTLE_SECONDS)
        if (holder := self.holder()) is None or holder["name"] != self.name:
            raise self._refusal(holder or {})
        self._thread.start()

    def leave(self) -> None:
        """Gives the folder back, if it is still this training's."""
        self._left.set()
        self._thread.join(BEAT_SECONDS)
        try:
            if self.is_own():
                self.remote.ask(lambda: self.remote.system.rm_file(self.path), is_patient=False)
        except (UserError, OSError) as error:
            logger.info(f"{error}; another training there starts a minute later because of it")

    def is_own(self) -> bool:
        """Returns whether the folder is still this training's. Raises as `Remote.ask`."""
        holder = self.holder()
        self.is_lost = self.is_lost or (holder is not None and holder["name"] != self.name)
        return not self.is_lost

    def holder(self) -> dict[str, Any] | None:
        """Returns what the file says of its holder; None if there is none."""
        return read_json(self.remote, LEASE)

    def _wait_for_end(self, holder: dict[str, Any]) -> None:
        """Waits until a holder has gone; raises RunError at a sign of life."""
        logger.info(f"{self._sentence(holder)}; looking for {PATIENCE_SECONDS:.0f} s whether it still does")
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
            now = self.holder()
            if now is None:
                return
            if now != holder:
                raise self._refusal(now)
        logger.info(f"no sign of {holder.get('who')}; its run is taken over")

    def _create(self) -> None:
        try:
            self._write(mode="create")
        except (UserError, OSError):
            if holder := self.holder():  # another was faster
                raise self._refusal(holder) from None
            raise

    def _write(self, **mode: str) -> None:
        who = f"process {os.getpid()} on {socket.gethostname()}"
        content = {"name": self.name, "who": who, "beats": self._beats, "time": time.time()}
        encoded, system = json.dumps(content).encode(), self.remote.system
        self.remote.ask(lambda: system.pipe_file(self.path, encoded, **mode), is_patient=not mode)  # pyright: ignore

    def _live(self) -> None:
        while not self._left.wait(BEAT_SECONDS):
            self._beats += 1
            try:
                if not self.is_own():
                    return
                self._write()
            except (UserError, OSError) as error:  # the upload tells it
                logger.debug(error)

    def _sentence(self, holder: dict[str, Any]) -> str:
        return f"{self.remote.address} is being trained by {holder.get('who', 'another process')}"

    def _refusal(self, holder: dict[str, Any]) -> RunError:
        rule = "one training at a time may use a run folder"
        return RunError(self._sentence(holder), rule, "wait for it, stop it, or name another folder with `run_dir`")


def is_fresh(holder: dict[str, Any] | None) -> bool:
    """Returns whether a lease has been renewed lately, by the clocks of its holder and of this machine."""
    return bool(holder) and time.time() - float(holder.get("time", 0)) < PATIENCE_SECONDS


def read_json(remote: Remote, name: str) -> dict[str, Any] | None:
    """Returns the content of a small file in a remote folder; None if it is missing or not whole.

    Raises as `Remote.ask`.
    """

    def read() -> bytes | None:
        try:
            return remote.system.cat_file(f"{remote.path}/{name}")  # pyright: ignore
        except FileNotFoundError:
            return None

    text = remote.ask(read)
    try:
        content = json.loads(text) if text else None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
