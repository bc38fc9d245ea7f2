"""The DynamoDB Streams API."""

import base64
import binascii
import time
from collections.abc import Iterator as Records
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import msgspec

from caudal.errors import Trimmed
from caudal.gateway.cloud import Service, refuse
from caudal.gateway.dynamodb.account import STREAM_SECONDS, Account
from caudal.gateway.dynamodb.changes import event_name, read_change, stream_record
from caudal.gateway.dynamodb.tables import Streaming, key_schema
from caudal.gateway.dynamodb.values import invalid
from caudal.gateway.faults import AwsError
from caudal.gateway.pages import page_after
from caudal.ingest.stream import Stream

Answer = dict[str, Any]

READ_RECORDS, READ_BYTES = 1000, 1 << 20
"""The most that GetRecords returns."""
ITERATOR_SECONDS = 15 * 60


class Iterator(msgspec.Struct, frozen=True, array_like=True):
    """A place in a shard, and when it was given out."""

    arn: str
    shard: int
    position: int
    issued: float

    def token(self) -> str:
        """As clients hold it."""
        return f"{self.arn}|1|{base64.b64encode(msgspec.msgpack.encode(self)).decode()}"


class DynamoDBStreams(Service):
    """The changes of tables that have a stream, in order for each item, each once, for 24 hours."""

    name = "dynamodbstreams"
    shapes = {"AttributeMap": (lambda value, path, invalid: value, lambda value: value)}  # images are as the wire has them

    @property
    def _account(self) -> Account:
        account: Account = self.cloud.service("dynamodb").account
        return account

    @property
    def _log(self) -> Stream:
        return self.cloud.stages.stream

    def list_streams(
        self, *, TableName: str = "", Limit: int = 100, ExclusiveStartStreamArn: str = ""
    ) -> Answer:
        table = self._account.find(TableName).name if TableName else ""
        streams = ((self._arn(stream), stream) for stream in self._account.streams(table))
        found, last = page_after(streams, ExclusiveStartStreamArn, Limit)
        shown = [{"StreamArn": self._arn(one), "TableName": one.table, "StreamLabel": one.label} for one in found]
        return {"Streams": shown, "LastEvaluatedStreamArn": last}

    def describe_stream(self, *, StreamArn: str, Limit: int = 100, ExclusiveStartShardId: str = "", **other: Any) -> Answer:
        refuse(other, "ValidationException")
        stream = self._find(StreamArn)
        shards, last = page_after(((shard_id(stream, n), n) for n in stream.since), ExclusiveStartShardId, Limit)
        return {"StreamDescription": {
            "StreamArn": StreamArn, "StreamLabel": stream.label, "StreamStatus": "DISABLED" if stream.until else "ENABLED",
            "StreamViewType": stream.view, "CreationRequestDateTime": datetime.fromisoformat(f"{stream.label}+00:00"),
            "TableName": stream.table, "KeySchema": key_schema(stream.key), "Shards": [_shard(stream, n) for n in shards],
            "LastEvaluatedShardId": last,
        }}

    def get_shard_iterator(
        self, *, StreamArn: str, ShardId: str, ShardIteratorType: str, SequenceNumber: str | None = None, **other: Any
    ) -> Answer:
        refuse(other, "ValidationException")
        stream = self._find(StreamArn)
        shard = next((n for n in stream.since if shard_id(stream, n) == ShardId), None)
        if shard is None:
            raise AwsError("ResourceNotFoundException", f"Requested resource not found: Shard does not exist: {ShardId}")
        if ShardIteratorType == "TRIM_HORIZON":
            position = self._horizon(stream, shard)
        elif ShardIteratorType == "LATEST":
            position = self._end(stream, shard)
        else:
            position = _position(shard, SequenceNumber) + (ShardIteratorType == "AFTER_SEQUENCE_NUMBER")
            if not stream.since[shard] <= position <= self._end(stream, shard):
                raise invalid("Invalid SequenceNumber")
            if position < self._horizon(stream, shard):
                raise _trimmed()
        return {"ShardIterator": Iterator(StreamArn, shard, position, time.time()).token()}

    def get_records(self, *, ShardIterator: str, Limit: int = READ_RECORDS) -> Answer:
        if Limit > READ_RECORDS:
            raise invalid(f"Limit must be at most {READ_RECORDS}")
        place = _read_token(ShardIterator)
        stream = self._find(place.arn)
        end, position = self._end(stream, place.shard), place.position
        records: list[Answer] = []
        while not records and position < end:  # what is no change to AWS must not look like the end
            read = list(self._read(stream, place.shard, position, min(Limit, end - position)))
            records = [record for _, record in read if record is not None]
            position = read[-1][0] + 1
        is_over = bool(stream.until) and position >= end
        following = None if is_over else Iterator(place.arn, place.shard, position, time.time()).token()
        return {"Records": records, "NextShardIterator": following}

    def _read(self, stream: Streaming, shard: int, position: int, limit: int) -> Records[tuple[int, Answer | None]]:
        """Positions, and the record of each; None for one that AWS does not tell."""
        try:
            run = self._log.read(stream.table, shard, position, READ_BYTES)[:limit]
        except Trimmed:
            raise _trimmed() from None
        if run.times[0] < 1e6 * (time.time() - STREAM_SECONDS):
            raise _trimmed()
        for n in range(len(run)):
            change = read_change(run.raw(n), stream.key)
            if change is None:
                yield run.first + n, None
                continue
            inner = stream_record(change, stream.key, stream.view)
            at = datetime.fromtimestamp(change.event_time // 1_000_000, UTC)
            inner |= {"SequenceNumber": sequence_number(shard, run.first + n), "StreamViewType": stream.view,
                      "ApproximateCreationDateTime": at}
            identity = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"} if change.reason == "ttl" else None
            yield run.first + n, {
                "eventID": change.event_id, "eventName": event_name(change), "eventVersion": "1.1", "eventSource": "aws:dynamodb",
                "awsRegion": self.cloud.region, "dynamodb": inner, "userIdentity": identity,
            }

    def _find(self, arn: str) -> Streaming:
        stream = self._account.stream(arn)
        if stream is None:
            raise AwsError("ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found")
        return stream

    def _arn(self, stream: Streaming) -> str:
        return f"{self._account.arn(stream.table)}/stream/{stream.label}"

    def _end(self, stream: Streaming, shard: int) -> int:
        return stream.until[shard] if stream.until else self._log.ends(stream.table)[shard].next

    def _horizon(self, stream: Streaming, shard: int) -> int:
        """Position of the oldest record that can be read."""
        since = 1e6 * (time.time() - STREAM_SECONDS)
        low, high = max(stream.since[shard], self._log.ends(stream.table)[shard].oldest), self._end(stream, shard)
        while low < high:
            middle = (low + high) // 2
            if self._log.read(stream.table, shard, middle, 1).times[0] >= since:
                high = middle
            else:
                low = middle + 1
        return low


def shard_id(stream: Streaming, shard: int) -> str:
    """As clients name a shard: no other stream of the table has one of that name."""
    return f"shardId-{shard:020}-{crc32(stream.label.encode()):08x}"


def sequence_number(shard: int, position: int) -> str:
    """A record's place: sorts by position within a shard."""
    return f"1{shard:04}{position:020}"


def _position(shard: int, sequence: str | None) -> int:
    if sequence is None:
        raise invalid("Sequence number is required for this type of shard iterator")
    if len(sequence) != 25 or not sequence.isdigit() or sequence[:5] != f"1{shard:04}":
        raise invalid("Invalid SequenceNumber")
    return int(sequence[5:])


def _shard(stream: Streaming, shard: int) -> Answer:
    range_ = {"StartingSequenceNumber": sequence_number(shard, stream.since[shard])}
    if stream.until:
        range_["EndingSequenceNumber"] = sequence_number(shard, max(stream.since[shard], stream.until[shard] - 1))
    return {"ShardId": shard_id(stream, shard), "SequenceNumberRange": range_}


def _read_token(token: str) -> Iterator:
    try:
        place = msgspec.msgpack.decode(base64.b64decode(token.rpartition("|")[2], validate=True), type=Iterator)
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise invalid("Invalid ShardIterator") from None
    if time.time() > place.issued + ITERATOR_SECONDS:
        raise AwsError("ExpiredIteratorException", "Iterator expired. The iterator was created more than 15 minutes ago.")
    return place


def _trimmed() -> AwsError:
    return AwsError("TrimmedDataAccessException", "The record is past the trim horizon: it is older than 24 hours.")
