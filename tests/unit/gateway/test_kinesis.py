"""Kinesis Data Streams as boto3 sees it."""

import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError

from tests.unit.gateway.conftest import endpoint


@pytest.fixture
def kinesis(aws):
    client = aws.client("kinesis")
    client.create_stream(StreamName="clicks", ShardCount=2)
    return client


def refused(call, **members):
    with pytest.raises(ClientError) as error:
        call(**members)
    return error.value.response["Error"]["Code"]


def iterator(kinesis, shard, kind="TRIM_HORIZON", **more):
    asked = kinesis.get_shard_iterator(StreamName="clicks", ShardId=shard, ShardIteratorType=kind, **more)
    return asked["ShardIterator"]


def data(kinesis, shard, kind="TRIM_HORIZON", **more):
    return [record["Data"] for record in kinesis.get_records(ShardIterator=iterator(kinesis, shard, kind, **more))["Records"]]


def shards(kinesis):
    return {s["ShardId"]: s for s in kinesis.list_shards(StreamName="clicks")["Shards"]}


def test_a_record_comes_back_as_it_was_put(kinesis):
    put = kinesis.put_record(StreamName="clicks", Data=b"\x00\xff", PartitionKey="k\u00fc")
    (record,) = kinesis.get_records(ShardIterator=iterator(kinesis, put["ShardId"]))["Records"]
    assert (record["Data"], record["PartitionKey"], record["SequenceNumber"]) == (b"\x00\xff", "k\u00fc", put["SequenceNumber"])
    assert abs(datetime.now(UTC) - record["ApproximateArrivalTimestamp"]) < timedelta(seconds=30)


def test_the_shard_is_that_of_the_partition_keys_md5(kinesis):
    # MD5 of "a" is 0cc1…, of "b" 92eb…: the lower and the upper half of the hash keys.
    assert kinesis.put_record(StreamName="clicks", Data=b"1", PartitionKey="a")["ShardId"] == "shardId-000000000000"
    assert kinesis.put_record(StreamName="clicks", Data=b"1", PartitionKey="b")["ShardId"] == "shardId-000000000001"
    chosen = kinesis.put_record(StreamName="clicks", Data=b"1", PartitionKey="b", ExplicitHashKey="0")
    assert chosen["ShardId"] == "shardId-000000000000"


def test_records_of_one_request_keep_their_order_and_are_told_their_places(kinesis):
    asked = [{"Data": b"%d" % n, "PartitionKey": str(n % 7)} for n in range(200)]
    told = kinesis.put_records(StreamName="clicks", Records=asked)
    assert told["FailedRecordCount"] == 0
    for shard in shards(kinesis):
        mine = [(r["SequenceNumber"], a["Data"]) for r, a in zip(told["Records"], asked, strict=True) if r["ShardId"] == shard]
        read = kinesis.get_records(ShardIterator=iterator(kinesis, shard))["Records"]
        assert [(r["SequenceNumber"], r["Data"]) for r in read] == mine
        assert mine == sorted(mine, key=lambda pair: int(pair[0]))


def test_every_kind_of_iterator_starts_where_it_says(kinesis):
    first = [kinesis.put_record(StreamName="clicks", Data=b"%d" % n, PartitionKey="a") for n in range(3)]
    shard = first[0]["ShardId"]
    latest = iterator(kinesis, shard, "LATEST")
    time.sleep(0.02)
    at = datetime.now(UTC)
    time.sleep(0.02)
    kinesis.put_record(StreamName="clicks", Data=b"3", PartitionKey="a")
    second = first[1]["SequenceNumber"]
    assert data(kinesis, shard) == [b"0", b"1", b"2", b"3"]
    assert [r["Data"] for r in kinesis.get_records(ShardIterator=latest)["Records"]] == [b"3"]
    assert data(kinesis, shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=second) == [b"1", b"2", b"3"]
    assert data(kinesis, shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=second) == [b"2", b"3"]
    assert data(kinesis, shard, "AT_TIMESTAMP", Timestamp=at) == [b"3"]
    assert data(kinesis, shard, "AT_TIMESTAMP", Timestamp=at + timedelta(hours=1)) == []


def test_reading_goes_on_from_the_next_iterator_and_says_how_far_behind_it_is(kinesis):
    for n in range(5):
        kinesis.put_record(StreamName="clicks", Data=b"%d" % n, PartitionKey="a")
    time.sleep(0.01)
    part = kinesis.get_records(ShardIterator=iterator(kinesis, "shardId-000000000000"), Limit=3)
    assert [r["Data"] for r in part["Records"]] == [b"0", b"1", b"2"]
    assert part["MillisBehindLatest"] >= 10
    rest = kinesis.get_records(ShardIterator=part["NextShardIterator"])
    assert [r["Data"] for r in rest["Records"]] == [b"3", b"4"]
    assert rest["MillisBehindLatest"] == 0


