"""`verify` finds what is wrong with a lake, whatever did it: each test tampers with real files or a real catalog."""

import hashlib
import io
from contextlib import ExitStack, closing
from dataclasses import replace

import apsw
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caudal.contract import Delivery, identity
from caudal.errors import CaudalError
from caudal.ingest.transform import open_transform
from caudal.ingest.writer.quarantine import EVERY, Filter
from caudal.ingest.writer.replay import discard, replay
from caudal.lake.catalog import open_catalog
from caudal.lake.compaction import compact
from caudal.lake.files import open_files
from caudal.testing.writer_lake import WriterLake
from caudal.verify import verify


class Lake(WriterLake):
    """A lake that can be tampered with."""

    def problems(self):
        return verify(self.catalog, self.files, self.stream, "shop").problems

    def data_files(self):
        return self.catalog.snapshot("sale").files

    def change_catalog(self, sql, *values):
        with apsw.Connection(f"{self.config.folder}/catalog.db") as db:
            db.execute(sql, values)

    def rewrite(self, file, data):
        """Put other bytes where a data file was, and make the catalog believe them."""
        self.files.delete(file.path)
        self.files.put(file.path, data)
        self.change_catalog("UPDATE data_file SET bytes = ?, checksum = ? WHERE path = ?", len(data), digest(data), file.path)


def digest(data):
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def as_parquet(rows):
    out = io.BytesIO()
    pq.write_table(rows, out)
    return out.getvalue()


@pytest.fixture
def lake(tmp_path):
    with ExitStack() as opened:
        yield lambda delivery=None, **more: opened.enter_context(closing(Lake(tmp_path, "inprocess:", delivery, **more)))


@pytest.fixture
def full(lake):
    """Ten sales in two files of one shard, and two records in quarantine."""
    made = lake(shards=1)
    writer = made.writer()
    for start in (0, 5):
        made.put(*range(start, start + 5))
        made.append([(b"x", b"oops")])
        writer.flush()
    writer.close()
    assert made.problems() == []
    return made


@pytest.mark.parametrize("delivery", [
    Delivery("csv"), Delivery("csv", compression="gzip"), Delivery("csv", compression="zstd"), Delivery("parquet"),
])
def test_a_lake_as_it_was_written_is_found_whole(lake, delivery):
    made = lake(replace(delivery, buffer_seconds=0, transform=lambda item: [item, item] if item["count"] % 3 else None), shards=3)
    made.put(*range(30), note="two\nlines")
    made.put(31, note="x" * (2 << 20))
    made.append([(b"x", b"oops")])
    made.writer().flush()
    found = verify(made.catalog, made.files)
    assert found.ok
    assert sum(shard.read for shard in found.shards) == 32
    assert sum(shard.delivered for shard in found.shards) == 21
    assert sum(shard.dropped for shard in found.shards) == 10
    assert sum(shard.quarantined for shard in found.shards) == 1
    assert sum(shard.rows for shard in found.shards) == 42


def test_a_table_without_commits_is_whole(lake):
    assert lake().problems() == []


def test_a_lost_row_is_found_with_its_position(full):
    file = full.data_files()[0]
    full.rewrite(file, as_parquet(pq.read_table(io.BytesIO(full.files.get(file.path))).slice(1)))
    full.change_catalog("UPDATE data_file SET row_count = row_count - 1 WHERE path = ?", file.path)
    assert full.problems() == [
        "sale, shard 0: read 12 records, and 9 delivered + 0 dropped + 2 quarantined = 11: 1 too few, first position 0",
    ]


def test_rows_that_are_fewer_than_were_committed_are_found(full):
    file = full.data_files()[0]
    full.rewrite(file, as_parquet(pq.read_table(io.BytesIO(full.files.get(file.path))).slice(1)))
    assert full.problems()[0] == f"sale: {file.path} has 4 rows, and was committed with 5"


def test_a_file_forgotten_by_the_catalog_is_found(full):
    full.change_catalog("DELETE FROM data_file WHERE path = ?", full.data_files()[1].path)
    assert full.problems() == [
        "sale, shard 0: read 12 records, and 5 delivered + 0 dropped + 2 quarantined = 7: 5 too few, first position 6",
    ]


