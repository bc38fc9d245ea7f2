"""The embedded stream: chunks of records in the file that also holds the store's items."""

import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import apsw

from caudal.ingest.stream import chunks
from caudal.ingest.stream.port import Ends, Gate, Stream, check_shard, check_shards, shard_of
from caudal.records import Positions, Records
from caudal.registry import file_of
from caudal.sqlite import ReadTransaction, open_database, translated

REST_SECONDS = 0.005
"""How long who waits takes no notice once the bell rang for others' records: their every commit is none of its work."""


class SqliteStream(Stream):
    """A stream for one machine: durable, shared by processes."""

    def __init__(self, path: Path) -> None:
        self._db = open_database(path, chunks.SCHEMA, self)
        self._db.transact(chunks.upgrade)
        self._gate: Gate | None = None
        self._places: dict[str, chunks.Place] = {}

    @classmethod
    def open(cls, url: str) -> Self:
        return cls(file_of(url))

    def create(self, name: str, shards: int = 4) -> int:
        check_shards(name, shards)
        return self._db.transact(lambda db: chunks.create(db, name, shards)).shards

    def append_all(self, records: Mapping[str, Sequence[tuple[bytes, bytes]]]) -> dict[str, Positions]:
        places = {name: self._place(name) for name in records}
        runs: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        for name, added in records.items():
            for key, record in added:
                runs[name, shard_of(key, places[name].shards)].append(record)
        firsts: dict[str, Positions] = {name: {} for name in records}
        if runs and self._gate is not None:
            self._gate(tuple(records))
        now = time.time_ns() // 1000

        def work(db: apsw.Connection) -> None:
            for (name, shard), run in runs.items():
                firsts[name][shard] = chunks.append(db, places[name], shard, run, now)

        if runs:
            self._db.transact(work)
        return firsts

    def read(self, name: str, shard: int, offset: int, limit_bytes: int = 8 << 20) -> Records:
        where = self._place(name)
        check_shard(name, shard, where.shards)
        with translated(self._db.path):
            return chunks.read(self._db.reader, where, name, shard, offset, limit_bytes)

    def ends(self, name: str) -> dict[int, Ends]:
        where = self._place(name)
        with translated(self._db.path):
            return chunks.shard_ends(self._db.reader, where)

    def moment(self, names: Iterable[str]) -> dict[str, Positions]:
        places = {name: self._place(name) for name in names}
        found: dict[str, Positions] = {}
        with translated(self._db.path), ReadTransaction(self._db.reader):
            for name, where in places.items():
                found[name] = chunks.nexts(self._db.reader, where)
        return found

    def wait(self, name: str, seen: Mapping[int, int], timeout: float) -> bool:
        self._db.bell.listen()
        until, rung = time.monotonic() + timeout, False
        while True:
            if any(ends.next > seen.get(shard, 0) for shard, ends in self.ends(name).items()):
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            if rung:
                time.sleep(min(left, REST_SECONDS))
            rung = self._db.bell.wait(left)

    def names(self) -> list[str]:
        with translated(self._db.path):
            return chunks.names(self._db.reader)

    def drop(self, name: str) -> None:
        self._db.transact(lambda db: chunks.drop(db, name))
        self._places.pop(name, None)

    def trim(self, name: str, before: Mapping[int, int], older_than: int | None = None) -> None:
        """Drop the oldest records: see `SupportsRetention`."""
        where = self._place(name)
        for shard in before:
            check_shard(name, shard, where.shards)

        def work(db: apsw.Connection) -> None:
            for shard, offset in before.items():
                chunks.trim(db, where, shard, offset, older_than)

        self._db.transact(work)

    def admit_by(self, gate: Gate) -> None:
        """Ask before each write: see `SupportsGate`."""
        self._gate = gate

    def waiting_bytes(self, name: str, since: Mapping[int, int]) -> int:
        """How much there is from some positions on: see `SupportsBackpressure`."""
        where = self._place(name)
        with translated(self._db.path):
            return chunks.waiting_bytes(self._db.reader, where, since)

    def free_bytes(self) -> float:
        """Space left on the disk of the file."""
        with translated(self._db.path):
            return shutil.disk_usage(self._db.path.parent).free

    def close(self) -> None:
        self._db.close(self)

    def _place(self, name: str) -> chunks.Place:
        if name not in self._places:
            with translated(self._db.path):
                self._places[name] = chunks.place(self._db.reader, name)
        return self._places[name]
