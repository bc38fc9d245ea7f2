"""The Kinesis streams there are: made, resharded and removed; kept as documents, and in memory while they are open."""

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from caudal.errors import AlreadyExists
from caudal.gateway.cloud import ACCOUNT, Cloud
from caudal.gateway.documents import Documents
from caudal.gateway.faults import AwsError
from caudal.gateway.kinesis import log
from caudal.gateway.kinesis.shards import Description, Router, Shard, even_ranges, shard_number
from caudal.ingest.stream import Stream
from caudal.ingest.stream.port import SupportsRetention

KIND = "kinesis.stream"


class Live:
    """One stream: any number of writers at once, but none while its shards change."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.router = Router(description.open)
        self._writers = 0
        self._idle = threading.Condition()

    @contextmanager
    def writing(self) -> Iterator[tuple[Description, Router]]:
        """What a writer needs, which stays true until it is done."""
        with self._idle:
            self._writers += 1
        try:
            yield self.description, self.router
        finally:
            with self._idle:
                self._writers -= 1
                self._idle.notify_all()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody writes, and nobody else changes it."""
        with self._idle:
            self._idle.wait_for(lambda: self._writers == 0)
            yield


class Streams:
    """Every stream of the account, by name."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._live: dict[str, Live] = {}
        self._lock = threading.Lock()

    @property
    def store(self) -> Stream:
        """Where the records are."""
        return self._cloud.stages.stream

    @property
    def documents(self) -> Documents:
        return self._cloud.documents

    def find(self, StreamName: str | None = None, StreamARN: str | None = None) -> Live:
        """The stream that a request names. Raises AwsError."""
        name = StreamName if StreamName is not None else (StreamARN or "").rpartition("/")[2]
        if not name:
            raise AwsError("InvalidArgumentException", "StreamName or StreamARN is needed")
        with self._lock:
            if name not in self._live:
                document = self.documents.get(KIND, name)
                if document is None:
                    told = f"Stream {name} under account {ACCOUNT} not found."
                    raise AwsError("ResourceNotFoundException", told)
                self._live[name] = Live(msgspec.convert(document, Description))
            return self._live[name]

    def names(self, after: str = "", limit: int = -1) -> list[str]:
        """Names past `after`, sorted."""
        return list(self.documents.all(KIND, after, limit=limit))

    def create(self, name: str, shards: int, on_demand: bool, record_kib: int) -> None:
        """Make a stream. Raises AwsError."""
        ranges = enumerate(even_ranges(shards))
        made = Description(
            name, time.time(), f"kinesis/{name}/{uuid.uuid4().hex[:8]}", tuple(Shard.of(n, *range) for n, range in ranges),
            on_demand=on_demand, record_kib=record_kib,
        )
        for shard in made.shards:
            self.store.create(made.stream_of(shard.number), 1)
        try:
            self.documents.create(KIND, name, msgspec.to_builtins(made))
        except AlreadyExists:
            self._drop(made)
            raise AwsError("ResourceInUseException", f"Stream {name} under account {ACCOUNT} already exists.") from None

    def remove(self, live: Live) -> None:
        """Remove a stream and its records."""
        with live.changing(), self._lock:
            self.documents.remove(KIND, live.description.name)
            self._live.pop(live.description.name, None)
            self._drop(live.description)

    def _drop(self, description: Description) -> None:
        for shard in description.shards:
            self.store.drop(description.stream_of(shard.number))

    def set(self, live: Live, **changes: object) -> None:
        """Change what a stream's document says."""
        with live.changing():
            self._save(live, msgspec.structs.replace(live.description, **changes))

    def _save(self, live: Live, made: Description) -> None:
        self.documents.put(KIND, made.name, msgspec.to_builtins(made))
        live.description, live.router = made, Router(made.open)

    def split(self, live: Live, id: str, start: int) -> None:
        """Close a shard, and open two: the second from the hash key `start` on. Raises AwsError."""
        with live.changing():
            shard = self._open_shard(live, id)
            if not shard.low < start <= shard.high:
                raise AwsError(
                    "InvalidArgumentException", f"NewStartingHashKey {start} used in SplitShard() on shard {id} in stream "
                    f"{live.description.name} is not both greater than one plus the shard's StartingHashKey {shard.low} and less "
                    f"than the shard's EndingHashKey {shard.high - 1}.")
            self._replace(live, [shard], [(shard.low, start - 1), (start, shard.high)])

    def merge(self, live: Live, first: str, second: str) -> None:
        """Close two adjacent shards, and open one. Raises AwsError."""
        with live.changing():
            a, b = self._open_shard(live, first), self._open_shard(live, second)
            if a.high + 1 != b.low and b.high + 1 != a.low:
                told = f"Shards {first} and {second} in stream {live.description.name} under account {ACCOUNT}"
                raise AwsError("InvalidArgumentException", f"{told} are not an adjacent pair of shards eligible for merging")
            self._replace(live, [a, b], [(min(a.low, b.low), max(a.high, b.high))])

    def resize(self, live: Live, shards: int) -> None:
        """Split and merge until there are `shards` open ones of one size."""
        wanted = even_ranges(shards)
        for low, _ in wanted:
            for shard in live.description.open:
                if shard.low < low <= shard.high:
                    self.split(live, shard.id, low)
        for low, high in wanted:
            while len(inside := [shard for shard in live.description.open if low <= shard.low <= high]) > 1:
                self.merge(live, inside[0].id, inside[1].id)

    def _open_shard(self, live: Live, id: str) -> Shard:
        shard = self.shard(live.description, id)
        if shard.end is not None:
            told = f"Shard {id} in stream {live.description.name} under account {ACCOUNT} has already been merged or split"
            raise AwsError("ResourceInUseException", f"{told}, and thus is not eligible for merging or splitting.")
        return shard

    @staticmethod
    def shard(description: Description, id: str) -> Shard:
        """The shard of that id. Raises AwsError."""
        number = shard_number(id)
        if number is None or number >= len(description.shards):
            told = f"Could not find shard {id} in stream {description.name} under account {ACCOUNT}."
            raise AwsError("ResourceNotFoundException", told)
        return description.shards[number]

    def _replace(self, live: Live, closed: Sequence[Shard], ranges: Sequence[tuple[int, int]]) -> None:
        """Close shards and open ones with the ranges given; nobody writes meanwhile."""
        old, now = live.description, time.time()
        parent, adjacent = closed[0].number, closed[1].number if len(closed) > 1 else None
        shards = list(old.shards)
        for shard in closed:
            end = self.store.ends(old.stream_of(shard.number))[0].next
            shards[shard.number] = msgspec.structs.replace(shard, end=end, closed=now)
        for low, high in ranges:
            shards.append(Shard.of(len(shards), low, high, parent, adjacent))
            self.store.create(old.stream_of(shards[-1].number), 1)
        self._save(live, msgspec.structs.replace(old, shards=tuple(shards)))

    def put(self, live: Live, records: Sequence[log.Record], beside: log.Beside | None = None) -> list[log.Place]:
        """Add records, all or none; where each is. `beside` goes to other streams, in the same transaction."""
        with live.writing() as (description, router):
            return log.append(self.store, description, router, records, beside or {})

    def trim(self) -> None:
        """Drop what is older than each stream keeps it."""
        for name in self.names():
            description = self.find(name).description
            oldest = int(1e6 * (time.time() - 3600 * description.retention_hours))
            for shard in description.shards:
                stream = description.stream_of(shard.number)
                if isinstance(self.store, SupportsRetention):
                    self.store.trim(stream, self.store.now(stream), oldest)

