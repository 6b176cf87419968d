"""Measures how long a folder of many short files takes to index, to start again, and to hash.

    python benchmarks/corpus.py --files 20000 --milliseconds 20

Prints one JSON object: seconds of the first start (listing, decoding, storing), of a second start from the cache, of
the search for near duplicates, and the share of decoding that hashing the stored samples takes.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import soundfile

RATE = 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--milliseconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=RATE, help="sample rate of the files; the corpus has 16 kHz")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["WAVEGAN_CACHE"] = str(Path(scratch, "cache"))
        folder = Path(scratch, "sounds")
        write(folder, options.files, options.milliseconds, options.rate)
        print(json.dumps(vars(options) | measured(str(folder)), indent=1))


def write(folder: Path, files: int, milliseconds: int, rate: int) -> None:
    """Writes WAVs of decaying noise, each another one."""
    folder.mkdir()
    frames = rate * milliseconds // 1000
    random, decay = np.random.default_rng(0), np.exp(-5 * np.arange(frames) / frames)
    for number in range(files):
        soundfile.write(folder / f"{number:06d}.wav", 0.3 * decay * random.normal(size=frames).clip(-3, 3), rate)


def measured(folder: str) -> dict[str, float]:
    """Returns seconds of both starts and of the search for duplicates, and the share that hashing takes."""
    from wavegan.audio.corpus import load_corpus
    from wavegan.audio.duplicates import clusters

    first, corpus = timed(lambda: load_corpus(folder, RATE, 1))
    second, _ = timed(lambda: load_corpus(folder, RATE, 1))
    search, _ = timed(lambda: clusters(corpus))
    sounds = [corpus.samples[start : start + length].numpy().tobytes() for start, length in zip(
        corpus.starts, corpus.lengths, strict=True
    )]  # fmt: skip
    hashing, _ = timed(lambda: [hashlib.blake2b(sound, digest_size=8).hexdigest() for sound in sounds])
    with mock.patch("os.cpu_count", lambda: 1):  # decoding on one thread, as hashing is
        os.environ["WAVEGAN_CACHE"] += "-one"
        alone, _ = timed(lambda: load_corpus(folder, RATE, 1))
    return {
        "first_start_seconds": round(first, 2),
        "second_start_seconds": round(second, 2),
        "duplicate_search_seconds": round(search, 2),
        "hash_share_of_decoding": round(hashing / alone, 4),
    }


def timed(work):
    """Returns the seconds that a function takes, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
