"""Data Firehose to Iceberg tables of the Data Catalog, as boto3 sees it; PyIceberg reads what came of it."""

import base64
import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
)

from caudal.gateway.firehose.iceberg.merging import Merge
from caudal.gateway.firehose.iceberg.rows import row_reader
from caudal.gateway.firehose.records import Record
from caudal.ingest.transform.values import Misfit
from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.zips import zipped

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::000000000000:role/r"
CATALOG = {"CatalogARN": "arn:aws:glue:us-east-1:000000000000:catalog"}
ORDERS = Schema(
    NestedField(1, "id", StringType(), required=True), NestedField(2, "qty", LongType()), NestedField(3, "price", DecimalType(10, 2)),
    NestedField(4, "at", TimestampType()), identifier_field_ids=[1])
ROUTE = """
import base64, json

def handler(event, context):
    made = []
    for record in event["records"]:
        row = json.loads(base64.b64decode(record["data"]))
        table, operation = row.pop("table"), row.pop("op", None)
        made.append({"recordId": record["recordId"], "result": "Ok", "data": base64.b64encode(json.dumps(row).encode()).decode(),
                     "metadata": {"otfMetadata": {"destinationDatabaseName": "db", "destinationTableName": table, "operation": operation}}})
    return {"records": made}
"""
LAMBDA = {"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": [
    {"ParameterName": "LambdaArn", "ParameterValue": "arn:aws:lambda:us-east-1:000000000000:function:route"}]}]}


class Lake:
    """An endpoint with a bucket and a database, and the delivery streams that a test makes."""

    def __init__(self, aws):
        self.firehose, self.s3 = aws.client("firehose"), aws.client("s3")
        self.tables = aws.gateway._cloud.iceberg
        self.s3.create_bucket(Bucket="lake")
        aws.client("glue").create_database(DatabaseInput={"Name": "db"})
        aws.client("lambda").create_function(
            FunctionName="route", Runtime="python3.11", Role=ROLE, Handler="main.handler", Timeout=10, Code={"ZipFile": zipped(ROUTE)})

    def table(self, name, schema=ORDERS):
        self.tables.create("db", name, schema, f"s3://lake/{name}/")

    def stream(self, name, tables=(), seconds=0, **more):
        self.firehose.create_delivery_stream(DeliveryStreamName=name, IcebergDestinationConfiguration={
            "RoleARN": ROLE, "CatalogConfiguration": CATALOG, "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": seconds},
            "DestinationTableConfigurationList": [{"DestinationDatabaseName": "db", **each} for each in tables],
            "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake", "ErrorOutputPrefix": f"{name}-errors/"}, **more})

    def put(self, name, *rows):
        self.firehose.put_record_batch(DeliveryStreamName=name, Records=[
            {"Data": row if isinstance(row, bytes) else json.dumps(row).encode()} for row in rows])

    def rows(self, name, wanted, *columns):
        """The table's rows, once there are as many as wanted."""
        until = time.monotonic() + 30
        while True:
            table = self.tables.load("db", name)
            found = table.scan().to_arrow().to_pylist()
            if len(found) == wanted or time.monotonic() > until:
                assert len(found) == wanted, found
                return sorted((tuple(row[column] for column in columns or row) for row in found), key=str)
            time.sleep(0.1)

    def errors(self, prefix, wanted):
        """The lines of what could not be delivered."""
        until = time.monotonic() + 30
        while True:
            keys = [each["Key"] for each in self.s3.list_objects_v2(Bucket="lake", Prefix=prefix).get("Contents", [])]
            lines = [json.loads(line) for key in keys for line in self.s3.get_object(Bucket="lake", Key=key)["Body"].read().splitlines()]
            if len(lines) == wanted or time.monotonic() > until:
                assert len(lines) == wanted, lines
                return lines
            time.sleep(0.1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("iceberg")) as aws:
        yield Lake(aws)


def test_records_of_one_table_are_its_rows_and_what_does_not_fit_is_kept_with_its_reason(lake):
    lake.table("orders")
    lake.stream("one", [{"DestinationTableName": "orders"}])
    lake.put("one", {"id": "a", "qty": 1, "price": 1.25, "at": "2026-01-02T03:04:05.000006Z"}, {"id": "b", "at": 1767323045000007},
             {"id": "c", "colour": "red"}, {"qty": 1}, {"id": "d", "qty": "1"}, {"id": "e", "price": 1.234}, b"{", {"id": "a", "qty": 2})
    assert lake.rows("orders", 3) == [
        ("a", 1, Decimal("1.25"), datetime(2026, 1, 2, 3, 4, 5, 6)), ("a", 2, None, None), ("b", None, None, datetime(2026, 1, 2, 3, 4, 5, 7))]
    lines = lake.errors("one-errors/iceberg-failed/", 5)
    assert {line["errorCode"]: base64.b64decode(line["rawData"]) for line in lines} == {
        "Iceberg.unknown_column": b'{"id": "c", "colour": "red"}', "Iceberg.missing_required": b'{"qty": 1}', "Iceberg.wrong_type": b'{"id": "d", "qty": "1"}',
        "Iceberg.decimal_scale": b'{"id": "e", "price": 1.234}', "Iceberg.invalid_json": b"{"}
    assert "red" not in "".join(line["errorMessage"] for line in lines)


