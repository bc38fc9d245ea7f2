"""Records that could not become rows, kept whole: raw bytes, reason, position and arrival time."""


import pyarrow as pa
import pyarrow.parquet as pq

from caudal.contract import TIMESTAMP
from caudal.records import Rejected

SCHEMA = pa.schema([
    pa.field("shard", pa.int32(), nullable=False), pa.field("position", pa.int64(), nullable=False),
    pa.field("arrived", TIMESTAMP, nullable=False), pa.field("reason", pa.string(), nullable=False),
    pa.field("detail", pa.string(), nullable=False), pa.field("raw", pa.binary(), nullable=False),
])


def to_table(rejected: list[Rejected]) -> pa.Table:
    """Rejected records as a table of `SCHEMA`."""
    columns = zip(*rejected, strict=True) if rejected else [()] * len(SCHEMA)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def from_bytes(data: bytes) -> list[Rejected]:
    """Rejected records of one quarantine object."""
    # In this thread alone: one of Arrow's that lets go of Python's bytes while Python ends would abort the process.
    table = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False)
    arrived = table["arrived"].cast(pa.int64())
    return [Rejected(*row) for row in zip(*(c.to_pylist() for c in table.set_column(2, "arrived", arrived).columns), strict=True)]
