"""One file over HTTP, continued where an earlier try stopped."""

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
    """The server did not answer or stopped answering; another try may help."""


def download(url: str, path: Path, *, total_bytes: int) -> None:
    """Completes `path`, keeping what it already holds; progress goes to stderr.

    Tries again after each of RETRY_PAUSES_SECONDS; whatever came stays in `path`, also after Ctrl-C.
    DataError: no connection, a refusal, or a body of another length than `total_bytes`.
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
    """Appends to `path` what one connection brings; begins anew where the server cannot continue."""
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
    """The open response for the bytes that `path` lacks."""
    have = _size(path)
    headers = {"User-Agent": "wavegan"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        return urlopen(Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        error.close()
        if error.code == 416 and have:
            path.unlink()
            raise _Dropped(f"the server has no byte {have:,} and we begin anew") from error
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
    """The place in the file of the response's first byte; -1 where the server leaves it unsaid."""
    if response.status != 206:
        return 0
    content_range = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(content_range[1]) if content_range else -1


def _chunks(response: HTTPResponse, remaining: int) -> Iterator[bytes]:
    """At most `remaining` bytes of the body, in pieces; _Dropped where the body ends before that."""
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
