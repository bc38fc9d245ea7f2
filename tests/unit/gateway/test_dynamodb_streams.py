"""Changes of DynamoDB's tables: DynamoDB Streams, Kinesis, and what TTL deletes."""

import json
import time

import pytest

from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.dynamo import keyed, refused, told

SPECIFICATION = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.fixture
def db(aws):
    client = aws.client("dynamodb")
    client.create_table(TableName="cart", **keyed(id="S"), StreamSpecification=SPECIFICATION)
    return client


def put(db, name, **item):
    db.put_item(TableName="cart", Item={"id": {"S": name}, **item})


def arn_of(db, table="cart"):
    return db.describe_table(TableName=table)["Table"]["LatestStreamArn"]


def read(streams, arn, kind="TRIM_HORIZON"):
    """All records of a stream, by shard in the order in which they are."""
    found = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        place = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind)["ShardIterator"]
        while place:
            answer = streams.get_records(ShardIterator=place, Limit=2)
            found += answer["Records"]
            place = answer.get("NextShardIterator") if answer["Records"] else None
    return found


def until(look, wanted, seconds=15):
    end = time.monotonic() + seconds
    while (found := look()) != wanted:
        assert time.monotonic() < end, found
        time.sleep(0.02)


def test_a_stream_tells_each_change_once_in_order_with_its_images(aws, db):
    put(db, "a", n={"N": "1"})
    put(db, "a", n={"N": "2"})
    db.put_item(TableName="cart", Item={"n": {"N": "2.0"}, "id": {"S": "a"}})  # the same item: no change
    db.update_item(TableName="cart", Key={"id": {"S": "a"}}, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": {"N": "2"}})
    db.delete_item(TableName="cart", Key={"id": {"S": "a"}})
    db.delete_item(TableName="cart", Key={"id": {"S": "a"}})
    records = read(aws.client("dynamodbstreams"), arn_of(db))
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    inner = records[1]["dynamodb"]
    assert (inner["Keys"], inner["OldImage"]["n"], inner["NewImage"]["n"]) == ({"id": {"S": "a"}}, {"N": "1"}, {"N": "2"})
    assert (inner["SizeBytes"], inner["StreamViewType"]) == (3 + 6 + 6, "NEW_AND_OLD_IMAGES")
    assert len({record["eventID"] for record in records}) == 3
    sequences = [record["dynamodb"]["SequenceNumber"] for record in records]
    assert sequences == sorted(sequences)
    assert not any("userIdentity" in record for record in records)


@pytest.mark.parametrize("view,images", [
    ("KEYS_ONLY", set()), ("NEW_IMAGE", {"NewImage"}), ("OLD_IMAGE", {"OldImage"}), ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
])
def test_a_view_has_the_images_that_it_says(aws, view, images):
    db = aws.client("dynamodb")
    db.create_table(TableName="seen", **keyed(id="S"), StreamSpecification={"StreamEnabled": True, "StreamViewType": view})
    for n in "12":
        db.put_item(TableName="seen", Item={"id": {"S": "a"}, "n": {"N": n}})
    last = read(aws.client("dynamodbstreams"), arn_of(db, "seen"))[-1]["dynamodb"]
    assert {"NewImage", "OldImage"} & set(last) == images


def test_iterators_start_where_they_say(aws, db):
    streams, arn = aws.client("dynamodbstreams"), arn_of(db)
    for n in range(5):
        put(db, "a", n={"N": str(n)})
    records = read(streams, arn)
    shard = next(s["ShardId"] for s in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
                 if s["SequenceNumberRange"]["StartingSequenceNumber"][:5] == records[0]["dynamodb"]["SequenceNumber"][:5])

    def names(kind, **more):
        place = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]
        return [record["dynamodb"]["NewImage"]["n"]["N"] for record in streams.get_records(ShardIterator=place)["Records"]]

    third = records[2]["dynamodb"]["SequenceNumber"]
    assert names("AT_SEQUENCE_NUMBER", SequenceNumber=third) == ["2", "3", "4"]
    assert names("AFTER_SEQUENCE_NUMBER", SequenceNumber=third) == ["3", "4"]
    assert (names("TRIM_HORIZON"), names("LATEST")) == (["0", "1", "2", "3", "4"], [])
    assert told(streams.get_shard_iterator, StreamArn=arn, ShardId=shard, ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber="1" * 21) == "Invalid SequenceNumber"
    assert told(streams.get_records, ShardIterator="nonsense") == "Invalid ShardIterator"
    refused(streams.describe_stream, "ResourceNotFoundException", StreamArn=arn[:-1] + "x")


