"""Objects in a dict: the model that other places are compared with."""

import threading
import time
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import ClassVar, Self

from caudal.errors import AlreadyExists, NotFound
from caudal.lake.files.port import FileInfo, Files, check_path, check_prefix


class MemoryFiles(Files):
    """Objects that their process forgets when it ends; `memory:name` is shared by whoever opens that name."""

    _shared: ClassVar[dict[str, "MemoryFiles"]] = {}

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._times: dict[str, int] = {}
        self._folders: set[str] = set()
        self._lock = threading.Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        name = url.partition(":")[2]
        if not name.strip("/"):
            return cls()
        return cls._shared.setdefault(name, cls())  # type: ignore[return-value]

    def put(self, path: str, data: bytes | memoryview) -> None:
        above = {parent.as_posix() for parent in PurePosixPath(check_path(path)).parents}
        with self._lock:
            if path in self._objects or path in self._folders or above & self._objects.keys():
                raise AlreadyExists(f"{path} is there already, or an object stands where its folder would be")
            self._folders |= above
            self._objects[path] = bytes(data)
            self._times[path] = time.time_ns() // 1000

    def get(self, path: str) -> bytes:
        try:
            return self._objects[check_path(path)]
        except KeyError:
            raise NotFound(f"no object {path}") from None

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        check_prefix(prefix)
        with self._lock:
            found = [FileInfo(path, len(data)) for path, data in self._objects.items() if path.startswith(prefix)]
        return iter(sorted(found))

    def delete(self, path: str) -> None:
        self._objects.pop(check_path(path), None)

    def written(self, path: str) -> int | None:
        return self._times[path] if check_path(path) in self._objects else None

    def location(self, path: str) -> str | None:
        check_path(path)
        return None
