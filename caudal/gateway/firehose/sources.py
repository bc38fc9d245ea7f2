"""Where a delivery stream's records come from: a Kinesis stream, or its own durable log of what was put to it."""

from collections.abc import Iterator
from typing import Any, Protocol

from caudal.gateway.cloud import Cloud
from caudal.gateway.firehose.records import Record
from caudal.gateway.kinesis import log
from caudal.gateway.kinesis.shards import sequence_number
from caudal.ingest.stream import Stream
from caudal.ingest.stream.port import SupportsRetention

Places = dict[int, int]
"""Shard to the position of the next record."""


class Source(Protocol):
    """A log in shards that is read from any place on."""

    def read(self, places: Places, limit_bytes: int) -> Iterator[tuple[int, int, list[Record]]]:
        """Shard, position after them, and the next records of each shard that has some."""

    def now(self) -> Places:
        """Places after the newest records."""

    def wait(self, places: Places, seconds: float) -> None:
        """Until there is more, or the time is over."""

    def done(self, places: Places) -> None:
        """What lies before these places is delivered."""


class DirectPut:
    """The log of one delivery stream that records are put to."""

    def __init__(self, stream: Stream, name: str) -> None:
        self._stream = stream
        self._name = name
        stream.create(name, 1)

    def put(self, records: list[bytes]) -> list[str]:
        """Add records durably; their ids."""
        first = self._stream.append_all({self._name: [(b"", record) for record in records]})[self._name].get(0, 0)
        return [f"{first + n:056}" for n in range(len(records))]

    def read(self, places: Places, limit_bytes: int) -> Iterator[tuple[int, int, list[Record]]]:
        found = self._stream.read(self._name, 0, places.get(0, 0), limit_bytes)
        made = []
        for n in range(len(found)):
            data = found.raw(n)
            made.append(Record(f"{found.first + n:056}", found.first + n, found.times[n] / 1e6, data, data))
        if made:
            yield 0, found.next, made

    def now(self) -> Places:
        return self._stream.now(self._name)

    def wait(self, places: Places, seconds: float) -> None:
        self._stream.wait(self._name, {0: places.get(0, 0)}, seconds)

    def done(self, places: Places) -> None:
        if isinstance(self._stream, SupportsRetention):
            self._stream.trim(self._name, places)

    def drop(self) -> None:
        """Forget the records."""
        self._stream.drop(self._name)


class KinesisSource:
    """A Kinesis stream; a shard is read once its parents are read to their ends."""

    def __init__(self, cloud: Cloud, arn: str) -> None:
        self._streams: Any = cloud.service("kinesis").streams
        self._arn = arn
        self._streams.find(StreamARN=arn)

    def read(self, places: Places, limit_bytes: int) -> Iterator[tuple[int, int, list[Record]]]:
        description = self._streams.find(StreamARN=self._arn).description
        places = dict(places)
        for shard in description.shards:
            parents = [description.shards[number] for number in (shard.parent, shard.adjacent) if number is not None]
            if any(parent.end is None or places.get(parent.number, 0) < parent.end for parent in parents):
                continue
            name = description.stream_of(shard.number)
            following, found = log.read(self._streams.store, name, places.get(shard.number, 0), log.ANY, limit_bytes)
            if found:
                places[shard.number] = following
                yield shard.number, following, [
                    Record(sequence_number(shard.number, r.position), r.position, r.arrived, r.data, r.data) for r in found
                ]

    def now(self) -> Places:
        description = self._streams.find(StreamARN=self._arn).description
        store: Stream = self._streams.store
        return {shard.number: store.now(description.stream_of(shard.number))[0] for shard in description.shards}

    def wait(self, places: Places, seconds: float) -> None:
        description = self._streams.find(StreamARN=self._arn).description
        newest = description.open[0]
        self._streams.store.wait(description.stream_of(newest.number), {0: places.get(newest.number, 0)}, seconds)

    def done(self, places: Places) -> None:
        """The stream keeps its records for its other readers."""
