"""The catalog in dicts: the model that other catalogs are compared with."""

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar, Self

from caudal.errors import Conflict, NotFound, Unavailable
from caudal.lake.catalog.evolution import evolve
from caudal.lake.catalog.port import Catalog, CommitInfo, LakeTable, Lease, Replay, Snapshot, check_commit
from caudal.records import Commit, DataFile, Positions


@dataclass
class _Table:
    definition: LakeTable
    epoch: int = 0
    owner: str = ""
    expires: float = 0
    flushes: int = 0
    positions: Positions = field(default_factory=dict)
    commits: list[CommitInfo] = field(default_factory=list)
    newest: list[int | None] = field(default_factory=list)
    files: list[tuple[int, DataFile]] = field(default_factory=list)
    quarantine: list[DataFile] = field(default_factory=list)
    replayed: dict[tuple[int, int], str] = field(default_factory=dict)


class MemoryCatalog(Catalog):
    """A catalog that its process forgets when it ends; `memory:name` is shared by whoever opens that name."""

    _shared: ClassVar[dict[str, "MemoryCatalog"]] = {}

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}
        self._lock = threading.RLock()

    @classmethod
    def open(cls, url: str, database: str) -> Self:
        name = url.partition(":")[2]
        if not name.strip("/"):
            return cls()
        return cls._shared.setdefault(f"{name}/{database}", cls())  # type: ignore[return-value]

    def declare(self, table: LakeTable) -> None:
        self._define(table, deliberately=False)

    def evolve(self, table: LakeTable, drop: Collection[str] = ()) -> None:
        self._define(table, deliberately=True, drop=drop)

    def _define(self, table: LakeTable, deliberately: bool, drop: Collection[str] = ()) -> None:
        with self._lock:
            found = self._tables.get(table.name) or _Table(table)
            made = evolve(found.definition, table, drop).check(deliberately)
            if made != found.definition:
                found.definition, found.owner, found.expires = made, "", 0
                found.epoch += 1
            self._tables[table.name] = found

    def tables(self) -> dict[str, LakeTable]:
        return {name: table.definition for name, table in sorted(self._tables.items())}

    def lease(self, table: str, owner: str, seconds: float) -> Lease:
        with self._lock:
            found = self._find(table)
            if found.owner != owner:
                if found.owner and found.expires > time.monotonic():
                    raise Unavailable(f"table {table}: {found.owner} is writing it")
                found.epoch += 1
            found.owner, found.expires = owner, time.monotonic() + seconds
            return Lease(found.epoch, dict(found.positions))

    def release(self, table: str, owner: str) -> None:
        with self._lock:
            found = self._find(table)
            if found.owner == owner:
                found.owner, found.expires = "", 0
                found.epoch += 1

    def commit(self, table: str, commit: Commit) -> int:
        with self._lock:
            found = self._find(table)
            last = next((info for info in reversed(found.commits) if info.since != info.until), None)
            if check_commit(table, found.epoch, found.positions, last, commit):
                return last.version if last else 0
            found.positions.update(commit.until)
            self._add(found, commit.since, commit.until, (
                commit.records, commit.delivered, commit.dropped, commit.quarantined, commit.rows,
            ), commit.newest, commit.files, commit.dropped_by_shard)
            found.quarantine += commit.quarantine
            return len(found.commits)

    @staticmethod
    def _add(
        found: _Table, since: Positions, until: Positions, counts: tuple[int, int, int, int, int],
        newest: int | None, files: list[DataFile], dropped: dict[int, int],
    ) -> None:
        version = len(found.commits) + 1
        found.commits.append(CommitInfo(version, time.time_ns() // 1000, dict(since), dict(until), *counts, dropped))
        found.newest.append(newest)
        found.files += [(version, file) for file in files]

    def snapshot(self, table: str, version: int | None = None) -> Snapshot:
        with self._lock:
            found = self._find(table)
            version = len(found.commits) if version is None else version
            if version == 0:
                return Snapshot(found.definition, 0, 0, {}, (), None)
            if not 0 < version <= len(found.commits):
                raise NotFound(f"table {table} has no version {version}", hint=f"its newest is {len(found.commits)}")
            commit = found.commits[version - 1]
            files = tuple(file for added, file in found.files if added <= version)
            return Snapshot(found.definition, version, commit.time, dict(commit.until), files, found.newest[version - 1])

    def commits(self, table: str) -> list[CommitInfo]:
        return list(self._find(table).commits)

    def quarantine(self, table: str) -> list[DataFile]:
        return list(self._find(table).quarantine)

    def replay(self, table: str, replays: list[Replay], files: list[DataFile], rows: int) -> int:
        with self._lock:
            found = self._find(table)
            if not found.commits:
                raise NotFound(f"table {table} has no quarantined records", hint="nothing was committed to it yet")
            places = [(replay.shard, replay.position) for replay in replays]
            for place in places:
                if place in found.replayed or places.count(place) > 1:
                    raise Conflict(f"table {table}: the record at shard {place[0]}, position {place[1]} was replayed before")
            found.replayed.update({(replay.shard, replay.position): replay.outcome for replay in replays})
            until = found.commits[-1].until
            self._add(found, until, until, (0, 0, 0, 0, rows), found.newest[-1], files, {})
            return len(found.commits)

    def replayed(self, table: str) -> dict[tuple[int, int], str]:
        return dict(self._find(table).replayed)

    def ask_flush(self, table: str) -> None:
        """Ask the table's writer to commit what it has: see `SupportsFlush`."""
        self._find(table).flushes += 1

    def flush_asked(self, table: str) -> int:
        """How often a flush was asked for: see `SupportsFlush`."""
        return self._find(table).flushes

    def close(self) -> None:
        pass

    def _find(self, name: str) -> _Table:
        if name not in self._tables:
            raise NotFound(f"no table {name}", hint=f"there is {', '.join(self._tables) or 'none yet'}")
        return self._tables[name]
