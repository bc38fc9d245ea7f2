"""The embedded store: items in SQLite, each write's change appended to the stream in the same transaction."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import apsw
import msgspec

from caudal.errors import ContractError, NotFound
from caudal.ingest.changes import Stamp, encode_delete, encode_put
from caudal.ingest.items import decode_item, encode_item
from caudal.ingest.store import sqlite_indexes as indexes
from caudal.ingest.store import sqlite_marks as marks
from caudal.ingest.store.expiry import unless_expired
from caudal.ingest.store.port import (
    KEPT,
    Delete,
    ItemKey,
    Key,
    KeyReader,
    Modify,
    Page,
    Put,
    Store,
    Update,
    Write,
    check_expected,
    check_index,
    made_of,
    updated,
)
from caudal.ingest.store.renames import read_item, renamed_item, renamed_write
from caudal.ingest.stream import chunks
from caudal.ingest.stream.port import Gate, check_shards, shard_of
from caudal.records import Item
from caudal.registry import file_of
from caudal.sqlite import open_database, translated

SCHEMA = chunks.SCHEMA + marks.SCHEMA + indexes.SCHEMA + """
CREATE TABLE IF NOT EXISTS item_ttl (name TEXT PRIMARY KEY, attribute TEXT NOT NULL) WITHOUT ROWID;
"""

# When an item expires, as `expires_at` has it; only texts that start as a date, for SQLite takes "now" and others for times.
_EXPIRES = (
    "CASE json_type(CAST(item AS TEXT), '$.\"{0}\"') WHEN 'integer' THEN CAST(item AS TEXT) ->> '$.\"{0}\"'"
    " WHEN 'real' THEN CAST(item AS TEXT) ->> '$.\"{0}\"' WHEN 'text' THEN CASE WHEN CAST(item AS TEXT) ->> '$.\"{0}\"'"
    " GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' THEN unixepoch(CAST(item AS TEXT) ->> '$.\"{0}\"', 'subsec') END END"
)


def _expires(attribute: str) -> str:
    """SQL of when an item expires, by a column of `item_ttl`: the attribute and, behind commas, what it was called before."""
    name, *old_names = attribute.split(",")
    if not old_names:
        return _EXPIRES.format(name)
    olds = " ".join(  # as `renamed_item` has it: an old name counts where the new one is missing
        f"WHEN coalesce(json_type(CAST(item AS TEXT), '$.{old}'), 'null') <> 'null' THEN {_EXPIRES.format(old)}"
        for old in old_names
    )
    return f"CASE WHEN json_type(CAST(item AS TEXT), '$.{name}') IS NOT NULL THEN {_EXPIRES.format(name)} {olds} END"


class _Table(NamedTuple):
    key: ItemKey
    where: str
    stream: chunks.Place
    marks: marks.Marks
    select: str
    known: str
    upsert: str
    delete: str
    ttl: str
    expires: str
    """SQL of when an item expires; "NULL" for never."""
    renames: Mapping[str, str] = {}

    def seen(self, data: bytes | None) -> Item | None:
        """What a read shows of an item's bytes."""
        return unless_expired(read_item(data, self.renames), self.ttl)


