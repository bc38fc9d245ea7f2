"""Several objects of one format as one, with the same rows in the same order: nothing is converted."""

import gzip
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS, ROW_GROUP_BYTES = 1 << 18, 64 << 20
"""Rows, or bytes of them in memory, that are gathered for a row group."""


class Merger(Protocol):
    """Takes whole objects of one shape, one after another."""

    def reaches(self, size: int) -> bool:
        """Whether the object has that many bytes."""

    def add(self, data: bytes) -> None:
        """Append the rows of an object."""

    def finish(self) -> memoryview:
        """The merged object."""


def shape(path: str, data: bytes) -> str:
    """What objects must have in common to be merged: columns, their order and, of Parquet, their types."""
    if path.endswith(".parquet"):
        return str(pq.read_schema(pa.BufferReader(data)).remove_metadata())
    with _plain(data) as stream:
        return _header(stream)[:-1].decode()


def open_merger(format: str, compression: str) -> Merger:
    """A merger for objects of one shape, into a format."""
    return _CsvMerger(compression) if format == "csv" else _ParquetMerger()


class _ParquetMerger:
    def __init__(self) -> None:
        self._out = pa.BufferOutputStream()
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = self._in_files = 0

    def reaches(self, size: int) -> bool:
        if self._waiting and int(self._out.tell()) + self._in_files >= size:
            self._write()
        return bool(self._out.tell() >= size)

    def add(self, data: bytes) -> None:
        # In this thread alone: one of Arrow's that lets go of Python's bytes while Python ends would abort the process.
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False).replace_schema_metadata()
            self._waiting.append(table)
            self._rows += len(table)
            self._bytes += table.nbytes
            if self._rows >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES:
                self._write()
        if self._waiting:
            self._in_files += len(data)

    def _write(self) -> None:
        table = pa.concat_tables(self._waiting)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._out, table.schema, compression="zstd", compression_level=1)
        self._writer.write_table(table, row_group_size=len(table) or 1)
        self._waiting = []
        self._rows = self._bytes = self._in_files = 0

    def finish(self) -> memoryview:
        if self._waiting or self._writer is None:
            self._write()
        assert self._writer is not None
        self._writer.close()
        return memoryview(self._out.getvalue())


class _CsvMerger:
    """The first object's header, then the lines of all: a line means the same wherever it stands."""

    def __init__(self, compression: str) -> None:
        self._out = pa.BufferOutputStream()
        self._stream = _compressed(self._out, compression)
        self._started = False

    def reaches(self, size: int) -> bool:
        self._stream.flush()
        return bool(self._out.tell() >= size)

    def add(self, data: bytes) -> None:
        with _plain(data) as stream:
            header = _header(stream)
            if not self._started:
                self._stream.write(header)
                self._started = True
            while block := stream.read(1 << 20):
                self._stream.write(block)

    def finish(self) -> memoryview:
        if self._stream is not self._out:
            self._stream.close()
        return memoryview(self._out.getvalue())


def _compressed(out: pa.NativeFile, compression: str) -> Any:
    if compression == "gzip":  # Arrow's is of level 9: five times slower, for 0.2 % of the size
        return gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0)
    return pa.CompressedOutputStream(out, compression) if compression else out


def _plain(data: bytes) -> pa.NativeFile:
    """The text of a CSV object; its first bytes say how it is compressed."""
    source = pa.BufferReader(data)
    if data[:2] == b"\x1f\x8b":
        return pa.CompressedInputStream(source, "gzip")
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return pa.CompressedInputStream(source, "zstd")
    return source


def _header(stream: pa.NativeFile) -> bytes:
    """The first line; column names hold no line end."""
    line = b""
    while not line.endswith(b"\n"):
        byte: bytes = stream.read(1)
        if not byte:
            return line + b"\n"
        line += byte
    return line
