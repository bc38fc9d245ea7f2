"""The embedded catalog: one SQLite file. A commit costs the files that it adds, whatever the history."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw
import msgspec

from caudal.errors import Conflict, NotFound, Unavailable
from caudal.lake.catalog import sqlite_shadow as shadow
from caudal.lake.catalog import sqlite_upkeep as upkeep
from caudal.lake.catalog.evolution import evolve
from caudal.lake.catalog.owner import is_dead
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
from caudal.lake.catalog.shadow import Shadow, is_shadow
from caudal.lake.catalog.sqlite_upkeep import SPAN, add_files, add_version, files_of, read_positions
from caudal.lake.catalog.upkeep import Base, Expired, Totals, Versions, no_version
from caudal.records import Commit, DataFile, Positions
from caudal.registry import file_of
from caudal.sqlite import ReadTransaction, open_database, translated

T = TypeVar("T")

_positions = msgspec.json.Decoder(Positions).decode
_definition = msgspec.json.Decoder(LakeTable).decode


class SqliteCatalog(Catalog):
    """A catalog for one machine: durable, shared by processes."""

    def __init__(self, path: Path, database: str) -> None:
        schema = (resources("caudal.lake.catalog") / "schema.sql").read_text()
        self._db = open_database(path, schema, self)
        self._database = database
        self._ids: dict[str, int] = {}

    @classmethod
    def open(cls, url: str, database: str) -> Self:
        return cls(file_of(url), database)

    def declare(self, table: LakeTable) -> None:
        self._define(table, deliberately=False)

    def evolve(self, table: LakeTable, drop: Collection[str] = ()) -> None:
        self._define(table, deliberately=True, drop=drop)

    def _define(self, table: LakeTable, deliberately: bool, drop: Collection[str] = ()) -> None:
        def work(db: apsw.Connection) -> None:
            where = (self._database, table.name)
            text = db.execute("SELECT definition FROM lake_table WHERE database = ? AND name = ?", where).get
            old = table if text is None else _definition(text)
            new = evolve(old, table, drop).check(deliberately)
            if text is None:
                db.execute("INSERT INTO lake_table (definition, database, name) VALUES (?, ?, ?)", (_encoded(new), *where))
            elif new != old:
                db.execute("UPDATE lake_table SET definition = ?, epoch = epoch + 1, owner = '', expires = 0"
                           " WHERE database = ? AND name = ?", (_encoded(new), *where))

        self._db.transact(work)

    def tables(self) -> dict[str, LakeTable]:
        with translated(self._db.path):
            rows = list(self._db.reader.execute(
                "SELECT name, definition FROM lake_table WHERE database = ? ORDER BY name", (self._database,)
            ))
        return {name: _definition(text) for name, text in rows}

    def lease(self, table: str, owner: str, seconds: float) -> Lease:
        return self._change(table, lambda db, id: self._lease(db, id, table, owner, seconds))

    @staticmethod
    def _lease(db: apsw.Connection, id: int, table: str, owner: str, seconds: float) -> Lease:
        now = _now()
        epoch, holder, expires = db.execute("SELECT epoch, owner, expires FROM lake_table WHERE id = ?", (id,)).get
        if holder != owner:
            if holder and expires > now and not is_dead(holder):
                raise Unavailable(f"table {table}: {holder} is writing it", hint="stop that writer, or wait until its lease ends")
            epoch += 1
        db.execute("UPDATE lake_table SET epoch = ?, owner = ?, expires = ? WHERE id = ?",
                   (epoch, owner, now + int(seconds * 1e6), id))
        return Lease(epoch, read_positions(db, id))

    def holder(self, table: str) -> Holder:
        id = self._id(table)
        with translated(self._db.path):
            row = self._db.reader.execute("SELECT epoch, owner, expires FROM lake_table WHERE id = ?", (id,)).get
        epoch, owner, expires = row
        return Holder(epoch, owner if expires > _now() and not is_dead(owner) else "")

    def release(self, table: str, owner: str) -> None:
        self._change(table, lambda db, id: db.execute(
            "UPDATE lake_table SET owner = '', expires = 0, epoch = epoch + 1 WHERE id = ? AND owner = ?", (id, owner)
        ).get)

    def commit(self, table: str, commit: Commit) -> int:
        return self._change(table, lambda db, id: self._commit(db, id, table, commit))

    @staticmethod
    def _commit(db: apsw.Connection, id: int, table: str, commit: Commit) -> int:
        epoch, version = db.execute("SELECT epoch, version FROM lake_table WHERE id = ?", (id,)).get
        last = _last_commit(db, id)
        if check_commit(table, epoch, read_positions(db, id), last, commit):
            return last.version if last else 0
        by_shard = msgspec.json.encode(commit.dropped_by_shard).decode()
        before = db.execute("SELECT newest FROM snapshot WHERE id = ?", (id * SPAN + version,)).get
        counts = (
            commit.records, commit.delivered, commit.dropped, commit.quarantined, commit.rows, by_shard,
            newest_after(before, commit),
        )
        version = add_version(db, id, version, commit.since, commit.until, counts)
        add_files(db, id, table, version, "data", commit.files)
        add_files(db, id, table, version, "quarantine", commit.quarantine)
        db.executemany(
            "INSERT INTO position VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET offset = excluded.offset",
            [(id, shard, offset) for shard, offset in commit.until.items()],
        )
        return version

    def snapshot(self, table: str, version: int | None = None) -> Snapshot:
        db = self._db.reader
        with translated(self._db.path), ReadTransaction(db):
            id = self._id(table)
            definition, latest = db.execute("SELECT definition, version FROM lake_table WHERE id = ?", (id,)).get
            version = latest if version is None else version
            if not upkeep.oldest(db, id) <= version <= latest:
                raise no_version(table, version, upkeep.versions(db, id))
            if version == 0:
                return Snapshot(_definition(definition), 0, 0, {}, (), None)
            row = db.execute("SELECT time, until, newest FROM snapshot WHERE id = ?", (id * SPAN + version,)).get
            files = files_of(db, id, "data", None if version == latest else version)
            bases = files_of(db, id, "base", None if version == latest else version)
        base = None
        if bases:
            at = bases[0].added
            base = Base(at, tuple(f.file for f in bases), tuple(f.file for f in files if f.fresh > at))
        return Snapshot(_definition(definition), version, row[0], _positions(row[1]), tuple(f.file for f in files), row[2], base)

    def changed_files(self, table: str, since: int) -> list[ChangedFile]:
        return self._read(table, lambda db, id: upkeep.changed_files(db, id, table, since, _rebuilt(db, id)))

    def commits(self, table: str, since: int = 0) -> list[CommitInfo]:
        id, db, found = self._id(table), self._db.reader, []
        with translated(self._db.path), ReadTransaction(db):
            first = id * SPAN + max(upkeep.oldest(db, id), 1)
            for row in db.execute("SELECT * FROM snapshot WHERE id >= ? AND id < ? ORDER BY id DESC", (first, (id + 1) * SPAN)):
                if row[1] < since:
                    break
                found.append(_as_info(row))
        return found[::-1]

    def quarantine(self, table: str) -> list[DataFile]:
        with translated(self._db.path):
            return [found.file for found in files_of(self._db.reader, self._id(table), "quarantine", None)]

    def replay(
        self, table: str, replays: list[Replay], files: list[DataFile], rows: int, audit: Sequence[DataFile] = ()
    ) -> int:
        def work(db: apsw.Connection, id: int) -> int:
            version = db.execute("SELECT version FROM lake_table WHERE id = ?", (id,)).get
            last = _info(db, id, version)
            if last is None:
                raise NotFound(f"table {table} has no quarantined records", hint="nothing was committed to it yet")
            for replay in replays:
                try:
                    db.execute("INSERT INTO replay VALUES (?, ?, ?, ?)", (id, *replay))
                except apsw.ConstraintError:
                    raise Conflict(
                        f"table {table}: the record at shard {replay.shard}, position {replay.position} was replayed before"
                    ) from None
            newest = db.execute("SELECT newest FROM snapshot WHERE id = ?", (id * SPAN + version,)).get
            version = add_version(db, id, version, last.until, last.until, (0, 0, 0, 0, rows, "{}", newest))
            add_files(db, id, table, version, "data", files)
            add_files(db, id, table, version, "audit", list(audit))
            return version

        return self._change(table, work)

    def replayed(self, table: str, among: Sequence[tuple[int, int]] | None = None) -> dict[tuple[int, int], str]:
        return self._read(table, lambda db, id: upkeep.replayed(db, id, among))

    def replays(self, table: str) -> dict[tuple[int, str], int]:
        return self._read(table, lambda db, id: upkeep.replays(db, id))

    def rewrite(self, table: str, old: Sequence[str], new: list[DataFile]) -> int:
        return self._change(table, lambda db, id: upkeep.rewrite(db, id, table, old, new))

    def keep_base(self, table: str, version: int, files: list[DataFile]) -> None:
        self._change(table, lambda db, id: upkeep.keep_base(db, id, table, version, files))

    def expire(self, table: str, keep: int, before: int, pretend: bool = False) -> Expired:
        if pretend:
            return self._read(table, lambda db, id: upkeep.expire(db, id, keep, before, pretend=True))
        return self._change(table, lambda db, id: upkeep.expire(db, id, keep, before))

    def disown(self, table: str, paths: Iterable[str]) -> list[str]:
        wanted = set(paths)
        return self._change(table, lambda db, id: upkeep.disown(db, id, wanted)) if wanted else []

    def named(self, table: str) -> list[DataFile]:
        return self._read(table, upkeep.named)

    def versions(self, table: str) -> Versions:
        return self._read(table, upkeep.versions)

    def version_at(self, table: str, time: int) -> int:
        return self._read(table, lambda db, id: upkeep.version_at(db, id, table, time))

    def totals(self, table: str) -> Totals:
        return self._read(table, upkeep.totals)

    def audit(self, table: str) -> list[DataFile]:
        return self._read(table, lambda db, id: [found.file for found in files_of(db, id, "audit", None)])

    def pause(self, table: str, why: str) -> None:
        self._change(table, lambda db, id: db.execute(
            "INSERT INTO flow VALUES (?, ?, ?, '{}') ON CONFLICT DO UPDATE SET paused = excluded.paused, since = excluded.since"
            " WHERE flow.paused = ''", (id, why, _now()),
        ).get)

    def resume(self, table: str, accepted: Positions) -> None:
        text = msgspec.json.encode(accepted).decode()
        self._change(table, lambda db, id: db.execute("INSERT OR REPLACE INTO flow VALUES (?, '', 0, ?)", (id, text)).get)

    def flow(self, table: str) -> Flow:
        with translated(self._db.path):
            row = self._db.reader.execute("SELECT paused, since, accepted FROM flow WHERE table_id = ?", (self._id(table),)).get
        return Flow(row[0], row[1], _positions(row[2])) if row is not None else Flow()

    def ask_flush(self, table: str) -> None:
        """Ask the table's writer to commit what it has: see `SupportsFlush`."""
        self._change(table, lambda db, id: db.execute("UPDATE lake_table SET flushes = flushes + 1 WHERE id = ?", (id,)).get)

    def flush_asked(self, table: str) -> int:
        """How often a flush was asked for: see `SupportsFlush`."""
        with translated(self._db.path):
            return int(self._db.reader.execute("SELECT flushes FROM lake_table WHERE id = ?", (self._id(table),)).get)

    def begin_shadow(self, table: str, made: LakeTable, plan: str) -> Shadow:
        """Create the shadow of a table: see `SupportsShadows`."""
        return self._change(table, lambda db, _: shadow.begin(db, self._database, table, made, plan))

    def shadows(self) -> dict[str, Shadow]:
        """Table to its shadow: see `SupportsShadows`."""
        with translated(self._db.path):
            return shadow.shadows(self._db.reader, self._database)

    def swap(self, table: str) -> int:
        """Put the shadow in the place of its table: see `SupportsShadows`."""
        return self._change(table, lambda db, _: shadow.swap(db, self._database, table))

    def drop_shadow(self, table: str) -> list[DataFile]:
        """Give a shadow up: see `SupportsShadows`."""
        return self._change(table, lambda db, _: shadow.drop(db, self._database, table))

    def close(self) -> None:
        self._db.close(self)

    def _change(self, table: str, work: Callable[[apsw.Connection, int], T]) -> T:
        if is_shadow(table):  # it may be swapped or dropped meanwhile
            return self._db.transact(lambda db: work(db, self._look_up(db, table)))
        id = self._id(table)
        return self._db.transact(lambda db: work(db, id))

    def _read(self, table: str, work: Callable[[apsw.Connection, int], T]) -> T:
        db = self._db.reader
        with translated(self._db.path), ReadTransaction(db):
            return work(db, self._id(table))

    def _id(self, table: str) -> int:
        if table in self._ids:
            return self._ids[table]
        with translated(self._db.path):
            id = self._look_up(self._db.reader, table)
        if not is_shadow(table):
            self._ids[table] = id
        return id

    def _look_up(self, db: apsw.Connection, table: str) -> int:
        id: int | None = db.execute("SELECT id FROM lake_table WHERE database = ? AND name = ?", (self._database, table)).get
        if id is None:
            names = "SELECT group_concat(name, ', ' ORDER BY name) FROM lake_table WHERE database = ?"
            there = db.execute(names, (self._database,)).get
            raise NotFound(f"no table {table} in {self._database}", hint=f"there is {there or 'none yet'}")
        return id