def test_a_function_says_table_and_operation_of_each_record_and_updates_go_by_the_unique_keys(lake):
    for name in ("people", "visits", "loose"):
        lake.table(name, ORDERS if name != "loose" else Schema(NestedField(1, "id", StringType()), NestedField(2, "qty", LongType())))
    lake.stream("routed", [{"DestinationTableName": "people", "UniqueKeys": ["id"], "S3ErrorOutputPrefix": "people-errors/"}], ProcessingConfiguration=LAMBDA)

    def row(table, id, qty=None, op=None):
        return {"table": table, "id": id, **({"qty": qty} if qty is not None else {}), **({"op": op} if op else {})}

    lake.put("routed", row("people", "a", 1), row("people", "b", 1), row("people", "c", 1), row("visits", "a", 1), row("visits", "a", 1))
    assert lake.rows("people", 3, "id", "qty") == [("a", 1), ("b", 1), ("c", 1)]
    assert lake.rows("visits", 2, "id", "qty") == [("a", 1), ("a", 1)]
    lake.put("routed", row("people", "a", 2, "update"), row("people", "b", op="delete"), row("people", "d", 4, "update"), row("people", "c", 2, "insert"),
             row("people", "c", 3, "insert"), row("visits", "a", 9, "UPDATE"), row("visits", "b", 1), row("visits", "b", op="delete"),
             row("nowhere", "x", 1), row("people", "x", 1, "upsert"), row("loose", "x", 1, "update"), row("loose", "y", 1))
    assert lake.rows("people", 5, "id", "qty") == [("a", 2), ("c", 1), ("c", 2), ("c", 3), ("d", 4)]
    assert lake.rows("visits", 1, "id", "qty") == [("a", 9)]  # the table names its key itself
    assert lake.rows("loose", 1, "id", "qty") == [("y", 1)]
    codes = {line["errorCode"]: line["errorMessage"] for line in lake.errors("routed-errors/iceberg-failed/", 3)}
    assert codes == {
        "Iceberg.NoSuchTable": "Table db.nowhere not found.", "Iceberg.InvalidOperation": "The operation is not one of insert, update, delete.",
        "Iceberg.InvalidUniqueKeys": "The configured unique keys for the table do not match with the fields present in the schema."}
    lake.put("routed", {"table": "people", "id": "z", "op": "update", "size": 1}, {"table": "people", "op": "delete"})
    assert sorted(line["errorCode"] for line in lake.errors("people-errors/iceberg-failed/", 2)) == ["Iceberg.null_key", "Iceberg.unknown_column"]


