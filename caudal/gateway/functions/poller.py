"""Reads the shards of a stream and calls a function with batches of their records, each shard in its order."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from caudal.background import Background, close_all
from caudal.errors import CaudalError
from caudal.gateway.documents import Document, Documents
from caudal.gateway.faults import AwsError

if TYPE_CHECKING:
    from caudal.gateway.cloud import Cloud
    from caudal.gateway.functions.pool import Outcome

KIND, PLACE = "lambda.mapping", "lambda.place"
POLL_SECONDS = 0.1
"""How long a shard without records is left alone."""
SHARDS_SECONDS = 1.0
"""How often it is looked whether there are new shards."""
WAITS = (0.1, 30.0)
"""Least and longest wait before a batch that failed is tried again; doubled each time."""
BATCH_BYTES = 6 << 20

Record = dict[str, Any]


class Batch(NamedTuple):
    """Records of one shard, and how often a function has failed of them."""

    records: list[Record]
    tries: int = 0


class Poller(Background):
    """One event source mapping at work: a thread a shard, parents before their children."""

    def __init__(self, cloud: "Cloud", mapping: Document, run: "Callable[[str, bytes], Outcome]") -> None:
        super().__init__(f"mapping-{mapping['UUID'][:8]}", self._keep, failed=self._tell)
        self._cloud = cloud
        self._mapping = mapping
        self._run = run
        self._kind = "kinesis" if ":kinesis:" in mapping["EventSourceArn"] else "dynamodbstreams"
        self._done: set[str] = set()
        self._known: set[str] = set()
        self._shards: dict[str, Background] = {}
        self.last_result = "No records processed"

    def close(self) -> None:
        """Finish the batches that are at work."""
        super().close()
        close_all(self._shards.values())

    @staticmethod
    def forget(documents: Documents, mapping: str) -> None:
        """Forget how far a mapping came."""
        documents.write(remove=[(PLACE, name) for name in documents.all(PLACE, prefix=f"{mapping}/")])

    def _tell(self, error: CaudalError) -> None:
        self.last_result = f"PROBLEM: {error}"

    def _keep(self) -> None:
        """Follow the shards whose parents are read."""
        for shard in self._listed():
            id = shard["ShardId"]
            parents = {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")} - {None}
            if id not in self._shards and all(parent in self._done or parent not in self._known for parent in parents):
                self._shards[id] = Background(f"mapping-{id}", partial(self._follow, id), failed=self._tell, stop=self.stop)
                self._shards[id].start()
        self.stop.wait(SHARDS_SECONDS if self._shards else POLL_SECONDS)

    def _listed(self) -> list[Record]:
        service, arn = self._cloud.service(self._kind), self._mapping["EventSourceArn"]
        if self._kind == "kinesis":
            shards: list[Record] = service.list_shards(StreamARN=arn)["Shards"]
        else:
            shards = service.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        self._known = {shard["ShardId"] for shard in shards}
        return shards

    def _follow(self, shard: str) -> bool:
        """Read one shard to its end; False if it was stopped before, and the next start begins at the same records."""
        iterator: str | None = self._first_iterator(shard)
        while iterator is not None:
            records, iterator = self._gather(iterator)
            if self.stop.is_set() or (records and not self._deliver(shard, records)):
                return False
        self._done.add(shard)
        return True

    def _first_iterator(self, shard: str) -> str:
        mapping = self._mapping
        place = self._cloud.documents.get(PLACE, f"{mapping['UUID']}/{shard}")
        asked: Record = {"ShardId": shard, "StreamARN" if self._kind == "kinesis" else "StreamArn": mapping["EventSourceArn"]}
        if place is not None:
            asked |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER"}
            asked["StartingSequenceNumber" if self._kind == "kinesis" else "SequenceNumber"] = place["sequence"]
        elif mapping["StartingPosition"] == "AT_TIMESTAMP":
            asked |= {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": datetime.fromtimestamp(mapping["At"], UTC)}
        else:
            asked["ShardIteratorType"] = mapping["StartingPosition"]
        found: str = self._cloud.service(self._kind).get_shard_iterator(**asked)["ShardIterator"]
        return found

    def _gather(self, iterator: str) -> tuple[list[Record], str | None]:
        """A batch: full, or as old as the window says; and the iterator that goes on."""
        until = time.monotonic() + self._mapping["MaximumBatchingWindowInSeconds"]
        records: list[Record] = []
        size = 0
        following: str | None = iterator
        while True:
            read = self._cloud.service(self._kind).get_records(
                ShardIterator=following, Limit=self._mapping["BatchSize"] - len(records)
            )
            following = read.get("NextShardIterator")
            records += [self._event(record) for record in read["Records"]]
            size += sum(len(record.get("Data", b"")) for record in read["Records"])
            full = len(records) >= self._mapping["BatchSize"] or size > BATCH_BYTES / 2
            if full or following is None or self.stop.is_set() or (records and time.monotonic() >= until):
                return records, following
            if not read["Records"]:
                self.stop.wait(POLL_SECONDS)
            if not records:
                until = time.monotonic() + self._mapping["MaximumBatchingWindowInSeconds"]

    def _event(self, record: Record) -> Record:
        """A record as the function sees it."""
        fixed = {"eventVersion": "1.0", "awsRegion": self._cloud.region, "eventSourceARN": self._mapping["EventSourceArn"]}
        if self._kind != "kinesis":
            return {**record, **fixed}
        return {
            **fixed, "eventSource": "aws:kinesis", "eventName": "aws:kinesis:record", "eventID": record["SequenceNumber"],
            "invokeIdentityArn": "arn:aws:iam::000000000000:root",
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": record["PartitionKey"], "sequenceNumber": record["SequenceNumber"],
                "data": base64.b64encode(record["Data"]).decode(),
                "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"].timestamp(),
            },
        }

    def _deliver(self, shard: str, records: list[Record]) -> bool:
        """Call the function until it took every record, or gave it up; False if that was not finished."""
        waiting = [Batch(records)]
        while waiting:
            if self.stop.is_set():
                return False
            batch = waiting.pop(0)
            outcome = self._call(batch.records)
            done = self._taken(batch.records, outcome)
            if done:
                self._remember(shard, batch.records[done - 1])
            rest = batch.records[done:]
            if not rest:
                self.last_result = "OK"
                continue
            self.last_result = "PROBLEM: Function call failed"
            tries = batch.tries + 1 if done == 0 else 1
            waiting[:0] = self._after(rest, tries)
            if waiting and waiting[0].records[0] is rest[0]:
                self.stop.wait(min(WAITS[1], WAITS[0] * 2 ** min(tries, 10)))
            else:
                self._remember(shard, rest[-1])  # given up
        return True

    def _after(self, rest: list[Record], tries: int) -> list[Batch]:
        """What is tried again of records that a function failed of; nothing if they are given up."""
        mapping = self._mapping
        if mapping["BisectBatchOnFunctionError"] and len(rest) > 1:
            middle = (len(rest) + 1) // 2
            return [Batch(rest[:middle]), Batch(rest[middle:])]  # halving is no try
        if 0 <= mapping["MaximumRetryAttempts"] < tries:
            return []
        age = time.time() - _arrived(rest[0])
        return [] if 0 <= mapping["MaximumRecordAgeInSeconds"] < age else [Batch(rest, tries)]

    def _call(self, records: list[Record]) -> "Outcome | None":
        try:
            return self._run(self._mapping["Function"], json.dumps({"Records": records}, default=_plain).encode())
        except AwsError:
            return None

    def _taken(self, records: list[Record], outcome: "Outcome | None") -> int:
        """How many of the first records the function took."""
        if outcome is None or outcome.failed:
            return 0
        if "ReportBatchItemFailures" not in self._mapping["FunctionResponseTypes"]:
            return len(records)
        try:
            answer = json.loads(outcome.payload) or {}
            failures = {item["itemIdentifier"] for item in answer.get("batchItemFailures") or []}
        except (ValueError, KeyError, TypeError, AttributeError):
            return 0
        places = [n for n, record in enumerate(records) if _sequence(record) in failures]
        if failures and not places:
            return 0  # it names what it was not given
        return places[0] if places else len(records)

    def _remember(self, shard: str, record: Record) -> None:
        self._cloud.documents.put(PLACE, f"{self._mapping['UUID']}/{shard}", {"sequence": _sequence(record)})


def _sequence(record: Record) -> str:
    found: str = record["kinesis"]["sequenceNumber"] if "kinesis" in record else record["dynamodb"]["SequenceNumber"]
    return found


def _arrived(record: Record) -> float:
    seen = record.get("kinesis") or record["dynamodb"]
    at = seen.get("approximateArrivalTimestamp", seen.get("ApproximateCreationDateTime"))
    return float(at.timestamp() if isinstance(at, datetime) else at)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)
