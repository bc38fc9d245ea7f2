"""One connection to DuckDB, and what it was given."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from caudal.lake.query.cancel import cancellable
from caudal.lake.query.dialect import internal

_SMALL = 1 << 16
"""Bytes up to which a given table stays registered: to forget it costs 0.3 ms, a third of a small query."""


class Session:
    """One cursor, used by one thread at a time, and the Arrow tables that it knows."""

    def __init__(self, cursor: Any, seconds: float) -> None:
        self._cursor, self._seconds = cursor, seconds
        self._known: dict[str, pa.Table] = {}

    def _give(self, given: Mapping[str, pa.Table]) -> None:
        for name, table in given.items():
            if self._known.get(name) is not table:
                self._cursor.register(internal(name), table)
                self._known[name] = table

    def read(self, sql: str, given: Mapping[str, pa.Table], rows: int) -> Iterator[pa.RecordBatch]:
        """The result as it comes; if it is empty, one batch without rows."""
        self._give(given)
        reader = self._cursor.sql(sql).to_arrow_reader(rows)
        empty = True
        try:
            for batch in reader:
                empty = False
                yield batch
        except (pa.ArrowException, OSError) as error:  # what DuckDB says on the way comes by Arrow
            raise _as_duckdb(str(error)) from None
        if empty:
            yield pa.RecordBatch.from_pylist([], reader.schema)

    def run(self, sql: str, given: Mapping[str, pa.Table]) -> pa.Table:
        self._give(given)
        timer = threading.Timer(self._seconds, self._cursor.interrupt)
        timer.start()
        try:
            with cancellable(self._cursor.interrupt):
                result = self._cursor.sql(sql).to_arrow_table()
        finally:
            timer.cancel()
        for name in [name for name, table in self._known.items() if table.nbytes > _SMALL]:
            self._cursor.unregister(internal(name))
            del self._known[name]
        return result

    def close(self) -> None:
        self._cursor.close()


_ERRORS = {name.lower(): kind for name, kind in vars(duckdb).items() if name.endswith("Exception")}


def _as_duckdb(text: str) -> Exception:
    """The error that DuckDB means by a text such as `Out of Range Error: …`."""
    name = text.split(" Error: ", 1)[0].replace(" ", "").lower()
    error: Exception = _ERRORS.get(f"{name}exception", duckdb.Error)(text)
    return error
