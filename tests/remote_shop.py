"""A store at shop:// that tests can stop, make faulty and unreachable; it counts what is read from it."""

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

PIECES = 10  # in which a file comes


class Shop(MemoryFileSystem):
    """Keeps files in memory, and tells of each its etag, not the time, so that two processes can fill it alike."""

    protocol = ("shop", "memory")  # pyright: ignore
    store: dict = {}
    pseudo_dirs = [""]
    is_reachable = True
    faults: list[Exception] = []  # raised by the next reads, in turn
    read: list[str] = []
    at_read: Callable[[Any], object] = staticmethod(lambda callback: None)  # called by each copy as it begins
    short_reads = 0
    at_once = most_at_once = 0
    lock = threading.Lock()

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("shop://"))

    @classmethod
    def reset(cls) -> None:
        cls.store.clear()
        cls.is_reachable, cls.short_reads, cls.at_once, cls.most_at_once = True, 0, 0, 0
        cls.faults, cls.read, cls.at_read = [], [], staticmethod(lambda callback: None)

    def find(self, path, maxdepth=None, withdirs=False, detail=False, **kwargs):
        self._reach()
        infos: dict = super().find(path, maxdepth, withdirs, detail=True, **kwargs)  # pyright: ignore
        for name, info in infos.items():
            info.pop("created", None)
            if name in self.store:
                info["ETag"] = hashlib.md5(self.store[name].getvalue()).hexdigest()
        return infos if detail else list(infos)

    def info(self, path, **kwargs):
        self._reach()
        path = self._strip_protocol(path)
        return dict(self.find(path, detail=True))[path] if path in self.store else super().info(path, **kwargs)

    def get_file(self, rpath, lpath=None, callback=None, outfile=None, **kwargs):
        self._reach()
        with self.lock:
            Shop.at_once += 1
            Shop.most_at_once = max(Shop.most_at_once, Shop.at_once)
        try:
            if self.faults:
                raise self.faults.pop(0)
            if rpath not in self.store:
                raise FileNotFoundError(rpath)
            content = self.store[rpath].getvalue()
            if self.short_reads:
                Shop.short_reads -= 1
                content = content[:-1]
            self.read.append(rpath)
            Shop.at_read(callback)
            piece = len(content) // PIECES + 1
            with open(str(lpath), "wb") as file:
                for start in range(0, len(content), piece):
                    written = file.write(content[start : start + piece])
                    if callback is not None:
                        callback.relative_update(written)
        finally:
            with self.lock:
                Shop.at_once -= 1

    def _reach(self) -> None:
        if not self.is_reachable:
            raise ConnectionError("no route to the shop")


fsspec.register_implementation("shop", Shop, clobber=True)
