"""Reads parts of a file, with other bytes inserted, as one file."""

from __future__ import annotations

import io
from bisect import bisect_right
from typing import BinaryIO

Edit = tuple[int, int, bytes]  # position, number of bytes that are replaced, and the bytes in their place


def bytes_at(file: BinaryIO, position: int, count: int) -> bytes:
    """Returns the bytes at a position, fewer at the end of the file, none beyond it."""
    if position >= 1 << 62:  # a damaged header may give such a position, and no system seeks so far
        return b""
    file.seek(position)
    return file.read(count)


class Pieces(io.RawIOBase):
    """Reads pieces of a file, with other bytes inserted, as one file; keeps the error that libsndfile would swallow."""

    def __init__(self, file: BinaryIO, pieces: list[tuple[int, int] | bytes]):
        self.file, self.position = file, 0
        self.error: OSError | None = None
        self.pieces: list[tuple[int, int, int | bytes]] = []  # start and end in this file, and what lies there
        for piece in pieces:
            start = self.pieces[-1][1] if self.pieces else 0
            length = len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
            self.pieces.append((start, start + length, piece if isinstance(piece, bytes) else piece[0]))
        self.starts = [start for start, _, _ in self.pieces]

    def moved(self, file: BinaryIO, distance: int) -> Pieces:
        """Returns the same bytes of a file in which they lie `distance` bytes later."""
        return Pieces(
            file,
            [
                place if isinstance(place, bytes) else (place + distance, place + distance + end - start)
                for start, end, place in self.pieces
            ],
        )

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        end = self.pieces[-1][1] if self.pieces else 0
        self.position = max(0, offset + (0, self.position, end)[whence])
        return self.position

    def readinto(self, buffer) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        index = bisect_right(self.starts, self.position) - 1
        while done < len(view) and 0 <= index < len(self.pieces):
            start, end, place = self.pieces[index]
            index += 1
            if start <= self.position < end:
                data = self._read(self.position - start, min(end - self.position, len(view) - done), place)
                view[done : done + len(data)] = data
                done += len(data)
                self.position += len(data)
        return done

    def _read(self, offset: int, count: int, place: int | bytes) -> bytes:
        if isinstance(place, bytes):
            return place[offset : offset + count]
        try:
            self.file.seek(place + offset)
            return self.file.read(count)
        except OSError as error:  # libsndfile would print it and take this for the end of the file
            self.error = error
            return b""
