"""What the services remember beside items, records and rows: named documents, durable, in one SQLite file."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import apsw
import msgspec

from caudal.errors import AlreadyExists, NotFound
from caudal.sqlite import open_database, translated

SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
  kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
"""

Document = dict[str, Any]
"""What JSON can hold, datetimes as text, bytes as base64."""


class Documents:
    """Documents by kind ("kinesis.stream") and name; each call is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._db = open_database(path, SCHEMA, self)

    def get(self, kind: str, name: str) -> Document | None:
        """The document of that name, None if there is none."""
        with translated(self._db.path):
            body = self._db.reader.execute("SELECT body FROM document WHERE kind = ? AND name = ?", (kind, name)).get
        return msgspec.json.decode(body) if body is not None else None

    def all(self, kind: str, after: str = "", prefix: str = "", limit: int = -1) -> dict[str, Document]:
        """Name to document, in the order of names, from past `after`; at most `limit`."""
        sql = "SELECT name, body FROM document WHERE kind = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?"
        with translated(self._db.path):
            rows = list(self._db.reader.execute(sql, (kind, after, len(prefix), prefix, limit)))
        return {name: msgspec.json.decode(body) for name, body in rows}

    def create(self, kind: str, name: str, document: Document) -> None:
        """Add one. Raises AlreadyExists."""
        body = msgspec.json.encode(document)

        def work(db: apsw.Connection) -> None:
            if db.execute("SELECT 1 FROM document WHERE kind = ? AND name = ?", (kind, name)).get:
                raise AlreadyExists(f"{kind} {name} exists")
            db.execute("INSERT INTO document VALUES (?, ?, ?)", (kind, name, body))

        self._db.transact(work)

    def put(self, kind: str, name: str, document: Document) -> None:
        """Add one, or replace it."""
        body = msgspec.json.encode(document)
        self._db.transact(lambda db: db.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", (kind, name, body)).get)

    def change(self, kind: str, name: str, change: Callable[[Document], Document]) -> Document:
        """Replace one by what `change` makes of it, nobody else coming between; returns that. Raises NotFound."""

        def work(db: apsw.Connection) -> Document:
            body = db.execute("SELECT body FROM document WHERE kind = ? AND name = ?", (kind, name)).get
            if body is None:
                raise NotFound(f"no {kind} {name}")
            made = change(msgspec.json.decode(body))
            db.execute("UPDATE document SET body = ? WHERE kind = ? AND name = ?", (msgspec.json.encode(made), kind, name))
            return made

        return self._db.transact(work)

    def remove(self, kind: str, name: str) -> Document | None:
        """Take one away; returns what it was, None if there was none."""

        def work(db: apsw.Connection) -> bytes | None:
            body: bytes | None = db.execute("SELECT body FROM document WHERE kind = ? AND name = ?", (kind, name)).get
            db.execute("DELETE FROM document WHERE kind = ? AND name = ?", (kind, name))
            return body

        body = self._db.transact(work)
        return msgspec.json.decode(body) if body is not None else None

    def remove_all(self, places: Iterable[tuple[str, str]]) -> None:
        """Take many away, of a kind and a name each, together."""
        gone = list(places)
        self._db.transact(lambda db: db.executemany("DELETE FROM document WHERE kind = ? AND name = ?", gone).get)

    def close(self) -> None:
        """Release the file."""
        self._db.close(self)
