"""Objects as files below one folder."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from caudal.errors import AlreadyExists, BackendError, ConfigError, NotFound, Unavailable
from caudal.lake.files.durable import private, sync_folder
from caudal.lake.files.port import FileInfo, Files, check_path, check_prefix
from caudal.registry import path_of

_HALF = ".half"
"""Folder of objects being written; what a crash leaves there is swept by an opening, an hour later."""
_HALF_SECONDS = 3600


class LocalFiles(Files):
    """A folder; every file and folder in it is private to its user."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._half = self.root / _HALF
        self._half.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._made: set[Path] = {self.root}
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
        half = self._half / os.urandom(12).hex()
        try:
            self._make_folder(target.parent)
            with open(half, "xb", opener=private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(half, target)  # unlike a rename, never replaces
            sync_folder(target.parent)
        except (FileExistsError, NotADirectoryError):
            raise AlreadyExists(f"{path} is there already, or an object stands where its folder would be") from None
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}", hint="check space and permissions, then try again") from error
        finally:
            with suppress(OSError):  # on a disk that has become read-only: swept later
                half.unlink(missing_ok=True)

    def get(self, path: str) -> bytes:
        try:
            return (self.root / check_path(path)).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound(f"no object {path}") from None
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}", hint="check the disk and its permissions") from error

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        top = self.root / check_prefix(prefix).rpartition("/")[0]
        found = []
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name != _HALF]
            for name in names:
                file = Path(folder, name)
                path = file.relative_to(self.root).as_posix()
                if path.startswith(prefix):
                    with suppress(FileNotFoundError):  # deleted meanwhile
                        found.append(FileInfo(path, file.stat().st_size))
        return iter(sorted(found))

    def delete(self, path: str) -> None:
        try:
            (self.root / check_path(path)).unlink(missing_ok=True)
        except (NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}", hint="check the disk and its permissions") from error

    def written(self, path: str) -> int | None:
        try:
            return (self.root / check_path(path)).stat().st_mtime_ns // 1000
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}", hint="check the disk and its permissions") from error

    def location(self, path: str) -> str | None:
        return str(self.root / check_path(path))

    def _make_folder(self, folder: Path) -> None:
        if folder in self._made:
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
        sync_folder(folder.parent)
        self._made.add(folder)

    def _sweep(self) -> None:
        """Remove old halves; by age, for the process of a young one may be in another container."""
        for half in self._half.iterdir():
            with suppress(FileNotFoundError):
                if half.stat().st_mtime < time.time() - _HALF_SECONDS:
                    half.unlink()
