"""What records do to one Iceberg table, in their order: the rows that are there afterwards, and the keys whose rows go."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.schema import Schema

from caudal.errors import UsageError
from caudal.gateway.firehose.iceberg.rows import key_reader, row_reader
from caudal.gateway.firehose.records import Record, Refused
from caudal.gateway.iceberg.tables import TOKEN, Making, Tables, fitted, small
from caudal.gateway.iceberg.upsert import check_key, exchange
from caudal.ingest.transform.values import Misfit

NO_KEYS = ("Iceberg.InvalidUniqueKeys",
           "The configured unique keys for the table do not match with the fields present in the schema.")


class Merge:
    """One delivery's share of a table.

    An insert adds a row, whatever there is. An update puts its row in the place of all with its key, or adds it. A delete
    removes them; its record needs the key alone.
    """

    def __init__(self, schema: Schema, key: Sequence[str]) -> None:
        self._schema = schema
        self._key = tuple(key) or tuple(sorted(schema.identifier_field_names()))
        self._read, self._read_key = row_reader(schema), None
        if self._key:
            try:
                check_key(schema, self._key)
                self._read_key = key_reader(schema, self._key)
            except UsageError:
                pass
        self._rows: list[dict[str, Any] | None] = []
        self._places: dict[tuple[Any, ...], list[int]] = {}
        """Key to where in the rows it is."""
        self._gone: dict[tuple[Any, ...], None] = {}

    def add_all(self, share: Iterable[tuple[str, Record]]) -> list[tuple[Record, Refused]]:
        """Take in records, each with its operation; those that cannot be, and why."""
        refused: list[tuple[Record, Refused]] = []
        for operation, record in share:
            if operation != "insert" and self._read_key is None:
                refused.append((record, NO_KEYS))
                continue
            try:
                self._add(operation, record.data)
            except Misfit as error:
                refused.append((record, (f"Iceberg.{error.reason}", error.detail)))
        return refused

    def _add(self, operation: str, data: bytes) -> None:
        row = self._read(data) if operation != "delete" else None
        key = self._read_key(data) if self._read_key is not None else ()
        if operation != "insert":
            if None in key:
                raise Misfit("null_key", f"of {', '.join(self._key)} one has no value")
            for place in self._places.pop(key, ()):
                self._rows[place] = None
            self._gone[key] = None
        if row is not None:
            self._places.setdefault(key, []).append(len(self._rows))
            self._rows.append(row)

    def write(self, tables: Tables, database: str, name: str, token: str) -> None:
        """Commit it, once for that token. Raises NotFound, Conflict, UsageError."""
        rows = [row for row in self._rows if row is not None]
        if not rows and not self._gone:
            return
        kinds = pa.schema([pa.field(field.name, small(field.type)) for field in self._schema.as_arrow()])
        new = pa.Table.from_pylist(rows, kinds)
        if not self._gone:
            tables.append(database, name, new, token)
            return
        gone = [dict(zip(self._key, key, strict=True)) for key in self._gone]
        keys = pa.Table.from_pylist(gone, pa.schema([kinds.field(column) for column in self._key]))

        def work(making: Making) -> None:
            rows = fitted(new, making.table)  # of the columns' types as they are now
            exchange(making, rows, keys.cast(rows.select(list(self._key)).schema), self._key, {TOKEN: token})

        tables.change(database, name, work, token)