def test_a_stream_that_is_switched_off_ends_and_the_next_begins_after_it(aws, db):
    streams, first = aws.client("dynamodbstreams"), arn_of(db)
    put(db, "a")
    db.update_table(TableName="cart", StreamSpecification={"StreamEnabled": False})
    put(db, "b")
    db.update_table(TableName="cart", StreamSpecification=SPECIFICATION)
    put(db, "c")
    second = arn_of(db)
    keys = [[record["dynamodb"]["Keys"]["id"]["S"] for record in read(streams, arn)] for arn in (first, second)]
    assert keys == [["a"], ["c"]]
    description = streams.describe_stream(StreamArn=first)["StreamDescription"]
    assert description["StreamStatus"] == "DISABLED"
    assert all("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in description["Shards"])
    assert [stream["StreamArn"] for stream in streams.list_streams(TableName="cart")["Streams"]] == sorted([first, second])
    assert "already has an enabled stream" in told(db.update_table, TableName="cart", StreamSpecification=SPECIFICATION)


def test_an_expired_item_is_deleted_by_the_service_itself(aws, db):
    db.update_time_to_live(TableName="cart", TimeToLiveSpecification={"AttributeName": "until", "Enabled": True})
    put(db, "old", until={"N": str(int(time.time()) - 10)})
    put(db, "new", until={"N": str(int(time.time()) + 1000)})
    streams, arn = aws.client("dynamodbstreams"), arn_of(db)
    until(lambda: [r["dynamodb"]["Keys"]["id"]["S"] for r in read(streams, arn) if r["eventName"] == "REMOVE"], ["old"])
    (removed,) = (record for record in read(streams, arn) if record["eventName"] == "REMOVE")
    assert removed["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert [item["id"]["S"] for item in db.scan(TableName="cart")["Items"]] == ["new"]
    assert "already enabled" in told(db.update_time_to_live, TableName="cart", TimeToLiveSpecification={"AttributeName": "until", "Enabled": True})


def test_a_table_and_one_made_again_under_its_name_have_each_their_changes(aws, db):
    put(db, "a")
    db.delete_table(TableName="cart")
    db.create_table(TableName="cart", **keyed(id="S"), StreamSpecification=SPECIFICATION)
    put(db, "b")
    assert [r["dynamodb"]["Keys"]["id"]["S"] for r in read(aws.client("dynamodbstreams"), arn_of(db))] == ["b"]


def kinesis_records(kinesis, name="changes"):
    found = []
    for shard in kinesis.list_shards(StreamName=name)["Shards"]:
        place = kinesis.get_shard_iterator(StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        found += kinesis.get_records(ShardIterator=place)["Records"]
    return [json.loads(record["Data"]) for record in found]


def test_changes_go_to_a_kinesis_stream_in_order_for_each_item_across_a_restart(tmp_path):
    with endpoint(tmp_path) as aws:
        db, kinesis = aws.client("dynamodb"), aws.client("kinesis")
        kinesis.create_stream(StreamName="changes", ShardCount=2)
        arn = kinesis.describe_stream_summary(StreamName="changes")["StreamDescriptionSummary"]["StreamARN"]
        db.create_table(TableName="cart", **keyed(id="S"))
        put(db, "before")
        db.enable_kinesis_streaming_destination(
            TableName="cart", StreamArn=arn, EnableKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"})
        for n in range(40):
            put(db, "abcd"[n % 4], n={"N": str(n)})
    with endpoint(tmp_path) as aws:
        db, kinesis = aws.client("dynamodb"), aws.client("kinesis")
        for n in range(40, 60):
            put(db, "abcd"[n % 4], n={"N": str(n)})
        until(lambda: len(kinesis_records(kinesis)), 60)
        records = kinesis_records(kinesis)
        for name in "abcd":
            mine = [int(r["dynamodb"]["NewImage"]["n"]["N"]) for r in records if r["dynamodb"]["Keys"]["id"]["S"] == name]
            assert mine == list(range("abcd".index(name), 60, 4))
        one = records[0]
        assert (one["tableName"], one["eventSource"], one["recordFormat"], one["userIdentity"]) == ("cart", "aws:dynamodb", "application/json", None)
        assert one["dynamodb"]["ApproximateCreationDateTimePrecision"] == "MICROSECOND"
        assert abs(one["dynamodb"]["ApproximateCreationDateTime"] / 1e6 - time.time()) < 300
        (shown,) = db.describe_kinesis_streaming_destination(TableName="cart")["KinesisDataStreamDestinations"]
        assert (shown["DestinationStatus"], shown["StreamArn"]) == ("ACTIVE", arn)
        assert "not in a valid state" in told(db.enable_kinesis_streaming_destination, TableName="cart", StreamArn=arn)
        db.disable_kinesis_streaming_destination(TableName="cart", StreamArn=arn)
        put(db, "after")
        assert len(kinesis_records(kinesis)) == 60
