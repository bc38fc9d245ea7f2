"""The catalog in dicts: the model that other catalogs are compared with."""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

from caudal.errors import Conflict, NotFound, Unavailable
from caudal.lake.catalog.evolution import evolve
from caudal.lake.catalog.port import (
    Catalog,
    ChangedFile,
    CommitInfo,
    Flow,
    Holder,
    LakeTable,
    Lease,
    Replay,
    Snapshot,
    check_commit,
    newest_after,
)
from caudal.lake.catalog.shadow import Shadow, check_ahead, difference, no_shadow, shadow_name, swapped
from caudal.lake.catalog.upkeep import (
    AT_ONCE,
    Base,
    Expired,
    Totals,
    Versions,
    disowned,
    no_version,
    no_version_then,
    not_in_snapshot,
    other_rows,
)
from caudal.records import Commit, DataFile, Positions


@dataclass
class _File:
    file: DataFile
    kind: Literal["data", "quarantine", "base", "audit"]
    added: int
    fresh: int
    """The version with which its newest rows came."""
    removed: int | None = None

    def is_in(self, version: int) -> bool:
        return self.added <= version and (self.removed is None or self.removed > version)


@dataclass
class _Table:
    definition: LakeTable
    epoch: int = 0
    owner: str = ""
    expires: float = 0
    flushes: int = 0
    oldest: int = 0
    positions: Positions = field(default_factory=dict)
    commits: list[CommitInfo] = field(default_factory=list)
    newest: list[int | None] = field(default_factory=list)
    files: list[_File] = field(default_factory=list)
    replayed: dict[tuple[int, int], str] = field(default_factory=dict)
    flow: Flow = field(default_factory=Flow)

    def of_kind(self, kind: str, version: int) -> list[_File]:
        return [file for file in self.files if file.kind == kind and file.is_in(version)]

    @property
    def versions(self) -> Versions:
        return Versions(self.oldest, len(self.commits), self.commits[max(self.oldest, 1) - 1].time if self.commits else 0)


