"""JSON: an object a row; numbers exact, times ISO 8601, bytes as base64."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec
import pyarrow as pa

json_of = msgspec.json.Encoder(decimal_format="number").encode
"""A value as JSON."""


def json_lines(rows: pa.Table) -> Iterator[bytes]:
    """Each row as an object."""
    for batch in rows.to_batches(max_chunksize=10_000):
        for row in batch.to_pylist(maps_as_pydicts="strict"):
            yield json_of(row)


def flat(rows: pa.Table) -> pa.Table:
    """The rows with nested columns as JSON text."""
    return pa.table([_flat(column) for column in rows.columns], names=rows.column_names)


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if not pa.types.is_nested(column.type):
        return column
    values = column.to_pylist(maps_as_pydicts="strict")
    return pa.array([None if value is None else json_of(value).decode() for value in values], pa.string())


def write_json_lines(parts: Iterable[pa.Table], out: BinaryIO) -> int:
    """Write rows as JSON lines; returns how many."""
    rows = 0
    for part in parts:
        out.write(b"".join(line + b"\n" for line in json_lines(part)))
        rows += len(part)
    return rows
