"""Secondary indexes inside an SQLite file: places in the order of the index, each with the key of its item."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import apsw
import msgspec

from caudal.ingest.store.port import ItemKey, check_columns
from caudal.records import Item

SCHEMA = """
CREATE TABLE IF NOT EXISTS item_index (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, label TEXT NOT NULL, columns TEXT NOT NULL, UNIQUE (name, label));
"""

Read = Callable[[bytes | None], Item | None]
"""Bytes of an item to the item."""


class Index(NamedTuple):
    """One index of one table."""

    key: ItemKey
    """The index's columns, then the table's."""
    where: str

    def keep(self, db: apsw.Connection, key: bytes, old: Item | None, new: Item | None) -> None:
        """Follow a write of the item of that key; to be called in its transaction."""
        was = self.key.place_of(old) if old is not None else None
        now = self.key.place_of(new) if new is not None else None
        if was == now:
            return
        if was is not None:
            db.execute(f"DELETE FROM {self.where} WHERE place = ?", (was,))
        if now is not None:
            db.execute(f"INSERT INTO {self.where} VALUES (?, ?)", (now, key))


class Indexes:
    """The indexes of every table, read again when this or another process made or dropped one."""

    def __init__(self) -> None:
        self._known: tuple[int, dict[str, dict[str, Index]]] = -1, {}  # of one version of the file's schema

    def of(self, db: apsw.Connection, table: ItemKey) -> dict[str, Index]:
        """A table's indexes, by name."""
        version, known = self._known  # one look, for other threads set it too
        now = db.execute("PRAGMA schema_version").get
        if version != now:
            known = {}
            self._known = now, known
        name = table.table
        if name not in known:
            rows = db.execute("SELECT label, columns, id FROM item_index WHERE name = ?", (name,))
            known[name] = {
                label: Index(table.of_index(msgspec.json.decode(columns)), f"item_index_{id}") for label, columns, id in rows
            }
        return known[name]

    def forget(self) -> None:
        """Read them again: a table's key is read otherwise now."""
        self._known = -1, {}


def create(db: apsw.Connection, table: ItemKey, name: str, columns: Sequence[str], items: str, read: Read) -> None:
    """Make an index unless it exists, of what the SQL table `items` holds. Raises ContractError."""
    found = db.execute("SELECT columns FROM item_index WHERE name = ? AND label = ?", (table.table, name)).get
    if found is not None:
        check_columns(table.table, name, msgspec.json.decode(found), columns)
        return
    text = msgspec.json.encode(list(columns)).decode()
    db.execute("INSERT INTO item_index (name, label, columns) VALUES (?, ?, ?)", (table.table, name, text))
    made = Index(table.of_index(columns), f"item_index_{db.last_insert_rowid()}")
    db.execute(f"CREATE TABLE {made.where} (place BLOB PRIMARY KEY, key BLOB NOT NULL)")
    for key, data in db.execute(f"SELECT key, item FROM {items}"):
        made.keep(db, key, None, read(data))


def drop(db: apsw.Connection, table: str, names: Iterable[str] | None = None) -> None:
    """Remove indexes of a table, all of them without `names`."""
    rows = list(db.execute("SELECT id, label FROM item_index WHERE name = ?", (table,)))
    for id, label in rows:
        if names is None or label in names:
            db.execute(f"DROP TABLE item_index_{id}")
            db.execute("DELETE FROM item_index WHERE id = ?", (id,))
