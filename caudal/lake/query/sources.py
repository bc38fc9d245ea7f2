"""How the rows of a snapshot are read from its files: columns by name, types from the contract."""

import csv
import io
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from caudal.errors import BackendError, Unavailable
from caudal.lake.catalog import DELETED, Era, Snapshot
from caudal.lake.files import Files
from caudal.lake.query.scratch import HINT
from caudal.lake.query.sqltypes import duckdb_type
from caudal.records import DataFile

ROW = "_row"
"""Column that numbers the rows of one reading, where that is cheap: contracts have no such name."""

_LONGEST_LINE = 32 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
# Not parallel within a file: DuckDB's guess where a line starts can fall inside quotes. Many files still are.
_CSV = (
    "auto_detect=false, header=true, delim=',', quote='\"', escape='\"', nullstr='', allow_quoted_nulls=false,"
    f" hive_partitioning=false, parallel=false, max_line_size={_LONGEST_LINE},"
    f" buffer_size={_LONGEST_LINE}"
)


class _Shape(NamedTuple):
    """What files have in common that are read by one call."""

    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    """Types in the files: DuckDB would convert to those of the first file, and not to the contract's."""
    compression: str


class Sources:
    """The files of a lake as SQL; what is known of a file is kept, for files never change."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._shapes: dict[str, _Shape] = {}
        self._copies: dict[str, str] = {}
        self._lock = threading.Lock()

    def rows(self, snapshot: Snapshot, first: int = 0) -> str:
        """SQL of all rows: the contract's columns, the system columns and, of Parquet, `ROW`; `first` numbers the first file."""
        schema, eras = snapshot.table.contract.row_schema, snapshot.table.eras
        groups: dict[_Shape, list[str]] = {}
        for file in snapshot.files:
            if file.rows:
                groups.setdefault(self._shape(snapshot, file), []).append(self._location(file.path))
        read = _read_parquet if snapshot.table.format != "csv" else _read_csv
        parts = []
        for shape, paths in groups.items():
            parts.append(read(_stored(schema, shape, eras), shape, paths, first))
            first += len(paths)
        return " UNION ALL ".join(parts) or _nothing(schema)

    def base(self, snapshot: Snapshot, gone: bool) -> str:
        """SQL of the rows of a snapshot's base, always Parquet: of the keys that are there, or of those that are gone.

        No two of both have the same `ROW`.
        """
        assert snapshot.base is not None
        base = snapshot.base.files
        files = tuple(file for file in base if (file.partition == DELETED) is gone)
        return self.rows(
            replace(snapshot, table=replace(snapshot.table, format="parquet"), files=files), len(base) if gone else 0
        )

    def _shape(self, snapshot: Snapshot, file: DataFile) -> _Shape:
        shape = self._shapes.get(file.path)
        if shape is None:
            location = self._location(file.path)
            shape = _parquet_shape(location) if snapshot.table.format != "csv" else _csv_shape(location)
            self._shapes[file.path] = shape
        return shape

    def _location(self, path: str) -> str:
        """Where DuckDB finds an object; one that only `get` reaches is copied beside, once."""
        location = self._files.location(path)
        if location is not None:
            return location
        with self._lock:
            if path not in self._copies:
                data, copy = self._files.get(path), self._folder / f"copy-{uuid.uuid4().hex}"
                try:
                    copy.write_bytes(data)
                except OSError as error:
                    copy.unlink(missing_ok=True)
                    raise Unavailable(f"no room for a copy of {path}: {error.strerror}", hint=HINT) from error
                self._copies[path] = str(copy)
            return self._copies[path]


