"""Lists the members of a tar file without unpacking it, and opens each later, at its place in the file."""

import io
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wavegan.audio import signatures
from wavegan.audio.files import TemporaryError
from wavegan.errors import DataError

COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
BUFFER_BYTES = 1 << 16
LEADS_OUT = re.compile(r"[/\\]|[A-Za-z]:|(.*[/\\])?\.\.([/\\]|$)", re.DOTALL)  # absolute, or with ..


@dataclass(frozen=True)
class Tar:
    """Identifies a tar file and its state when it was listed."""

    path: Path
    size: int
    mtime_ns: int

    @classmethod
    def snapshot(cls, path: Path) -> "Tar":
        """Returns a tar file's present state. Raises TemporaryError if it cannot be opened."""
        with _opened(path) as file:
            status = os.fstat(file.fileno())
        return cls(path, status.st_size, status.st_mtime_ns)

    @property
    def fingerprint(self) -> tuple[str | int, ...]:
        """Returns plain values that change when the file may have changed."""
        return (str(self.path.absolute()), self.size, self.mtime_ns)

    @contextmanager
    def open(self, offset: int, size: int) -> Iterator[BinaryIO]:
        """Opens `size` bytes from `offset` on as a file of their own; raises DataError if the tar has changed since."""
        with _opened(self.path) as file:
            if Tar.snapshot(self.path) != self:
                raise DataError(
                    f"lies in {self.path}, which has changed since it was listed; run the same command again"
                )
            with io.BufferedReader(_Part(file, offset, size), BUFFER_BYTES) as part:
                yield part


class _Part(io.RawIOBase):
    """Reads a part of an open file; its position 0 is the part's first byte."""

    def __init__(self, file: io.FileIO, start: int, size: int):
        self.file, self.start, self.size, self.position = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = max({os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}[whence] + offset, 0)
        return self.position

    def readinto(self, buffer) -> int:
        wanted = min(len(buffer), max(self.size - self.position, 0))
        self.file.seek(self.start + self.position)
        count = self.file.readinto(memoryview(buffer)[:wanted]) or 0
        self.position += count
        return count


class _Present(io.BufferedReader):
    """Reads no more bytes than there are: tarfile asks for as many as a header claims, and Python allocates them."""

    def __init__(self, raw: io.FileIO, buffer_bytes: int):
        super().__init__(raw, buffer_bytes)
        self.size = os.fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size if size is None else min(size, max(0, self.size - self.tell())))


def members(path: Path) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Yields the header of each member, and the open tar to read its content from at `offset_data`.

    Raises DataError if the file is no tar, is compressed, or is damaged or cut off; only its end marker may be missing.
    """
    with _opened(path) as raw, _Present(raw, BUFFER_BYTES) as file:
        _check_kind(path, file)
        size = file.size
        end = offset = 0
        last = "its first member"
        try:
            tar = tarfile.open(fileobj=file, mode="r:", errorlevel=2)  # noqa: SIM115  `file` is closed, it holds no other
            while member := tar.next():
                tar.members = []  # pyright: ignore  the headers of a large shard would fill the memory
                last, end = repr(member.name), member.offset_data + (member.size if member.isreg() else 0)
                if member.size < 0 or tar.offset <= offset or end > size:
                    raise tarfile.ReadError("unexpected end of data")
                offset = tar.offset
                yield member, file
        except (tarfile.TarError, ValueError, OverflowError) as error:
            if not end <= size < offset:  # else only the padding of the last member and the end marker are missing
                raise _damaged(path, f"after {last} ({error})") from error
        else:
            file.seek(tar.offset)
            while rest := file.read(BUFFER_BYTES):
                if rest.strip(b"\0"):
                    raise _damaged(path, f"after {last}: the bytes from {tar.offset:,} on are no member")


@contextmanager
def _opened(path: Path) -> Iterator[io.FileIO]:
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise TemporaryError(
            f"{path} cannot be opened ({error.strerror}); see whether it is there and readable"
        ) from error
    with file:
        yield file


def _check_kind(path: Path, file: BinaryIO) -> None:
    start = file.read(signatures.FIRST_BYTES)
    file.seek(0)
    if remedy := signatures.stand_in(start):
        raise DataError(f"the shard {path} {remedy}")
    for mark, command in COMPRESSED.items():
        if start.startswith(mark):
            raise DataError(
                f"the shard {path} is compressed",
                "a sound is read at its place in the tar, so the tar must be plain",
                f"run: {command} {path}",
            )


def _damaged(path: Path, place: str) -> DataError:
    return DataError(
        f"the shard {path} cannot be read {place}",
        "a shard must be one whole tar",
        "copy or download it again, or make it again with tar",
    )


def refusal(member: tarfile.TarInfo) -> str | None:
    """Returns the reason why a member is refused, as the end of a sentence on the members; None for an allowed one."""
    if LEADS_OUT.match(member.name):
        return "are refused: their names lead out of the shard (absolute or with ..)"
    if member.issym() or member.islnk():
        return "are refused: they are links"
    if member.issparse() or not member.isreg():
        return "are refused: they are devices, pipes or sparse files"
    return None
