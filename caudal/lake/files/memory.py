"""Objects in a dict: the model that other places are compared with."""

import threading
from collections.abc import Iterator
from typing import ClassVar, Self

from caudal.errors import AlreadyExists, NotFound
from caudal.lake.files.port import FileInfo, Files, check_path


class MemoryFiles(Files):
    """Objects that their process forgets when it ends; `memory:name` is shared by whoever opens that name."""

    _shared: ClassVar[dict[str, "MemoryFiles"]] = {}

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        name = url.partition(":")[2]
        if not name.strip("/"):
            return cls()
        return cls._shared.setdefault(name, cls())  # type: ignore[return-value]

    def put(self, path: str, data: bytes | memoryview) -> None:
        with self._lock:
            if check_path(path) in self._objects:
                raise AlreadyExists(f"{path} is there already")
            self._objects[path] = bytes(data)

    def get(self, path: str) -> bytes:
        try:
            return self._objects[check_path(path)]
        except KeyError:
            raise NotFound(f"no object {path}") from None

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        for path in sorted(self._objects):
            if path.startswith(prefix):
                yield FileInfo(path, len(self._objects[path]))

    def delete(self, path: str) -> None:
        self._objects.pop(check_path(path), None)

    def location(self, path: str) -> str | None:
        return None
