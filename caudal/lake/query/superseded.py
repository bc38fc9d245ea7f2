"""What has changed since a base: found by key, once for each file that came since."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Contract
from caudal.errors import BackendError
from caudal.lake.catalog import Snapshot
from caudal.lake.query.sources import ROW, Sources, quoted, rows_of
from caudal.lake.query.views import current
from caudal.records import DataFile

_BASES = 2
"""Bases of a table that are known at once: of the newest version, and of one that is asked for by time."""

_FEW = 1 << 18
"""Rows of changes up to which the latest of them are held in memory: more cost little beside the rest of a query."""

_READERS = 8
"""Files that are read at once: for each of compressed CSV, DuckDB takes 32 MiB, however small it is."""

_BATCH = 1 << 17
_PART, _HASH, _TAIL = "_part", "_hash", "lake:keys"


class Changed(NamedTuple):
    """What has changed since a base."""

    superseded: pa.Table
    """Numbers of the base's rows whose keys have changed, in the column `ROW`; some may be there twice."""
    late: bool
    """Whether one of the changes came before the row of its key: replayed, it changes nothing."""
    latest: pa.Table | None
    """Of the files that came since, the latest row of each key, deletes as well; None if they are many."""


class Superseded:
    """Answers for every base that queries read; it costs a base's keys once, and then only what has changed."""

    def __init__(self, db: Any, sources: Sources, folder: Path) -> None:
        self._db, self._sources, self._folder = db, sources, folder
        self._known: dict[str, deque[tuple[object, _Base]]] = {}
        self._lock = threading.Lock()

    def find(self, snapshot: Snapshot, tail: pa.Table | None) -> Changed:
        """What has changed since the snapshot's base: in its own files, and in the rows past it."""
        assert snapshot.base is not None
        table = snapshot.table
        same = snapshot.base.version, snapshot.base.files, [(column.name, column.arrow) for column in table.contract.columns]
        with self._lock:
            known = self._known.setdefault(table.name, deque(maxlen=_BASES))
            base = next((base for key, base in known if key == same), None)
            if base is None:
                base = _Base(self._db, self._sources, self._folder, table.contract)
                known.append((same, base))
        return base.find(snapshot, tail)


