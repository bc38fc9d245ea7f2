"""Crawlers: real objects in S3 become tables, as boto3 sees them."""

import contextlib
import gzip
import io
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from caudal.gateway.glue.guess import guess, merged, type_of, wider
from tests.unit.gateway.conftest import endpoint

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::000000000000:role/r"


def parquet(**columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


class Lake:
    """A bucket, and a crawler over all of it."""

    def __init__(self, aws):
        self.s3, self.glue = aws.client("s3"), aws.client("glue")

    def put(self, **files):
        with contextlib.suppress(self.s3.exceptions.BucketAlreadyOwnedByYou):
            self.s3.create_bucket(Bucket="lake")
        for name, data in files.items():
            self.s3.put_object(Bucket="lake", Key=name, Body=data)

    def create(self, **more):
        given = {"Targets": {"S3Targets": [{"Path": "s3://lake/"}]}, "DatabaseName": "raw", "Role": ROLE, **more}
        self.glue.create_crawler(Name="c", **given)

    def crawl(self):
        self.glue.start_crawler(Name="c")
        until = time.monotonic() + 30
        while (crawler := self.glue.get_crawler(Name="c")["Crawler"])["State"] != "READY":
            assert time.monotonic() < until
            time.sleep(0.02)
        return crawler["LastCrawl"]

    def tables(self):
        return {table["Name"]: table for table in self.glue.get_tables(DatabaseName="raw")["TableList"]}

    def columns(self, name):
        return {column["Name"]: column["Type"] for column in self.tables()[name]["StorageDescriptor"]["Columns"]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("aws")) as opened:
        yield opened


@pytest.fixture
def lake(shared):
    lake = Lake(shared)
    yield lake
    for name in lake.glue.list_crawlers()["CrawlerNames"]:
        lake.glue.delete_crawler(Name=name)
    for name in {"raw"} & {database["Name"] for database in lake.glue.get_databases()["DatabaseList"]}:
        lake.glue.delete_database(Name=name)
    lake.put()
    for item in lake.s3.list_objects_v2(Bucket="lake").get("Contents", []):
        lake.s3.delete_object(Bucket="lake", Key=item["Key"])


def test_each_folder_becomes_a_table_by_what_is_in_it(lake):
    lake.put(**{
        "Sales/a.csv": b"Order,qty,price\nx,1,2.5\ny,2,3\n", "logs/a.json": b'{"id":1,"tags":["a"],"at":{"x":1.5}}\n{"id":2,"ok":true}\n',
        "facts/a.parquet": parquet(id=pa.array([1], pa.int32()), price=pa.array(["1.10"]).cast(pa.decimal128(9, 2))),
        "plain/a.gz": gzip.compress(b"a|b\nc|d\n"), "quoted/a.csv": b'id,name\n1,"a,b"\n', "facts/_SUCCESS": b"",
    })
    lake.create(TablePrefix="t_")
    assert lake.crawl()["Status"] == "SUCCEEDED"
    assert list(lake.tables()) == ["t_facts", "t_logs", "t_plain", "t_quoted", "t_sales"]
    assert lake.columns("t_sales") == {"order": "string", "qty": "bigint", "price": "double"}
    assert lake.columns("t_logs") == {"id": "bigint", "tags": "array<string>", "at": "struct<x:double>", "ok": "boolean"}
    assert lake.columns("t_facts") == {"id": "int", "price": "decimal(9,2)"}
    assert lake.columns("t_plain") == {"col0": "string", "col1": "string"}
    sales, plain = lake.tables()["t_sales"], lake.tables()["t_plain"]
    assert sales["StorageDescriptor"]["Location"] == "s3://lake/Sales/"
    assert sales["Parameters"]["skip.header.line.count"] == "1"
    assert plain["StorageDescriptor"]["SerdeInfo"]["Parameters"] == {"field.delim": "|"}
    assert (plain["Parameters"]["compressionType"], "skip.header.line.count" in plain["Parameters"]) == ("gzip", False)
    assert lake.tables()["t_quoted"]["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].endswith("OpenCSVSerde")
    (metrics,) = lake.glue.get_crawler_metrics()["CrawlerMetricsList"]
    assert (metrics["TablesCreated"], metrics["LastRuntimeSeconds"] > 0) == (5, True)


def test_folders_named_key_value_are_partitions(lake):
    lake.put(**{"sale/year=2025/Land=de/a.csv": b"id,n\na,1\n", "sale/year=2026/Land=at/a.csv": b"id,n\nb,1.5\n"})
    lake.create()
    lake.crawl()
    assert lake.columns("sale") == {"id": "string", "n": "double"}
    assert [(k["Name"], k["Type"]) for k in lake.tables()["sale"]["PartitionKeys"]] == [("year", "bigint"), ("land", "string")]
    found = lake.glue.get_partitions(DatabaseName="raw", TableName="sale", Expression="year = 2026")["Partitions"]
    assert [(p["Values"], p["StorageDescriptor"]["Location"]) for p in found] == [(["2026", "at"], "s3://lake/sale/year=2026/Land=at/")]
    lake.put(**{"sale/year=2027/Land=es/a.csv": b"id,n\nb,2\n"})
    lake.crawl()
    assert len(lake.glue.get_partitions(DatabaseName="raw", TableName="sale")["Partitions"]) == 3
    assert lake.tables()["sale"]["VersionId"] == "0"


@pytest.mark.parametrize(("policy", "version", "gone"), [
    ({"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DELETE_FROM_DATABASE"}, "1", "dropped"),
    ({"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}, "0", "kept"),
    ({"UpdateBehavior": "LOG", "DeleteBehavior": "DEPRECATE_IN_DATABASE"}, "0", "marked"),
])
def test_the_schema_change_policy_says_what_becomes_of_a_change(lake, policy, version, gone):
    lake.put(**{"sale/a.csv": b"id,n\na,1\n", "old/a.csv": b"id,n\na,1\n"})
    lake.create(SchemaChangePolicy=policy)
    lake.crawl()
    lake.put(**{"sale/a.csv": b"id,n,more\na,1,2\n"})
    lake.s3.delete_object(Bucket="lake", Key="old/a.csv")
    lake.crawl()
    assert lake.tables()["sale"]["VersionId"] == version
    assert ("more" in lake.columns("sale")) == (version == "1")
    old = lake.tables().get("old")
    assert ("dropped" if old is None else "marked" if "DEPRECATED_BY_CRAWLER" in old["Parameters"] else "kept") == gone


@pytest.mark.parametrize(("files", "told"), [
    ({"mixed/a.csv": b"a,b\n1,2\n", "mixed/b.json": b'{"a":1}\n'}, "s3://lake/mixed/: its files are of different formats"),
    ({"odd/a.bin": b"\xff\xfe\x00\x01"}, "s3://lake/odd/: a.bin is no CSV, JSON lines or Parquet"),
    ({"sale/a.csv": b"a,b\n1,2\n", "sale/x=1/a.csv": b"a,b\n1,2\n"}, "s3://lake/sale/: its files lie under different partition keys"),
])
def test_what_is_no_table_fails_the_crawl_with_its_reason_and_the_others_are_made(lake, files, told):
    lake.put(**files, **{"good/a.json": b'{"a":1}\n'})
    lake.create()
    last = lake.crawl()
    assert (last["Status"], last["ErrorMessage"], list(lake.tables())) == ("FAILED", told, ["good"])


def test_a_bucket_that_is_not_there_fails_the_crawl(lake):
    lake.create(Targets={"S3Targets": [{"Path": "s3://none/"}]})
    last = lake.crawl()
    assert (last["Status"], last["ErrorMessage"]) == ("FAILED", "s3://none/: no such bucket")


def test_another_folder_of_the_same_name_is_another_table(lake):
    lake.put(**{"a/sale/x.json": b'{"a":1}\n', "b/sale/x.json": b'{"b":1}\n'})
    lake.create()
    lake.crawl()
    assert [name.startswith("sale") for name in lake.tables()] == [True, True]
    assert lake.columns("sale") == {"a": "bigint"}


def refused(call, **members):
    with pytest.raises(ClientError) as error:
        call(**members)
    return error.value.response["Error"]["Code"]


def test_crawlers_are_made_changed_listed_and_removed(lake):
    glue = lake.glue
    lake.create(Tags={"team": "a"}, Description="all")
    assert refused(lake.create) == "AlreadyExistsException"
    glue.update_crawler(Name="c", TablePrefix="p_")
    crawler = glue.get_crawlers()["Crawlers"][0]
    assert (crawler["TablePrefix"], crawler["Version"], crawler["Description"], crawler["State"]) == ("p_", 2, "all", "READY")
    assert glue.list_crawlers(Tags={"team": "a"})["CrawlerNames"] == ["c"]
    assert glue.list_crawlers(Tags={"team": "b"})["CrawlerNames"] == []
    assert glue.batch_get_crawlers(CrawlerNames=["c", "d"])["CrawlersNotFound"] == ["d"]
    assert refused(glue.stop_crawler, Name="c") == "CrawlerNotRunningException"
    glue.delete_crawler(Name="c")
    assert refused(glue.start_crawler, Name="c") == "EntityNotFoundException"


@pytest.mark.parametrize("option", [
    {"Schedule": "cron(0 12 * * ? *)"}, {"Classifiers": ["mine"]}, {"DatabaseName": "shop"},
    {"Targets": {"JdbcTargets": [{"ConnectionName": "c", "Path": "p"}]}},
    {"Targets": {"S3Targets": [{"Path": "s3://lake/", "Exclusions": ["*.tmp"]}]}}, {"Targets": {"S3Targets": [{"Path": "lake"}]}},
])
def test_what_a_crawler_does_not_serve_is_refused(lake, option):
    assert refused(lake.create, **option) == "InvalidInputException"


@pytest.mark.slow
def test_a_crawl_can_be_stopped_and_one_that_was_cut_off_goes_on_after_a_restart(tmp_path):
    with endpoint(tmp_path) as aws:
        lake = Lake(aws)
        lake.put(**{f"t{n:03}/a.json": b'{"a":1}\n' for n in range(200)})
        lake.create()
        lake.glue.start_crawler(Name="c")
        assert refused(lake.glue.start_crawler, Name="c") == "CrawlerRunningException"
        lake.glue.stop_crawler(Name="c")
        while lake.glue.get_crawler(Name="c")["Crawler"]["State"] != "READY":
            time.sleep(0.01)
        assert lake.glue.get_crawler(Name="c")["Crawler"]["LastCrawl"]["Status"] == "CANCELLED"
        lake.glue.start_crawler(Name="c")
    with endpoint(tmp_path) as aws:
        lake = Lake(aws)
        until = time.monotonic() + 60
        while lake.glue.get_crawler(Name="c")["Crawler"]["State"] != "READY":
            assert time.monotonic() < until
            time.sleep(0.05)
        assert lake.glue.get_crawler(Name="c")["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"
        assert len(lake.glue.get_tables(DatabaseName="raw", MaxResults=100)["TableList"]) == 100


@pytest.mark.parametrize(("values", "kind"), [
    (["1", "-2", ""], "bigint"), (["1", "1.5"], "double"), (["1e3"], "double"), (["1", "x"], "string"), (["007"], "string"),
    (["9223372036854775808"], "double"), ([str(2**63 - 1)], "bigint"), ([""], ""), (["NaN"], "string"), (["٣"], "string"),
])
def test_a_column_has_the_type_that_every_value_has(values, kind):
    assert type_of(values) == kind


@pytest.mark.parametrize(("text", "columns", "has_header"), [
    ("id,n\na,1\n", {"id": "string", "n": "bigint"}, True),
    ("a,1\nb,2\n", {"col0": "string", "col1": "bigint"}, False),
    ("a,b\nc,d\n", {"col0": "string", "col1": "string"}, False),
    ("a;n\nx,y;1\n", {"a": "string", "n": "bigint"}, True),
    ("a\tn\nx\t1\n", {"a": "string", "n": "bigint"}, True),
    ("n,n\n1,2\n", {"col0": "string", "col1": "string"}, False),
])
def test_a_header_is_text_over_something_else(text, columns, has_header):
    found = guess(text.encode(), is_whole=True)
    assert (found.columns, found.has_header) == (columns, has_header)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"one\ntwo\n", b"PAR1broken", b"\x1f\x8bbroken", b"[1]\n", b'{"a":\n'])
def test_what_is_none_of_the_formats_is_nothing(data):
    assert guess(data, is_whole=True) is None


def test_a_sample_that_ends_in_a_line_leaves_that_line_out():
    assert guess(b"id,n\na,1\nb,1.", is_whole=False).columns == {"id": "string", "n": "bigint"}
    assert wider("bigint", "") == "bigint"
    assert merged([guess(b'{"a":1}\n', True), guess(b'{"a":1.5,"b":null}\n', True)]).columns == {"a": "double", "b": "string"}