class MemoryCatalog(Catalog):
    """A catalog that its process forgets when it ends; `memory:name` is shared by whoever opens that name."""

    _shared: ClassVar[dict[str, "MemoryCatalog"]] = {}

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}
        self._shadows: dict[str, Shadow] = {}
        self._disowned: set[str] = set()
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

    def holder(self, table: str) -> Holder:
        with self._lock:
            found = self._find(table)
            return Holder(found.epoch, found.owner if found.expires > time.monotonic() else "")

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
            self._check_owned(found, [*commit.files, *commit.quarantine])
            found.positions.update(commit.until)
            self._add(found, commit.since, commit.until, (
                commit.records, commit.delivered, commit.dropped, commit.quarantined, commit.rows,
            ), newest_after(found.newest[-1] if found.newest else None, commit), commit.files, commit.dropped_by_shard)
            version = len(found.commits)
            found.files += [_File(file, "quarantine", version, version) for file in commit.quarantine]
            return version

    @staticmethod
    def _add(
        found: _Table, since: Positions, until: Positions, counts: tuple[int, int, int, int, int],
        newest: int | None, files: list[DataFile], dropped: dict[int, int], fresh: int = 0,
    ) -> None:
        version = len(found.commits) + 1
        now = max(time.time_ns() // 1000, found.commits[-1].time if found.commits else 0)
        found.commits.append(CommitInfo(version, now, dict(since), dict(until), *counts, dropped))
        found.newest.append(newest)
        found.files += [_File(file, "data", version, fresh or version) for file in files]

    def _check_owned(self, found: _Table, files: Iterable[DataFile]) -> None:
        for file in files:
            if file.path in self._disowned:
                raise disowned(found.definition.name, file.path)

    def snapshot(self, table: str, version: int | None = None) -> Snapshot:
        with self._lock:
            found = self._find(table)
            version = len(found.commits) if version is None else version
            if not found.oldest <= version <= len(found.commits):
                raise no_version(table, version, found.versions)
            if version == 0:
                return Snapshot(found.definition, 0, 0, {}, (), None)
            commit, files = found.commits[version - 1], found.of_kind("data", version)
            base = None
            if bases := found.of_kind("base", version):
                at = bases[0].added
                base = Base(at, tuple(f.file for f in bases), tuple(f.file for f in files if f.fresh > at))
            return Snapshot(found.definition, version, commit.time, dict(commit.until), tuple(f.file for f in files),
                            found.newest[version - 1], base)

    def changed_files(self, table: str, since: int) -> list[ChangedFile]:
        with self._lock:
            found = self._find(table)
            if since and not max(found.oldest, found.definition.rebuilt) <= since <= len(found.commits):
                raise no_version(table, since, found.versions)
            data = [file for file in found.files if file.kind == "data"]
            went = [file for file in data if file.removed is not None and file.removed > since and file.added <= since]
            came = [file for file in data if file.added > since]
            return [ChangedFile(file.file, file.added, file.removed) for file in (*went, *came)]

    def commits(self, table: str, since: int = 0) -> list[CommitInfo]:
        found = self._find(table)
        return [info for info in found.commits if info.version >= found.oldest and info.time >= since]

    def quarantine(self, table: str) -> list[DataFile]:
        found = self._find(table)
        return [file.file for file in found.of_kind("quarantine", len(found.commits))]

    def replay(
        self, table: str, replays: list[Replay], files: list[DataFile], rows: int, audit: Sequence[DataFile] = ()
    ) -> int:
        with self._lock:
            found = self._find(table)
            if not found.commits:
                raise NotFound(f"table {table} has no quarantined records", hint="nothing was committed to it yet")
            places = [(replay.shard, replay.position) for replay in replays]
            for place in places:
                if place in found.replayed or places.count(place) > 1:
                    raise Conflict(f"table {table}: the record at shard {place[0]}, position {place[1]} was replayed before")
            self._check_owned(found, files)
            found.replayed.update({(replay.shard, replay.position): replay.outcome for replay in replays})
            until = found.commits[-1].until
            self._add(found, until, until, (0, 0, 0, 0, rows), found.newest[-1], files, {})
            found.files += [_File(file, "audit", len(found.commits), len(found.commits)) for file in audit]
            return len(found.commits)

    def replayed(self, table: str, among: Sequence[tuple[int, int]] | None = None) -> dict[tuple[int, int], str]:
        found = self._find(table).replayed
        return dict(found) if among is None else {place: found[place] for place in among if place in found}

    def replays(self, table: str) -> dict[tuple[int, str], int]:
        return dict(Counter((shard, outcome) for (shard, _), outcome in self._find(table).replayed.items()))

    def rewrite(self, table: str, old: Sequence[str], new: list[DataFile]) -> int:
        with self._lock:
            found = self._find(table)
            now = {file.file.path: file for file in found.of_kind("data", len(found.commits))}
            for path in old:
                if path not in now:
                    raise not_in_snapshot(table, path)
            gone = [now[path] for path in dict.fromkeys(old)]
            before, after = sum(file.file.rows for file in gone), sum(file.rows for file in new)
            if before != after or not gone:
                raise other_rows(table, before, after)
            self._check_owned(found, new)
            until = found.commits[-1].until
            self._add(found, until, until, (0, 0, 0, 0, 0), found.newest[-1], new, {}, max(file.fresh for file in gone))
            for file in gone:
                file.removed = len(found.commits)
            return len(found.commits)

    def keep_base(self, table: str, version: int, files: list[DataFile]) -> None:
        with self._lock:
            found = self._find(table)
            if not max(found.oldest, 1) <= version <= len(found.commits):
                raise no_version(table, version, found.versions)
            bases = [file for file in found.files if file.kind == "base"]
            if any(file.added >= version for file in bases):
                raise Conflict(f"table {table} has a base as new as version {version}", hint="nothing is to be done")
            self._check_owned(found, files)
            for file in bases:
                file.removed = min(version, file.removed or version)
            found.files += [_File(file, "base", version, version) for file in files]

    def expire(self, table: str, keep: int, before: int, pretend: bool = False) -> Expired:
        with self._lock:
            found = self._find(table)
            then = sum(info.time <= before for info in found.commits)
            oldest = min(len(found.commits) - max(keep, 1) + 1, then, max(found.oldest, 1) + AT_ONCE)
            versions = max(0, oldest - max(found.oldest, 1))
            oldest = max(oldest, found.oldest)
            gone = [file for file in found.files if file.removed is not None and file.removed <= oldest]
            if not pretend and versions:
                found.oldest = oldest
            if not pretend:
                found.files = [file for file in found.files if file not in gone]
            return Expired(versions, [file.file for file in gone])

    def disown(self, table: str, paths: Iterable[str]) -> list[str]:
        with self._lock:
            found = self._find(table)
            alone = sorted(set(paths) - {file.file.path for file in found.files})
            self._disowned.update(alone)
            return alone

    def named(self, table: str) -> list[DataFile]:
        return [file.file for file in self._find(table).files]

    def versions(self, table: str) -> Versions:
        return self._find(table).versions

    def version_at(self, table: str, time: int) -> int:
        found = self._find(table)
        version = sum(info.time <= time for info in found.commits)
        if version < max(found.oldest, 1):
            raise no_version_then(table, time, found.versions)
        return version

    def totals(self, table: str) -> Totals:
        commits = self._find(table).commits
        by_shard: Counter[int] = Counter()
        for info in commits:
            by_shard.update(info.dropped_by_shard)
        return Totals._make((*(sum(getattr(info, name) for info in commits) for name in Totals._fields[:5]), dict(by_shard)))

    def audit(self, table: str) -> list[DataFile]:
        found = self._find(table)
        return [file.file for file in found.of_kind("audit", len(found.commits))]

    def pause(self, table: str, why: str) -> None:
        with self._lock:
            found = self._find(table)
            if not found.flow.paused:
                found.flow = Flow(why, time.time_ns() // 1000, found.flow.accepted)

    def resume(self, table: str, accepted: Positions) -> None:
        with self._lock:
            self._find(table).flow = Flow(accepted=dict(accepted))

    def flow(self, table: str) -> Flow:
        return self._find(table).flow

    def ask_flush(self, table: str) -> None:
        """Ask the table's writer to commit what it has: see `SupportsFlush`."""
        self._find(table).flushes += 1

    def flush_asked(self, table: str) -> int:
        """How often a flush was asked for: see `SupportsFlush`."""
        return self._find(table).flushes

    def begin_shadow(self, table: str, made: LakeTable, plan: str) -> Shadow:
        """Create the shadow of a table: see `SupportsShadows`."""
        with self._lock:
            self._find(table)
            if table not in self._shadows:
                self._shadows[table] = Shadow(table, shadow_name(table), time.time_ns() // 1000, plan)
                self._tables[shadow_name(table)] = _Table(replace(made, name=shadow_name(table)))
            return self._shadows[table]

    def shadows(self) -> dict[str, Shadow]:
        """Table to its shadow: see `SupportsShadows`."""
        return dict(self._shadows)

    def swap(self, table: str) -> int:
        """Put the shadow in the place of its table: see `SupportsShadows`."""
        with self._lock:
            found, shadow = self._find(table), self._find_shadow(table)
            check_ahead(table, found.positions, shadow.positions)
            counts = difference(self.totals(shadow_name(table)), self.totals(table))
            newest = shadow.newest[-1] if shadow.newest else None
            self._add(found, found.positions, shadow.positions, counts[:5], newest, [], counts.dropped_by_shard)
            version = len(found.commits)
            for file in found.files:
                file.removed = version if file.removed is None and file.kind != "audit" else file.removed
            found.files += [replace(file, added=version, fresh=version) for file in shadow.files if file.removed is None]
            found.positions, found.replayed = dict(shadow.positions), dict(shadow.replayed)
            found.definition, readable = swapped(found.definition, shadow.definition, version)
            found.oldest = found.oldest if readable else version
            found.owner, found.expires, found.epoch = "", 0, found.epoch + 1
            del self._tables[shadow_name(table)], self._shadows[table]
            return version

    def drop_shadow(self, table: str) -> list[DataFile]:
        """Give a shadow up: see `SupportsShadows`."""
        with self._lock:
            files = [file.file for file in self._find_shadow(table).files]
            del self._tables[shadow_name(table)], self._shadows[table]
            return files

    def _find_shadow(self, table: str) -> _Table:
        if table not in self._shadows:
            raise no_shadow(table)
        return self._tables[shadow_name(table)]

    def close(self) -> None:
        pass

    def _find(self, name: str) -> _Table:
        if name not in self._tables:
            raise NotFound(f"no table {name}", hint=f"there is {', '.join(self._tables) or 'none yet'}")
        return self._tables[name]
