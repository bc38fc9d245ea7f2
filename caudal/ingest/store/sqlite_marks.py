"""When each item was last written or deleted, beside the items in SQLite; called inside a transaction.

An item's mark is a column of its row. A delete leaves its mark in a table of its own, until it is forgotten: rows there lie in
the order in which they came, so the oldest are found without an index.
"""

import time as clock
from typing import NamedTuple

import apsw

from caudal.ingest.store.port import too_long_ago

SCHEMA = """
CREATE TABLE IF NOT EXISTS item_table (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, key TEXT NOT NULL);
-- Deletes up to `time` may not be known any more.
CREATE TABLE IF NOT EXISTS forgotten (table_id INTEGER PRIMARY KEY, time INTEGER NOT NULL);
"""


class Marks(NamedTuple):
    """Where the marks of one table are."""

    table: str
    id: int

    def later(self, db: apsw.Connection, key: bytes, mark: int | None, as_of: int) -> bool:
        """Whether the item was written or deleted after a time; `mark` is that of the item, None if there is none.

        Raises ConditionFailed if that is not known any more.
        """
        gone, forgotten = db.execute(
            f"SELECT (SELECT time FROM gone_{self.id} WHERE key = ?), (SELECT time FROM forgotten WHERE table_id = {self.id})",
            (key,),
        ).get
        if mark is None and gone is None and as_of <= (forgotten or 0):
            raise too_long_ago(self.table, forgotten)
        return max(mark or 0, gone or 0) > as_of

    def same(self, db: apsw.Connection, key: bytes, as_of: int) -> None:
        """Keep that an item was the same at a later time."""
        db.execute(f"UPDATE item_{self.id} SET time = ? WHERE key = ? AND time < ?", (as_of, key, as_of))

    def deleted(self, db: apsw.Connection, key: bytes, time: int) -> None:
        """Keep when an item was deleted."""
        db.execute(f"INSERT OR REPLACE INTO gone_{self.id} VALUES (?, ?)", (key, time))

    def forget(self, db: apsw.Connection, before: int, limit: int) -> int:
        """See `Store.forget`."""
        oldest = list(db.execute(f"SELECT rowid, time FROM gone_{self.id} ORDER BY rowid LIMIT ?", (limit,)))
        gone = [(rowid, time) for rowid, time in oldest if time < before]
        db.executemany(f"DELETE FROM gone_{self.id} WHERE rowid = ?", [(rowid,) for rowid, _ in gone])
        if gone:
            _forgotten(db, self.id, max(time for _, time in gone))
        return len(gone)


def create(db: apsw.Connection, id: int) -> None:
    """The tables of a new table's items."""
    db.execute(f"CREATE TABLE item_{id} (key BLOB PRIMARY KEY, item BLOB NOT NULL, time INTEGER NOT NULL)")
    db.execute(f"CREATE TABLE gone_{id} (key BLOB PRIMARY KEY, time INTEGER NOT NULL)")


def drop(db: apsw.Connection, id: int) -> None:
    """Remove the tables of a table's items."""
    db.execute(f"DROP TABLE item_{id}")
    db.execute(f"DROP TABLE gone_{id}")
    db.execute("DELETE FROM forgotten WHERE table_id = ?", (id,))


def upgrade(db: apsw.Connection) -> None:
    """Tables of before there were marks: their items count as written now, and of deletes until now nothing is known."""
    there = "SELECT 1 FROM sqlite_schema WHERE name = 'gone_' || id"
    for (id,) in list(db.execute(f"SELECT id FROM item_table WHERE NOT EXISTS ({there})")):
        now = clock.time_ns() // 1000
        db.execute(f"ALTER TABLE item_{id} ADD COLUMN time INTEGER NOT NULL DEFAULT {now}")
        db.execute(f"CREATE TABLE gone_{id} (key BLOB PRIMARY KEY, time INTEGER NOT NULL)")
        _forgotten(db, id, now)


def _forgotten(db: apsw.Connection, id: int, time: int) -> None:
    db.execute("INSERT INTO forgotten VALUES (?, ?) ON CONFLICT DO UPDATE SET time = max(time, excluded.time)", (id, time))
