"""Serves a small archive of the layout of Speech Commands on this machine, for `wavegan fetch sc09`."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import soundfile

from wavegan.audio.public_datasets import DATASETS, Dataset


class Server(ThreadingHTTPServer):
    """Serves one archive, from the byte that is asked for."""

    def __init__(self, body: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.server.body
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:])

    def log_message(self, format: str, *args: Any) -> None:
        pass


def archive() -> bytes:
    """Returns an archive of Speech Commands' layout: three small files of noise for each word, and the two lists."""
    random, buffer = np.random.default_rng(0), io.BytesIO()

    def sound() -> bytes:
        file = io.BytesIO()
        soundfile.write(file, random.integers(-9000, 9000, 128, dtype=np.int16), 16000, format="WAV")
        return file.getvalue()

    words = DATASETS["sc09"].words
    members = {f"{word}/c{k}_nohash_0.wav": sound() for word in words for k in range(3)}
    for name, k in (("validation", 1), ("testing", 2)):
        members[f"{name}_list.txt"] = "\n".join(f"{word}/c{k}_nohash_0.wav" for word in words).encode()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@contextmanager
def served() -> Iterator[Dataset]:
    """Gives the data set sc09 with the address, the size and the checksum of the small archive."""
    body = archive()
    with Server(body) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/speech_commands_v0.01.tar.gz"
        yield replace(
            DATASETS["sc09"],
            url=url,
            sha256=hashlib.sha256(body).hexdigest(),
            archive_bytes=len(body),
            extracted_bytes=10_000,
        )
        server.shutdown()
