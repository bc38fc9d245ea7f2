"""What every stream promises. `caudal.testing.StreamSuite` checks each promise."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, Self, runtime_checkable

from caudal.errors import NotFound, UsageError
from caudal.records import Positions, Records

Gate = Callable[[Collection[str]], None]
"""Is asked with the names of streams before anything is added to them; may wait, and raises Unavailable to refuse it."""


class Ends(NamedTuple):
    """What a shard holds."""

    oldest: int
    """Position of the oldest record that can still be read."""
    next: int
    """Position that the next record will get."""


def shard_of(key: bytes, shards: int) -> int:
    """The shard of a key: the same for ever, in every process."""
    return zlib.crc32(key) % shards


def check_shards(name: str, shards: int) -> None:
    """Raises UsageError for a number of shards that no stream can have."""
    if not 1 <= shards <= 1024:
        raise UsageError(f"stream {name}: {shards} shards", hint="use 1 to 1024")


def check_shard(name: str, shard: int, shards: int) -> None:
    """Raises NotFound for a shard that the stream does not have: the next one's records are none of its own."""
    if not 0 <= shard < shards:
        raise NotFound(f"stream {name} has no shard {shard}", hint=f"its shards are 0 to {shards - 1}")


class Stream(ABC):
    """Named streams of records, each an ordered log in shards.

    Records of one key are read in the order in which they were appended; order across keys is not promised. A record
    is durable once `append` returned, and positions in a shard are dense: 0, 1, 2, … The stream keeps no reader's
    position, so any number of readers read independently.
    """

    @classmethod
    @abstractmethod
    def open(cls, url: str) -> Self:
        """Open the streams that `url` names, creating the place if it is missing."""

    @abstractmethod
    def create(self, name: str, shards: int = 4) -> int:
        """Create a stream unless it exists; returns its number of shards (1 to 1024), which never changes."""

    @abstractmethod
    def append_all(self, records: Mapping[str, Sequence[tuple[bytes, bytes]]]) -> dict[str, Positions]:
        """Add (key, bytes) records to one or more streams durably, all or none, in their order.

        Returns, for each stream, the position of the first record that each of its shards got. Raises NotFound if there
        is no such stream.
        """

    @abstractmethod
    def read(self, name: str, shard: int, offset: int, limit_bytes: int = 8 << 20) -> Records:
        """The records from `offset` on, up to about `limit_bytes`, at least one unless `offset` is the end.

        Raises Trimmed, naming the gap, if that record is no longer kept; BackendError if `offset` is past the end;
        NotFound if there is no such stream or shard.
        """

    @abstractmethod
    def ends(self, name: str) -> dict[int, Ends]:
        """Shard to the oldest and the next position."""

    @abstractmethod
    def moment(self, names: Iterable[str]) -> dict[str, Positions]:
        """Positions after the newest records of several streams, all at one moment.

        Of what one transaction appended to them, either everything lies below or nothing.
        """

    @abstractmethod
    def wait(self, name: str, seen: Mapping[int, int], timeout: float) -> bool:
        """Block until a shard has a record at or past its position in `seen`, or `timeout` seconds have passed.

        Says whether there is one. Does not poll busily.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """The streams that exist, sorted."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Remove a stream with all its records, if it exists. Who still holds it open may no longer append to it."""

    @abstractmethod
    def close(self) -> None:
        """Release what was opened."""

    def append(self, name: str, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Add records to one stream: see `append_all`."""
        self.append_all({name: records})

    def start(self, name: str) -> Positions:
        """Positions of the oldest records."""
        return {shard: ends.oldest for shard, ends in self.ends(name).items()}

    def now(self, name: str) -> Positions:
        """Positions after the newest records."""
        return self.moment([name])[name]


@runtime_checkable
class SupportsRetention(Protocol):
    """A stream that can drop its oldest records."""

    def trim(self, name: str, before: Mapping[int, int], older_than: int | None = None) -> None:
        """Drop what lies wholly below the positions in `before` and was appended before `older_than`.

        `older_than` is in microseconds since 1970; None for any age. Drops whole chunks (what was appended together,
        if it is not large), and never the newest of a shard.
        """


@runtime_checkable
class SupportsGate(Protocol):
    """A stream, or a store with its changes, whose producers can be held back."""

    def admit_by(self, gate: Gate) -> None:
        """Ask `gate` before each write, outside any transaction: if it raises, nothing is written."""


@runtime_checkable
class SupportsBackpressure(SupportsGate, Protocol):
    """A stream that says how much it holds."""

    def waiting_bytes(self, name: str, since: Mapping[int, int]) -> int:
        """Bytes of the records from the positions in `since` on, whole chunks; a shard that is left out counts whole.

        Costs the same however many they are.
        """

    def free_bytes(self) -> float:
        """Space left where records are kept; infinite if that is no disk."""
