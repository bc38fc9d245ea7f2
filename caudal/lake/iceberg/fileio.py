"""Files of Iceberg tables, on disk before anything names them: PyIceberg itself never calls fsync."""

import os
from pathlib import Path
from typing import Any

from pyiceberg.io import OutputFile
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from caudal.lake.files.durable import private, sync_folder


class DurableFileIO(PyArrowFileIO):
    """Reads as PyIceberg does; what it writes is whole, durable and private to its user, or not there."""

    def new_output(self, location: str) -> PyArrowFile:
        """A file to write."""
        return _DurableFile(super().new_output(location))


class _DurableFile(PyArrowFile, OutputFile):
    """A file of the local disk that appears when it is closed."""

    def __init__(self, plain: PyArrowFile) -> None:
        super().__init__(plain.location, plain._path, plain._filesystem, plain._buffer_size)

    def create(self, overwrite: bool = False) -> Any:
        path = Path(self._path)
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path.name} is there already")
        _make_folder(path.parent)
        return _DurableStream(path)


class _DurableStream:
    """A stream into a file beside the one meant, which takes its name once all is on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._half = path.with_name(f".{path.name}.half")
        self._file = open(self._half, "wb", opener=private)  # noqa: SIM115
        self.closed = False

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._half.rename(self._path)
        sync_folder(self._path.parent)

    def __enter__(self) -> "_DurableStream":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
            return
        self.closed = True
        self._file.close()
        self._half.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True, mode=0o700)
    sync_folder(folder.parent)
