"""Brings the decoded sound to processes on machines that have none, from the first process, into their own caches."""

import hashlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from wavegan import assemble, distributed, progress
from wavegan.atomic_write import atomic_write
from wavegan.audio.corpus import Corpus, cache_folder
from wavegan.commands.corpus_report import summary_with_hash
from wavegan.commands.resuming import Sound, refuse_other_sound
from wavegan.errors import DataError
from wavegan.file_lock import acquire

logger = logging.getLogger(__name__)

PIECE_FRAMES = 1 << 23  # of 16 MB, where there is one channel


def offer(parts: assemble.Corpora, target: assemble.Corpora) -> None:
    """Tells the other processes, from the first one, what the sound is, and sends it if one of them has none."""
    distributed.broadcast(summary_with_hash(parts.training, target.training))
    if not distributed.max_over_ranks(0, is_patient=True):
        return
    corpora = _different(parts.training, target.training)
    logger.info(f"sending {_megabytes(corpora)} MB of decoded sound to machines that have none")
    for corpus in corpora:
        distributed.broadcast(_description(corpus) | {"is_more": corpus is not corpora[-1]})
        for start in progress.track(range(0, len(corpus.samples), PIECE_FRAMES), 0, "pieces", "sending sound"):
            distributed.broadcast(corpus.samples[start : start + PIECE_FRAMES].cpu().clone())
    distributed.max_over_ranks(0, is_patient=True)  # all have written it


def received(load: Callable[[], Sound]) -> Sound:
    """Returns the sound that `load` finds here, or else that of the first process, in any other process.

    Raises DataError if there is sound here and it is another.
    """
    theirs = distributed.broadcast()
    digest = hashlib.blake2b(theirs.encode(), digest_size=12).hexdigest()
    folder = cache_folder() / "received" / digest
    sound, reason = None, ""
    try:
        sound = load()
        refuse_other_sound(summary_with_hash(sound[0].training, sound[1].training), theirs)
    except DataError as error:
        if sound:
            raise
        sound, reason = _kept(folder), str(error).partition("\n")[0]
    if distributed.max_over_ranks(int(sound is None), is_patient=True):
        brought = _receive(folder, is_needed=sound is None, reason=reason)
        sound = sound or brought
    assert sound, "it was found or has come"
    return sound


def _receive(folder: Path, *, is_needed: bool, reason: str) -> Sound | None:
    """Takes part in what `offer` sends; of the processes that need it in one cache, the first one writes."""
    lock = FileLock(folder / "lock")
    if is_needed:
        folder.mkdir(parents=True, exist_ok=True)
    is_writer = is_needed and acquire(lock, timeout=0)
    if is_writer:
        place = f"{folder} on {socket.gethostname()}"
        logger.info(f"{reason}; so the decoded sound of the first process is copied to {place}")
    try:
        is_more, number = True, 0
        while is_more:
            description = distributed.broadcast()
            path = folder / f"{number}.i16" if is_writer else None
            _write(path, description["frames"])
            if is_writer:
                with atomic_write(folder / f"{number}.pt") as file:
                    torch.save(description, file)
            is_more, number = description["is_more"], number + 1
        distributed.max_over_ranks(0, is_patient=True)
    finally:
        lock.release()
    return _kept(folder) if is_needed else None


def _write(path: Path | None, frames: int) -> None:
    """Takes the pieces of a corpus and writes them; without a path it only takes them."""
    starts = range(0, frames, PIECE_FRAMES)
    if path is None:
        for _ in starts:
            distributed.broadcast()
        return
    with atomic_write(path) as file:
        for _ in starts:
            file.write(distributed.broadcast().numpy().tobytes())


def _kept(folder: Path) -> Sound | None:
    """Returns sound that came here before; None if none did."""
    corpora = []
    while (folder / f"{len(corpora)}.pt").is_file():
        corpora.append(_corpus(folder, len(corpora)))
    if not corpora or None in corpora:
        return None
    parts = [assemble.Corpora(corpus, None, "as the first process has it") for corpus in corpora]
    return parts[0], parts[-1]


def _different(first: Corpus, second: Corpus) -> list[Corpus]:
    return [first] if first is second else [first, second]


def _megabytes(corpora: list[Corpus]) -> str:
    return f"{sum(corpus.samples.numel() for corpus in corpora) * 2 / 1e6:,.0f}"


def _description(corpus: Corpus) -> dict[str, Any]:
    """Returns what training needs to know of a corpus beside its samples, as tensors and plain values."""
    arrays = {name: torch.from_numpy(getattr(corpus, name)) for name in ("starts", "lengths", "labels")}
    return {
        **arrays,
        "hashes": torch.from_numpy(corpus.hashes.view(np.int64)),
        "names": list(corpus.names),
        "label_names": list(corpus.label_names),
        "sample_rate": corpus.sample_rate,
        "channels": corpus.channels,
        "frames": len(corpus.samples),
    }


def _corpus(folder: Path, number: int) -> Corpus | None:
    """Opens a corpus that was received; None if its file is not whole."""
    described = torch.load(folder / f"{number}.pt", weights_only=True)
    shape, path = (described["frames"], described["channels"]), folder / f"{number}.i16"
    if not path.is_file() or path.stat().st_size != 2 * shape[0] * shape[1]:
        return None
    samples = np.memmap(path, np.int16, mode="c", shape=shape)  # "c", as torch warns about read-only memory
    return Corpus(
        samples=torch.from_numpy(samples),
        starts=described["starts"].numpy(),
        lengths=described["lengths"].numpy(),
        labels=described["labels"].numpy(),
        names=tuple(described["names"]),
        label_names=tuple(described["label_names"]),
        skipped={},
        sample_rate=described["sample_rate"],
        hashes=described["hashes"].numpy().view(np.uint64),
        folder=folder,
    )
