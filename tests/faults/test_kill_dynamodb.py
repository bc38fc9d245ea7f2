"""kill -9 of the AWS endpoint while items are put: what was acknowledged is there, and each change is told once, in order."""

import json
import os
import random
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

ROUNDS = max(3, int(os.environ.get("CAUDAL_FAULT_ROUNDS", "20")) // 5)
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", "1"))


def count(db, key, acknowledged):
    """Add to a counter until the endpoint is gone; what it said, by key."""
    try:
        while True:
            got = db.update_item(TableName="count", Key={"id": {"S": key}}, UpdateExpression="ADD n :one",
                                 ExpressionAttributeValues={":one": {"N": "1"}}, ReturnValues="UPDATED_NEW")
            acknowledged[key] = int(got["Attributes"]["n"]["N"])
    except (BotoCoreError, ClientError):
        return


def stream_records(streams, arn):
    found = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        place = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while (answer := streams.get_records(ShardIterator=place))["Records"]:
            found += [record["dynamodb"] for record in answer["Records"]]
            place = answer["NextShardIterator"]
    return found


def kinesis_records(kinesis):
    found = []
    for shard in kinesis.list_shards(StreamName="changes")["Shards"]:
        place = kinesis.get_shard_iterator(StreamName="changes", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while (answer := kinesis.get_records(ShardIterator=place))["Records"]:
            found += [json.loads(record["Data"])["dynamodb"] for record in answer["Records"]]
            place = answer["NextShardIterator"]
    return found


def values_of(records, key):
    return [int(record["NewImage"]["n"]["N"]) for record in records if record["Keys"]["id"]["S"] == key]


@pytest.mark.slow
def test_each_acknowledged_write_is_there_and_each_change_is_told_once_in_order(start):
    chance, acknowledged, keys = random.Random(SEED), {}, ["a", "b", "c", "d"]
    endpoint = start()
    db, kinesis = endpoint.client("dynamodb"), endpoint.client("kinesis")
    kinesis.create_stream(StreamName="changes", ShardCount=2)
    db.create_table(
        TableName="count", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    db.enable_kinesis_streaming_destination(TableName="count", StreamArn="arn:aws:kinesis:us-east-1:000000000000:stream/changes")
    for _ in range(ROUNDS):
        writers = [threading.Thread(target=count, args=(endpoint.client("dynamodb"), key, acknowledged)) for key in keys]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(0.1, 0.8))  # the moment is left to chance
        endpoint.kill()
        for writer in writers:
            writer.join()
        endpoint = start()
    db, kinesis, streams = (endpoint.client(name) for name in ("dynamodb", "kinesis", "dynamodbstreams"))
    items = {item["id"]["S"]: int(item["n"]["N"]) for item in db.scan(TableName="count")["Items"]}
    told = stream_records(streams, db.describe_table(TableName="count")["Table"]["LatestStreamArn"])
    until = time.monotonic() + 30
    while len(forwarded := kinesis_records(kinesis)) < len(told) and time.monotonic() < until:
        time.sleep(0.1)
    assert acknowledged, f"CAUDAL_FAULT_SEED={SEED}"
    for key in keys:
        assert items.get(key, 0) >= acknowledged.get(key, 0)
        assert values_of(told, key) == list(range(1, items.get(key, 0) + 1)), f"CAUDAL_FAULT_SEED={SEED}"
        assert values_of(forwarded, key) == values_of(told, key), f"CAUDAL_FAULT_SEED={SEED}"
