"""Iceberg tables of the Data Catalog, as Athena and Firehose change them: PyIceberg reads what came of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform
from pyiceberg.types import DecimalType, DoubleType, LongType, NestedField, StringType, TimestampType

from caudal.errors import AlreadyExists, DataError, NotFound, QueryError, UsageError
from caudal.gateway.iceberg.tables import Tables, fitted
from caudal.gateway.iceberg.upsert import upsert
from tests.unit.gateway.conftest import endpoint

pytestmark = pytest.mark.slow

SCHEMA = Schema(
    NestedField(1, "order_id", StringType()), NestedField(2, "qty", LongType()), NestedField(3, "price", DecimalType(10, 2)),
    NestedField(4, "ts", TimestampType()), NestedField(5, "share", DoubleType()))


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("iceberg")) as opened:
        opened.client("s3").create_bucket(Bucket="lake")
        opened.client("glue").create_database(DatabaseInput={"Name": "db"})
        yield opened


@pytest.fixture
def tables(aws):
    return aws.gateway._cloud.iceberg


@pytest.fixture
def make(tables):
    def make(name, spec=None):
        tables.create("db", name, SCHEMA, f"s3://lake/{name}/", **({"spec": spec} if spec else {}))
        return name
    return make


def foreign(aws):
    """Another client of the same Data Catalog."""
    access = {"region": "us-east-1", "access-key-id": "test", "secret-access-key": "test", "endpoint": aws.address}
    return load_catalog("other", type="glue", **{f"{service}.{k}": v for service in ("s3", "glue") for k, v in access.items()})


def rows(aws, name, *columns):
    found = foreign(aws).load_table(f"db.{name}").scan().to_arrow().select(columns or ["order_id", "qty"])
    return sorted(map(tuple, (row.values() for row in found.to_pylist())), key=str)


def some(ids, qty=1, **more):
    return pa.table({"order_id": pa.array(ids, pa.string()), "qty": pa.array([qty] * len(ids), pa.int64()), **more})


def keys(aws, name, folder="data"):
    found = aws.client("s3").list_objects_v2(Bucket="lake", Prefix=f"{name}/{folder}/")
    return sorted(each["Key"] for each in found.get("Contents", []))


def test_L05_writers_at_once_lose_nothing(aws, tables, make):
    name = make("l05")

    def append(n):
        if n % 2:
            tables.append("db", name, some([str(n)]))
            return
        while True:
            try:
                foreign(aws).load_table(f"db.{name}").append(some([str(n)]))
                return
            except CommitFailedException:
                time.sleep(0.05)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(append, range(16)))
    assert rows(aws, name) == sorted((str(n), 1) for n in range(16))


def test_a_replacement_is_made_again_when_another_came_first(aws, tables, make):
    name, tries = make("replaced"), []
    tables.append("db", name, some(["a", "b"]))

    def work(making):
        if not tries:
            foreign(aws).load_table(f"db.{name}").append(some(["c"]))
        tries.append(1)
        files = making.files()
        making.replace(pa.concat_tables([making.rows(file) for file in files]).slice(1), [file.file for file in files])
        return len(files)

    assert tables.change("db", name, work) == 2
    assert len(tries) == 2
    assert len(rows(aws, name)) == 2
    assert len(keys(aws, name)) == 3  # what the first try wrote is gone


def test_what_fails_leaves_nothing(aws, tables, make):
    name = make("failed")

    def work(making):
        making.replace(some(["a"]).append_column("price", pa.nulls(1, pa.decimal128(10, 2))))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tables.change("db", name, work)
    assert (rows(aws, name), keys(aws, name)) == ([], [])


def test_L10_what_is_asked_for_twice_is_done_once(aws, tables, make):
    name = make("l10")
    for _ in range(2):
        tables.append("db", name, some(["a"]), token="delivery-1")
        upsert(tables, "db", name, some(["b"]), ["order_id"], token="delivery-2")
    tables.append("db", name, some(["a"]), token="delivery-3")
    assert rows(aws, name) == [("a", 1), ("a", 1), ("b", 1)]


def test_L01_a_key_is_not_null(tables, make):
    name = make("l01")
    with pytest.raises(DataError, match="a key of order_id is NULL"):
        upsert(tables, "db", name, some([None, "a"]), ["order_id"])
    assert tables.load("db", name).current_snapshot() is None


def test_L02_the_last_row_of_a_key_counts(aws, tables, make):
    name = make("l02")
    upsert(tables, "db", name, pa.table({"order_id": ["o1", "o2", "o1"], "qty": [1, 5, 2]}), ["order_id"])
    assert rows(aws, name) == [("o1", 2), ("o2", 5)]


def test_L04_a_value_becomes_null(aws, tables, make):
    name = make("l04")
    tables.append("db", name, some(["o1", "o2"], 7))
    upsert(tables, "db", name, pa.table({"order_id": ["o1"], "qty": pa.array([None], pa.int64())}), ["order_id"])
    assert rows(aws, name) == [("o1", None), ("o2", 7)]


def test_L07_a_decimal_is_taken_when_it_fits(aws, tables, make):
    name = make("l07")

    def price(text):
        return pa.array([Decimal(text)], pa.decimal128(38, 2))

    tables.append("db", name, some(["a"], price=price("1.50")))
    with pytest.raises(pa.ArrowInvalid):
        tables.append("db", name, some(["a"], price=price("123456789.99")))
    assert rows(aws, name, "price") == [(Decimal("1.50"),)]


def test_L08_nanoseconds_are_cut(aws, tables, make):
    name = make("l08")
    tables.append("db", name, some(["a"], ts=pa.array([1767225600123456789], pa.timestamp("ns"))))
    assert rows(aws, name, "ts") == [(datetime(2026, 1, 1, 0, 0, 0, 123456),)]


def test_L11_a_key_moves_to_another_partition(aws, tables, make):
    name = make("l11", PartitionSpec(PartitionField(4, 1000, DayTransform(), "ts_day")))
    for day, qty in (1, 1), (2, 2):
        upsert(tables, "db", name, some(["k"], qty, ts=pa.array([datetime(2026, 1, day)], pa.timestamp("us"))), ["order_id"])
    assert rows(aws, name, "order_id", "qty", "ts") == [("k", 2, datetime(2026, 1, 2))]
    assert len(tables.load("db", name).inspect.partitions()) == 1


def test_L13_a_float_is_no_key(tables, make):
    name = make("l13")
    for column in "share", "nothing":
        with pytest.raises(UsageError, match=f"column {column} cannot be a unique key"):
            upsert(tables, "db", name, some(["a"]), [column])


def test_keys_are_deleted_and_files_without_them_stay(aws, tables, make):
    name = make("deleted")
    tables.append("db", name, some(["a", "b"]))
    tables.append("db", name, some(["c"]))
    before = keys(aws, name)
    upsert(tables, "db", name, some(["d"], 4), ["order_id"], deleted=pa.table({"order_id": ["a", "x"]}))
    assert rows(aws, name) == [("b", 1), ("c", 1), ("d", 4)]
    live = {file["file_path"].removeprefix("s3://lake/") for file in tables.load("db", name).inspect.files().to_pylist()}
    assert len(live & set(before)) == 1


def test_columns_are_added_and_old_rows_have_null(aws, tables, make):
    name = make("evolved")
    tables.append("db", name, some(["a"]))
    tables.evolve("db", name, pa.schema([("order_id", pa.string()), ("note", pa.string())]))
    tables.append("db", name, some(["b"], note=["x"]))
    assert rows(aws, name, "order_id", "note") == [("a", None), ("b", "x")]


def test_old_snapshots_and_files_nobody_names_go(aws, tables, make):
    name = make("expired")
    tables.append("db", name, some(["a"]))
    upsert(tables, "db", name, some(["a"], 2), ["order_id"])
    aws.client("s3").put_object(Bucket="lake", Key=f"{name}/data/left.parquet", Body=b"x")
    assert tables.expire("db", name, 1, 3600) == 0
    assert len(keys(aws, name)) == 3
    assert tables.expire("db", name, 1, 0) > 0
    assert len(tables.load("db", name).snapshots()) == 1
    assert tables.remove_orphans("db", name, 3600) == 0
    assert tables.remove_orphans("db", name, -60) > 0
    assert len(keys(aws, name)) == 1
    assert rows(aws, name) == [("a", 2)]
    tables.drop("db", name)
    assert keys(aws, name) + keys(aws, name, "metadata") == []


def test_what_is_there_or_not_is_said(aws, tables, make):
    name = make("there")
    with pytest.raises(AlreadyExists):
        make(name)
    with pytest.raises(NotFound):
        tables.load("db", "none")
    aws.client("glue").create_table(DatabaseName="db", TableInput={"Name": "plain", "Parameters": {}})
    with pytest.raises(NotFound, match=r"db\.plain is not an Iceberg table"):
        tables.load("db", "plain")


def test_a_table_reaches_nothing_but_s3(aws, tables, make, tmp_path):
    (tmp_path / "v1.metadata.json").write_text("{}")
    aws.client("glue").create_table(DatabaseName="db", TableInput={"Name": "local", "Parameters": {
        "table_type": "ICEBERG", "metadata_location": f"file://{tmp_path}/v1.metadata.json"}})
    with pytest.raises(QueryError, match="ICEBERG_FILESYSTEM_ERROR"):
        tables.load("db", "local")


def test_what_another_process_commits_meanwhile_is_seen_before_it_is_committed_upon(aws, tables, make):
    name, tries, other = make("raced"), [], Tables(aws.gateway._cloud)

    def work(making):
        tries.append(1)
        if len(tries) == 1:
            other.append("db", name, some(["a"]), token="delivery-1")
        making.replace(fitted(some(["a"]), making.table), note={"caudal.token": "delivery-1"})

    assert tables.change("db", name, work, token="delivery-1") is None
    assert (rows(aws, name), len(tries)) == ([("a", 1)], 1)


def test_a_dropped_table_leaves_the_files_of_one_that_lies_in_its_folder(aws, tables, make):
    name = make("shared")
    tables.append("db", name, some(["old"]))
    tables.rename("db", name, ("db", "shared_old"))
    make(name)
    tables.append("db", name, some(["new"]))
    assert tables.remove_orphans("db", name, -60) == 0
    tables.drop("db", "shared_old")
    assert rows(aws, name) == [("new", 1)]


def test_tables_are_in_one_folder_whatever_the_scheme_of_its_location(aws, tables, make):
    name = make("schemes")
    tables.append("db", name, some(["a"]))
    aws.client("glue").create_table(DatabaseName="db", TableInput={"Name": "beside", "StorageDescriptor": {"Location": "s3a://lake/schemes/data/"}})
    before = keys(aws, name)
    aws.client("s3").put_object(Bucket="lake", Key="schemes/data/theirs", Body=b"1")
    tables.drop("db", name)
    assert (len(before), keys(aws, name)) == (1, ["schemes/data/theirs"])


def test_a_table_by_two_names_keeps_its_files_when_one_is_dropped(aws, tables, make):
    name = make("twice")
    tables.append("db", name, some(["a"]))
    foreign(aws).register_table("db.once_more", tables.load("db", name).metadata_location)
    tables.drop("db", name)
    assert rows(aws, "once_more") == [("a", 1)]