class SqliteStore(Store):
    """A store for one machine: durable, shared by processes."""

    def __init__(self, path: Path) -> None:
        self._db = open_database(path, SCHEMA, self)
        self._db.transact(chunks.upgrade)
        self._gate: Gate | None = None
        self._tables: dict[str, _Table] = {}
        self._indexes = indexes.Indexes()
        self._stamp = Stamp()
        self._db.transact(marks.upgrade)

    @classmethod
    def open(cls, url: str) -> Self:
        return cls(file_of(url))

    def declare(
        self, table: str, key: Sequence[str], shards: int = 4, readers: Sequence[KeyReader] = (),
        renames: Mapping[str, str] | None = None, ttl: str | None = None,
    ) -> None:
        wanted = ItemKey(table, key, readers)

        def work(db: apsw.Connection) -> None:
            self._create(db, wanted, shards)
            if ttl is not None:
                self._expire_by(db, table, ",".join([ttl, *(old for old, new in (renames or {}).items() if new == ttl)]))

        self._db.transact(work)
        self._tables.pop(table, None)
        self._indexes.forget()
        self._tables[table] = self._table(table)._replace(key=wanted, renames=renames or {})

    @staticmethod
    def _create(db: apsw.Connection, key: ItemKey, shards: int) -> None:
        table = key.table
        found = db.execute("SELECT key FROM item_table WHERE name = ?", (table,)).get
        wanted = msgspec.json.encode(key.columns).decode()
        if found is not None and found != wanted:
            raise ContractError(f"table {table}: its items are keyed by {found}, the contract says {wanted}",
                                hint="a key never changes: declare a new table and copy the items")
        check_shards(table, shards)
        chunks.create(db, table, shards)
        if found is None:
            db.execute("INSERT INTO item_table (name, key) VALUES (?, ?)", (table, wanted))
            marks.create(db, db.last_insert_rowid())

    @staticmethod
    def _expire_by(db: apsw.Connection, table: str, attribute: str) -> None:
        id = db.execute("SELECT id FROM item_table WHERE name = ?", (table,)).get
        if db.execute("SELECT attribute FROM item_ttl WHERE name = ?", (table,)).get == attribute:
            return
        db.execute("INSERT OR REPLACE INTO item_ttl VALUES (?, ?)", (table, attribute))
        db.execute(f"DROP INDEX IF EXISTS item_{id}_expires")
        if attribute:
            db.execute(f"CREATE INDEX item_{id}_expires ON item_{id} ({_expires(attribute)})")

    def write(self, writes: Sequence[Write]) -> list[str | None]:
        names = {write.table for write in writes}
        for name in names:
            self._table(name)  # looked up here: a transaction reads no other connection
        if self._gate is not None:
            self._gate(names)
        writes = [renamed_write(write, self._tables[write.table].renames) for write in writes]
        prepared = [self._prepare(write) for write in writes]
        return self._db.transact(lambda db: self._apply(db, writes, prepared))

    def _prepare(self, write: Write) -> tuple[bytes, bytes | None]:
        """Key and new item in bytes, made outside the transaction where that can be done."""
        table = self._tables[write.table]
        if isinstance(write, Put):
            return table.key.of(write.item), encode_item(write.item)
        return table.key.encode(write.key), None

    def _apply(
        self, db: apsw.Connection, writes: Sequence[Write], prepared: list[tuple[bytes, bytes | None]]
    ) -> list[str | None]:
        ids: list[str | None] = []
        now = self._stamp.time()
        runs: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        for write, (key, new) in zip(writes, prepared, strict=True):
            table = self._tables[write.table]
            old, mark = db.execute(table.known, (key,)).get or (None, None)
            if not isinstance(write, Modify) and write.expect is not None:
                check_expected(write.table, write.expect, table.seen(old))
            if isinstance(write, Update):
                new = encode_item(updated(write.table, table.key.columns, write, table.seen(old)))
            elif isinstance(write, Modify):
                new = self._modified(table, write, key, old)
                if new == old:
                    ids.append(None)
                    continue
            as_of = write.as_of if isinstance(write, Put) else None
            if (new is None and old is None) or (isinstance(write, Put) and write.skip_same and new == old):
                if as_of is not None:
                    table.marks.same(db, key, as_of)
                ids.append(None)
                continue
            if as_of is not None and table.marks.later(db, key, mark, as_of):
                ids.append(KEPT)
                continue
            event_id, at = self._stamp.id(), now if as_of is None else as_of
            written = max(at, mark or 0)  # whatever the clock does, what comes later is later
            if new is not None:
                db.execute(table.upsert, (key, new, written))
                change = encode_put(event_id, at, new, old)
            else:
                assert isinstance(write, Delete | Modify) and old is not None
                db.execute(table.delete, (key,))
                table.marks.deleted(db, key, written)
                change = encode_delete(event_id, at, old, write.reason)
            for index in self._indexes.of(db, table.key).values():
                index.keep(db, key, read_item(old, table.renames), read_item(new, table.renames))
            ids.append(event_id)
            runs[write.table, shard_of(key, table.stream.shards)].append(change)
        for (name, shard), run in runs.items():
            chunks.append(db, self._tables[name].stream, shard, run, now)
        return ids

    @staticmethod
    def _modified(table: _Table, write: Modify, key: bytes, old: bytes | None) -> bytes | None:
        item = table.seen(old)
        made = made_of(table.key, write, key, item)
        if made is item:
            return old
        return encode_item(made) if made is not None else None

    def get(self, table: str, key: Key) -> Item | None:
        found = self._table(table)
        with translated(self._db.path):
            data = self._db.reader.execute(found.select, (found.key.encode(key),)).get
        return found.seen(data)

    def query(
        self, table: str, prefix: Key = (), *, low: Any = None, high: Any = None,
        limit: int = 1000, after: Key | None = None, reverse: bool = False, index: str = "",
    ) -> Page:
        found = self._table(table)
        columns, where, place = found.key, found.where, f"{found.where}.key"
        if index:
            with translated(self._db.path):
                known = self._indexes.of(self._db.reader, found.key)
            check_index(table, index, known)
            columns, place = known[index].key, f"{known[index].where}.place"
            where = f"{known[index].where} JOIN {found.where} USING (key)"
        start, end = columns.range(prefix, low, high, limit)
        if after is not None:
            last = columns.encode(after)
            start, end = (start, min(end, last)) if reverse else (max(start, last + b"\x00"), end)
        sql = (
            f"SELECT item FROM {where} WHERE {place} >= ? AND {place} < ? AND coalesce({found.expires} > ?, true) "
            f"ORDER BY {place} {'DESC' if reverse else 'ASC'} LIMIT ?"
        )
        with translated(self._db.path):
            rows = [data for (data,) in self._db.reader.execute(sql, (start, end, time.time(), limit + 1))]
        items = [renamed_item(decode_item(data), found.renames) for data in rows[:limit]]
        return Page(items, columns.values(items[-1]) if len(rows) > limit else None)

    def index(self, table: str, name: str, columns: Sequence[str]) -> None:
        found = self._table(table)
        self._db.transact(lambda db: indexes.create(
            db, found.key, name, columns, found.where, lambda data: read_item(data, found.renames)))

    def drop_index(self, table: str, name: str) -> None:
        self._db.transact(lambda db: indexes.drop(db, table, [name]))

    def drop(self, table: str) -> None:
        def work(db: apsw.Connection) -> None:
            id = db.execute("SELECT id FROM item_table WHERE name = ?", (table,)).get
            if id is not None:
                indexes.drop(db, table)
                db.execute("DELETE FROM item_ttl WHERE name = ?", (table,))
                db.execute("DELETE FROM item_table WHERE name = ?", (table,))
                marks.drop(db, id)
                chunks.drop(db, table)

        self._db.transact(work)
        self._tables.pop(table, None)

    def sweep(self, table: str, now: float, limit: int) -> int:
        found = self._table(table)
        if self._gate is not None:
            self._gate((table,))
        sql = f"SELECT key FROM {found.where} WHERE {found.expires} <= ? LIMIT ?"

        def work(db: apsw.Connection) -> int:
            keys = [key for (key,) in db.execute(sql, (now, limit))] if found.ttl else []
            self._apply(db, [Delete(table, (), reason="ttl")] * len(keys), [(key, None) for key in keys])
            return len(keys)

        return self._db.transact(work)

    def count_expired(self, table: str, now: float) -> int:
        found = self._table(table)
        with translated(self._db.path):
            sql = f"SELECT count(*) FROM {found.where} WHERE {found.expires} <= ?"
            return int(self._db.reader.execute(sql, (now,)).get) if found.ttl else 0

    def forget(self, table: str, before: int, limit: int) -> int:
        found = self._table(table)
        return self._db.transact(lambda db: found.marks.forget(db, before, limit))

    def tables(self) -> dict[str, tuple[str, ...]]:
        with translated(self._db.path):
            rows = list(self._db.reader.execute("SELECT name, key FROM item_table ORDER BY name"))
        return {name: tuple(msgspec.json.decode(key)) for name, key in rows}

    def admit_by(self, gate: Gate) -> None:
        """Ask before each write: see `SupportsGate`."""
        self._gate = gate

    def close(self) -> None:
        self._db.close(self)

    def _table(self, name: str) -> _Table:
        if name not in self._tables:
            with translated(self._db.path):
                row = self._db.reader.execute("SELECT id, key FROM item_table WHERE name = ?", (name,)).fetchone()
                if row is None:
                    raise NotFound(f"no table {name}", hint="declare it in the pipeline, with a key")
                stream = chunks.place(self._db.reader, name)
                ttl = self._db.reader.execute("SELECT attribute FROM item_ttl WHERE name = ?", (name,)).get or ""
            where = f"item_{row[0]}"
            self._tables[name] = _Table(
                ItemKey(name, msgspec.json.decode(row[1])), where, stream, marks.Marks(name, row[0]),
                f"SELECT item FROM {where} WHERE key = ?", f"SELECT item, time FROM {where} WHERE key = ?",
                f"INSERT INTO {where} VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET item = excluded.item, time = excluded.time",
                f"DELETE FROM {where} WHERE key = ?",
                ttl.partition(",")[0], f"({_expires(ttl)})" if ttl else "NULL",
            )
        return self._tables[name]
