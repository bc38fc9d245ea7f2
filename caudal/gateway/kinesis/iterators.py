"""Shard iterators: where a reader goes on, good for five minutes."""

import base64
import binascii
import time
from datetime import datetime

import msgspec

from caudal.gateway.faults import AwsError
from caudal.gateway.kinesis import log
from caudal.gateway.kinesis.shards import Description, Shard, position_in
from caudal.ingest.stream import Stream

SECONDS = 300


class Iterator(msgspec.Struct, frozen=True, array_like=True):
    """A place in a shard, and when it was given out."""

    stream: str
    place: str
    """Of the very stream: another of the same name is not meant."""
    shard: int
    position: int
    issued: float

    def token(self) -> str:
        """As clients hold it."""
        return base64.b64encode(msgspec.msgpack.encode(self)).decode()


def read_token(token: str) -> Iterator:
    """The iterator that a client gives back. Raises AwsError."""
    try:
        found = msgspec.msgpack.decode(base64.b64decode(token, validate=True), type=Iterator)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise AwsError("InvalidArgumentException", "Invalid ShardIterator.") from None
    if time.time() - found.issued > SECONDS:
        told = "Iterator expired. The iterator was created more than 5 minutes ago"
        raise AwsError("ExpiredIteratorException", told)
    return found


def starting_position(
    stream: Stream, description: Description, shard: Shard, kind: str, sequence: str | None, at: datetime | None
) -> int:
    """The position where reading starts, by ShardIteratorType. Raises AwsError."""
    name = description.stream_of(shard.number)
    if kind == "TRIM_HORIZON":
        return stream.ends(name)[0].oldest
    if kind == "LATEST":
        return stream.ends(name)[0].next
    if kind == "AT_TIMESTAMP":
        if at is None:
            raise AwsError("InvalidArgumentException", "Must either specify timestamp parameter with AT_TIMESTAMP")
        return log.position_at(stream, name, at.timestamp())
    if sequence is None:
        raise AwsError("InvalidArgumentException", f"StartingSequenceNumber must be specified with {kind}")
    position = position_in(shard.number, sequence)
    if position is None or position > stream.ends(name)[0].next:
        told = f"StartingSequenceNumber {sequence} used in GetShardIterator on shard {shard.id} in stream"
        raise AwsError("InvalidArgumentException", f"{told} {description.name} is invalid.")
    return position + (kind == "AFTER_SEQUENCE_NUMBER")
