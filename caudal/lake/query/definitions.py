"""What names of tables stand for: SQL over the files of a snapshot, and the Arrow tables that it reads beside them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from caudal.lake.catalog import Snapshot
from caudal.lake.files import Files
from caudal.lake.query.dialect import internal
from caudal.lake.query.places import of_file
from caudal.lake.query.sources import Sources, rows_of
from caudal.lake.query.superseded import Superseded
from caudal.lake.query.views import Changes, current, from_base, history


class Definition(NamedTuple):
    """What a name stands for."""

    sql: str
    tables: dict[str, pa.Table]
    """Arrow tables that it reads, by the names under which sessions know them."""


class Definitions:
    """Makes definitions; what it has learnt of files and bases is kept."""

    def __init__(self, db: Any, files: Files, folder: Path, url: Callable[[str], str]) -> None:
        self._files, self._url = files, url
        self._sources = Sources(files, folder)
        self._superseded = Superseded(db, self._sources, folder)

    def history(self, snapshot: Snapshot, tail: pa.Table | None, hidden: bool) -> Definition:
        """Every change up to the snapshot, and those past it; with `hidden`, also where each is."""
        rows = self._rows_of_files(snapshot, tail) if hidden else self._rows(snapshot, tail)
        return Definition(history(snapshot.table.contract, rows), _tails(snapshot, tail))

    def current(
        self, name: str, snapshot: Snapshot, tail: pa.Table | None, columns: Sequence[str] = (), deleted: bool = False
    ) -> Definition:
        """The latest state of each key; other arguments as of `views.current`."""
        contract, base = snapshot.table.contract, snapshot.base
        if base is None or contract.foreign:
            rows = self._rows(snapshot, tail)
            return Definition(current(contract, rows, _has_row_ids(snapshot), columns, deleted), _tails(snapshot, tail))
        live, gone = (self._sources.base(snapshot, gone) for gone in (False, True))
        if not base.changes and tail is None:
            return Definition(from_base(contract, live, gone, None, columns, deleted), {})
        found, tables = self._superseded.find(snapshot, tail), _tails(snapshot, tail)
        if found.latest is None:
            rows = self._rows(replace(snapshot, files=base.changes), tail)
        else:
            latest = f"{name}:latest"
            rows = rows_of(contract.row_schema, found.latest, internal(latest), False) + _past(snapshot, tail, False)
            tables[latest] = found.latest
        superseded = f"{name}:superseded" if len(found.superseded) else ""
        if superseded:
            tables[superseded] = found.superseded
        changes = Changes(rows, superseded and internal(superseded), found.late, found.latest is not None and tail is None)
        return Definition(from_base(contract, live, gone, changes, columns, deleted), tables)

    def _rows(self, snapshot: Snapshot, tail: pa.Table | None) -> str:
        """All rows of a snapshot, and those past it."""
        return self._sources.rows(snapshot) + _past(snapshot, tail, _has_row_ids(snapshot))

    def _rows_of_files(self, snapshot: Snapshot, tail: pa.Table | None) -> str:
        """All rows with where they are: a reading a file; what is past the snapshot is in none."""
        parts = [
            f"SELECT *, {of_file(self._url(file.path), file.bytes, self._files.written(file.path))}"
            f" FROM ({self._sources.rows(replace(snapshot, files=(file,)))})" for file in snapshot.files if file.rows
        ]
        past = self._rows(replace(snapshot, files=()), tail)
        return " UNION ALL BY NAME ".join([*parts, f"SELECT *, {of_file(None, None, None)} FROM ({past})"])


def _has_row_ids(snapshot: Snapshot) -> bool:
    """Whether the SQL of its rows has `ROW`."""
    return snapshot.table.format != "csv" or not snapshot.files


def _tails(snapshot: Snapshot, tail: pa.Table | None) -> dict[str, pa.Table]:
    return {} if tail is None else {_tail_of(snapshot.table.name): tail}


def _past(snapshot: Snapshot, tail: pa.Table | None, has_row_ids: bool) -> str:
    """What adds the rows past a snapshot to the SQL of its rows."""
    if tail is None:
        return ""
    relation = internal(_tail_of(snapshot.table.name))
    return f" UNION ALL {rows_of(snapshot.table.contract.row_schema, tail, relation, has_row_ids)}"


def _tail_of(table: str) -> str:
    """What the rows past a table's snapshot are called; no name of a table has a colon."""
    return f"{table}:tail"