class _Base:
    """The keys of one base, sorted by a hash, in a file that the system keeps in memory as far as there is room."""

    def __init__(self, db: Any, sources: Sources, folder: Path, contract: Contract) -> None:
        self._db, self._sources, self._folder, self._contract = db, sources, folder, contract
        self._keys: pa.Table | None = None
        self._files: dict[str, tuple[pa.Table, bool]] = {}
        self._in_files: tuple[list[str], Changed] | None = None
        self._past: tuple[Changed, pa.Table, Changed] | None = None
        self._lock = threading.Lock()

    def find(self, snapshot: Snapshot, tail: pa.Table | None) -> Changed:
        """See `Superseded.find`. The same answer is the same tables, so that sessions know them again."""
        with self._lock, _explained(self._contract.name):
            if self._keys is None:
                self._keys = self._sorted(snapshot)
            found = self._since(snapshot)
            if tail is None or not len(tail):
                return found
            if self._past is None or self._past[0] is not found or self._past[1] is not tail:
                [(rows, late)] = self._matches([rows_of(self._contract.row_schema, tail, _TAIL, False)], tail)
                both = Changed(pa.concat_tables([found.superseded, rows]), found.late or late, found.latest)
                self._past = found, tail, both
            return self._past[2]

    def _since(self, snapshot: Snapshot) -> Changed:
        """What has changed in the snapshot's own files."""
        assert snapshot.base is not None and self._keys is not None
        files = [file for file in snapshot.base.changes if file.rows]
        asked = [file.path for file in files]
        if self._in_files is None or self._in_files[0] != asked:
            self._look_up(snapshot, [file for file in files if file.path not in self._files])
            known = [self._files[path] for path in asked]
            superseded = pa.concat_tables([rows for rows, _ in known] or [self._keys.select([ROW]).slice(0, 0)])
            few = sum(file.rows for file in files) <= _FEW
            latest = self._latest(self._sources.rows(replace(snapshot, files=tuple(files)))) if few else None
            self._in_files = asked, Changed(superseded, any(late for _, late in known), latest)
        return self._in_files[1]

    def _latest(self, rows: str) -> pa.Table:
        every, cursor = self._contract.row_schema.names, self._db.cursor()
        rows = f"SELECT {', '.join(map(quoted, every))} FROM ({rows})"
        try:
            return cursor.sql(current(self._contract, rows, False, every, deleted=True)).to_arrow_table()
        finally:
            cursor.close()

    def _sorted(self, snapshot: Snapshot) -> pa.Table:
        rows = " UNION ALL ".join(self._sources.base(snapshot, gone) for gone in (False, True))
        path, cursor = self._folder / f"keys-{id(self)}.arrow", self._db.cursor()
        try:
            reader = cursor.sql(f"SELECT {self._columns()}, {ROW} FROM ({rows}) ORDER BY {_HASH}").to_arrow_reader(_BATCH)
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
            return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        finally:
            cursor.close()
            path.unlink(missing_ok=True)  # what is mapped stays until nobody uses it

    def _look_up(self, snapshot: Snapshot, files: Sequence[DataFile]) -> None:
        """Learn about files, a few by one query: each is a reader with memory of its own."""
        for start in range(0, len(files), _READERS):
            some = files[start : start + _READERS]
            found = self._matches([self._sources.rows(replace(snapshot, files=(file,))) for file in some])
            self._files |= {file.path: one for file, one in zip(some, found, strict=True)}

    def _matches(self, parts: Sequence[str], tail: pa.Table | None = None) -> list[tuple[pa.Table, bool]]:
        """For each part, SQL of changes, the rows of the base with their keys, and whether one of these is later."""
        assert self._keys is not None
        sql = " UNION ALL ".join(f"SELECT {self._columns()}, {n} AS {_PART} FROM ({part})" for n, part in enumerate(parts))
        cursor = self._db.cursor()
        try:
            if tail is not None:
                cursor.register(_TAIL, tail)
            changes = cursor.sql(f"{sql} ORDER BY {_HASH}").to_arrow_table()
        finally:
            cursor.close()
        change, row = _with_equal_hashes(changes[_HASH], self._keys[_HASH])
        mine, theirs = changes.take(change), self._keys.take(row)
        same = np.ones(len(row), bool)
        for name in self._contract.key:
            same &= pc.equal(mine[name], theirs[name]).to_numpy()
        later = pc.greater(theirs["_position"], mine["_position"]).to_numpy()
        part, rows = mine[_PART].to_numpy(), theirs[ROW].to_numpy()
        return [
            (pa.table({ROW: rows[same & (part == n)]}), bool((later & same & (part == n)).any())) for n in range(len(parts))
        ]

    def _columns(self) -> str:
        key = ", ".join(map(quoted, self._contract.key))
        return f"{_hash(key)} AS {_HASH}, {key}, _position"


def _hash(key: str) -> str:
    return f"hash({key})"


def _with_equal_hashes(wanted: pa.ChunkedArray, known: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Places in `wanted` and in `known`, which is sorted, of each pair that is equal."""
    if not len(wanted) or not len(known):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    low, high = (
        pc.search_sorted(known, wanted.combine_chunks(), side=side).to_numpy().astype(np.int64) for side in ("left", "right")
    )
    count = high - low
    first = np.repeat(low - np.cumsum(count) + count, count)
    return np.repeat(np.arange(len(low)), count), first + np.arange(len(first))


@contextmanager
def _explained(table: str) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        why = f"table {table}: what changed since its base cannot be read ({type(error).__name__})"
        raise BackendError(why, hint="run `caudal verify`") from error
