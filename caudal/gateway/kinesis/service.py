"""The Kinesis Data Streams API."""

import threading
import time
from collections.abc import Iterator as Events
from datetime import UTC, datetime
from typing import Any

from caudal.background import Background
from caudal.gateway.cloud import Cloud, refuse
from caudal.gateway.faults import AwsError, Invalid
from caudal.gateway.kinesis import log
from caudal.gateway.kinesis.administration import Administration
from caudal.gateway.kinesis.iterators import Iterator, read_token, starting_position
from caudal.gateway.kinesis.limits import Limits
from caudal.gateway.kinesis.shards import HASHES, Description, Shard, sequence_number, shard_id
from caudal.gateway.kinesis.streams import Live
from caudal.gateway.pages import page_after

Answer = dict[str, Any]

READ_RECORDS, READ_BYTES = 10_000, 10 << 20
"""The most that GetRecords returns."""
TRIM_SECONDS = 60.0
SUBSCRIBE_SECONDS = 300.0
"""How long a subscription goes on, as AWS has it."""
WAIT_SECONDS = 0.25
"""How long one looks for news before it is seen whether the subscription has ended."""
BEAT_SECONDS = 5.0
"""How often a subscription without records says that it lives."""


class Kinesis(Administration):
    """Data streams: records durable before they are acknowledged, in order within a shard, kept for their retention."""

    name = "kinesis"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._limits = Limits() if cloud.stages.config.gateway.limits else None
        self._trimmer = Background("kinesis-retention", self.streams.trim, every=TRIM_SECONDS)

    def start(self) -> None:
        self._trimmer.start()

    def close(self) -> None:
        self._trimmer.close()

    def put_record(
        self, *, Data: bytes, PartitionKey: str = "", ExplicitHashKey: str | None = None, SequenceNumberForOrdering: str = "",
        **which: str,
    ) -> Answer:
        live = self._find(which)
        record = self._checked(live.description, Data, PartitionKey, ExplicitHashKey)
        if self._limits is not None:
            self._limits.check(live, record)
        (place,) = self.streams.put(live, [record])
        return {**_placed(place), "EncryptionType": "NONE"}

    def put_records(self, *, Records: list[Answer], **which: str) -> Answer:
        live = self._find(which)
        records = [
            self._checked(live.description, r["Data"], r.get("PartitionKey", ""), r.get("ExplicitHashKey")) for r in Records
        ]
        refused = self._limits.refused(live, records) if self._limits is not None else {}
        places = iter(self.streams.put(live, [record for n, record in enumerate(records) if n not in refused]))
        answers = [refused.get(n) or _placed(next(places)) for n in range(len(records))]
        return {"FailedRecordCount": len(refused), "Records": answers, "EncryptionType": "NONE"}

    @staticmethod
    def _checked(description: Description, data: bytes, key: str, hash_key: str | None) -> log.Record:
        if not key:
            invalid = Invalid([])
            invalid.add("partitionKey", "not be null")
            invalid.check()
        if hash_key is not None and int(hash_key) >= HASHES:
            told = "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]."
            raise AwsError("InvalidArgumentException", f"{told} Specified value was {hash_key}")
        if len(data) + len(key.encode()) > description.record_kib << 10:
            told = f"a record and its partition key may have {description.record_kib} KiB together"
            raise AwsError("InvalidArgumentException", told)
        return key, data, hash_key

    def get_shard_iterator(
        self, *, ShardId: str, ShardIteratorType: str, StartingSequenceNumber: str | None = None,
        Timestamp: datetime | None = None, **which: str,
    ) -> Answer:
        description = self._find(which).description
        shard = self.streams.shard(description, ShardId)
        position = starting_position(self.streams.store, description, shard, ShardIteratorType, StartingSequenceNumber, Timestamp)
        return {"ShardIterator": _iterator(description, shard, position)}

    def get_records(self, *, ShardIterator: str, Limit: int = READ_RECORDS, StreamARN: str | None = None, **other: Any) -> Answer:
        refuse(other)
        iterator = read_token(ShardIterator)
        description = self.streams.find(iterator.stream).description
        if description.place != iterator.place:
            raise AwsError("InvalidArgumentException", "The ShardIterator is of another stream that had this name.")
        return self._read(description, description.shards[iterator.shard], iterator.position, Limit)[1]

    def _read(self, description: Description, shard: Shard, position: int, limit: int) -> tuple[int, Answer]:
        """Position to read on from, and what GetRecords answers."""
        name = description.stream_of(shard.number)
        position, found = log.read(self.streams.store, name, position, limit, READ_BYTES)
        ended = shard.end is not None and position >= shard.end
        return position, {
            "Records": [_record(shard, record) for record in found],
            "NextShardIterator": None if ended else _iterator(description, shard, position),
            "MillisBehindLatest": log.millis_behind(self.streams.store, name, position),
            "ChildShards": _children(description, shard) if ended else None,
        }

    def register_stream_consumer(
        self, *, StreamARN: str, ConsumerName: str, Tags: dict[str, str] | None = None, **other: Any
    ) -> Answer:
        refuse(other)
        consumer = self._consumers.add(self._find({"StreamARN": StreamARN}).description.name, StreamARN, ConsumerName)
        self._tags.set(consumer["ConsumerARN"], Tags or {})
        return {"Consumer": _shown(consumer)}

    def deregister_stream_consumer(self, **which: str) -> None:
        self._consumers.remove(self._consumers.find(**which))

    def describe_stream_consumer(self, **which: str) -> Answer:
        consumer = self._consumers.find(**which)
        return {"ConsumerDescription": {**_shown(consumer), "StreamARN": consumer["StreamARN"]}}

    def list_stream_consumers(
        self, *, StreamARN: str, MaxResults: int = 100, NextToken: str = "",
        StreamCreationTimestamp: datetime | None = None, **other: Any,
    ) -> Answer:
        refuse(other)
        consumers = self._consumers.of(self._find({"StreamARN": StreamARN}).description.name)
        found, more = page_after(((consumer["ConsumerName"], consumer) for consumer in consumers), NextToken, MaxResults)
        return {"Consumers": [_shown(consumer) for consumer in found], "NextToken": more}

    def subscribe_to_shard(self, *, ConsumerARN: str, ShardId: str, StartingPosition: Answer, **other: Any) -> Answer:
        refuse(other)
        consumer = self._consumers.find(ConsumerARN=ConsumerARN)
        live = self._find({"StreamARN": consumer["StreamARN"]})
        shard = self.streams.shard(live.description, ShardId)
        position = starting_position(
            self.streams.store, live.description, shard, StartingPosition["Type"], StartingPosition.get("SequenceNumber"),
            StartingPosition.get("Timestamp"),
        )
        mine = self._consumers.subscribe(ConsumerARN, ShardId)
        return {"EventStream": self._pushed(live, shard.number, position, mine)}

    def _pushed(self, live: Live, number: int, position: int, mine: threading.Event) -> Events[Answer]:
        """Records as they come, for five minutes or until somebody else subscribes."""
        until, beat = time.monotonic() + SUBSCRIBE_SECONDS, 0.0
        name = live.description.stream_of(number)
        while not mine.is_set() and not self._trimmer.stop.is_set() and time.monotonic() < until:
            if not self.streams.store.wait(name, {0: position}, WAIT_SECONDS) and time.monotonic() < beat:
                continue
            beat = time.monotonic() + BEAT_SECONDS
            position, read = self._read(live.description, live.description.shards[number], position, READ_RECORDS)
            yield {"SubscribeToShardEvent": {
                "Records": read["Records"], "ContinuationSequenceNumber": sequence_number(number, position),
                "MillisBehindLatest": read["MillisBehindLatest"], "ChildShards": read["ChildShards"],
            }}
            if read["NextShardIterator"] is None:
                return

def _record(shard: Shard, record: log.Read) -> Answer:
    return {
        "SequenceNumber": sequence_number(shard.number, record.position), "Data": record.data, "PartitionKey": record.key,
        "ApproximateArrivalTimestamp": datetime.fromtimestamp(record.arrived, UTC),
    }


def _placed(place: log.Place) -> Answer:
    return {"ShardId": shard_id(place.shard), "SequenceNumber": sequence_number(*place)}


def _iterator(description: Description, shard: Shard, position: int) -> str:
    return Iterator(description.name, description.place, shard.number, position, time.time()).token()


def _children(description: Description, shard: Shard) -> list[Answer]:
    """The shards that a closed one was split or merged into."""
    return [
        {"ShardId": child.id, "HashKeyRange": child.described()["HashKeyRange"],
         "ParentShards": [shard_id(number) for number in (child.parent, child.adjacent) if number is not None]}
        for child in description.children(shard.number)
    ]


def _shown(consumer: Answer) -> Answer:
    return {name: value for name, value in consumer.items() if name != "StreamARN"}
