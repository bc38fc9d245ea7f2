"""Keeps the current state of a keyed table quick to read: the latest row of each key, written down now and then."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from caudal.errors import Conflict
from caudal.lake.catalog import DELETED, Catalog, Snapshot
from caudal.lake.files import Files
from caudal.lake.objects import base_folder, new_name, put_object
from caudal.lake.query import SupportsStates
from caudal.records import DataFile

LEAST_ROWS = 100_000
"""Rows of history from which a base is worth its making: a query looks through fewer at once."""

SHARE = 0.1
"""Changes since a base, of its rows, from which it is made anew by itself; below, a query takes them in its stride."""

FILE_BYTES = 128 << 20


def is_due(snapshot: Snapshot, share: float = SHARE, least_rows: int = LEAST_ROWS) -> bool:
    """Whether the table's base is to be made, or made anew."""
    if not snapshot.table.contract.key or not snapshot.version:
        return False
    if snapshot.base is None:
        return sum(file.rows for file in snapshot.files) >= least_rows
    changed = sum(file.rows for file in snapshot.base.changes)
    return changed > share * sum(file.rows for file in snapshot.base.files)


def make_base(catalog: Catalog, files: Files, query: SupportsStates, database: str, snapshot: Snapshot) -> int:
    """Write down the latest row of each key at a snapshot; returns how many keys, 0 if another was faster."""
    name = snapshot.table.name
    if not snapshot.version:
        return 0
    made = [
        file for deleted in (False, True)
        for file in _write(files, base_folder(database, name), query.states(name, snapshot.version, deleted), deleted)
    ]
    try:
        catalog.keep_base(name, snapshot.version, made)
    except Conflict:
        for file in made:
            files.delete(file.path)
        return 0
    return sum(file.rows for file in made)


def _write(files: Files, folder: str, batches: Iterator[pa.RecordBatch], deleted: bool) -> Iterator[DataFile]:
    out, writer, rows = pa.BufferOutputStream(), None, 0

    def finish() -> DataFile:
        assert writer is not None
        writer.close()
        data = memoryview(out.getvalue())
        return put_object(files, f"{folder}{new_name(0, '.parquet')}", DELETED if deleted else (), data, rows)

    for batch in batches:
        if writer is None:
            out, rows = pa.BufferOutputStream(), 0
            writer = pq.ParquetWriter(out, batch.schema, compression="zstd", compression_level=1)
        writer.write_batch(batch)
        rows += len(batch)
        if out.tell() >= FILE_BYTES:
            yield finish()
            writer = None
    if writer is not None:
        yield finish()
