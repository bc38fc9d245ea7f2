"""Files and versions inside the catalog's SQLite file, and their upkeep; called inside a transaction."""

import time as clock
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from caudal.errors import Conflict
from caudal.lake.catalog.port import ChangedFile
from caudal.lake.catalog.upkeep import (
    AT_ONCE,
    Expired,
    Totals,
    Versions,
    disowned,
    no_version,
    no_version_then,
    not_in_snapshot,
    other_rows,
)
from caudal.records import DataFile, Positions

SPAN = 1 << 32

_partition = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode
_positions = msgspec.json.Decoder(Positions).decode

_SELECT = (
    "SELECT f.id, added, coalesce(fresh, added), path, partition, row_count, bytes, checksum"
    " FROM data_file f LEFT JOIN rewritten ON file_id = f.id WHERE f.id > ?1 AND f.id < ?2"
)


class Found(NamedTuple):
    """A file, and its place in the history of its table."""

    id: int
    added: int
    fresh: int
    """The version with which its newest rows came."""
    file: DataFile


def files_of(db: apsw.Connection, id: int, kind: str, version: int | None) -> list[Found]:
    """The files of a version; None for the newest, which costs the files that it has and no others."""
    if version is None:
        return list(_found(db, id, "AND kind = ?3 AND removed IS NULL ORDER BY f.id", kind))
    where = "AND kind = ?3 AND added <= ?4 AND (removed IS NULL OR removed > ?4) ORDER BY f.id"
    return list(_found(db, id, where, kind, version))


def named(db: apsw.Connection, id: int) -> list[DataFile]:
    """See `Upkeep.named`."""
    return [found.file for found in _found(db, id, "ORDER BY f.id")]


def _found(db: apsw.Connection, id: int, where: str, *values: str | int) -> Iterator[Found]:
    for serial, added, fresh, path, partition, rows, size, checksum in db.execute(
        f"{_SELECT} {where}", (id * SPAN, (id + 1) * SPAN, *values)
    ):
        folders = _partition(partition) if partition != "[]" else ()
        yield Found(serial, added, fresh, DataFile(path, folders, rows, size, checksum))


def read_positions(db: apsw.Connection, id: int) -> Positions:
    """Where the table stands."""
    return dict(db.execute("SELECT shard, offset FROM position WHERE table_id = ?", (id,)))


def add_version(
    db: apsw.Connection, id: int, version: int, since: Positions, until: Positions, counts: tuple[int | str | None, ...]
) -> int:
    """Add a version and what it did to the totals; its time is not before that of the one before."""
    before = totals(db, id)
    last = db.execute("SELECT time FROM snapshot WHERE id = ?", (id * SPAN + version,)).get or 0
    version += 1
    db.execute("INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (
        id * SPAN + version, max(clock.time_ns() // 1000, last), msgspec.json.encode(since).decode(),
        msgspec.json.encode(until).decode(), *counts,
    ))
    db.execute("UPDATE lake_table SET version = ? WHERE id = ?", (version, id))
    _write_totals(db, id, _add_totals(before, counts))
    return version


def _add_totals(before: Totals, counts: tuple[int | str | None, ...]) -> Totals:
    dropped = Counter(before.dropped_by_shard)
    dropped.update(_positions(str(counts[5])))
    return Totals._make((*(a + b for a, b in zip(before[:5], counts[:5], strict=True)), dict(dropped)))  # type: ignore[operator]


def _write_totals(db: apsw.Connection, id: int, found: Totals) -> None:
    dropped = msgspec.json.encode(found.dropped_by_shard).decode()
    db.execute("INSERT OR REPLACE INTO total VALUES (?, ?, ?, ?, ?, ?, ?)", (id, *found[:5], dropped))