def _encoded(table: LakeTable) -> str:
    return msgspec.json.encode(table).decode()


def _now() -> int:
    return time.time_ns() // 1000


def _rebuilt(db: apsw.Connection, id: int) -> int:
    return _definition(db.execute("SELECT definition FROM lake_table WHERE id = ?", (id,)).get).rebuilt


def _info(db: apsw.Connection, id: int, version: int) -> CommitInfo | None:
    row = db.execute("SELECT * FROM snapshot WHERE id = ?", (id * SPAN + version,)).fetchone()
    return _as_info(row) if row is not None else None


def _last_commit(db: apsw.Connection, id: int) -> CommitInfo | None:
    """The last that moved positions: replays, which came after it, do not."""
    row = db.execute(
        "SELECT * FROM snapshot WHERE id > ? AND id < ? AND since <> until ORDER BY id DESC LIMIT 1", (id * SPAN, (id + 1) * SPAN)
    ).fetchone()
    return _as_info(row) if row is not None else None


def _as_info(row: tuple[Any, ...]) -> CommitInfo:
    id, time_, since, until, records, delivered, dropped, quarantined, rows, by_shard, _ = row
    counts = (records, delivered, dropped, quarantined, rows)
    return CommitInfo(id % SPAN, time_, _positions(since), _positions(until), *counts, _positions(by_shard))
