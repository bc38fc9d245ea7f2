"""boto3's resources, which stand above its clients."""

import io
from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key

pytestmark = pytest.mark.slow


@pytest.fixture
def session(clients, monkeypatch):
    for name, value in clients.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return boto3.Session()


def test_a_table_is_written_in_batches_and_asked(session):
    table = session.resource("dynamodb").create_table(
        TableName="sale", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "user", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": "user", "AttributeType": "S"}, {"AttributeName": "n", "AttributeType": "N"}],
    )
    table.wait_until_exists()
    with table.batch_writer(overwrite_by_pkeys=["user", "n"]) as batch:
        for n in range(60):
            batch.put_item(Item={"user": "ann", "n": n % 50, "amount": Decimal("1.10") * n, "tags": {"x", "y"}})
        batch.delete_item(Key={"user": "ann", "n": 0})
    assert table.scan(Select="COUNT")["Count"] == 49
    found = table.query(KeyConditionExpression=Key("user").eq("ann") & Key("n").between(5, 40), FilterExpression=Attr("amount").gt(Decimal("60")))
    assert [(item["n"], item["amount"], item["tags"]) for item in found["Items"]] == [(n, Decimal("1.10") * (n + 50), {"x", "y"}) for n in (5, 6, 7, 8, 9)]
    table.delete()
    table.wait_until_not_exists()


def test_objects_are_uploaded_copied_and_listed(session):
    bucket = session.resource("s3").create_bucket(Bucket="lake")
    bucket.Object("large").upload_fileobj(io.BytesIO(b"x" * (9 << 20)), ExtraArgs={"ContentType": "text/plain", "Metadata": {"made": "here"}})
    bucket.Object("copied").copy({"Bucket": "lake", "Key": "large"})
    found = bucket.Object("large")
    assert (found.content_length, found.content_type, found.metadata) == (9 << 20, "text/plain", {"made": "here"})
    assert [each.key for each in bucket.objects.all()] == ["copied", "large"]
    bucket.objects.delete()
    bucket.delete()
    assert list(session.resource("s3").buckets.all()) == []