def test_a_query_says_table_and_operation(lake):
    lake.table("queried", Schema(NestedField(1, "id", StringType()), NestedField(2, "kind", StringType())))
    query = '{destinationDatabaseName: "db", destinationTableName: .kind, operation: "insert"}'
    lake.stream("jq", ProcessingConfiguration={"Enabled": True, "Processors": [{"Type": "MetadataExtraction", "Parameters": [
        {"ParameterName": "MetadataExtractionQuery", "ParameterValue": query}, {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"}]}]})
    lake.put("jq", {"id": "a", "kind": "queried"}, {"id": "b"})
    assert lake.rows("queried", 1) == [("a", "queried")]
    assert [line["errorCode"] for line in lake.errors("jq-errors/metadata-extraction-failed/", 1)] == ["DynamicPartitioning.MetadataExtractionFailed"]


def test_without_a_table_a_record_fails_and_one_that_is_made_later_is_found(lake):
    lake.stream("lost")
    lake.put("lost", {"id": "a"})
    assert [line["errorCode"] for line in lake.errors("lost-errors/iceberg-failed/", 1)] == ["Iceberg.MissingDestination"]
    described = lake.firehose.describe_delivery_stream(DeliveryStreamName="lost")["DeliveryStreamDescription"]
    (destination,) = described["Destinations"]
    lake.firehose.update_destination(
        DeliveryStreamName="lost", CurrentDeliveryStreamVersionId=described["VersionId"], DestinationId=destination["DestinationId"],
        IcebergDestinationUpdate={"DestinationTableConfigurationList": [{"DestinationDatabaseName": "db", "DestinationTableName": "late"}]})
    shown = lake.firehose.describe_delivery_stream(DeliveryStreamName="lost")["DeliveryStreamDescription"]["Destinations"][0]["IcebergDestinationDescription"]
    assert (shown["CatalogConfiguration"], shown["AppendOnly"], shown["S3BackupMode"], shown["RetryOptions"]) == (CATALOG, False, "FailedDataOnly", {"DurationInSeconds": 300})
    assert shown["DestinationTableConfigurationList"] == [{"DestinationDatabaseName": "db", "DestinationTableName": "late"}]
    assert shown["S3DestinationDescription"]["ErrorOutputPrefix"] == "lost-errors/"
    lake.table("late")
    lake.put("lost", {"id": "a"})
    assert lake.rows("late", 1, "id") == [("a",)]


@pytest.mark.parametrize("change,message", [
    ({"SchemaEvolutionConfiguration": {"Enabled": True}}, "SchemaEvolutionConfiguration"), ({"TableCreationConfiguration": {"Enabled": True}}, "TableCreationConfiguration"),
    ({"CatalogConfiguration": {"CatalogARN": "arn:aws:glue:us-east-1:000000000000:catalog/s3tablescatalog/b"}}, "CatalogConfiguration"), ({"S3BackupMode": "AllData"}, "FailedDataOnly"),
    ({"ProcessingConfiguration": {"Processors": [{"Type": "AppendDelimiterToRecord"}]}}, "AppendDelimiterToRecord"),
    ({"DestinationTableConfigurationList": [{"DestinationDatabaseName": "db", "DestinationTableName": name} for name in ("A", "a")]}, "names a table twice"),
], ids=str)
def test_what_is_not_served_is_refused_by_name(lake, change, message):
    with pytest.raises(ClientError, match=message) as caught:
        lake.stream("refused", **change)
    assert caught.value.response["Error"]["Code"] == "InvalidArgumentException"


NESTED = Schema(
    NestedField(1, "n", IntegerType()), NestedField(2, "on", BooleanType()), NestedField(3, "share", DoubleType()), NestedField(4, "day", DateType()),
    NestedField(5, "at", TimestamptzType()), NestedField(6, "tags", ListType(7, StringType(), element_required=False)),
    NestedField(8, "counts", MapType(9, StringType(), 10, LongType())),
    NestedField(11, "place", StructType(NestedField(12, "x", DecimalType(38, 1)), NestedField(13, "y", StringType(), required=True))))


@pytest.mark.parametrize("record,row", [
    (b'{"n": 2147483647, "on": true, "share": 0.5, "day": "2026-01-31"}', {"n": 2147483647, "on": True, "share": 0.5, "day": date(2026, 1, 31)}),
    (b'{"at": 1}', {"at": datetime(1970, 1, 1, 0, 0, 0, 1, UTC)}), (b'{"at": "2026-01-01T02:00:00+02:00"}', {"at": datetime(2026, 1, 1, tzinfo=UTC)}),
    (b'{"tags": ["a", null, ""], "counts": {"a": 1}, "n": null}', {"tags": ["a", None, ""], "counts": [("a", 1)]}),
    (b'{"place": {"x": 1234567890123456789012345678901234567.5, "y": "z"}}', {"place": {"x": Decimal("1234567890123456789012345678901234567.5"), "y": "z"}}),
    (b'{"place": {"y": "z"}}', {"place": {"x": None, "y": "z"}}),
])
def test_a_record_is_a_row_of_exact_values(record, row):
    assert {name: value for name, value in row_reader(NESTED)(record).items() if value is not None} == row


@pytest.mark.parametrize("record,reason", [
    ({"n": 2147483648}, "integer_overflow"), ({"n": 1.5}, "not_an_integer"), ({"n": "1"}, "wrong_type"), ({"on": 1}, "wrong_type"), ({"share": "x"}, "wrong_type"), ({"day": "soon"}, "date_format"),
    ({"at": 10**20}, "timestamp_format"), ({"tags": "a"}, "wrong_type"), ({"tags": [1]}, "wrong_type"), ({"counts": {"b": "x"}}, "wrong_type"), ({"counts": {"b": None}}, "missing_required"),
    ({"place": {"x": 1}}, "missing_required"), ({"place": {"y": "a", "z": 1}}, "unknown_column"), ({"place": []}, "wrong_type"), ({"N": 1}, "unknown_column"), ([], "not_an_object"),
])
def test_a_record_that_does_not_fit_is_refused_with_its_reason(record, reason):
    with pytest.raises(Misfit) as caught:
        row_reader(NESTED)(json.dumps(record).encode())
    assert caught.value.reason == reason


def test_a_delivery_that_is_repeated_changes_nothing(lake):
    lake.table("again")

    def merge(*share):
        made = Merge(lake.tables.load("db", "again").schema(), ["id"])
        assert made.add_all([(operation, Record("", 0, 0.0, json.dumps(row).encode(), b"")) for operation, row in share]) == []
        return made

    for token, share in (("one", [("insert", {"id": "a"}), ("insert", {"id": "b"})]), ("two", [("update", {"id": "a", "qty": 2}), ("delete", {"id": "b"}), ("insert", {"id": "a"})])):
        for _ in range(2):
            merge(*share).write(lake.tables, "db", "again", token)
    assert lake.rows("again", 2, "id", "qty") == [("a", 2), ("a", None)]


def test_a_number_that_32_bits_cannot_hold_is_refused():
    read = row_reader(Schema(NestedField(1, "share", FloatType())))
    assert read(b'{"share": 3.4e38}') == {"share": 3.4e38}
    assert read(b'{"share": 3.4028235E38}') == {"share": 3.4028235e38}  # the largest, as Java prints it
    with pytest.raises(Misfit, match="32 bits"):
        read(b'{"share": -1e39}')
