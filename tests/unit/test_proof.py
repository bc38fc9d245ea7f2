"""`verify --deep` finds what counting alone does not: another record's row, a base beside the truth, a lost old version."""

import hashlib
import io
from contextlib import ExitStack, closing

import apsw
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caudal.config import QueryConfig
from caudal.contract import Delivery
from caudal.ingest.transform import open_transform
from caudal.ingest.writer.replay import replay
from caudal.lake.compaction import compact
from caudal.lake.current import make_base
from caudal.lake.expiry import expire
from caudal.lake.query import open_query
from caudal.proof import prove
from caudal.testing.writer_lake import WriterLake


class Lake(WriterLake):
    """A lake that can be tampered with."""

    def problems(self):
        return prove(self.catalog, self.files, self.stream).problems

    def change_catalog(self, sql, *values):
        with apsw.Connection(f"{self.config.folder}/catalog.db") as db:
            db.execute(sql, values)

    def rewrite(self, file, table):
        """Put other rows where a file was, and make the catalog believe them."""
        out = io.BytesIO()
        pq.write_table(table, out)
        self.files.delete(file.path)
        self.files.put(file.path, out.getvalue())
        digest = hashlib.blake2b(out.getvalue(), digest_size=16).hexdigest()
        self.change_catalog("UPDATE data_file SET bytes = ?, checksum = ?, row_count = ? WHERE path = ?",
                            len(out.getvalue()), digest, len(table), file.path)

    def read(self, file):
        return pq.read_table(io.BytesIO(self.files.get(file.path)))

    def make_base(self):
        query = open_query("duckdb:", self.catalog, self.files, QueryConfig(memory_mb=256, threads=1))
        assert make_base(self.catalog, self.files, query, "shop", self.catalog.snapshot("sale"))
        query.close()


@pytest.fixture
def lake(tmp_path):
    with ExitStack() as opened:
        yield lambda delivery=None, **more: opened.enter_context(closing(Lake(tmp_path, "inprocess:", delivery, **more)))


@pytest.fixture
def full(lake):
    """Ten sales in two files of one shard, two records in quarantine, merged, with a base, and one more file since."""
    made = lake(shards=1)
    writer = made.writer()
    for start in (0, 5):
        made.put(*range(start, start + 5))
        made.append([(b"x", b"oops")])
        writer.flush()
    compact(made.catalog, made.files, made.lake_table, 1 << 20)
    made.make_base()
    made.put(2, 20)
    writer.flush()
    writer.close()
    assert made.problems() == []
    return made


def replaced(table, name, index, value):
    values = table[name].to_pylist()
    values[index] = value
    return table.set_column(table.column_names.index(name), name, pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize("delivery", [Delivery("csv"), Delivery("csv", compression="gzip"), Delivery("csv", compression="zstd"), Delivery()])
def test_a_lake_that_was_looked_after_is_found_whole(lake, delivery):
    delivery = Delivery(delivery.format, delivery.compression, buffer_seconds=0, transform=lambda item: [item] if item["count"] % 3 else None)
    made = lake(delivery, shards=3)
    writer = made.writer()
    for n in range(6):
        made.put(*range(10 * n, 10 * n + 10), note="two\nlines")
        made.append([(b"x", b"oops")])
        writer.flush()
    assert made.problems() == []
    made.make_base()
    compact(made.catalog, made.files, made.lake_table, 1 << 20)
    assert made.problems() == []
    expire(made.catalog, made.files, "sale", 1, 1 << 60)
    assert made.problems() == []
    made.put(1, 2, 3)
    writer.flush()
    made.stream.trim("sale", made.catalog.snapshot("sale").positions)
    assert made.problems() == []
    writer.close()


def test_replayed_records_are_found_where_they_went(lake):
    made = lake(Delivery(buffer_seconds=0, transform=lambda item: 1 // 0))
    made.put(*range(5))
    made.writer().flush()
    transform = open_transform("inprocess:", made.table.contract, made.lake_table.contract, None)
    replay(made.catalog, made.files, "shop", made.lake_table, transform)
    assert made.problems() == []


def test_a_row_of_another_record_is_found(full):
    file = full.catalog.snapshot("sale").files[0]
    full.rewrite(file, replaced(full.read(file), "_event_id", 3, "another"))
    assert full.problems() == ["sale, shard 0: 1 rows are not of the record at their position, first position 3"]


def test_a_lost_record_behind_a_stray_row_is_found(full):
    """The count is right, for a row stands at a position that the stream never gave."""
    file = full.catalog.snapshot("sale").files[0]
    full.rewrite(file, replaced(full.read(file), "_position", 3, 14))
    full.change_catalog("UPDATE position SET offset = 15")
    full.change_catalog("UPDATE snapshot SET until = '{\"0\":15}' WHERE until = '{\"0\":14}'")
    full.change_catalog("UPDATE total SET dropped_by_shard = '{\"0\":1}'")
    problems = full.problems()
    assert problems == [
        "sale, shard 0: the lake is at position 15, and its stream ends at 14",
        "sale, shard 0: 1 rows of its base are not in its history, first position 3",
    ]


def test_a_row_that_is_twice_in_one_file_is_found(full):
    file = full.catalog.snapshot("sale").files[0]
    table = full.read(file)
    full.rewrite(file, pa.concat_tables([table, table.slice(2, 1)]))
    assert full.problems() == ["sale: its files have 13 rows, and 12 were committed"]


def test_a_base_with_a_key_too_many_too_few_or_twice_is_found(full):
    file = full.catalog.snapshot("sale").base.files[0]
    table = full.read(file)
    full.rewrite(file, table.slice(1))
    assert full.problems() == ["sale: its base has 9 keys, and its history 10 up to then"]
    full.rewrite(file, pa.concat_tables([table.slice(1), table.slice(1, 1)]))
    assert full.problems() == ["sale: 1 keys are in its base twice"]
    full.rewrite(file, replaced(table, "_position", 0, 99))
    assert full.problems() == ["sale, shard 0: 1 rows of its base are not in its history, first position 99"]


def test_a_lost_file_of_an_older_version_is_found(full):
    now = {file.path for file in full.catalog.snapshot("sale").files}
    old = next(file for file in full.catalog.snapshot("sale", 1).files if file.path not in now)
    full.files.delete(old.path)
    assert full.problems() == [f"sale: no object {old.path}"]
    expire(full.catalog, full.files, "sale", 1, 1 << 60)
    assert full.problems() == []


def test_a_damaged_base_is_found(full):
    file = full.catalog.snapshot("sale").base.files[0]
    data = full.files.get(file.path)
    full.files.delete(file.path)
    full.files.put(file.path, data[:-1])
    assert full.problems()[0].startswith(f"sale: {file.path} is not as it was committed")
