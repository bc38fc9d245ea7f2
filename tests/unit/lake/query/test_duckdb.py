"""DuckDB as the engine: what is particular to it."""

import os

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from caudal.config import QueryConfig
from caudal.errors import BackendError, ConfigError, QueryError, Unavailable
from caudal.lake.catalog import open_catalog
from caudal.lake.catalog.memory import MemoryCatalog
from caudal.lake.files import open_files
from caudal.lake.query import open_query
from caudal.lake.query.duckdb import DuckdbQuery
from caudal.lake.query.messages import explained
from caudal.testing.query_lake import ORDER, VIEW, Lake


@pytest.fixture
def lake(tmp_path):
    return Lake(open_catalog("memory:", "shop"), open_files(f"file:{tmp_path}/it's a lake"))


@pytest.fixture
def query(lake):
    query = DuckdbQuery(lake.catalog, lake.files, QueryConfig(memory_mb=64, threads=1), database="shop")
    yield query
    query.close()


def test_its_url_names_no_place(lake):
    with pytest.raises(ConfigError):
        open_query("duckdb:/tmp/x.db", lake.catalog, lake.files, QueryConfig())


def test_a_folder_with_a_quote_in_its_name_is_read(lake, query):
    lake.add(lake.declare(ORDER), [{"id": "o1", "quantity": 1}])
    assert query.execute("SELECT id FROM shop.shop_order").to_pylist() == [{"id": "o1"}]
    assert query.execute("SELECT id FROM awsdatacatalog.shop.shop_order").num_rows == 1


@pytest.mark.slow
def test_too_little_memory_is_an_error_that_says_what_to_raise(query):
    with pytest.raises(QueryError, match="EXCEEDED_MEMORY_LIMIT") as caught:
        query.execute("SELECT cardinality(array_agg(n)) FROM t", tables={"t": pa.table({"n": np.arange(12_000_000)})})
    assert "memory_mb" in caught.value.hint
    assert query.execute("SELECT 1").num_rows == 1


@pytest.mark.parametrize("sql", [
    "SELECT sequence(1, 1000000000)", "SELECT sequence(9223372036854775807, -9223372036854775807)", "SELECT repeat('x', 1000000000)",
    "SELECT sequence(timestamp '2000-01-01 00:00:00', timestamp '2026-01-01 00:00:00', interval '1' second)",
])
def test_an_array_that_no_limit_holds_is_refused(query, sql):
    with pytest.raises(QueryError, match="more than 10000"):
        query.execute(sql)


def test_given_tables_need_no_catalog():
    class Closed(MemoryCatalog):
        def tables(self):
            raise AssertionError("asked")

        snapshot = tables

    query = DuckdbQuery(Closed(), open_files("memory:"), QueryConfig(memory_mb=64, threads=1))
    assert query.execute("SELECT n FROM sale", tables={"Sale": pa.table({"n": [1]})}).to_pylist() == [{"n": 1}]
    query.close()


def test_a_given_tables_schema_may_change_between_calls(query):
    for table, answer in ((pa.table({"n": [7]}), 3), (pa.table({"n": [7.0]}), 3.5), (pa.table({"n": [7]}), 3)):
        assert query.execute("SELECT n / 2 AS half FROM t", tables={"t": table}).to_pylist() == [{"half": answer}]


def test_large_given_tables_are_forgotten(query):
    query.execute("SELECT count(*) FROM t", tables={"t": pa.table({"n": range(100_000)})})
    assert query._idle[0]._known == {}


def test_a_file_that_is_gone_is_an_error_that_says_try_again(lake, query):
    lake.add(lake.declare(ORDER), [{"id": "o1", "quantity": 1}])
    query.execute("SELECT * FROM shop_order")
    for info in list(lake.files.list()):
        lake.files.delete(info.path)
    with pytest.raises(Unavailable):
        query.execute("SELECT * FROM shop_order")


def test_a_file_that_is_damaged_is_an_error_of_ours(lake, query):
    lake.add_bytes(lake.declare(ORDER), b"not parquet", 1)
    lake.add_bytes(lake.declare(VIEW, "csv"), b"\xff\xfe\n1\n", 1)
    for table in ("shop_order", "page_view"):
        with pytest.raises(BackendError, match="cannot be read"):
            query.execute(f"SELECT * FROM {table}")


def test_a_csv_line_that_does_not_fit_is_an_error_without_its_values(lake, query):
    table = lake.declare(VIEW, "csv")
    lake.add_bytes(table, b"page,visitor,_op,_reason,_event_time,_event_id,_shard,_position\n/,ann@example.org,event,,yesterday,e,0,0\n", 1)
    with pytest.raises(QueryError) as caught:
        query.execute("SELECT * FROM page_view")
    assert "CSV file" in str(caught.value)
    assert "example" not in f"{caught.value} {caught.value.hint}"


def test_closing_leaves_nothing_behind(lake):
    query = DuckdbQuery(open_catalog("memory:", "shop"), open_files("memory:"), QueryConfig(memory_mb=64))
    folder = query._scratch.folder
    assert folder.exists()
    assert folder.stat().st_mode & 0o777 == 0o700
    query.close()
    assert not folder.exists()


def test_an_error_of_a_kind_that_nobody_knew_is_a_back_ends_error():
    from caudal.lake.query.check import parse

    assert isinstance(explained(parse("SELECT 1"), duckdb.InternalException("INTERNAL Error: x")), BackendError)


def test_names_of_python_variables_are_not_tables(query):
    mine = pa.table({"n": [1]})
    with pytest.raises(QueryError, match="no table mine"):
        query.execute("SELECT * FROM mine")
    assert mine.num_rows == 1


def test_environment_is_out_of_reach(query):
    os.environ["CAUDAL_TEST_SECRET"] = "s3cret"
    try:
        with pytest.raises(QueryError):
            query.execute("SELECT getenv('CAUDAL_TEST_SECRET')")
    finally:
        del os.environ["CAUDAL_TEST_SECRET"]


def test_a_query_without_end_is_stopped(lake):
    query = DuckdbQuery(lake.catalog, lake.files, QueryConfig(memory_mb=256, threads=1, seconds=0.3))
    with pytest.raises(QueryError, match="EXCEEDED_TIME_LIMIT"):
        query.execute("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t")
    assert query.execute("SELECT 1 AS one")["one"].to_pylist() == [1]


def test_tables_may_be_called_by_their_databases_name(lake):
    query = open_query("duckdb:", lake.catalog, lake.files, QueryConfig(memory_mb=256), None, "Corner_Shop")
    lake.declare(ORDER)
    for name in ("corner_shop.shop_order", "CORNER_SHOP.shop_order", '"awsdatacatalog".corner_shop.shop_order'):
        assert query.execute(f"SELECT count(*) AS n FROM {name}")["n"].to_pylist() == [0]
    with pytest.raises(QueryError, match="no database other"):
        query.execute("SELECT * FROM other.shop_order")
