"""Objects that were read once, on disk, so that they are not fetched again."""

import hashlib
import os
import threading
from pathlib import Path

from caudal.gateway.s3.objects import Objects

BYTES = 2 << 30
"""What a cache may hold; past that, what was not read for longest goes."""
_LEFT = 0.75
"""The part of it that stays then."""


class Cache:
    """Files of a folder, each one object in one state."""

    def __init__(self, objects: Objects, folder: Path) -> None:
        self._objects, self._folder = objects, folder
        self._lock = threading.Lock()
        self._bytes: int | None = None

    def file(self, bucket: str, key: str, state: str) -> Path:
        """The object as a file; `state` is its ETag, or "" if what is of that name never changes. Raises NotFound."""
        path = self._folder / hashlib.sha256(f"{bucket}/{key}/{state}".encode()).hexdigest()
        try:
            os.utime(path)
            return path
        except FileNotFoundError:
            self._folder.mkdir(exist_ok=True, parents=True, mode=0o700)
        partial = path.with_suffix(f".{threading.get_ident()}")
        self._objects.download(bucket, key, partial)
        self._make_room(partial.stat().st_size)
        partial.replace(path)
        return path

    def _make_room(self, size: int) -> None:
        with self._lock:
            if self._bytes is not None and self._bytes + size <= BYTES:
                self._bytes += size
                return
            kept = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in self._folder.iterdir() if not file.suffix)
            total = sum(each for _, each, _ in kept) + size
            over = total > BYTES
            for _, each, file in kept:
                if not over or total <= BYTES * _LEFT:
                    break
                file.unlink(missing_ok=True)
                total -= each
            self._bytes = total
