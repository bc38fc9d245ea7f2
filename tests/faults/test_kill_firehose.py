"""kill -9 of the AWS endpoint while Firehose delivers to Iceberg tables: each record is a row once, each key has its last row."""

import json
import os
import random
import threading
import time
from collections import Counter

import pyarrow as pa
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.catalog import load_catalog

ROUNDS = max(2, int(os.environ.get("CAUDAL_FAULT_ROUNDS", "20")) // 10)
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", "1"))
KEYS = ["a", "b", "c", "d"]
ROLE = "arn:aws:iam::000000000000:role/r"


def tables(endpoint):
    """The Data Catalog as PyIceberg sees it from outside."""
    access = {"region": "us-east-1", "access-key-id": "k", "secret-access-key": "s", "endpoint": endpoint.address}
    return load_catalog("glue", type="glue", **{f"{service}.{k}": v for service in ("s3", "glue") for k, v in access.items()})


def rows(endpoint, name):
    return [(row["id"], row["n"]) for row in tables(endpoint).load_table(f"db.{name}").scan().to_arrow().to_pylist()]


def set_up(endpoint):
    endpoint.client("s3").create_bucket(Bucket="lake")
    catalog, firehose = tables(endpoint), endpoint.client("firehose")
    catalog.create_namespace("db")
    for name, operation in (("every", "insert"), ("latest", "update")):
        catalog.create_table(f"db.{name}", pa.schema([("id", pa.string()), ("n", pa.int64())]), location=f"s3://lake/{name}")
        query = f'{{destinationDatabaseName: "db", destinationTableName: "{name}", operation: "{operation}"}}'
        firehose.create_delivery_stream(DeliveryStreamName=name, IcebergDestinationConfiguration={
            "RoleARN": ROLE, "CatalogConfiguration": {"CatalogARN": "arn:aws:glue:us-east-1:000000000000:catalog"},
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}, "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake", "ErrorOutputPrefix": "errors/"},
            "DestinationTableConfigurationList": [{"DestinationDatabaseName": "db", "DestinationTableName": name, "UniqueKeys": ["id"]}],
            "ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "MetadataExtraction", "Parameters": [
                {"ParameterName": "MetadataExtractionQuery", "ParameterValue": query}, {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"}]}]}})


def put(firehose, key, numbers, acknowledged):
    """Put numbers to both streams until the endpoint is gone; what it said, by key."""
    try:
        while True:
            numbers[key] += 1
            for name in ("every", "latest"):
                firehose.put_record(DeliveryStreamName=name, Record={"Data": json.dumps({"id": key, "n": numbers[key]}).encode()})
                acknowledged[name, key] = numbers[key]
    except (BotoCoreError, ClientError):
        return


def settled(endpoint, acknowledged):
    """Both tables' rows, once all that was acknowledged is there, and what was put after it: whatever comes twice has come."""
    for name in ("every", "latest"):
        endpoint.client("firehose").put_record(DeliveryStreamName=name, Record={"Data": json.dumps({"id": "last", "n": 0}).encode()})
    until = time.monotonic() + 120
    while True:
        every, latest = rows(endpoint, "every"), dict(rows(endpoint, "latest"))
        if ("last", 0) in every and "last" in latest and all(
                max((n for id, n in every if id == key), default=0) >= acknowledged["every", key]
                and latest.get(key, 0) >= acknowledged["latest", key] for key in KEYS):
            return [[row for row in rows(endpoint, name) if row[0] != "last"] for name in ("every", "latest")]
        assert time.monotonic() < until, f"CAUDAL_FAULT_SEED={SEED}: {acknowledged}: {latest}"
        time.sleep(0.2)


@pytest.mark.slow
def test_each_record_is_in_its_iceberg_table_once_also_after_kills(start):
    chance, numbers, acknowledged, told = random.Random(SEED), Counter(), Counter(), {key: set() for key in KEYS}
    endpoint = start()
    set_up(endpoint)
    for _ in range(ROUNDS):
        before = Counter(numbers)
        writers = [threading.Thread(target=put, args=(endpoint.client("firehose"), key, numbers, acknowledged)) for key in KEYS]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(0.5, 2.0))  # the moment is left to chance
        endpoint.kill()
        for writer in writers:
            writer.join()
        for key in KEYS:
            told[key] |= set(range(before[key] + 1, acknowledged["every", key] + 1))
        endpoint = start()
    every, latest = settled(endpoint, acknowledged)
    assert any(told.values()), f"CAUDAL_FAULT_SEED={SEED}"
    assert not [row for row, times in Counter(every).items() if times > 1], f"CAUDAL_FAULT_SEED={SEED}: rows twice"
    for key in KEYS:
        assert told[key] <= {n for id, n in every if id == key}, f"CAUDAL_FAULT_SEED={SEED}: rows lost"
    assert sorted(id for id, _ in latest) == sorted(key for key in KEYS if numbers[key])
    assert all(acknowledged["latest", key] <= n <= numbers[key] for key, n in latest)
    assert "Contents" not in endpoint.client("s3").list_objects_v2(Bucket="lake", Prefix="errors/")
