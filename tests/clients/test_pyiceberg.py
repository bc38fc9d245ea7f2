"""PyIceberg over Glue and S3."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import StringType

from tests.unit.gateway.test_athena import Sql

pytestmark = pytest.mark.slow

WRITERS = 32


@pytest.fixture
def open_catalog(clients):
    clients.aws.client("s3").create_bucket(Bucket="lake")
    access = {"region": "us-east-1", "access-key-id": "test", "secret-access-key": "test"}
    of = {f"{service}.{name}": value for service in ("s3", "glue") for name, value in {**access, "endpoint": clients.aws.address}.items()}
    return lambda: load_catalog("glue", type="glue", warehouse="s3://lake/warehouse", **of)


def test_appends_at_once_lose_no_row(open_catalog):
    catalog = open_catalog()
    catalog.create_namespace("market")
    catalog.create_table("market.sale", pa.schema([("id", pa.int64()), ("who", pa.string())]))

    def append(n):
        mine, tries = open_catalog(), 0
        while True:
            try:
                mine.load_table("market.sale").append(pa.table({"id": [n], "who": [f"user {n}"]}))
                return tries
            except CommitFailedException:  # another came first: Glue refuses the stale version
                tries += 1
                assert tries < 200

    with ThreadPoolExecutor(WRITERS) as threads:
        assert sum(threads.map(append, range(WRITERS))) > 0
    assert sorted(open_catalog().load_table("market.sale").scan().to_arrow()["id"].to_pylist()) == list(range(WRITERS))


def test_a_table_is_renamed_evolved_and_dropped(open_catalog):
    catalog = open_catalog()
    catalog.create_namespace("market", {"comment": "the shop's"})
    table = catalog.create_table("market.first", pa.schema([("id", pa.int64())]))
    table.append(pa.table({"id": [1]}))
    with table.update_schema() as update:
        update.add_column("who", StringType())
    catalog.rename_table("market.first", "market.second")
    assert catalog.list_tables("market") == [("market", "second")]
    assert catalog.load_table("market.second").scan().to_arrow().to_pylist() == [{"id": 1, "who": None}]
    catalog.drop_table("market.second")
    with pytest.raises(NoSuchTableError):
        catalog.load_table("market.second")
    catalog.drop_namespace("market")
    assert catalog.list_namespaces() == [("shop",)]  # the pipeline's own


def test_athena_reads_and_changes_what_pyiceberg_made(open_catalog, clients):
    catalog = open_catalog()
    catalog.create_namespace("market")
    columns = pa.schema([("Id", pa.int64()), ("who", pa.large_string()), ("at", pa.timestamp("us", "UTC")), ("tags", pa.list_(pa.string()))])
    table = catalog.create_table("market.sale", columns)
    with table.update_spec() as update:
        update.add_field("Id", BucketTransform(2), "shard")
    at = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
    table.append(pa.table({"Id": [1, 2], "who": ["ann", None], "at": [at, None], "tags": [["x"], []]}, columns))
    sql = Sql(clients.aws)
    assert sql.rows("SELECT id, who, at, tags FROM sale ORDER BY id", "market") == [
        ["1", "ann", "2026-01-31 12:00:00.123456", "[x]"], ["2", None, None, "[]"]]
    sql.run("UPDATE sale SET who = upper(who) WHERE id = 1", "market")
    sql.run("INSERT INTO sale (who, id) VALUES ('bob', 3)", "market")
    sql.run("DELETE FROM sale WHERE id = 2", "market")
    found = sorted(open_catalog().load_table("market.sale").scan().to_arrow().to_pylist(), key=lambda row: row["Id"])
    assert found == [{"Id": 1, "who": "ANN", "at": at, "tags": ["x"]}, {"Id": 3, "who": "bob", "at": None, "tags": None}]
    assert open_catalog().load_table("market.sale").spec() == PartitionSpec(PartitionField(1, 1000, BucketTransform(2), "shard"), spec_id=1)