def add_files(
    db: apsw.Connection, id: int, table: str, version: int, kind: str, files: list[DataFile], fresh: int | None = None
) -> None:
    """Add files to a version. Raises Conflict for one that was disowned."""
    last = db.execute("SELECT max(id) FROM data_file WHERE id < ?", ((id + 1) * SPAN,)).get or 0
    for serial, file in enumerate(files, max(last, id * SPAN) + 1):
        if db.execute("SELECT 1 FROM disowned WHERE path = ?", (file.path,)).get:
            raise disowned(table, file.path)
        partition = msgspec.json.encode(file.partition).decode()
        db.execute("INSERT INTO data_file VALUES (?, ?, ?, NULL, ?, ?, ?, ?, ?)", (
            serial, kind, version, file.path, partition, file.rows, file.bytes, file.checksum
        ))
        if fresh is not None:
            db.execute("INSERT INTO rewritten VALUES (?, ?)", (serial, fresh))


def rewrite(db: apsw.Connection, id: int, table: str, old: Sequence[str], new: list[DataFile]) -> int:
    """See `Upkeep.rewrite`."""
    now = {found.file.path: found for found in files_of(db, id, "data", None)}
    for path in old:
        if path not in now:
            raise not_in_snapshot(table, path)
    gone = [now[path] for path in dict.fromkeys(old)]
    before, after = sum(found.file.rows for found in gone), sum(file.rows for file in new)
    if before != after or not gone:
        raise other_rows(table, before, after)
    version = db.execute("SELECT version FROM lake_table WHERE id = ?", (id,)).get
    until, newest = db.execute("SELECT until, newest FROM snapshot WHERE id = ?", (id * SPAN + version,)).get
    version = add_version(db, id, version, _positions(until), _positions(until), (0, 0, 0, 0, 0, "{}", newest))
    db.executemany("UPDATE data_file SET removed = ? WHERE id = ?", [(version, found.id) for found in gone])
    add_files(db, id, table, version, "data", new, max(found.fresh for found in gone))
    return version


def keep_base(db: apsw.Connection, id: int, table: str, version: int, files: list[DataFile]) -> None:
    """See `Upkeep.keep_base`."""
    there = versions(db, id)
    if not max(there.oldest, 1) <= version <= there.newest:
        raise no_version(table, version, there)
    low, high = id * SPAN, (id + 1) * SPAN
    newest = db.execute("SELECT max(added) FROM data_file WHERE id > ? AND id < ? AND kind = 'base'", (low, high)).get or 0
    if newest >= version:
        raise Conflict(f"table {table} has a base as new as version {version}", hint="nothing is to be done")
    db.execute("UPDATE data_file SET removed = ? WHERE id > ? AND id < ? AND kind = 'base' AND removed IS NULL",
               (version, low, high))
    add_files(db, id, table, version, "base", files)


def expire(db: apsw.Connection, id: int, keep: int, before: int, pretend: bool = False) -> Expired:
    """See `Upkeep.expire`."""
    first, newest = oldest(db, id), db.execute("SELECT version FROM lake_table WHERE id = ?", (id,)).get
    wanted = min(newest - max(keep, 1) + 1, _then(db, id, before), max(first, 1) + AT_ONCE)
    there = max(first, 1)
    low, high, limit = id * SPAN, (id + 1) * SPAN, max(wanted, first)
    gone = list(_found(db, id, "AND removed <= ?3 ORDER BY f.id", limit))
    expired = max(0, wanted - there)
    if not pretend:
        for table, column in (("data_file", "id"), ("rewritten", "file_id")):
            db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(found.id,) for found in gone])
    if expired and not pretend:
        _write_totals(db, id, totals(db, id))
        db.execute("INSERT OR REPLACE INTO expired VALUES (?, ?)", (id, limit))
        # The last that moved positions stays, for it is recognised when it comes again.
        moved = db.execute("SELECT max(id) FROM snapshot WHERE id > ? AND id < ? AND since <> until", (low, high)).get
        db.execute("DELETE FROM snapshot WHERE id > ? AND id < ? AND id IS NOT ?", (low, low + limit, moved))
    return Expired(expired, [found.file for found in gone])


def disown(db: apsw.Connection, id: int, paths: set[str]) -> list[str]:
    """See `Upkeep.disown`."""
    alone = sorted(paths - {path for (path,) in db.execute(
        "SELECT path FROM data_file WHERE id > ? AND id < ?", (id * SPAN, (id + 1) * SPAN)
    )})
    db.executemany("INSERT OR IGNORE INTO disowned VALUES (?)", [(path,) for path in alone])
    return alone


