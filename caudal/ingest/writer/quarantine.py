"""Records that could not become rows, kept whole: raw bytes, reason, position and arrival time; and looking for some."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caudal.contract import TIMESTAMP
from caudal.ingest.changes import read_origin
from caudal.lake.catalog import Catalog
from caudal.lake.files import Files
from caudal.lake.formats.parquet import read_columns
from caudal.records import DataFile, Records, Rejected

SCHEMA = pa.schema([
    pa.field("shard", pa.int32(), nullable=False), pa.field("position", pa.int64(), nullable=False),
    pa.field("arrived", TIMESTAMP, nullable=False), pa.field("reason", pa.string(), nullable=False),
    pa.field("detail", pa.string(), nullable=False), pa.field("raw", pa.binary(), nullable=False),
    pa.field("origin", pa.string()),  # files of the first version lack it
])

CHUNK_FILES, CHUNK_ROWS, CHUNK_BYTES = 500, 100_000, 8 << 20
"""How much is read at once; a larger file is read alone. Bytes are compressed ones."""

By = Literal["reason", "shard", "day", "hour"]


@dataclass(frozen=True)
class Filter:
    """Which quarantined records are meant: those that are all of what is given."""

    reason: str | None = None
    since: int | None = None
    """Arrived at or after this time, microseconds since 1970, UTC."""
    until: int | None = None
    """Arrived before this time."""
    shard: int | None = None
    position: int | None = None
    contains: bytes = b""
    """Bytes that the raw record holds."""

    @property
    def columns(self) -> list[str]:
        """What must be read of a file to tell."""
        return ["shard", "position", "arrived", "reason", *(["raw"] if self.contains else [])]

    def mask(self, found: pa.Table) -> pa.ChunkedArray | None:
        """Which rows are meant; None for all."""
        times = found["arrived"].cast(pa.int64())
        tests = [
            pc.equal(found[name], value) for name, value in
            (("reason", self.reason), ("shard", self.shard), ("position", self.position)) if value is not None
        ]
        if self.since is not None:
            tests.append(pc.greater_equal(times, self.since))
        if self.until is not None:
            tests.append(pc.less(times, self.until))
        if self.contains:
            tests.append(pc.match_substring(found["raw"], self.contains))
        for test in tests[1:]:
            tests[0] = pc.and_(tests[0], test)
        return tests[0] if tests else None


EVERY = Filter()


@dataclass(frozen=True)
class Count:
    """Records in quarantine of one reason, and of one group if they were grouped further."""

    reason: str
    group: str
    """The shard, the day or the hour (UTC); "" if only the reason counts."""
    records: int
    oldest: int
    """When the first of them arrived, microseconds since 1970, UTC."""
    newest: int


def to_table(rejected: Sequence[Rejected]) -> pa.Table:
    """Rejected records as a table of `SCHEMA`."""
    columns = zip(*rejected, strict=True) if rejected else [()] * len(SCHEMA)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def from_bytes(data: bytes) -> list[Rejected]:
    """Rejected records of one quarantine object."""
    found = _read(data, SCHEMA)
    return from_table(found.set_column(len(SCHEMA) - 1, "origin", found["origin"].fill_null("")))


def from_table(found: pa.Table) -> list[Rejected]:
    """The rows of a table of `SCHEMA`."""
    found = found.set_column(2, "arrived", found["arrived"].cast(pa.int64()))
    return [Rejected(*row) for row in zip(*(column.to_pylist() for column in found.columns), strict=True)]


def with_origins(run: Records, rejected: list[Rejected]) -> list[Rejected]:
    """The rejected records of a run: the lines of an import among them with what says how to read them."""
    return [
        record if record.raw == (whole := run.raw(record.position - run.first)) else record._replace(origin=read_origin(whole))
        for record in rejected
    ]


def search(
    catalog: Catalog, files: Files, table: str, wanted: Filter = EVERY, columns: Sequence[str] = tuple(SCHEMA.names)
) -> Iterator[pa.Table]:
    """Records in quarantine that nobody has dealt with, oldest file first: tables of some of the columns of `SCHEMA`.

    Reads no more than the columns that are asked for.
    """
    schema = pa.schema([field for field in SCHEMA if field.name in {*columns, *wanted.columns}])
    any_settled = bool(catalog.replays(table))
    for some in _chunks(catalog.quarantine(table)):
        found = _load(files, some, schema)
        mask = wanted.mask(found)
        if mask is not None:
            found = found.filter(mask)
        if len(found) and any_settled:
            places = list(zip(found["shard"].to_pylist(), found["position"].to_pylist(), strict=True))
            settled = catalog.replayed(table, places)
            found = found.filter(pa.array([place not in settled for place in places]))
        if len(found):
            yield found.select(list(columns))


def waiting(catalog: Catalog, files: Files, table: str, wanted: Filter = EVERY) -> Iterator[Rejected]:
    """Records in quarantine that nobody has dealt with, oldest file first."""
    for found in search(catalog, files, table, wanted):
        yield from from_table(found)


def read_all(catalog: Catalog, files: Files, table: str) -> Iterator[pa.Table]:
    """Every record that ever went to quarantine, dealt with or not: tables of `SCHEMA`."""
    for some in _chunks(catalog.quarantine(table)):
        yield _load(files, some, SCHEMA)


def count(catalog: Catalog, files: Files, table: str, wanted: Filter = EVERY, by: By = "reason") -> list[Count]:
    """How many records are in quarantine, by reason and `by`; the most frequent first."""
    parts = [_grouped(found, by) for found in search(catalog, files, table, wanted, wanted.columns)]
    if not parts:
        return []
    whole = pa.concat_tables(parts).group_by(["reason", "group"], use_threads=False).aggregate(
        [("records", "sum"), ("oldest", "min"), ("newest", "max")]
    ).rename_columns(["reason", "group", "records", "oldest", "newest"])
    return sorted((Count(**row) for row in whole.to_pylist()), key=lambda one: (-one.records, one.reason, one.group))


def _grouped(found: pa.Table, by: By) -> pa.Table:
    times = found["arrived"].cast(pa.int64())
    keys = pa.table({"reason": found["reason"], "group": _group(found, by), "time": times})
    made = keys.group_by(["reason", "group"], use_threads=False).aggregate([("time", "count"), ("time", "min"), ("time", "max")])
    return made.rename_columns(["reason", "group", "records", "oldest", "newest"])


def _group(found: pa.Table, by: By) -> Any:
    if by == "reason":
        return pa.repeat("", len(found))
    if by == "shard":
        return found["shard"].cast(pa.string())
    text = found["arrived"].cast(pa.timestamp("us")).cast(pa.string())
    return pc.utf8_slice_codeunits(text, 0, 10 if by == "day" else 13)


def _chunks(files: list[DataFile]) -> Iterator[list[DataFile]]:
    """Files that are read at once: many, but not more than memory holds."""
    some: list[DataFile] = []
    rows = size = 0
    for file in files:
        rows, size = rows + file.rows, size + file.bytes
        if some and (len(some) == CHUNK_FILES or rows > CHUNK_ROWS or size > CHUNK_BYTES):
            yield some
            some, rows, size = [], file.rows, file.bytes
        some.append(file)
    if some:
        yield some


def _load(files: Files, some: list[DataFile], schema: pa.Schema) -> pa.Table:
    locations = [location for file in some if (location := files.location(file.path)) is not None]
    if len(locations) == len(some):
        found = read_columns(locations, schema)
    else:
        found = pa.concat_tables([_read(files.get(file.path), schema) for file in some])
    if "origin" in schema.names and found["origin"].null_count:  # of the first version
        found = found.set_column(schema.names.index("origin"), "origin", found["origin"].fill_null(""))
    return found


def _read(data: bytes, schema: pa.Schema) -> pa.Table:
    # In this thread alone: one of Arrow's that lets go of Python's bytes while Python ends would abort the process.
    with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
        found = file.read([name for name in schema.names if name in file.schema_arrow.names], use_threads=False)
    for name in set(schema.names) - set(found.column_names):
        found = found.append_column(name, pa.nulls(len(found), schema.field(name).type))
    return found.select(schema.names).cast(schema)
