"""Objects as files below one folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from caudal.errors import AlreadyExists, BackendError, ConfigError, NotFound, Unavailable
from caudal.lake.files.port import FileInfo, Files, check_path
from caudal.registry import path_of

_HALF = ".half"
"""Folder of objects being written; what a crash leaves there is swept at the next opening."""


class LocalFiles(Files):
    """A folder; every file and folder in it is private to its user."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._half = self.root / _HALF
        self._half.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._made: set[Path] = {self.root}
        self._count = 0
        self._sweep()

    @classmethod
    def open(cls, url: str) -> Self:
        path = path_of(url)
        if not path:
            raise ConfigError(f"{url}: names no folder", hint="write file:folder")
        try:
            return cls(Path(path))
        except OSError as error:
            raise BackendError(f"{path}: {error.strerror}", hint="check the folder and its permissions") from error

    def put(self, path: str, data: bytes | memoryview) -> None:
        target = self.root / check_path(path)
        self._count += 1
        half = self._half / f"{os.getpid()}-{id(self):x}-{self._count}"
        try:
            self._make_folder(target.parent)
            with open(half, "xb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(half, target)  # unlike a rename, never replaces
            _sync_folder(target.parent)
        except FileExistsError:
            raise AlreadyExists(f"{path} is there already") from None
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}", hint="check space and permissions, then try again") from error
        finally:
            half.unlink(missing_ok=True)

    def get(self, path: str) -> bytes:
        try:
            return (self.root / check_path(path)).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"no object {path}") from None
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}", hint="check the disk and its permissions") from error

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        top = self.root / prefix.rpartition("/")[0]
        found = []
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name != _HALF]
            for name in names:
                file = Path(folder, name)
                found.append((file.relative_to(self.root).as_posix(), file))
        for path, file in sorted(found):
            if path.startswith(prefix):
                yield FileInfo(path, file.stat().st_size)

    def delete(self, path: str) -> None:
        (self.root / check_path(path)).unlink(missing_ok=True)

    def location(self, path: str) -> str | None:
        return str(self.root / check_path(path))

    def _make_folder(self, folder: Path) -> None:
        if folder in self._made:
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
        _sync_folder(folder.parent)
        self._made.add(folder)

    def _sweep(self) -> None:
        """Remove halves whose process is gone."""
        for half in self._half.iterdir():
            pid = half.name.partition("-")[0]
            if pid.isdigit() and not Path("/proc", pid).exists() and Path("/proc").exists():
                half.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
