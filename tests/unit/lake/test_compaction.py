"""Compaction: the same rows in fewer files, whatever the format, and never a damaged or a half one."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from caudal.config import QueryConfig
from caudal.contract import Column, Partition
from caudal.lake.catalog import open_catalog
from caudal.lake.compaction import TIER, compact, plan
from caudal.lake.files import open_files
from caudal.lake.query.duckdb import DuckdbQuery
from caudal.testing.faults import Faulty
from caudal.testing.query_lake import EVERY_KIND, ORDER, VIEW, Lake
from caudal.verify import verify

FORMATS = [("parquet", ""), ("csv", ""), ("csv", "gzip"), ("csv", "zstd")]
each_format = pytest.mark.parametrize("format,compression", FORMATS)
TARGET = 1 << 20


@pytest.fixture
def lake():
    return Lake(open_catalog("memory:", "shop"), open_files("memory:"))


@pytest.fixture
def query(lake):
    query = DuckdbQuery(lake.catalog, lake.files, QueryConfig(memory_mb=256, threads=1))
    yield query
    query.close()


def rows_of_every_kind(chance, n):
    texts = [None, "", "a,b", 'q"uo"te', "line\nend", "\r\n", " pad ", "ünï", "NULL", "\\", "'", "x" * 3000]
    return [{
        "text": chance.choice(texts), "whole": chance.choice([None, 0, -2**63, 2**63 - 1]),
        "float": chance.choice([None, 0.1, -0.0, 1e300, 5e-324]), "truth": chance.choice([None, True, False]),
        "moment": chance.choice([None, datetime(1, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(microseconds=n)]),
        "raw": chance.choice([None, b"", b"\x00\xff", b",\n"]), "nested": chance.choice([None, '{"a":[1,"x\\n"]}']),
    } for n in range(n)]


def history(query, name="every_kind"):
    return query.execute(f"SELECT * FROM {name}_history ORDER BY _position").to_pylist()


@each_format
def test_the_rows_are_exactly_the_same(lake, query, format, compression):
    chance = random.Random(7)
    table = lake.declare(EVERY_KIND, format, compression)
    for n in (1, 40, 3, 0, 200):
        lake.add(table, rows_of_every_kind(chance, n))
    before = history(query)
    version = lake.catalog.snapshot("every_kind").version
    done = compact(lake.catalog, lake.files, table, TARGET)
    assert (done.files, done.into, done.problems) == (5, 1, [])
    assert history(query) == before
    now = lake.catalog.snapshot("every_kind")
    assert (now.version, len(now.files), now.files[0].rows) == (version + 1, 1, 244)
    assert query.execute("SELECT count(*) AS n FROM every_kind", versions={"every_kind": version}).to_pylist() == [{"n": 244}]
    assert verify(lake.catalog, lake.files).ok
    assert compact(lake.catalog, lake.files, table, TARGET).files == 0


@each_format
def test_files_of_the_target_size_stay_and_new_ones_reach_it(lake, query, format, compression):
    chance = random.Random(3)
    table = lake.declare(VIEW, format, compression)
    for _ in range(12):
        lake.add(table, [{"page": chance.randbytes(20).hex(), "visitor": "v"} for _ in range(100)])
    before, target = history(query, "page_view"), 3 * lake.catalog.snapshot("page_view").files[0].bytes
    compact(lake.catalog, lake.files, table, target)
    sizes = [file.bytes for file in lake.catalog.snapshot("page_view").files]
    assert 2 <= len(sizes) <= 4
    assert sum(size < target for size in sizes) <= 1  # what was left over
    assert history(query, "page_view") == before
    large = {file.path for file in lake.catalog.snapshot("page_view").files if file.bytes >= target}
    lake.add(table, [{"page": "/"}])
    lake.add(table, [{"page": "/"}])
    compact(lake.catalog, lake.files, table, target)
    assert large <= {file.path for file in lake.catalog.snapshot("page_view").files}


@each_format
def test_files_with_other_columns_are_merged_apart(lake, query, format, compression):
    table = lake.declare(VIEW, format, compression)
    lake.add(table, [{"page": "/a"}])
    lake.add(table, [{"page": "/b"}])
    wider = lake.declare(replace(VIEW, columns=(*VIEW.columns, Column("coupon", "string", nullable=True))), format, compression)
    lake.add(wider, [{"page": "/c", "coupon": "X"}])
    lake.add(wider, [{"page": "/d", "coupon": ""}])
    before = history(query, "page_view")
    assert compact(lake.catalog, lake.files, wider, TARGET).into == 2
    assert history(query, "page_view") == before
    assert [row["coupon"] for row in before] == [None, None, "X", ""]
    assert compact(lake.catalog, lake.files, wider, TARGET).files == 0  # one of each kind is left


def test_compression_may_change_and_old_files_take_the_new_one(lake, query):
    table = lake.declare(VIEW, "csv", "gzip")
    lake.add(table, [{"page": "/a"}])
    table = lake.declare(VIEW, "csv", "zstd")
    lake.add(table, [{"page": "/b"}])
    before = history(query, "page_view")
    compact(lake.catalog, lake.files, table, TARGET)
    assert [file.path[-8:] for file in lake.catalog.snapshot("page_view").files] == [".csv.zst"]
    assert history(query, "page_view") == before


def test_partitions_are_not_mixed(lake):
    table = lake.declare(replace(VIEW, partition=(Partition("page", "identity"),)))
    for _ in range(6):
        lake.add(table, [{"page": "/"}])
    files = [replace(file, partition=(("page", str(n % 2)),)) for n, file in enumerate(lake.catalog.snapshot("page_view").files)]
    runs = plan(replace(lake.catalog.snapshot("page_view"), files=tuple(files)), TARGET, all_small=True)
    assert [[file.partition[0][1] for file in run] for run in runs] == [["0"] * 3, ["1"] * 3]
    assert [file.path for run in runs for file in run] == [file.path for file in files[::2] + files[1::2]]


def test_by_itself_files_are_left_to_gather_by_size(lake):
    table = lake.declare(VIEW)
    for _ in range(TIER - 1):
        lake.add(table, [{"page": "/"}])
    assert plan(lake.catalog.snapshot("page_view"), TARGET, all_small=False) == []
    lake.add(table, [{"page": f"{n * 7919 % 60_013}"} for n in range(60_000)])
    assert plan(lake.catalog.snapshot("page_view"), TARGET, all_small=False) == []
    lake.add(table, [{"page": "/"}])
    (run,) = plan(lake.catalog.snapshot("page_view"), TARGET, all_small=False)
    assert len(run) == TIER
    assert max(file.bytes for file in run) < 10_000


def test_a_damaged_file_is_told_of_and_never_merged(lake):
    table = lake.declare(VIEW)
    for _ in range(3):
        lake.add(table, [{"page": "/"}])
    file = lake.catalog.snapshot("page_view").files[1]
    data = lake.files.get(file.path)
    lake.files.delete(file.path)
    lake.files.put(file.path, data[:-1])
    before = lake.catalog.snapshot("page_view")
    done = compact(lake.catalog, lake.files, table, TARGET)
    assert done.problems == [f"page_view: {file.path} is not as it was committed"]
    assert lake.catalog.snapshot("page_view") == before
    assert len(list(lake.files.list())) == 3


def test_of_two_compactions_at_once_one_wins_and_the_other_leaves_nothing(lake):
    table = lake.declare(ORDER)
    for n in range(4):
        lake.add(table, [{"id": f"o{n}", "quantity": n}])
    slow = Faulty(lake.catalog)
    slow.on("rewrite", "before", lambda: compact(lake.catalog, lake.files, table, TARGET))
    assert compact(slow, lake.files, table, TARGET).files == 0
    now = lake.catalog.snapshot("shop_order")
    assert (now.version, len(now.files), now.files[0].rows) == (5, 1, 4)
    assert len(list(lake.files.list())) == 5


def test_a_compaction_that_fails_leaves_the_table_as_it_was(lake):
    table = lake.declare(ORDER)
    for n in range(4):
        lake.add(table, [{"id": f"o{n}", "quantity": n}])
    before, broken = lake.catalog.snapshot("shop_order"), Faulty(lake.files)
    broken.on("put", "before")
    done = compact(lake.catalog, broken, table, TARGET)
    assert (done.files, done.problems) == (0, ["shop_order: a fault on purpose"])
    assert lake.catalog.snapshot("shop_order") == before