def rows_of(schema: pa.Schema, table: pa.Table, relation: str, has_row_ids: bool) -> str:
    """SQL of the rows of a table that is registered as `relation` and has `ROW`, beside those of files."""
    stored = [_Stored(field.name, field.type, field.name if field.name in table.column_names else None) for field in schema]
    columns = [*map(_value, stored), *([ROW] if has_row_ids else [])]
    return f"SELECT {', '.join(columns)} FROM {quoted(relation)}"


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A value as a literal."""
    return "'" + value.replace("'", "''") + "'"


def _parquet_shape(location: str) -> _Shape:
    with _explained(location):
        schema = pq.read_schema(location)
        return _Shape(tuple(schema.names), tuple(map(str, schema.types)), "")


def _csv_shape(location: str) -> _Shape:
    with _explained(location):
        with open(location, "rb") as file:  # noqa: PTH123
            start = file.read(4)
        compression = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "none")
        with pa.input_stream(location, compression=None if compression == "none" else compression) as stream:
            lines = io.TextIOWrapper(stream, "utf-8-sig", newline="")
            return _Shape(tuple(next(csv.reader(lines, strict=True))), (), compression)


@contextmanager
def _explained(location: str) -> Iterator[None]:
    """Says which file could not be read."""
    try:
        yield
    except (OSError, pa.ArrowException, csv.Error, UnicodeError, StopIteration) as error:
        raise BackendError(f"{Path(location).name}: cannot be read", hint="run `caudal verify`") from error


class _Stored(NamedTuple):
    """A column, and what a file calls it."""

    name: str
    type: pa.DataType
    stored: str | None
    """None where the file has none."""
    same: bool = False
    """Whether it has the very type in the file."""


def _stored(schema: pa.Schema, shape: _Shape, eras: Sequence[Era]) -> list[_Stored]:
    """What the columns are called in files of one shape: these are of the first era that has all their names."""
    own = {name for name in shape.columns if not name.startswith("_")}
    meant = next((dict(era) for era in eras if own <= {stored for stored, _ in era}), {})
    found = {meant.get(stored, stored): stored for stored in shape.columns}
    kinds = dict(zip(shape.columns, shape.kinds, strict=False))  # CSV has none
    return [
        _Stored(field.name, field.type, stored := found.get(field.name), kinds.get(stored or "") == str(field.type))
        for field in schema
    ]


def _value(column: _Stored) -> str:
    value = quoted(column.stored) if column.stored is not None else "NULL"
    if column.same:
        return f"{value} AS {quoted(column.name)}"
    return f"CAST({value} AS {duckdb_type(column.type)}) AS {quoted(column.name)}"


def _read_parquet(columns: list[_Stored], shape: _Shape, paths: list[str], first: int) -> str:
    files = ", ".join(map(text, paths))
    number = f"(file_index::BIGINT + {first}) << 40" if len(paths) > 1 else f"{first << 40}::BIGINT"
    row = f"{number} | file_row_number AS {ROW}" if len(paths) > 1 or first else f"file_row_number AS {ROW}"
    return f"SELECT {', '.join(map(_value, columns))}, {row} FROM read_parquet([{files}], hive_partitioning=false)"


def _read_csv(columns: list[_Stored], shape: _Shape, paths: list[str], first: int) -> str:
    binary = {column.stored for column in columns if pa.types.is_binary(column.type)}
    known = {column.stored: duckdb_type(column.type) for column in columns if column.stored not in binary}
    types = ", ".join(f"{text(name)}: {text(known.get(name, 'VARCHAR'))}" for name in shape.columns)
    files = ", ".join(map(text, paths))
    values = ", ".join(
        f"from_base64({quoted(column.stored)}) AS {quoted(column.name)}" if column.stored is not None and column.stored in binary
        else _value(column)
        for column in columns
    )
    return f"SELECT {values} FROM read_csv([{files}], {_CSV}, compression='{shape.compression}', columns={{{types}}})"


def _nothing(schema: pa.Schema) -> str:
    columns = [_Stored(field.name, field.type, None) for field in schema]
    return f"SELECT {', '.join(map(_value, columns))}, CAST(NULL AS BIGINT) AS {ROW} WHERE false"
