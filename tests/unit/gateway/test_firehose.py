"""Data Firehose as boto3 sees it: records in, objects in S3."""

import base64
import gzip
import io
import json
import re
import time
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from caudal.gateway.firehose.prefixes import folder, format_time
from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.zips import zipped

ROLE = "arn:aws:iam::000000000000:role/r"
TO_CSV = """
import base64, json

pytestmark = pytest.mark.slow

def handler(event, context):
    made = []
    for record in event["records"]:
        row = json.loads(base64.b64decode(record["data"]))
        kind = row.get("kind", "Ok")
        if kind == "raise":
            raise ValueError("bad row")
        if kind == "lost":
            continue
        if kind == "twice":
            made.append({"recordId": record["recordId"], "result": "Ok", "data": record["data"]})
        line = f'{row["id"]},{row["amount"]}\\n'
        answer = {"recordId": record["recordId"], "result": kind if kind != "twice" else "Ok", "data": base64.b64encode(line.encode()).decode()}
        if "country" in row:
            answer["metadata"] = {"partitionKeys": {"country": row["country"]}}
        made.append(answer)
    return {"records": made}
"""


class Shop:
    """An endpoint with a bucket and a function, and what reaches the bucket."""

    def __init__(self, aws):
        self.aws = aws
        self.firehose, self.s3, self.kinesis = (aws.client(name) for name in ("firehose", "s3", "kinesis"))
        self.n = 0
        self.s3.create_bucket(Bucket="lake")
        aws.client("lambda").create_function(
            FunctionName="to_csv", Runtime="python3.11", Role=ROLE, Handler="main.handler", Timeout=10, Code={"ZipFile": zipped(TO_CSV)}
        )

    def create(self, kind="DirectPut", prefix="", seconds=0, source=None, **more):
        self.n += 1
        self.prefix = prefix or f"s{self.n}/"
        extra = {"KinesisStreamSourceConfiguration": {"KinesisStreamARN": source, "RoleARN": ROLE}} if source else {}
        self.firehose.create_delivery_stream(
            DeliveryStreamName=f"d{self.n}", DeliveryStreamType=kind, **extra, ExtendedS3DestinationConfiguration={
                "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake", "Prefix": self.prefix,
                "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": seconds}, **more,
            },
        )
        return f"d{self.n}"

    def put(self, name, *records):
        answer = self.firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": r if isinstance(r, bytes) else json.dumps(r).encode()} for r in records])
        assert answer["FailedPutCount"] == 0

    def objects(self, prefix):
        found = self.s3.list_objects_v2(Bucket="lake", Prefix=prefix).get("Contents", [])
        return {o["Key"]: self.s3.get_object(Bucket="lake", Key=o["Key"])["Body"].read() for o in found}

    def wait(self, prefix, fits):
        until = time.monotonic() + 15
        while not fits(found := self.objects(prefix)):
            assert time.monotonic() < until, found
            time.sleep(0.05)
        return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("firehose")) as aws:
        yield Shop(aws)


def whole(found):
    return b"".join(found[key] for key in sorted(found))


def test_records_are_joined_as_they_are_and_named_as_aws_names_them(shop):
    name = shop.create()
    shop.put(name, b"a", b"b\n", b"c")
    found = shop.wait("s1/", lambda found: len(whole(found)) == 4)
    assert whole(found) == b"ab\nc"
    now = datetime.now(UTC)
    (key,) = found
    assert re.fullmatch(rf"s1/{now:%Y/%m/%d/%H}/d1-1-{now:%Y-%m-%d}-\d\d-\d\d-\d\d-[0-9a-f-]{{36}}", key)


