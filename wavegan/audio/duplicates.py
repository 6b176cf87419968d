"""Finds items that are the same sound: equal ones by their hash, near ones by the correlation of their waveforms.

Near duplicates are copies at another level, in another format, with other silence before them or with a little noise.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from wavegan import progress
from wavegan.atomic_write import write_text
from wavegan.audio.corpus import Corpus
from wavegan.errors import system_error

logger = logging.getLogger(__name__)

NEAR_CORRELATION = 0.95  # of two aligned waveforms; white noise 10 dB below a sound lowers it to this
COMPARED_SECONDS = 1.0  # from the start of the sound
OUTLINE_SIMILARITY = 0.985  # pairs below this are not compared as waveforms
CANDIDATES = 4  # per item: only the most similar ones are compared as waveforms
MOST_ITEMS = 20_000  # more are compared by hash alone, because the time grows with the square
LARGEST_CLUSTER = 0.05  # share of the items; alike sounds of a synthesiser form larger clusters, copies do not
BANDS, SEGMENTS, FRAME, BATCH = 24, 8, 512, 256
FLOOR = 1e-4  # of the loudest part of an outline: what lies 40 dB below it, noise say, hardly counts


def clusters(corpus: Corpus, *, near: bool = True) -> np.ndarray:
    """Returns for each item the index of the first item that is the same sound, (items,); its own if no earlier one is.

    near: also looks for near duplicates; these pairs are kept in the corpus's cache folder.
    """
    count = len(corpus.names)
    first = np.arange(count)
    if len(corpus.hashes):
        _, first_of_hash, inverse = np.unique(corpus.hashes, return_index=True, return_inverse=True)
        first = first_of_hash[inverse]
    if not near or not len(corpus.measured) or not 2 <= len(np.unique(first)) <= MOST_ITEMS:
        return first
    merged = first.copy()
    for left, right in near_pairs(corpus, np.unique(first)):
        low, high = sorted((merged[left], merged[right]))
        merged[merged == high] = low
    roots, sizes = np.unique(merged, return_counts=True)
    too_large = np.isin(merged, roots[sizes > max(4, LARGEST_CLUSTER * count)])
    return np.where(too_large, first, merged)


def near_pairs(corpus: Corpus, items: np.ndarray) -> list[tuple[int, int]]:
    """Returns pairs of `items` (indices) whose sound is nearly the same; from the cache if it holds them."""
    digest = int(np.bitwise_xor.reduce(corpus.hashes[items]))
    path = corpus.folder / f"near-{len(items)}-{digest:016x}.json" if corpus.folder else None
    if path and (stored := _stored_pairs(path)) is not None:
        places = {int(value): index for index, value in enumerate(corpus.hashes)}
        return [(places[a], places[b]) for a, b in stored if a in places and b in places]
    pairs = list(_near_pairs(corpus, items))
    if path:
        try:
            write_text(path, json.dumps([[int(corpus.hashes[a]), int(corpus.hashes[b])] for a, b in pairs]))
        except OSError as error:  # the cache is full, or another user's
            logger.info(f"the near duplicates cannot be kept and are looked for each time: {system_error(error)}")
    return pairs


def _stored_pairs(path: Path) -> list[tuple[int, int]] | None:
    try:
        return [(int(a), int(b)) for a, b in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, OverflowError, RecursionError):
        return None


def _near_pairs(corpus: Corpus, items: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields pairs (left, right), left < right in `items`: alike in outline first, then compared as waveforms."""
    batches = range(0, len(items), BATCH)
    bar = progress.track(batches, len(batches), "batches", "looking for duplicates")
    outlines = np.concatenate([_outlines(_beginnings(corpus, items[at : at + BATCH])) for at in bar])
    for at in batches:
        similarity = np.triu(outlines[at : at + BATCH] @ outlines.T, at + 1)  # (batch, items), each pair once
        for row, item in zip(similarity, items[at:], strict=False):
            alike = np.flatnonzero(row >= OUTLINE_SIMILARITY)
            for right in items[alike[np.argsort(-row[alike])][:CANDIDATES]]:
                if _correlation(*_beginnings(corpus, np.array([item, right]))) >= NEAR_CORRELATION:
                    yield int(item), int(right)


def _beginnings(corpus: Corpus, items: np.ndarray) -> np.ndarray:
    """Returns the beginning of each item's sound, in mono, after the silence before it, (items, samples) float32."""
    samples = max(min(round(COMPARED_SECONDS * corpus.sample_rate), int(corpus.lengths.max())), FRAME)
    rows = np.zeros((len(items), samples), np.float32)
    for row, item in zip(rows, items, strict=True):
        lead = round(float(corpus.measured["lead"][item]) * corpus.sample_rate)
        start, length = int(corpus.starts[item]) + lead, min(int(corpus.lengths[item]) - lead, samples)
        sound = corpus.samples[start : start + length].numpy().mean(1)
        row[:length] = sound - sound.mean()
    return rows


def _outlines(beginnings: np.ndarray) -> np.ndarray:
    """Returns the log power of each beginning in 24 bands and 8 segments of time, centred, of norm 1; 0 for silence.

    beginnings: (items, samples). Returns (items, 192) float32.
    """
    frames = torch.from_numpy(beginnings).unfold(1, FRAME, FRAME // 2) * torch.hann_window(FRAME)
    power = torch.fft.rfft(frames).abs().square().numpy()  # (items, frames, FRAME / 2 + 1)
    band = np.digitize(np.arange(power.shape[2]), np.geomspace(2, FRAME // 2, BANDS))  # of each bin
    segment = np.arange(power.shape[1]) * SEGMENTS // power.shape[1]  # of each frame
    in_band = (band[:, None] == np.arange(BANDS)).astype(np.float32)
    in_segment = (np.arange(SEGMENTS)[:, None] == segment).astype(np.float32)
    outline = (in_segment @ (power @ in_band)).reshape(len(beginnings), -1)  # (items, 8 · 24)
    outline = np.log(outline + FLOOR * outline.max(1, keepdims=True) + 1e-9)
    outline -= outline.mean(1, keepdims=True)
    norms = np.linalg.norm(outline, axis=1, keepdims=True)
    return (outline / np.where(norms > 0, norms, 1)).astype(np.float32)


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Returns the largest correlation of two waveforms over all shifts, whatever their level and polarity; 0 to 1."""
    spectra = torch.fft.rfft(torch.from_numpy(np.stack([left, right])), 2 * len(left))
    products = torch.fft.irfft(spectra[0] * spectra[1].conj())
    norm = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(products.abs().max()) / norm if norm > 0 else 0.0
