"""What the services remember beside items, records and rows: named documents, durable, in one SQLite file."""

from collections.abc import Callable, Iterable, Mapping
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
Place = tuple[str, str]
"""A document's kind and name."""

_LAST = "\U0010ffff"


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
        sql = "SELECT name, body FROM document WHERE kind = ? AND name > ? AND name >= ? AND name < ? ORDER BY name LIMIT ?"
        with translated(self._db.path):
            rows = list(self._db.reader.execute(sql, (kind, after, prefix, prefix + _LAST, limit)))
        return {name: msgspec.json.decode(body) for name, body in rows}

    def create(self, kind: str, name: str, document: Document) -> None:
        """Add one. Raises AlreadyExists."""
        self.write(create={(kind, name): document})

    def put(self, kind: str, name: str, document: Document) -> None:
        """Add one, or replace it."""
        self.write({(kind, name): document})

    def write(
        self, put: Mapping[Place, Document] | None = None, remove: Iterable[Place] = (),
        create: Mapping[Place, Document] | None = None,
    ) -> None:
        """Do all of it, or nothing: add or replace, take away, and add what must not be there. Raises AlreadyExists."""
        new, made, gone = create or {}, _rows({**(create or {}), **(put or {})}), list(remove)

        def work(db: apsw.Connection) -> None:
            for kind, name in new:
                if db.execute("SELECT 1 FROM document WHERE kind = ? AND name = ?", (kind, name)).get:
                    raise AlreadyExists(f"{kind} {name} exists")
            db.executemany("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", made)
            db.executemany("DELETE FROM document WHERE kind = ? AND name = ?", gone)

        self._db.transact(work)

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

    def close(self) -> None:
        """Release the file."""
        self._db.close(self)


def _rows(documents: Mapping[Place, Document]) -> list[tuple[str, str, bytes]]:
    return [(kind, name, msgspec.json.encode(document)) for (kind, name), document in documents.items()]