def test_a_doubled_file_is_found(full):
    file = full.data_files()[0]
    full.files.put(f"{file.path}.copy", full.files.get(file.path))
    full.change_catalog(
        "INSERT INTO data_file (kind, added, path, partition, row_count, bytes, checksum)"
        " SELECT kind, added, path || '.copy', partition, row_count, bytes, checksum FROM data_file WHERE path = ?", file.path,
    )
    newest = "SELECT max(id) + 1 FROM data_file WHERE path NOT LIKE '%.copy'"
    full.change_catalog(f"UPDATE data_file SET id = ({newest}) WHERE path LIKE '%.copy'")
    assert full.problems() == ["sale, shard 0: 5 records are in two files, first position 0"]


def test_a_damaged_file_is_found(full):
    file = full.data_files()[0]
    data = bytearray(full.files.get(file.path))
    data[40] ^= 1
    full.files.delete(file.path)
    full.files.put(file.path, bytes(data))
    problems = full.problems()
    assert problems[0] == f"sale: {file.path} is not as it was committed: {len(data)} bytes, {len(data)} expected"
    assert "5 too few" in problems[1]


def test_a_file_that_is_no_parquet_is_found(full):
    file = full.data_files()[0]
    full.rewrite(file, b"not parquet")
    assert full.problems()[0].startswith(f"sale: {file.path} cannot be read: ")


def test_a_missing_file_is_found(full):
    file = full.data_files()[1]
    full.files.delete(file.path)
    problems = full.problems()
    assert file.path in problems[0]
    assert "5 too few, first position 6" in problems[1]


def test_a_missing_quarantine_file_is_found(full):
    file = full.catalog.quarantine("sale")[0]
    full.files.delete(file.path)
    problems = full.problems()
    assert file.path in problems[0]
    assert "1 too few, first position 5" in problems[1]


def test_a_row_past_the_position_is_found(full):
    full.change_catalog("UPDATE snapshot SET until = '{\"0\":11}' WHERE until = '{\"0\":12}'")
    full.change_catalog("UPDATE position SET offset = 11")
    assert full.problems() == [
        "sale, shard 0: read 11 records, and 10 delivered + 0 dropped + 2 quarantined = 12: 1 too many",
    ]
    file = full.data_files()[0]
    rows = pq.read_table(io.BytesIO(full.files.get(file.path)))
    moved = rows.set_column(rows.column_names.index("_position"), "_position", pa.array([50, 1, 2, 3, 4]))
    full.rewrite(file, as_parquet(moved))
    assert "sale, shard 0: 1 records lie past the committed position 11" in full.problems()


def test_a_record_both_delivered_and_quarantined_is_found(full):
    file = full.data_files()[0]
    rows = pq.read_table(io.BytesIO(full.files.get(file.path)))
    full.rewrite(file, as_parquet(rows.set_column(rows.column_names.index("_position"), "_position", pa.array([5, 1, 2, 3, 4]))))
    assert "sale, shard 0: 1 records are delivered and quarantined, first position 5" in full.problems()


def test_a_record_whose_rows_lie_in_several_partitions_is_in_none_twice(lake):
    def both(item):
        return [item, {**item, "channel": "shop"}]

    made = lake(Delivery(buffer_seconds=0, transform=both), partition=identity("channel"))
    made.put(*range(5))
    made.writer().flush()
    assert len(made.data_files()) == 2
    assert made.problems() == []