def test_a_function_makes_csv_of_json_and_what_fails_is_kept_with_its_reason(shop):
    name = shop.create(
        ErrorOutputPrefix="bad-csv/", ProcessingConfiguration={"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": [
            {"ParameterName": "LambdaArn", "ParameterValue": "arn:aws:lambda:us-east-1:000000000000:function:to_csv"}]}]},
    )
    rows = [{"id": "1", "amount": 2}, {"id": "2", "amount": 3, "kind": "Dropped"}, {"id": "3", "amount": 4, "kind": "ProcessingFailed"},
            {"id": "4", "amount": 5, "kind": "lost"}, {"id": "5", "amount": 6, "kind": "twice"}, {"id": "6", "amount": 7}]
    shop.put(name, *rows)
    failures = shop.wait("bad-csv/", lambda found: whole(found).count(b"\n") == 3)
    assert whole(shop.objects(shop.prefix)) == b"1,2\n6,7\n"
    (key,) = failures
    assert key.startswith("bad-csv/processing-failed/")
    lines = [json.loads(line) for line in failures[key].splitlines()]
    assert {line["errorCode"]: json.loads(base64.b64decode(line["rawData"]))["id"] for line in lines} == {
        "Lambda.ProcessingFailedStatus": "3", "Lambda.MissingRecordId": "4", "Lambda.DuplicatedRecordId": "5",
    }
    assert all(line["lambdaArn"].endswith(":to_csv") and line["attemptsMade"] == 1 for line in lines)


def test_a_function_that_raises_is_tried_again_and_then_its_records_are_kept(shop):
    name = shop.create(ProcessingConfiguration={"Processors": [{"Type": "Lambda", "Parameters": [
        {"ParameterName": "LambdaArn", "ParameterValue": "to_csv"}, {"ParameterName": "NumberOfRetries", "ParameterValue": "1"}]}]})
    shop.put(name, {"id": "1", "amount": 2, "kind": "raise"})
    found = shop.wait(f"{shop.prefix}processing-failed/", len)
    line = json.loads(whole(found))
    assert (line["errorCode"], line["attemptsMade"]) == ("Lambda.FunctionError", 2)
    assert "bad row" in line["errorMessage"]