def test_a_shard_that_is_split_ends_and_its_children_take_its_range(kinesis):
    kinesis.put_record(StreamName="clicks", Data=b"before", PartitionKey="a")
    kinesis.split_shard(StreamName="clicks", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(1 << 126))
    after = kinesis.put_record(StreamName="clicks", Data=b"after", PartitionKey="a")
    assert after["ShardId"] == "shardId-000000000002"
    read = kinesis.get_records(ShardIterator=iterator(kinesis, "shardId-000000000000"))
    assert [r["Data"] for r in read["Records"]] == [b"before"]
    assert "NextShardIterator" not in read
    assert [child["ShardId"] for child in read["ChildShards"]] == ["shardId-000000000002", "shardId-000000000003"]
    assert shards(kinesis)["shardId-000000000002"]["ParentShardId"] == "shardId-000000000000"
    assert "EndingSequenceNumber" in shards(kinesis)["shardId-000000000000"]["SequenceNumberRange"]
    assert refused(kinesis.split_shard, StreamName="clicks", ShardToSplit="shardId-000000000000", NewStartingHashKey="5") == "ResourceInUseException"


def test_shards_that_are_merged_have_one_child(kinesis):
    kinesis.merge_shards(StreamName="clicks", ShardToMerge="shardId-000000000000", AdjacentShardToMerge="shardId-000000000001")
    child = shards(kinesis)["shardId-000000000002"]
    assert (child["ParentShardId"], child["AdjacentParentShardId"]) == ("shardId-000000000000", "shardId-000000000001")
    assert child["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str((1 << 128) - 1)}


@pytest.mark.parametrize("wanted", [1, 2, 3, 4, 7])
def test_any_number_of_shards_can_be_asked_for(kinesis, wanted):
    kinesis.update_shard_count(StreamName="clicks", TargetShardCount=wanted, ScalingType="UNIFORM_SCALING")
    open = sorted(
        (int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"])) for s in shards(kinesis).values()
        if "EndingSequenceNumber" not in s["SequenceNumberRange"]
    )
    assert len(open) == wanted
    assert open[0][0] == 0
    assert open[-1][1] == (1 << 128) - 1
    assert all(a[1] + 1 == b[0] for a, b in pairwise(open))


def test_puts_beside_resharding_lose_nothing_and_keep_each_keys_order(kinesis):
    put, stop = [], threading.Event()

    def putting():
        while not stop.is_set():
            kinesis.put_record(StreamName="clicks", Data=b"%d" % len(put), PartitionKey="a")
            put.append(b"%d" % len(put))

    thread = threading.Thread(target=putting)
    thread.start()
    for wanted in (4, 1, 3):
        kinesis.update_shard_count(StreamName="clicks", TargetShardCount=wanted, ScalingType="UNIFORM_SCALING")
    stop.set()
    thread.join()
    read, now = [], ["shardId-000000000000"]
    while now:
        shard = now.pop(0)
        found = kinesis.get_records(ShardIterator=iterator(kinesis, shard))
        read += [r["Data"] for r in found["Records"]]
        now += [c["ShardId"] for c in found.get("ChildShards", []) if c["ShardId"] not in now]
    assert read == put


def test_an_event_stream_pushes_records_as_they_come(kinesis):
    arn = kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="app")["Consumer"]
    assert consumer["ConsumerStatus"] == "ACTIVE"
    pushed = kinesis.subscribe_to_shard(
        ConsumerARN=consumer["ConsumerARN"], ShardId="shardId-000000000000", StartingPosition={"Type": "TRIM_HORIZON"}
    )["EventStream"]
    put = kinesis.put_record(StreamName="clicks", Data=b"hi", PartitionKey="a")
    for event in pushed:
        if event["SubscribeToShardEvent"]["Records"]:
            break
    (record,) = event["SubscribeToShardEvent"]["Records"]
    assert (record["Data"], record["SequenceNumber"]) == (b"hi", put["SequenceNumber"])
    assert refused(
        kinesis.subscribe_to_shard, ConsumerARN=consumer["ConsumerARN"], ShardId="shardId-000000000000", StartingPosition={"Type": "LATEST"},
    ) == "ResourceInUseException"
    pushed.close()
    kinesis.deregister_stream_consumer(ConsumerARN=consumer["ConsumerARN"])
    assert kinesis.list_stream_consumers(StreamARN=arn)["Consumers"] == []


def test_streams_are_listed_by_page_and_described(kinesis):
    for name in ("a", "b", "d"):
        kinesis.create_stream(StreamName=name)
    first = kinesis.list_streams(Limit=3)
    assert (first["StreamNames"], first["HasMoreStreams"]) == (["a", "b", "clicks"], True)
    assert kinesis.list_streams(ExclusiveStartStreamName="clicks")["StreamNames"] == ["d"]
    described = kinesis.describe_stream(StreamName="clicks", Limit=1)["StreamDescription"]
    assert (len(described["Shards"]), described["HasMoreShards"], described["RetentionPeriodHours"]) == (1, True, 24)
    assert kinesis.describe_stream_summary(StreamName="a")["StreamDescriptionSummary"]["OpenShardCount"] == 4
    page = kinesis.list_shards(StreamName="a", MaxResults=3)
    assert [s["ShardId"][-1] for s in kinesis.list_shards(NextToken=page["NextToken"])["Shards"]] == ["3"]


def test_retention_and_tags_are_kept(kinesis):
    kinesis.increase_stream_retention_period(StreamName="clicks", RetentionPeriodHours=48)
    assert refused(kinesis.increase_stream_retention_period, StreamName="clicks", RetentionPeriodHours=24) == "InvalidArgumentException"
    kinesis.add_tags_to_stream(StreamName="clicks", Tags={"team": "shop", "env": "dev"})
    kinesis.remove_tags_from_stream(StreamName="clicks", TagKeys=["env"])
    assert kinesis.list_tags_for_stream(StreamName="clicks")["Tags"] == [{"Key": "team", "Value": "shop"}]


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path):
    with endpoint(tmp_path) as aws:
        kinesis = aws.client("kinesis")
        kinesis.create_stream(StreamName="clicks", ShardCount=1)
        put = kinesis.put_record(StreamName="clicks", Data=b"1", PartitionKey="a")
        place = iterator(kinesis, "shardId-000000000000")
    with endpoint(tmp_path) as aws:
        (record,) = aws.client("kinesis").get_records(ShardIterator=place)["Records"]
        assert record["SequenceNumber"] == put["SequenceNumber"]


