"""The embedded stream: chunks of records in the file that also holds the store's items."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from caudal.errors import ConfigError
from caudal.ingest.stream import chunks
from caudal.bell import Bell
from caudal.ingest.stream.port import Ends, Stream, shard_of
from caudal.records import Records
from caudal.registry import path_of
from caudal.sqlite import open_database, translated


class SqliteStream(Stream):
    """A stream for one machine: durable, shared by processes."""

    def __init__(self, path: Path) -> None:
        self._db = open_database(path, chunks.SCHEMA)
        self._bell = Bell(path)
        self._db.after_commit(self._bell.ring)
        self._places: dict[str, chunks.Place] = {}

    @classmethod
    def open(cls, url: str) -> Self:
        path = path_of(url)
        if not path:
            raise ConfigError(f"{url}: names no file", hint="write sqlite:folder/store.db")
        return cls(Path(path))

    def create(self, name: str, shards: int = 4) -> int:
        return self._db.transact(lambda db: chunks.create(db, name, shards)).shards

    def append(self, name: str, records: Sequence[tuple[bytes, bytes]]) -> None:
        if not records:
            return
        where = self._place(name)
        by_shard: dict[int, list[bytes]] = defaultdict(list)
        for key, record in records:
            by_shard[shard_of(key, where.shards)].append(record)
        now = time.time_ns() // 1000
        self._db.transact(
            lambda db: [chunks.append(db, where, shard, run, now) for shard, run in by_shard.items()]
        )

    def read(self, name: str, shard: int, offset: int, limit_bytes: int = 8 << 20) -> Records:
        where = self._place(name)
        with translated(self._db.path):
            return chunks.read(self._db.reader, where, name, shard, offset, limit_bytes)

    def ends(self, name: str) -> dict[int, Ends]:
        where = self._place(name)
        with translated(self._db.path):
            return chunks.shard_ends(self._db.reader, where)

    def wait(self, name: str, seen: Mapping[int, int], timeout: float) -> bool:
        self._bell.listen()
        until = time.monotonic() + timeout
        while True:
            if any(ends.next > seen.get(shard, 0) for shard, ends in self.ends(name).items()):
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._bell.wait(left)

    def names(self) -> list[str]:
        with translated(self._db.path):
            return [name for (name,) in self._db.reader.execute("SELECT name FROM stream ORDER BY name")]

    def trim(self, name: str, before: Mapping[int, int]) -> None:
        """Drop the oldest records: see `SupportsRetention`."""
        where = self._place(name)
        self._db.transact(lambda db: [chunks.trim(db, where, shard, offset) for shard, offset in before.items()])

    def close(self) -> None:
        self._bell.close()
        self._db.close()

    def _place(self, name: str) -> chunks.Place:
        if name not in self._places:
            with translated(self._db.path):
                self._places[name] = chunks.place(self._db.reader, name)
        return self._places[name]
