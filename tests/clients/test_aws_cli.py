"""The AWS command line."""

import base64
import json
import os

import pytest

from tests.clients.conftest import python_with

pytestmark = pytest.mark.slow


@pytest.fixture
def aws(clients):
    program = python_with("awscli", "awscli>=1.45") / "aws"
    return lambda *words: clients.run(program, *words)


def test_files_go_to_s3_and_come_back(aws, tmp_path):
    (tmp_path / "out/deep").mkdir(parents=True)
    data = os.urandom(9 << 20)  # in parts
    (tmp_path / "out/large").write_bytes(data)
    (tmp_path / "out/deep/small.txt").write_text("hi\n")
    aws("s3", "mb", "s3://lake")
    aws("s3", "sync", "out", "s3://lake/kept")
    assert [line.split()[-2:] for line in aws("s3", "ls", "--recursive", "s3://lake").splitlines()] == [["3", "kept/deep/small.txt"], [str(9 << 20), "kept/large"]]
    assert aws("s3", "sync", "out", "s3://lake/kept") == ""
    aws("s3", "sync", "s3://lake/kept", "back")
    assert (tmp_path / "back/large").read_bytes() == data
    aws("s3", "cp", "s3://lake/kept/deep/small.txt", "s3://lake/copied.txt")
    assert aws("s3", "cp", "s3://lake/copied.txt", "-") == "hi\n"
    aws("s3", "rb", "--force", "s3://lake")
    assert aws("s3", "ls") == ""


def test_records_go_through_kinesis(aws):
    aws("kinesis", "create-stream", "--stream-name", "clicks", "--shard-count", "1")
    aws("kinesis", "wait", "stream-exists", "--stream-name", "clicks")
    put = json.loads(aws("kinesis", "put-record", "--stream-name", "clicks", "--partition-key", "ann", "--data", "tea"))
    iterator = aws("kinesis", "get-shard-iterator", "--stream-name", "clicks", "--shard-id", put["ShardId"],
                   "--shard-iterator-type", "TRIM_HORIZON", "--query", "ShardIterator", "--output", "text").strip()
    (record,) = json.loads(aws("kinesis", "get-records", "--shard-iterator", iterator))["Records"]
    assert (base64.b64decode(record["Data"]), record["PartitionKey"], record["SequenceNumber"]) == (b"tea", "ann", put["SequenceNumber"])


def test_items_are_kept_in_dynamodb(aws):
    aws("dynamodb", "create-table", "--table-name", "sale", "--billing-mode", "PAY_PER_REQUEST",
        "--key-schema", "AttributeName=id,KeyType=HASH", "--attribute-definitions", "AttributeName=id,AttributeType=S")
    aws("dynamodb", "wait", "table-exists", "--table-name", "sale")
    item = {"id": {"S": "1"}, "amount": {"N": "12345678901234567890.12345678"}, "tags": {"SS": ["new"]}, "none": {"NULL": True}}
    aws("dynamodb", "put-item", "--table-name", "sale", "--item", json.dumps(item))
    assert json.loads(aws("dynamodb", "get-item", "--table-name", "sale", "--key", '{"id": {"S": "1"}}'))["Item"] == item
    assert "12345678901234567890.12345678" in aws("dynamodb", "scan", "--table-name", "sale", "--output", "table")
    assert json.loads(aws("sts", "get-caller-identity"))["Account"] == "000000000000"
