"""What a Kinesis stream is made of: shards, each with its range of hash keys, open or closed, and their parents."""

import hashlib
import time
from bisect import bisect_right
from typing import Any

import msgspec

HASHES = 1 << 128
"""Hash keys are 0 to this less one."""
SEQUENCE_DIGITS = 56


class Shard(msgspec.Struct, frozen=True):
    """A shard: it takes records whose hash key is in its range, both ends included, until it is closed."""

    number: int
    starting: str
    ending: str
    """The range, in decimal digits: it is wider than 64 bits."""
    parent: int | None = None
    adjacent: int | None = None
    """The other parent, of a merged shard."""
    end: int | None = None
    """Position after its last record, once it is closed."""
    closed: float = 0.0
    """When that was, seconds since 1970."""

    @classmethod
    def of(cls, number: int, low: int, high: int, parent: int | None = None, adjacent: int | None = None) -> "Shard":
        """A new shard of the hash keys from `low` to `high`."""
        return cls(number, str(low), str(high), parent, adjacent)

    @property
    def low(self) -> int:
        """The first hash key."""
        return int(self.starting)

    @property
    def high(self) -> int:
        """The last hash key."""
        return int(self.ending)

    @property
    def id(self) -> str:
        """As clients name it."""
        return shard_id(self.number)

    def described(self) -> dict[str, Any]:
        """As DescribeStream and ListShards show it."""
        sequence = {"StartingSequenceNumber": sequence_number(self.number, 0)}
        if self.end is not None:
            sequence["EndingSequenceNumber"] = sequence_number(self.number, max(0, self.end - 1))
        return {
            "ShardId": self.id, "HashKeyRange": {"StartingHashKey": self.starting, "EndingHashKey": self.ending},
            "SequenceNumberRange": sequence,
            "ParentShardId": shard_id(self.parent) if self.parent is not None else None,
            "AdjacentParentShardId": shard_id(self.adjacent) if self.adjacent is not None else None,
        }


class Description(msgspec.Struct, frozen=True):
    """A Kinesis stream, as its document says."""

    name: str
    created: float
    place: str
    """What the streams that hold its shards are named after: never used twice."""
    shards: tuple[Shard, ...]
    """All that there ever were, by their number."""
    retention_hours: int = 24
    on_demand: bool = False
    record_kib: int = 1024
    """The largest record, with its key."""

    @property
    def open(self) -> list[Shard]:
        """Shards that take records, in the order of their hash keys."""
        return sorted((shard for shard in self.shards if shard.end is None), key=lambda shard: shard.low)

    def stream_of(self, number: int) -> str:
        """Name of the stream that holds a shard's records."""
        return f"{self.place}/{number}"

    @property
    def listed(self) -> list[Shard]:
        """Shards that may still have records: a closed one goes when its last record does."""
        oldest = time.time() - 3600 * self.retention_hours
        return [shard for shard in self.shards if shard.end is None or shard.closed > oldest]

    def children(self, number: int) -> list[Shard]:
        """Shards that a closed one was split or merged into."""
        return [shard for shard in self.shards if number in (shard.parent, shard.adjacent)]


class Router:
    """Tells which open shard a record goes to."""

    def __init__(self, shards: list[Shard]) -> None:
        self._lows = [shard.low for shard in shards]
        self._numbers = [shard.number for shard in shards]

    def number(self, key: str, hash_key: str | None) -> int:
        """The shard's number, by the record's partition key, or by the hash key that it names itself."""
        if len(self._numbers) == 1:
            return self._numbers[0]
        hashed = int(hash_key) if hash_key is not None else int.from_bytes(hashlib.md5(key.encode()).digest(), "big")
        return self._numbers[bisect_right(self._lows, hashed) - 1]


def even_ranges(shards: int) -> list[tuple[int, int]]:
    """All hash keys cut into `shards` ranges of one size, the last with the rest."""
    size = HASHES // shards
    return [(n * size, HASHES - 1 if n == shards - 1 else (n + 1) * size - 1) for n in range(shards)]


def shard_id(number: int) -> str:
    """`shardId-000000000007`."""
    return f"shardId-{number:012}"


def shard_number(id: str) -> int | None:
    """The number in a shard's id; None if it is none."""
    digits = id.removeprefix("shardId-")
    return int(digits) if id.startswith("shardId-") and digits.isascii() and digits.isdigit() else None


def sequence_number(shard: int, position: int) -> str:
    """A record's place: sorts by position within a shard, and is never another shard's."""
    return f"49{shard:010}{position:044}"


def position_in(shard: int, sequence: str) -> int | None:
    """The position that a sequence number says; None if it is none of this shard's."""
    if len(sequence) == SEQUENCE_DIGITS and sequence.isascii() and sequence.isdigit() and sequence[:12] == f"49{shard:010}":
        return int(sequence[12:])
    return None
