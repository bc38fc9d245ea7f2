"""Files of Iceberg tables: objects in S3, which are written once and never change."""

import io
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pyarrow as pa
from pyiceberg.io import FileIO, InputFile, OutputFile

from caudal.errors import NotFound, QueryError
from caudal.gateway.s3.cache import Cache
from caudal.gateway.s3.objects import Objects, split_url

_UNIQUE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}[^/]*$")
"""A UUID in a file's name: nothing else was or will be called so."""


class S3Files(FileIO):
    """In S3 and nowhere else, whatever a table's metadata says. It knows what was written through it."""

    def __init__(self, objects: Objects, cache: Cache) -> None:
        super().__init__()
        self.objects, self.cache = objects, cache
        self.written: list[str] = []

    def new_input(self, location: str) -> "_Input":
        """A file to read. Raises QueryError for one that is not in S3."""
        return _Input(location, self)

    def new_output(self, location: str) -> "_Output":
        """A file to write. Raises QueryError for one that is not in S3."""
        output = _Output(location, self)
        self.written.append(location)
        return output

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Remove a file, if it is there."""
        self.objects.delete(*_place(location if isinstance(location, str) else location.location))


class _Input(InputFile):
    def __init__(self, location: str, files: S3Files) -> None:
        super().__init__(location)
        self._bucket, self._key = _place(location)
        self._files = files

    def __len__(self) -> int:
        with self.open() as stream:
            return int(stream.size())

    def exists(self) -> bool:
        try:
            self.open().close()
        except FileNotFoundError:
            return False
        return True

    def open(self, seekable: bool = True) -> Any:
        try:
            state = "" if _UNIQUE.search(self._key) else self._files.objects.etag(self._bucket, self._key)
            return pa.OSFile(str(self._files.cache.file(self._bucket, self._key, state)))
        except NotFound:
            raise FileNotFoundError(self.location) from None


class _Output(OutputFile):
    def __init__(self, location: str, files: S3Files) -> None:
        super().__init__(location)
        self._bucket, self._key = _place(location)
        self._files = files
        self._size: int | None = None

    def __len__(self) -> int:
        return len(self.to_input_file()) if self._size is None else self._size

    def exists(self) -> bool:
        return self.to_input_file().exists()

    def to_input_file(self) -> _Input:
        return _Input(self.location, self._files)

    def create(self, overwrite: bool = False) -> Any:
        """A stream into the object, which is there once the stream is closed: its name holds a UUID, so nothing else has it."""
        return _Stream(self._put)

    def _put(self, data: bytes) -> None:
        self._size = len(data)
        self._files.objects.put(self._bucket, self._key, data)


class _Stream(io.BytesIO):
    """Bytes that go somewhere when it is closed, and nowhere if its block fails."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        super().__init__()
        self._put: Callable[[bytes], None] | None = put

    def close(self) -> None:
        put, self._put = self._put, None
        if put is not None and not self.closed:
            put(self.getvalue())
        super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._put = None
        self.close()


def _place(location: str) -> tuple[str, str]:
    if not location.startswith(("s3://", "s3a://")):
        raise QueryError("ICEBERG_FILESYSTEM_ERROR: a file of the table is not in S3", hint="tables lie in s3://bucket/folder/")
    return split_url(location)
