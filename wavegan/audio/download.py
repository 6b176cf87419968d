"""Downloads a file over HTTP and continues where an earlier try stopped."""

import logging
import re
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from wavegan import progress
from wavegan.errors import DataError

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30
RETRY_PAUSES_SECONDS = (1, 2, 4, 8)
TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}


class _Dropped(Exception):
    """Says that the server did not answer or stopped answering; another try may help."""


def download(url: str, path: Path, *, total_bytes: int) -> None:
    """Completes `path` and keeps the bytes that it already has; progress goes to stderr.

    Tries again after each of RETRY_PAUSES_SECONDS. Received bytes stay in `path`, also after Ctrl-C. Raises DataError
    if there is no connection, if the server refuses, or if the file has another length than `total_bytes`.
    """
    pauses = iter(RETRY_PAUSES_SECONDS)
    while _size(path) < total_bytes:
        try:
            _receive(url, path, total_bytes)
        except _Dropped as dropped:
            pause = next(pauses, None)
            if pause is None:
                raise DataError(
                    f"{url} cannot be downloaded: {dropped}, {len(RETRY_PAUSES_SECONDS) + 1} times",
                    "it takes a network connection",
                    f"run the same command again to continue, or put the file into {path.parent} yourself",
                ) from dropped
            logger.info(f"{dropped}; trying again in {pause} s")
            time.sleep(pause)


def _receive(url: str, path: Path, total_bytes: int) -> None:
    """Appends the bytes of one connection to `path`; starts from byte 0 if the server cannot continue."""
    with _request(url, path) as response:
        start = _first_byte(response)
        if start not in (0, _size(path)):
            path.unlink()
            raise _Dropped("the server continued at the wrong place")
        if response.length is not None and start + response.length != total_bytes:
            raise DataError(
                f"{url} offers {start + response.length:,} bytes",
                f"the file has {total_bytes:,}",
                "see whether a proxy or a login page answers in its place",
            )
        name = url.rsplit("/", 1)[-1]
        received = progress.bar(total_bytes, "B", initial=start, unit_scale=True, desc=name)
        with received, open(path, "ab" if start else "wb") as file:
            for chunk in _chunks(response, total_bytes - start):
                file.write(chunk)
                received.update(len(chunk))


def _request(url: str, path: Path) -> HTTPResponse:
    """Requests the bytes that `path` lacks and returns the open response."""
    present_bytes = _size(path)
    headers = {"User-Agent": "wavegan"} | ({"Range": f"bytes={present_bytes}-"} if present_bytes else {})
    try:
        return urlopen(Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        error.close()
        if error.code == 416 and present_bytes:
            path.unlink()
            raise _Dropped(f"the server has no byte {present_bytes:,} and we begin anew") from error
        if error.code in TRANSIENT_STATUS:
            raise _Dropped(f"the server answers {error.code} {error.reason}") from error
        raise DataError(
            f"{url} answers {error.code} {error.reason}",
            "it must serve the file",
            f"see whether it has moved, or put the file into {path.parent} yourself",
        ) from error
    except (OSError, HTTPException) as error:
        raise _Dropped(f"no answer ({getattr(error, 'reason', error)})") from error


def _first_byte(response: HTTPResponse) -> int:
    """Returns the position in the file of the response's first byte; -1 if the server does not say it."""
    if response.status != 206:
        return 0
    content_range = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(content_range[1]) if content_range else -1


def _chunks(response: HTTPResponse, remaining: int) -> Iterator[bytes]:
    """Yields at most `remaining` bytes of the body in chunks; raises _Dropped if the body ends too early."""
    while remaining:
        try:
            chunk = response.read(min(CHUNK_BYTES, remaining))
        except (OSError, HTTPException) as error:
            raise _Dropped(f"the connection broke ({error})") from error
        if not chunk:
            raise _Dropped("the connection broke")
        remaining -= len(chunk)
        yield chunk


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
