"""Records of Kinesis streams in the stream port: each is its partition key's length, the key, and the data."""

import struct
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from caudal.errors import Trimmed
from caudal.gateway.kinesis.shards import Description, Router
from caudal.ingest.stream import Stream
from caudal.records import Records

ANY = 1 << 62
"""A limit that is none."""

Record = tuple[str, bytes, str | None]
"""Partition key, data, and the hash key that the record names itself."""

Beside = Mapping[str, Sequence[tuple[bytes, bytes]]]
"""Records of other streams, by the stream's name."""


class Place(NamedTuple):
    """Where a record is."""

    shard: int
    position: int


class Read(NamedTuple):
    """A record that was read."""

    position: int
    arrived: float
    """Seconds since 1970."""
    key: str
    data: bytes


def append(
    stream: Stream, description: Description, router: Router, records: Sequence[Record], beside: Beside = MappingProxyType({})
) -> list[Place]:
    """Add records, all or none; where each is."""
    runs: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    places = []
    for key, data, hash_key in records:
        shard = router.number(key, hash_key)
        encoded = key.encode()
        places.append(Place(shard, len(runs[shard])))
        runs[shard].append((b"", struct.pack(">H", len(encoded)) + encoded + data))
    firsts = stream.append_all({**{description.stream_of(shard): run for shard, run in runs.items()}, **beside})
    starts = {shard: firsts[description.stream_of(shard)][0] for shard in runs}
    return [Place(shard, starts[shard] + n) for shard, n in places]


def read(stream: Stream, name: str, position: int, limit: int, limit_bytes: int) -> tuple[int, list[Read]]:
    """Position to read on from, and at most `limit` records from `position` on; from the oldest if that is no longer kept."""
    records = _read(stream, name, position, limit_bytes)[:limit]
    found = []
    for n in range(len(records)):
        raw = records.raw(n)
        end = 2 + struct.unpack_from(">H", raw)[0]
        found.append(Read(records.first + n, records.times[n] / 1e6, raw[2:end].decode(), raw[end:]))
    return records.next, found


def _read(stream: Stream, name: str, position: int, limit_bytes: int) -> Records:
    while True:
        try:
            return stream.read(name, 0, position, limit_bytes)
        except Trimmed:
            position = stream.ends(name)[0].oldest


def position_at(stream: Stream, name: str, seconds: float) -> int:
    """Position of the first record that arrived at `seconds` since 1970 or later."""
    low, high = stream.ends(name)[0]
    while low < high:
        middle = (low + high) // 2
        records = _read(stream, name, middle, 1)
        if not len(records) or records.times[0] / 1e6 >= seconds:
            high = middle
        else:
            low = max(middle, records.first) + 1
    return low


def millis_behind(stream: Stream, name: str, position: int) -> int:
    """How long the record at `position` has been waiting; 0 if there is none."""
    if position >= stream.ends(name)[0].next:
        return 0
    records = _read(stream, name, position, 1)
    return max(0, int(1000 * time.time() - records.times[0] / 1000)) if len(records) else 0
