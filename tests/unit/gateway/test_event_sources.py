"""Functions that a stream feeds."""

import json
import time

import pytest

from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.zips import zipped

CODE = """
import base64, json

pytestmark = pytest.mark.slow
SEEN = {seen!r}

def data(record):
    return base64.b64decode(record["kinesis"]["data"]).decode()

def note(records):
    with open(SEEN, "a") as file:
        file.write(json.dumps(records) + "\\n")

def takes(event, context):
    note([data(r) for r in event["Records"]])

def refuses_bad(event, context):
    note([data(r) for r in event["Records"]])
    if any(data(r) == "bad" for r in event["Records"]):
        raise ValueError

def names_bad(event, context):
    note([data(r) for r in event["Records"]])
    return {{"batchItemFailures": [{{"itemIdentifier": r["kinesis"]["sequenceNumber"]}} for r in event["Records"] if data(r) == "bad"]}}
"""


class Mapped:
    def __init__(self, aws, folder):
        self.seen = folder / "seen"
        self.kinesis, self.functions = aws.client("kinesis"), aws.client("lambda")
        self.kinesis.create_stream(StreamName="clicks", ShardCount=1)
        self.arn = self.kinesis.describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]["StreamARN"]

    def map(self, handler, **more):
        self.functions.create_function(
            FunctionName="f", Runtime="python3.11", Role="arn:aws:iam::000000000000:role/r", Handler=f"main.{handler}", Timeout=10,
            Code={"ZipFile": zipped(CODE.format(seen=str(self.seen)))},
        )
        return self.functions.create_event_source_mapping(
            FunctionName="f", EventSourceArn=self.arn, StartingPosition="TRIM_HORIZON", **more
        )["UUID"]

    def put(self, *texts):
        self.kinesis.put_records(StreamName="clicks", Records=[{"Data": text, "PartitionKey": "k"} for text in texts])

    def calls(self):
        return [json.loads(line) for line in self.seen.read_text().splitlines()] if self.seen.exists() else []

    def wait(self, fits):
        until = time.monotonic() + 15
        while not fits(self.calls()):
            assert time.monotonic() < until, self.calls()
            time.sleep(0.02)
        return self.calls()


@pytest.fixture
def mapped(aws, tmp_path):
    return Mapped(aws, tmp_path)


def test_records_reach_the_function_in_order_in_batches(mapped):
    mapped.put(*(str(n) for n in range(25)))
    id = mapped.map("takes", BatchSize=10)
    calls = mapped.wait(lambda calls: sum(map(len, calls)) == 25)
    assert [len(call) for call in calls] == [10, 10, 5]
    assert [text for call in calls for text in call] == [str(n) for n in range(25)]
    mapping = mapped.functions.get_event_source_mapping(UUID=id)
    assert (mapping["State"], mapping["FunctionArn"].rpartition(":")[2]) == ("Enabled", "f")


def test_a_bad_record_is_found_by_halves_given_up_and_the_others_are_taken(mapped):
    mapped.put("1", "2", "bad", "4")
    mapped.map("refuses_bad", BisectBatchOnFunctionError=True, MaximumRetryAttempts=1)
    calls = mapped.wait(lambda calls: ["4"] in calls)
    assert calls[0] == ["1", "2", "bad", "4"]
    assert ["1", "2"] in calls
    assert calls.count(["bad"]) >= 2


def test_only_from_the_record_that_failed_on_is_called_again(mapped):
    mapped.put("1", "2", "bad", "4")
    mapped.map("names_bad", FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRetryAttempts=1, BisectBatchOnFunctionError=True)
    calls = mapped.wait(lambda calls: ["4"] in calls)
    assert calls[:2] == [["1", "2", "bad", "4"], ["bad"]] or calls[:2] == [["1", "2", "bad", "4"], ["bad", "4"]]
    assert sum("1" in call for call in calls) == 1


def test_a_disabled_mapping_waits_and_goes_on_where_it_was(mapped):
    id = mapped.map("takes")
    mapped.put("a")
    mapped.wait(lambda calls: calls == [["a"]])
    mapped.functions.update_event_source_mapping(UUID=id, Enabled=False)
    mapped.put("b")
    time.sleep(0.3)
    assert mapped.calls() == [["a"]]
    mapped.functions.update_event_source_mapping(UUID=id, Enabled=True)
    assert mapped.wait(lambda calls: len(calls) == 2) == [["a"], ["b"]]
    mapped.functions.delete_event_source_mapping(UUID=id)
    assert mapped.functions.list_event_source_mappings()["EventSourceMappings"] == []


def test_after_a_restart_a_mapping_goes_on_where_it_was(tmp_path):
    with endpoint(tmp_path) as aws:
        first = Mapped(aws, tmp_path)
        first.map("takes")
        first.put("a")
        first.wait(lambda calls: calls == [["a"]])
        time.sleep(0.1)
    with endpoint(tmp_path) as aws:
        aws.client("kinesis").put_record(StreamName="clicks", Data=b"b", PartitionKey="k")
        assert first.wait(lambda calls: len(calls) == 2) == [["a"], ["b"]]


def test_a_split_shards_children_follow_it(mapped):
    mapped.put("1")
    mapped.kinesis.split_shard(StreamName="clicks", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(1 << 127))
    mapped.put("2")
    mapped.map("takes")
    assert mapped.wait(lambda calls: len(calls) == 2) == [["1"], ["2"]]


