"""Iceberg tables that Athena shares with other engines: writers at once, their deletes, their types."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
)
from pyiceberg.schema import Schema
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.typedef import Record
from pyiceberg.types import FixedType, LongType, NestedField, TimestamptzType, TimeType, UUIDType

from tests.unit.gateway.athena_iceberg.tables import make, pyiceberg

pytestmark = pytest.mark.slow


def test_statements_at_once_lose_nothing(sql):
    make(sql, "counted", "id int, n int")
    sql.run("INSERT INTO counted VALUES (1, 0)")
    other = pyiceberg(sql)

    def append(n):
        while True:
            try:
                other.load_table("db.counted").append(pa.table({"id": pa.array([n + 100], pa.int32()), "n": pa.array([0], pa.int32())}))
                return
            except CommitFailedException:
                pass

    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(sql.run, "UPDATE counted SET n = n + 1 WHERE id = 1") for _ in range(4)]
        done += [threads.submit(sql.run, f"INSERT INTO counted VALUES ({n}, 0)") for n in range(2, 4)]
        done += [threads.submit(append, n) for n in range(2)]
        for one in done:
            one.result()
    assert sql.rows("SELECT id, n FROM counted ORDER BY id") == [["1", "4"], ["2", "0"], ["3", "0"], ["100", "0"], ["101", "0"]]


class _DeletesWriter(ManifestWriterV2):
    def content(self):
        return ManifestContent.DELETES


class _Deletes(_FastAppendFiles):
    """What an engine that merges on read commits: a file of positions of deleted rows."""

    def _manifests(self):
        with _DeletesWriter(self.spec(0), self.schema(), self.new_manifest_output(), self._snapshot_id, "null") as writer:
            for file in self._added_data_files:
                writer.add(ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=self._snapshot_id,
                                                   sequence_number=None, file_sequence_number=None, data_file=file))
        return [writer.to_manifest_file(), *self._existing_manifests()]


def delete_positions(sql, name, positions):
    table = pyiceberg(sql).load_table(f"db.{name}")
    file = next(iter(table.scan().plan_files())).file
    path = f"s3://data/{name}/data/deletes.parquet"
    out = pa.BufferOutputStream()
    kinds = pa.schema([pa.field("file_path", pa.string(), metadata={"PARQUET:field_id": "2147483546"}),
                       pa.field("pos", pa.int64(), metadata={"PARQUET:field_id": "2147483545"})])
    pq.write_table(pa.table([[file.file_path] * len(positions), positions], schema=kinds), out)
    sql.put(f"{name}/data/deletes.parquet", out.getvalue().to_pybytes())
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES, file_path=path, file_format=FileFormat.PARQUET, partition=Record(),
        record_count=len(positions), file_size_in_bytes=out.tell() if not out.closed else 1, spec_id=0)
    deletes.spec_id = 0
    with table.transaction() as tx:
        producer = tx.update_snapshot().fast_append()
        producer.__class__ = _Deletes
        with producer:
            producer.append_data_file(deletes)


def test_deletes_of_other_engines_are_read_and_packed_away(sql):
    make(sql, "merged", "id int", optimize_rewrite_delete_file_threshold=1)
    sql.run("INSERT INTO merged VALUES (0), (1), (2), (3)")
    delete_positions(sql, "merged", [1, 3])
    assert sql.rows("SELECT id FROM merged ORDER BY id") == [["0"], ["2"]]
    sql.run("UPDATE merged SET id = id + 10 WHERE id = 2")
    assert sql.rows("SELECT id FROM merged ORDER BY id") == [["0"], ["12"]]
    sql.run("DROP TABLE merged")
    make(sql, "merged", "id int", optimize_rewrite_delete_file_threshold=1)
    sql.run("INSERT INTO merged VALUES (0), (1), (2), (3)")
    delete_positions(sql, "merged", [0])
    sql.run("OPTIMIZE merged REWRITE DATA USING BIN_PACK")
    assert sql.rows('SELECT record_count FROM "merged$files" WHERE content = 0') == [["3"]]
    assert sql.rows("SELECT count(*) FROM merged") == [["3"]]


def test_every_type_goes_in_and_comes_out(sql):
    sql.run("""CREATE TABLE nested WITH (table_type = 'ICEBERG') AS SELECT ARRAY[TIMESTAMP '2026-01-01 00:00:00.123456'] AS l,
        MAP(ARRAY['k'], ARRAY[TIMESTAMP '2026-01-01 00:00:00']) AS m, CAST(ROW(TIMESTAMP '2026-01-01 00:00:00', 1) AS ROW(a timestamp, b integer)) AS r,
        X'01' AS bin, true AS ok, REAL '1.5' AS f, 1e0 AS d, CAST(1 AS smallint) AS sm""")
    sql.run("UPDATE nested SET ok = false")
    assert sql.rows("SELECT * FROM nested") == [[
        "[2026-01-01 00:00:00.123456]", "{k=2026-01-01 00:00:00.000000}", "{a=2026-01-01 00:00:00.000000, b=1}", "01", "false", "1.5", "1.0", "1"]]
    make(sql, "declared", "l array<timestamp>, r struct<a:timestamp,b:int>")
    sql.run("INSERT INTO declared SELECT l, r FROM nested")
    assert sql.rows("SELECT l[1], r.a FROM declared") == [["2026-01-01 00:00:00.123456", "2026-01-01 00:00:00.000000"]]
    kinds = {"u": UUIDType(), "t": TimeType(), "f": FixedType(2), "z": TimestamptzType()}
    fields = [NestedField(n, name, kind) for n, (name, kind) in enumerate(kinds.items(), 1)]
    other = pyiceberg(sql).create_table("db.others", Schema(*fields, NestedField(5, "req", LongType(), required=True)), "s3://data/others")
    other.append(pa.table([[UUID(int=5).bytes], [time(1, 2, 3)], [b"ab"], [datetime(2026, 1, 1, tzinfo=UTC)], [1]], pa.schema([
        ("u", pa.binary(16)), ("t", pa.time64("us")), ("f", pa.binary(2)), ("z", pa.timestamp("us", "UTC")), pa.field("req", pa.int64(), False)])))
    sql.run("UPDATE others SET req = 2")
    assert sql.rows("SELECT * FROM others") == [["00000000-0000-0000-0000-000000000005", "01:02:03", "61 62", "2026-01-01 00:00:00.000000", "2"]]
    for text in "UPDATE others SET req = NULL", "INSERT INTO others (z) VALUES (NULL)":
        assert sql.fails(text).startswith("CONSTRAINT_VIOLATION: NULL value not allowed for NOT NULL column req")
