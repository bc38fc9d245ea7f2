"""The stream as lists: the model that other streams are compared with."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Self

from caudal.errors import BackendError, NotFound, Trimmed
from caudal.ingest.stream.port import Ends, Gate, Stream, check_shard, check_shards, shard_of
from caudal.records import Positions, Records


@dataclass
class _Shard:
    oldest: int = 0
    records: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)  # position after each append: what trim drops whole
    totals: list[int] = field(default_factory=list)  # bytes up to the end of each record

    def bytes_before(self, position: int) -> int:
        return self.totals[position - 1] if position else 0


class MemoryStream(Stream):
    """A stream that its process forgets when it ends; `memory:name` is shared by whoever opens that name."""

    _shared: ClassVar[dict[str, "MemoryStream"]] = {}

    def __init__(self) -> None:
        self._streams: dict[str, list[_Shard]] = {}
        self._news = threading.Condition()
        self._gate: Gate | None = None

    @classmethod
    def open(cls, url: str) -> Self:
        name = url.partition(":")[2]
        if not name.strip("/"):
            return cls()
        return cls._shared.setdefault(name, cls())  # type: ignore[return-value]

    def create(self, name: str, shards: int = 4) -> int:
        check_shards(name, shards)
        return len(self._streams.setdefault(name, [_Shard() for _ in range(shards)]))

    def append_all(self, records: Mapping[str, Sequence[tuple[bytes, bytes]]]) -> dict[str, Positions]:
        for name in records:
            self._find(name)
        if self._gate is not None:
            self._gate(tuple(records))
        return self.add(records)

    def add(self, records: Mapping[str, Sequence[tuple[bytes, bytes]]]) -> dict[str, Positions]:
        """Append without asking the gate: for a store, which has asked it."""
        found = {name: self._find(name) for name in records}
        firsts: dict[str, Positions] = {name: {} for name in records}
        with self._news:
            now = time.time_ns() // 1000
            for name, shards in found.items():
                for key, record in records[name]:
                    number = shard_of(key, len(shards))
                    shard = shards[number]
                    firsts[name].setdefault(number, len(shard.records))
                    shard.records.append(record)
                    shard.times.append(now)
                    shard.totals.append(shard.bytes_before(len(shard.totals)) + len(record))
                for shard in shards:
                    if shard.records and (not shard.chunks or shard.chunks[-1] < len(shard.records)):
                        shard.chunks.append(len(shard.records))
            self._news.notify_all()
        return firsts

    def moment(self, names: Iterable[str]) -> dict[str, Positions]:
        found = {name: self._find(name) for name in names}
        with self._news:
            return {name: {n: len(shard.records) for n, shard in enumerate(shards)} for name, shards in found.items()}

    def read(self, name: str, shard: int, offset: int, limit_bytes: int = 8 << 20) -> Records:
        found = self._shard(name, shard)
        if offset < found.oldest:
            raise Trimmed(f"stream {name}, shard {shard}: positions {offset} to {found.oldest - 1} are no longer kept")
        if offset > len(found.records):
            raise BackendError(f"stream {name}, shard {shard}: position {offset} is past the end, {len(found.records)}")
        stop, total = offset, 0
        while stop < len(found.records) and (stop == offset or total + len(found.records[stop]) <= limit_bytes):
            total += len(found.records[stop])
            stop += 1
        run = Records.of(shard, offset, found.records[offset:stop])
        run.times[:] = found.times[offset:stop]
        return run

    def ends(self, name: str) -> dict[int, Ends]:
        return {n: Ends(shard.oldest, len(shard.records)) for n, shard in enumerate(self._find(name))}

    def wait(self, name: str, seen: Mapping[int, int], timeout: float) -> bool:
        def news() -> bool:
            return any(ends.next > seen.get(shard, 0) for shard, ends in self.ends(name).items())

        with self._news:
            return self._news.wait_for(news, timeout)

    def names(self) -> list[str]:
        return sorted(self._streams)

    def drop(self, name: str) -> None:
        self._streams.pop(name, None)

    def trim(self, name: str, before: Mapping[int, int], older_than: int | None = None) -> None:
        """Drop the oldest records: see `SupportsRetention`."""
        shards = {number: self._shard(name, number) for number in before}
        with self._news:
            for number, shard in shards.items():
                for end in shard.chunks[:-1]:
                    if end > before[number] or (older_than is not None and shard.times[end - 1] >= older_than):
                        break
                    shard.oldest = max(shard.oldest, end)

    def admit_by(self, gate: Gate) -> None:
        """Ask before each write: see `SupportsGate`."""
        self._gate = gate

    def waiting_bytes(self, name: str, since: Mapping[int, int]) -> int:
        """How much there is from some positions on: see `SupportsBackpressure`."""
        return sum(
            shard.bytes_before(len(shard.totals)) - shard.bytes_before(max(shard.oldest, since.get(n, 0)))
            for n, shard in enumerate(self._find(name))
        )

    def free_bytes(self) -> float:
        """Nothing lies on a disk."""
        return inf

    def close(self) -> None:
        pass

    def _shard(self, name: str, number: int) -> _Shard:
        shards = self._find(name)
        check_shard(name, number, len(shards))
        return shards[number]

    def _find(self, name: str) -> list[_Shard]:
        if name not in self._streams:
            raise NotFound(f"no stream {name}", hint="declare a table of that name in the pipeline")
        return self._streams[name]