def test_records_are_spread_by_keys_from_a_query_and_from_the_function(shop):
    name = shop.create(
        prefix="by/country=!{partitionKeyFromLambda:country}/year=!{partitionKeyFromQuery:year}/!{timestamp:yyyy}/", ErrorOutputPrefix="bad-by/",
        seconds=1, DynamicPartitioningConfiguration={"Enabled": True}, ProcessingConfiguration={"Processors": [
            {"Type": "MetadataExtraction", "Parameters": [
                {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{year: (split(\",\")[1] | tonumber)}"},
                {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"}]},
            {"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": "to_csv"}]},
        ]},
    )
    shop.put(name, {"id": "1", "amount": 2025, "country": "de"})
    found = shop.wait("bad-by/", len)
    assert json.loads(whole(found))["errorCode"] == "DynamicPartitioning.MetadataExtractionFailed"
    name = shop.create(
        prefix="by/country=!{partitionKeyFromQuery:country}/", ErrorOutputPrefix="bad-by/", seconds=1,
        DynamicPartitioningConfiguration={"Enabled": True}, ProcessingConfiguration={"Processors": [
            {"Type": "MetadataExtraction", "Parameters": [
                {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{country: .country}"},
                {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"}]},
            {"Type": "AppendDelimiterToRecord", "Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "\\n"}]},
        ]},
    )
    shop.put(name, {"n": 1, "country": "de"}, {"n": 2, "country": "at"}, {"n": 3, "country": "de"})
    found = shop.wait("by/", lambda found: len(found) == 2)
    by_country = {key.split("/")[1]: [json.loads(line)["n"] for line in data.splitlines()] for key, data in found.items()}
    assert by_country == {"country=de": [1, 3], "country=at": [2]}


@pytest.mark.parametrize(("compression", "extension", "read"), [
    ("GZIP", ".gz", gzip.decompress), ("ZIP", ".zip", lambda data: zipfile.ZipFile(io.BytesIO(data)).read("data")),
])
def test_objects_are_compressed(shop, compression, extension, read):
    name = shop.create(CompressionFormat=compression)
    shop.put(name, b"hello " * 100)
    found = shop.wait(shop.prefix, len)
    (key,) = found
    assert key.endswith(extension)
    assert read(found[key]) == b"hello " * 100


def test_json_becomes_parquet_by_the_columns_of_a_glue_table(shop):
    glue = shop.aws.client("glue")
    glue.create_database(DatabaseInput={"Name": "raw"})
    glue.create_table(DatabaseName="raw", TableInput={"Name": "sale", "StorageDescriptor": {"Columns": [
        {"Name": "id", "Type": "string"}, {"Name": "amount", "Type": "decimal(10,2)"}, {"Name": "n", "Type": "int"}, {"Name": "at", "Type": "timestamp"}]}})
    name = shop.create(ErrorOutputPrefix="bad-parquet/", DataFormatConversionConfiguration={
        "Enabled": True, "SchemaConfiguration": {"DatabaseName": "raw", "TableName": "sale", "RoleARN": ROLE},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}}, "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    })
    shop.put(name, b'{"id": "a", "amount": 1.10, "n": 7, "at": "2026-01-01T00:00:00Z", "more": 1}', b"no json", b'{"id": "b", "n": 5000000000}', b'{"id": "c"}')
    found = shop.wait(shop.prefix, len)
    (key,) = found
    assert key.endswith(".parquet")
    rows = pq.read_table(io.BytesIO(found[key])).to_pylist()
    assert rows[0] == {"id": "a", "amount": Decimal("1.10"), "n": 7, "at": datetime(2026, 1, 1, tzinfo=UTC)}
    assert rows[1] == {"id": "c", "amount": None, "n": None, "at": None}
    failed = [json.loads(line) for line in whole(shop.wait("bad-parquet/", len)).splitlines()]
    assert [base64.b64decode(line["rawData"]) for line in failed] == [b"no json", b'{"id": "b", "n": 5000000000}']


def test_a_kinesis_stream_is_delivered_in_order_through_its_splits(shop):
    shop.kinesis.create_stream(StreamName="clicks", ShardCount=1)
    arn = shop.kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]["StreamARN"]
    name = shop.create("KinesisStreamAsSource", source=arn, seconds=1)
    shop.kinesis.put_records(StreamName="clicks", Records=[{"Data": b"%d\n" % n, "PartitionKey": "k"} for n in range(100)])
    shop.kinesis.split_shard(StreamName="clicks", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(1 << 127))
    shop.kinesis.put_records(StreamName="clicks", Records=[{"Data": b"%d\n" % n, "PartitionKey": "k"} for n in range(100, 200)])
    found = shop.wait(shop.prefix, lambda found: whole(found).count(b"\n") == 200)
    ordered = b"".join(data for _, data in sorted(found.items(), key=lambda pair: int(pair[1].split()[0])))
    assert [int(line) for line in ordered.split()] == list(range(200))
    with pytest.raises(ClientError) as refused:
        shop.firehose.put_record(DeliveryStreamName=name, Record={"Data": b"x"})
    assert refused.value.response["Error"]["Code"] == "InvalidArgumentException"


def test_records_as_they_came_are_kept_besides(shop):
    name = shop.create(S3BackupMode="Enabled", S3BackupConfiguration={"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake", "Prefix": "raw-copy/"},
                       ProcessingConfiguration={"Processors": [{"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": "to_csv"}]}]})
    shop.put(name, b'{"id": "1", "amount": 2}')
    assert whole(shop.wait(shop.prefix, len)) == b"1,2\n"
    assert whole(shop.objects("raw-copy/")) == b'{"id": "1", "amount": 2}'


def test_a_destination_is_changed_by_version_and_named_in_objects(shop):
    name = shop.create()
    change = {"DeliveryStreamName": name, "DestinationId": "destinationId-000000000001", "ExtendedS3DestinationUpdate": {"Prefix": "changed/"}}
    shop.firehose.update_destination(CurrentDeliveryStreamVersionId="1", **change)
    with pytest.raises(ClientError) as refused:
        shop.firehose.update_destination(CurrentDeliveryStreamVersionId="1", **change)
    assert refused.value.response["Error"]["Code"] == "ConcurrentModificationException"
    shop.put(name, b"x")
    (key,) = shop.wait("changed/", len)
    assert f"/{name}-2-" in key
    described = shop.firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    assert (described["VersionId"], described["Destinations"][0]["ExtendedS3DestinationDescription"]["Prefix"]) == ("2", "changed/")
    shop.firehose.delete_delivery_stream(DeliveryStreamName=name)
    with pytest.raises(ClientError):
        shop.put(name, b"y")


@pytest.mark.parametrize("more", [
    {"CompressionFormat": "Snappy"}, {"DynamicPartitioningConfiguration": {"Enabled": True}}, {"Prefix": "a/!{wrong:x}/"},
    {"Prefix": "a/!{timestamp:yyyy}/"}, {"Prefix": "!{timestamp:qq}/", "ErrorOutputPrefix": "e/"}, {"CustomTimeZone": "Mars/Crater"},
    {"EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": "arn:aws:kms:us-east-1:000000000000:key/k"}}},
    {"ProcessingConfiguration": {"Processors": [{"Type": "MetadataExtraction", "Parameters": [{"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{"}]}]}},
])
def test_what_is_not_served_is_refused_when_it_is_asked_for(shop, more):
    with pytest.raises(ClientError) as refused:
        shop.create(**{"prefix": more.pop("Prefix", ""), **more})
    assert refused.value.response["Error"]["Code"] == "InvalidArgumentException"


@pytest.mark.slow
def test_what_was_accepted_is_delivered_after_a_restart_once(tmp_path):
    with endpoint(tmp_path) as aws:
        first = Shop(aws)
        first.put(first.create(seconds=900), *(b"%d\n" % n for n in range(50)))
    with endpoint(tmp_path) as aws:
        firehose = aws.client("firehose")
        firehose.update_destination(DeliveryStreamName="d1", CurrentDeliveryStreamVersionId="1", DestinationId="destinationId-000000000001",
                                    ExtendedS3DestinationUpdate={"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}})
        first.s3 = aws.client("s3")
        assert [int(n) for n in whole(first.wait("s1/", len)).split()] == list(range(50))


AT = datetime(2026, 3, 9, 14, 5, 7, 123456, UTC)


@pytest.mark.parametrize(("pattern", "expected"), [
    ("yyyy/MM/dd/HH", "2026/03/09/14"), ("yy-M-d", "26-3-9"), ("'year='yyyy", "year=2026"), ("hh a", "02 PM"), ("mm:ss.SSS", "05:07.123"),
    ("MMM EEE", "Mar Mon"), ("DDD", "068"), ("''yyyy", "'2026"),
])
def test_times_are_written_by_javas_patterns(pattern, expected):
    assert format_time(pattern, AT) == expected


@pytest.mark.parametrize(("prefix", "error", "expected"), [
    ("", "", "2026/03/09/14/"), ("a/", "", "a/2026/03/09/14/"), ("a/!{timestamp:yyyy}/", "", "a/2026/"),
    ("k=!{partitionKeyFromQuery:k}/", "", "k=v/"), ("e/", "processing-failed", "e/processing-failed/2026/03/09/14/"),
    ("e/!{firehose:error-output-type}/!{timestamp:dd}/", "processing-failed", "e/processing-failed/09/"),
])
def test_a_folder_is_made_of_its_prefix(prefix, error, expected):
    assert folder(prefix, AT, {"k": "v"}, error) == expected