def test_a_stream_that_is_made_again_has_none_of_the_old_records(kinesis):
    kinesis.put_record(StreamName="clicks", Data=b"old", PartitionKey="a")
    old = iterator(kinesis, "shardId-000000000000")
    kinesis.delete_stream(StreamName="clicks")
    assert refused(kinesis.describe_stream, StreamName="clicks") == "ResourceNotFoundException"
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    assert data(kinesis, "shardId-000000000000") == []
    assert refused(kinesis.get_records, ShardIterator=old) == "InvalidArgumentException"


@pytest.mark.parametrize(("operation", "members", "code"), [
    ("put_record", {"StreamName": "no", "Data": b"", "PartitionKey": "k"}, "ResourceNotFoundException"),
    ("put_record", {"Data": b"", "PartitionKey": "k"}, "InvalidArgumentException"),
    ("put_record", {"StreamName": "clicks", "Data": b"x" * (1 << 20), "PartitionKey": "k"}, "InvalidArgumentException"),
    ("put_record", {"StreamName": "clicks", "Data": b"x", "PartitionKey": "k", "ExplicitHashKey": str(1 << 128)}, "InvalidArgumentException"),
    ("put_record", {"StreamName": "clicks", "Data": b"x", "PartitionKey": "k", "DryRun": True}, "InvalidArgumentException"),
    ("put_records", {"StreamName": "clicks", "Records": [{"Data": b"", "PartitionKey": "k"}] * 501}, "ValidationException"),
    ("create_stream", {"StreamName": "clicks", "ShardCount": 1}, "ResourceInUseException"),
    ("get_records", {"ShardIterator": "AAAA"}, "InvalidArgumentException"),
    ("get_shard_iterator", {"StreamName": "clicks", "ShardId": "shardId-000000000009", "ShardIteratorType": "LATEST"}, "ResourceNotFoundException"),
    ("get_shard_iterator", {"StreamName": "clicks", "ShardId": "shardId-000000000000", "ShardIteratorType": "AT_TIMESTAMP"}, "InvalidArgumentException"),
    ("get_shard_iterator", {"StreamName": "clicks", "ShardId": "shardId-000000000000", "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"}, "InvalidArgumentException"),
    ("merge_shards", {"StreamName": "clicks", "ShardToMerge": "shardId-000000000000", "AdjacentShardToMerge": "shardId-000000000000"}, "InvalidArgumentException"),
    ("split_shard", {"StreamName": "clicks", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "0"}, "InvalidArgumentException"),
    ("start_stream_encryption", {"StreamName": "clicks", "EncryptionType": "KMS", "KeyId": "k"}, "UnknownOperationException"),
])
def test_what_cannot_be_is_refused_by_its_aws_name(kinesis, operation, members, code):
    assert refused(getattr(kinesis, operation), **members) == code


def test_with_limits_a_shard_takes_a_thousand_records_a_second(tmp_path):
    with endpoint(tmp_path, limits=True) as aws:
        kinesis = aws.client("kinesis")
        kinesis.create_stream(StreamName="clicks", ShardCount=1)
        told = [kinesis.put_records(StreamName="clicks", Records=[{"Data": b"x", "PartitionKey": "k"}] * 500) for _ in range(4)]
        refusals = [record for answer in told for record in answer["Records"] if "ErrorCode" in record]
        assert {record["ErrorCode"] for record in refusals} == {"ProvisionedThroughputExceededException"}
        assert 0 < len(refusals) < 1000
        assert sum(answer["FailedRecordCount"] for answer in told) == len(refusals)
        assert len(data(kinesis, "shardId-000000000000")) == 2000 - len(refusals)
