"""Requests by the shapes of AWS's models: what is read, and how a request that breaks one is answered."""

from datetime import UTC, datetime

import pytest

from caudal.gateway.faults import AwsError, Invalid
from caudal.gateway.operations import Model
from caudal.gateway.shapes import Codec


def read(service, operation, members):
    invalid = Invalid([])
    made = Model(service, Codec()).operation(operation).read(members, "", invalid)
    invalid.check()
    return made


def test_blobs_are_bytes_and_times_are_datetimes():
    assert read("kinesis", "PutRecord", {"StreamName": "s", "Data": "aGk=", "PartitionKey": "k"})["Data"] == b"hi"
    asked = {"StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1.5}
    assert read("kinesis", "GetShardIterator", asked)["Timestamp"] == datetime(1970, 1, 1, 0, 0, 1, 500000, UTC)


def test_what_the_model_does_not_know_is_left_out():
    assert read("kinesis", "ListStreams", {"Limit": 3, "Odd": 1}) == {"Limit": 3}


@pytest.mark.parametrize(("service", "operation", "members", "told"), [
    ("kinesis", "PutRecord", {"Data": "aGk=", "PartitionKey": ""},
     "1 validation error detected: Value at 'partitionKey' failed to satisfy constraint: "
     "Member must have length greater than or equal to 1"),
    ("dynamodb", "PutItem", {},
     "2 validation errors detected: Value at 'tableName' failed to satisfy constraint: Member must not be null; "
     "Value at 'item' failed to satisfy constraint: Member must not be null"),
    ("kinesis", "PutRecords", {"StreamName": "s", "Records": [{"Data": "aGk=", "PartitionKey": "k", "ExplicitHashKey": "x"}]},
     "1 validation error detected: Value at 'records.1.member.explicitHashKey' failed to satisfy constraint: "
     "Member must satisfy regular expression pattern: ^(0|([1-9]\\d{0,38}))$"),
    ("kinesis", "ListStreams", {"Limit": 0},
     "1 validation error detected: Value at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"),
    ("dynamodb", "Scan", {"TableName": "shop", "Select": "SOME"},
     "1 validation error detected: Value at 'select' failed to satisfy constraint: Member must satisfy enum value set: "
     "[ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES, COUNT, SPECIFIC_ATTRIBUTES]"),
])
def test_a_constraint_that_is_broken_is_named(service, operation, members, told):
    with pytest.raises(AwsError) as refused:
        read(service, operation, members)
    assert (refused.value.code, str(refused.value)) == ("ValidationException", told)


@pytest.mark.parametrize("members", [
    {"StreamName": 1}, {"Limit": "3"}, {"Limit": True}, {"Limit": 1.5}, {"StreamName": ["s"]}, {"StreamName": {}},
])
def test_a_wrong_json_type_is_refused(members):
    with pytest.raises(AwsError) as refused:
        read("kinesis", "ListShards", {"StreamName": "s", **members} if "Limit" not in members else {"StreamName": "s", "MaxResults": members["Limit"]})
    assert refused.value.code == "SerializationException"


def test_data_that_is_not_base64_is_refused():
    with pytest.raises(AwsError) as refused:
        read("kinesis", "PutRecord", {"StreamName": "s", "Data": "a", "PartitionKey": "k"})
    assert str(refused.value) == "'data' is not base64"


def test_a_shape_that_holds_itself_is_read():
    asked = {"TableName": "shop", "Item": {"a": {"L": [{"M": {"b": {"B": "aGk="}}}]}}}
    assert read("dynamodb", "PutItem", asked)["Item"] == {"a": {"L": [{"M": {"b": {"B": b"hi"}}}]}}


def test_an_answer_is_written_by_its_shape():
    write = Model("kinesis", Codec()).operation("GetRecords").write
    at = datetime(2026, 1, 1, tzinfo=UTC)
    record = {"SequenceNumber": "1", "Data": b"hi", "PartitionKey": "k", "ApproximateArrivalTimestamp": at, "EncryptionType": None}
    assert write({"Records": [record], "MillisBehindLatest": 0}) == {
        "Records": [{"SequenceNumber": "1", "Data": "aGk=", "PartitionKey": "k", "ApproximateArrivalTimestamp": 1767225600.0}],
        "MillisBehindLatest": 0,
    }


@pytest.mark.parametrize("service", ["dynamodb", "dynamodbstreams", "kinesis", "firehose", "lambda", "glue", "athena", "sagemaker", "sagemaker-runtime", "sts"])
def test_every_operation_of_every_service_compiles(service):
    model = Model(service, Codec())
    for name in model.names:
        operation = model.operation(name)
        assert callable(operation.read)
        assert callable(operation.write)


@pytest.mark.parametrize(("method", "path", "operation", "placed"), [
    ("POST", "/2015-03-31/functions/to-csv/invocations", "Invoke", {"FunctionName": "to-csv"}),
    ("GET", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af", "GetFunction",
     {"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:f"}),
    ("GET", "/2015-03-31/functions/", "ListFunctions", {}),
    ("POST", "/2015-03-31/functions", "CreateFunction", {}),
])
def test_a_path_names_an_operation(method, path, operation, placed):
    found, said = Model("lambda", Codec()).route(method, path)
    assert (found.name, said) == (operation, placed)