def changed_files(db: apsw.Connection, id: int, table: str, since: int, rebuilt: int) -> list[ChangedFile]:
    """First the files that went, by the index of these, then those that came, back from the last."""
    if since and not max(oldest(db, id), rebuilt) <= since <= versions(db, id).newest:
        raise no_version(table, since, versions(db, id))
    columns, span = "path, partition, row_count, bytes, checksum, added, removed, kind", (id * SPAN, (id + 1) * SPAN)
    found = [_as_changed(row) for row in db.execute(
        f"SELECT {columns} FROM data_file WHERE removed > ? AND added <= ? AND kind = 'data' AND +id > ? AND +id < ? ORDER BY id",
        (since, since, *span),
    )]
    came = []
    for row in db.execute(f"SELECT {columns} FROM data_file WHERE id > ? AND id < ? ORDER BY id DESC", span):
        if row[5] <= since:
            break
        came += [_as_changed(row)] if row[7] == "data" else []
    return found + came[::-1]


def _as_changed(row: tuple[Any, ...]) -> ChangedFile:
    path, partition, rows, size, checksum, added, removed, _ = row
    return ChangedFile(DataFile(path, _partition(partition), rows, size, checksum), added, removed)


def oldest(db: apsw.Connection, id: int) -> int:
    """The oldest version that can be read."""
    return int(db.execute("SELECT oldest FROM expired WHERE table_id = ?", (id,)).get or 0)


def versions(db: apsw.Connection, id: int) -> Versions:
    """See `Upkeep.versions`."""
    first, newest = oldest(db, id), db.execute("SELECT version FROM lake_table WHERE id = ?", (id,)).get
    return Versions(first, newest, db.execute("SELECT time FROM snapshot WHERE id = ?", (id * SPAN + max(first, 1),)).get or 0)


def version_at(db: apsw.Connection, id: int, table: str, time: int) -> int:
    """See `Upkeep.version_at`."""
    found, there = _then(db, id, time), versions(db, id)
    if found < max(there.oldest, 1):
        raise no_version_then(table, time, there)
    return found


def _then(db: apsw.Connection, id: int, time: int) -> int:
    """The newest version of a time, expired ones apart; 0 if there is none. Times never go back, so it is cut in half."""
    low, high = 0, db.execute("SELECT version FROM lake_table WHERE id = ?", (id,)).get
    first = max(oldest(db, id), 1)
    low = first - 1
    while low < high:
        middle = (low + high + 1) // 2
        if db.execute("SELECT time FROM snapshot WHERE id = ?", (id * SPAN + middle,)).get <= time:
            low = middle
        else:
            high = middle - 1
    return low if low >= first else 0


def totals(db: apsw.Connection, id: int) -> Totals:
    """See `Upkeep.totals`."""
    row = db.execute("SELECT * FROM total WHERE table_id = ?", (id,)).fetchone()
    if row is not None:
        return Totals._make((*row[1:6], _positions(row[6])))
    found = Totals()
    for counts in db.execute(
        "SELECT records, delivered, dropped, quarantined, row_count, dropped_by_shard FROM snapshot WHERE id > ? AND id < ?",
        (id * SPAN, (id + 1) * SPAN),
    ):
        found = _add_totals(found, counts)
    return found


def replayed(db: apsw.Connection, id: int, among: Sequence[tuple[int, int]] | None) -> dict[tuple[int, int], str]:
    """See `Catalog.replayed`: costs what is asked for."""
    if among is None:
        found = db.execute("SELECT shard, position, outcome FROM replay WHERE table_id = ?", (id,))
    else:
        found = db.execute(
            "SELECT shard, position, outcome FROM json_each(?2) CROSS JOIN replay"
            " ON table_id = ?1 AND shard = value ->> 0 AND position = value ->> 1", (id, msgspec.json.encode(among).decode()),
        )
    return {(shard, position): outcome for shard, position, outcome in found}


def replays(db: apsw.Connection, id: int) -> dict[tuple[int, str], int]:
    """See `Catalog.replays`."""
    found = db.execute("SELECT shard, outcome, count(*) FROM replay WHERE table_id = ? GROUP BY shard, outcome", (id,))
    return {(shard, outcome): records for shard, outcome, records in found}