def test_a_replayed_record_is_counted_where_it_went(lake):
    made = lake(Delivery(buffer_seconds=0, transform=lambda item: 1 // 0))
    made.put(*range(5))
    made.writer().flush()
    assert sum(shard.quarantined for shard in verify(made.catalog, made.files).shards) == 5
    transform = open_transform("inprocess:", made.table.contract, made.lake_table.contract, None)
    replay(made.catalog, made.files, "shop", made.lake_table, transform)
    found = verify(made.catalog, made.files)
    assert found.ok
    assert sum(shard.delivered for shard in found.shards) == 5
    assert sum(shard.quarantined for shard in found.shards) == 0


def test_what_a_failed_commit_left_behind_is_no_problem(full):
    full.put(20)
    full.catalog.on("commit", "before")
    with pytest.raises(Exception, match="a fault on purpose"):
        full.writer().flush()
    assert full.problems() == []


def test_what_left_the_stream_before_it_was_delivered_is_missed(lake):
    made = lake(shards=1)
    for n in range(4):
        made.put(n)
    made.stream.trim("sale", {0: 3})
    assert made.problems() == ["sale, shard 0: records 0 to 2 left the stream before they were delivered"]
    assert [(shard.read, shard.waiting) for shard in verify(made.catalog, made.files, made.stream).shards] == [(0, 4)]


@pytest.fixture
def lose_catalog(full, tmp_path):
    """What is found once the catalog's file has gone and a new one is there, with or without its tables."""
    def lose(declared):
        full.close()
        (tmp_path / "catalog.db").unlink()
        catalog, files = open_catalog(full.config.url("catalog"), "shop"), open_files(full.config.url("files"))
        if declared:
            catalog.declare(full.lake_table)
        problems = verify(catalog, files, None, "shop").problems
        catalog.close()
        return problems

    return lose


@pytest.mark.parametrize("declared,told", [
    (False, "4 objects in the lake, and the catalog has no such table"),
    (True, "4 objects in the lake are of a catalog that had more commits than this one"),
])
def test_a_lost_catalog_is_missed(lose_catalog, declared, told):
    (problem,) = lose_catalog(declared)
    assert problem.startswith(f"sale: {told}: was it lost, or is it an older copy?, first object ")


def test_a_lost_catalog_is_missed_though_all_files_were_merged(full, lose_catalog):
    compact(full.catalog, full.files, full.lake_table, 1 << 20, True)
    assert full.problems() == []
    for info in list(full.files.list("lake/")):
        if "part-000000-" not in info.path:
            full.files.delete(info.path)  # as an expiry does
    for info in list(full.files.list("quarantine/")):
        full.files.delete(info.path)
    assert len(list(full.files.list())) > 0
    assert "of a catalog that had more commits" in lose_catalog(True)[0]


def test_a_new_catalog_that_has_begun_to_deliver_again_does_not_hide_it(full, tmp_path):
    full.close()
    (tmp_path / "catalog.db").unlink()
    with closing(Lake(tmp_path, "inprocess:", shards=1)) as again:
        again.change_catalog("UPDATE lake_table SET epoch = 0")
        for file in list(again.files.list("lake/")):  # of a later epoch than any that the new one has had
            again.files.put(file.path.replace("part-000001", "part-000031"), again.files.get(file.path))
            again.files.delete(file.path)
        again.writer().flush()
        assert len(again.problems()) == 1
        assert "of a catalog that had more commits" in again.problems()[0]


def test_what_a_killed_writer_a_merge_and_an_expiry_leave_is_not_strange(full):
    full.put(20)
    full.catalog.on("commit", "before")
    with pytest.raises(CaudalError):
        full.writer().flush()
    full.catalog.on("rewrite", "before")
    with pytest.raises(CaudalError):
        compact(full.catalog, full.files, full.lake_table, 1 << 20, True)
    assert len(list(full.files.list("lake/"))) == 4
    assert full.problems() == []


@pytest.fixture
def worked_on(full):
    """Two records in quarantine, one delivered after an edit, one discarded."""
    transform = open_transform("inprocess:", full.table.contract, full.lake_table.contract, None)
    full.put(99)
    whole = full.stream.read("sale", 0, full.stream.now("sale")[0] - 1).raw(0)
    full.writer().flush()
    replay(full.catalog, full.files, "shop", full.lake_table, transform, Filter(position=5), edit=lambda record: whole)
    discard(full.catalog, full.files, "shop", full.lake_table, EVERY, "of no use")
    assert full.problems() == []
    assert len(full.catalog.audit("sale")) == 2
    return full


def test_a_damaged_audit_file_is_found(worked_on):
    file = worked_on.catalog.audit("sale")[0]
    data = worked_on.files.get(file.path)
    worked_on.files.delete(file.path)
    worked_on.files.put(file.path, data[:-1])
    assert f"{file.path} is not as it was committed" in worked_on.problems()[0]


def test_a_lost_audit_file_is_found(worked_on):
    file = worked_on.catalog.audit("sale")[1]
    worked_on.files.delete(file.path)
    problems = worked_on.problems()
    assert file.path in problems[0]
    assert problems[1] == "sale, shard 0: 1 discarded records are in no audit file, first position 11"


def test_an_audit_file_that_says_something_else_is_found(worked_on):
    edited, discarded = worked_on.catalog.audit("sale")
    for file, column, values in ((discarded, "outcome", ["delivered"]), (edited, "original", [b"other"])):
        rows = pq.read_table(io.BytesIO(worked_on.files.get(file.path)))
        index = rows.column_names.index(column)
        worked_on.rewrite(file, as_parquet(rows.set_column(index, column, pa.array(values, rows.schema.field(column).type))))
    problems = worked_on.problems()
    assert problems == [
        f"sale, shard 0: {edited.path} has other bytes for the record at position 5 than its quarantine",
        f"sale, shard 0: the record at position 11 was delivered by {discarded.path}, and is discarded by the catalog",
    ]
