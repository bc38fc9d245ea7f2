"""PyIceberg over Glue and S3."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.types import StringType

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
