"""DynamoDB's changes in Kinesis out of order and repeated, as AWS warns they may come; and what reads them ends right."""

import json
import random
import time

import pytest

from caudal.gateway.dynamodb.disorder import WINDOW, disordered
from caudal.ingest.importer.ingest import ingest_file
from caudal.pipeline import Pipeline
from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.dynamo import keyed

ROLE = "arn:aws:iam::000000000000:role/r"


def test_all_come_some_late_some_again_and_none_far_from_its_place():
    records, before = list(range(100, 1100)), list(range(90, 100))
    made = disordered(records, before, "7")
    assert made == disordered(records, before, "7") != disordered(records, before, "8")
    assert set(records) <= set(made) <= {*records, *before}
    firsts = list(dict.fromkeys(each for each in made if each >= 100))
    assert 0 < max(abs(place - (each - 100)) for place, each in enumerate(firsts)) <= WINDOW
    assert 1.2 * len(records) < len(made) < 1.4 * len(records)
    assert max(made.count(each) for each in records) == 2


def shop():
    made = Pipeline("shop")

    @made.table(key=("id",), form="dynamodb")
    class Orders:
        id: str
        version: int
        status: str | None

    return made


def work(db, changes):
    """Random writes of few items, each version its own; how many of them changed something."""
    chance, there, done = random.Random(1), set(), 0
    for version in range(changes):
        key = {"id": {"S": f"o{chance.randint(0, 9)}"}}
        if chance.random() < 0.2:
            db.delete_item(TableName="live", Key=key)
            done += key["id"]["S"] in there
            there.discard(key["id"]["S"])
        else:
            status = {"status": {"S": chance.choice(["open", "paid", "sent"])}} if chance.random() < 0.8 else {}
            db.put_item(TableName="live", Item={**key, "version": {"N": str(version)}, **status})
            there.add(key["id"]["S"])
            done += 1
    return done


def read_all(kinesis, wanted):
    """The records of every shard of the stream, once each change that is wanted has come."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = []
        for shard in kinesis.list_shards(StreamName="changes")["Shards"]:
            token = kinesis.get_shard_iterator(StreamName="changes", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
            found.append([json.loads(r["Data"]) for r in kinesis.get_records(ShardIterator=token["ShardIterator"])["Records"]])
        if len({record["eventID"] for shard in found for record in shard}) == wanted:
            return found
        time.sleep(0.1)
    raise AssertionError("changes are missing")


@pytest.mark.slow
def test_through_kinesis_and_firehose_the_lake_ends_as_the_table_is(tmp_path):
    with endpoint(tmp_path / "aws", shop(), disorder=7) as aws:
        db, kinesis, firehose, s3 = (aws.client(name) for name in ("dynamodb", "kinesis", "firehose", "s3"))
        s3.create_bucket(Bucket="lake")
        kinesis.create_stream(StreamName="changes", ShardCount=2)
        arn = kinesis.describe_stream(StreamName="changes")["StreamDescription"]["StreamARN"]
        firehose.create_delivery_stream(
            DeliveryStreamName="lake", DeliveryStreamType="KinesisStreamAsSource",
            KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": ROLE},
            ExtendedS3DestinationConfiguration={
                "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}})
        db.create_table(TableName="live", **keyed(id="S"))
        db.enable_kinesis_streaming_destination(TableName="live", StreamArn=arn)
        changes = work(db, 200)
        shards = read_all(kinesis, changes)
        assert sum(map(len, shards)) > 1.1 * changes
        versions = [[int(r["dynamodb"].get("NewImage", {}).get("version", {"N": -1})["N"]) for r in shard] for shard in shards]
        assert any([v for v in shard if v >= 0] != sorted(v for v in shard if v >= 0) for shard in versions)

        orders = aws.stages.table("orders")
        deadline, seen = time.monotonic() + 60, set()
        while len(seen) < changes and time.monotonic() < deadline:
            time.sleep(0.2)
            data = b"".join(s3.get_object(Bucket="lake", Key=each["Key"])["Body"].read() for each in s3.list_objects_v2(Bucket="lake").get("Contents", []))
            (tmp_path / "changes.jsonl").write_bytes(data)
            seen = {json.loads(line)["eventID"] for line in data.replace(b"}{", b"}\n{").splitlines()}
        ingest_file(tmp_path / "changes.jsonl", orders.contract, aws.stages.stream)
        aws.stages.writer("orders").flush()
        items = db.scan(TableName="live")["Items"]
        wanted = sorted((i["id"]["S"], int(i["version"]["N"]), i.get("status", {}).get("S")) for i in items)
        rows = aws.stages.query.execute("SELECT id, version, status FROM orders ORDER BY id").to_pylist()
        assert [tuple(row.values()) for row in rows] == wanted
        assert aws.stages.query.execute("SELECT count(*) AS n FROM orders_history").to_pylist() == [{"n": changes}]
