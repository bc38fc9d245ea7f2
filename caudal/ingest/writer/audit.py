"""How quarantined records were edited or discarded: original bytes, edited bytes, time and note, for good."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from caudal.contract import TIMESTAMP
from caudal.ingest.writer.layout import quarantine_folder
from caudal.lake.catalog import Catalog
from caudal.lake.files import Files
from caudal.lake.formats import encode
from caudal.lake.objects import new_name, put_object
from caudal.records import DataFile, Rejected

SCHEMA = pa.schema([
    pa.field("shard", pa.int32(), nullable=False), pa.field("position", pa.int64(), nullable=False),
    pa.field("time", TIMESTAMP, nullable=False), pa.field("outcome", pa.string(), nullable=False),
    pa.field("note", pa.string(), nullable=False), pa.field("original", pa.binary(), nullable=False),
    pa.field("edited", pa.binary()), pa.field("origin", pa.string(), nullable=False),
])


class Edited(NamedTuple):
    """What is to be kept of one record."""

    record: Rejected
    outcome: str
    note: str
    edited: bytes | None = None


class Entry(NamedTuple):
    """What was kept of one record."""

    shard: int
    position: int
    time: int
    """When it was dealt with, microseconds since 1970, UTC."""
    outcome: str
    note: str
    original: bytes
    edited: bytes | None
    """The bytes that it was replayed with; None if it was discarded."""
    origin: str


def put_audit(files: Files, database: str, table: str, done: Sequence[Edited]) -> DataFile:
    """Write an audit file; it counts once a commit shows it."""
    now = time.time_ns() // 1000
    rows = [
        (one.record.shard, one.record.position, now, one.outcome, one.note, one.record.raw, one.edited, one.record.origin)
        for one in done
    ]
    made = pa.table([pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)],
                    schema=SCHEMA)
    path = f"{quarantine_folder(database, table)}/audit/{new_name(0, '.parquet')}"
    return put_object(files, path, (), encode(made, "parquet", ""), len(made))


def read_audit(catalog: Catalog, files: Files, table: str) -> Iterator[Entry]:
    """Every entry of a table, oldest first."""
    for file in catalog.audit(table):
        with pq.ParquetFile(pa.BufferReader(files.get(file.path)), pre_buffer=False) as opened:
            found = opened.read(use_threads=False)
        found = found.set_column(2, "time", found["time"].cast(pa.int64()))
        yield from (Entry(*row) for row in zip(*(column.to_pylist() for column in found.columns), strict=True))
