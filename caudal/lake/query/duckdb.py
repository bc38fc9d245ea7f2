"""Queries run by DuckDB inside the process, straight on the lake's files."""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from caudal.config import QueryConfig
from caudal.contract import Contract
from caudal.errors import BackendError, ConfigError, NotFound, QueryError, Trimmed
from caudal.lake.catalog import Catalog, Snapshot
from caudal.lake.files import Files
from caudal.lake.query.asof import AsOf, microseconds
from caudal.lake.query.check import Statement, near, parse
from caudal.lake.query.dialect import Plan, internal, prepare, transpile
from caudal.lake.query.messages import explained
from caudal.lake.query.port import Query, Tail
from caudal.lake.query.scratch import Scratch
from caudal.lake.query.sources import ROW, Sources, quoted, rows_of, text
from caudal.lake.query.sqltypes import athena_type, interval_text
from caudal.lake.query.superseded import Superseded
from caudal.lake.query.views import Changes, current, from_base, history

_HISTORY = "_history"
_SMALL = 1 << 16
"""Bytes up to which a given table stays registered: to forget it costs 0.3 ms, a third of a small query."""

RETRIES = 3
_TAIL_ROWS = 1 << 62

_BATCH = 1 << 17
"""Rows of a batch of states: a row group of a base, so that a look-up of one key reads one."""

_MACROS = (
    # n / d in whole numbers, rounded half away from zero
    "CREATE MACRO caudal_divide(n, d) AS sign(n)::HUGEINT * sign(d)::HUGEINT * ((abs(n) * 2 + abs(d)) // (abs(d) * 2))",
    # a map of {k, v} pairs; of a key that is there twice, the first
    "CREATE MACRO caudal_map(l) AS map_from_entries(list_filter(l, lambda e, i: e.k IS NOT NULL"
    " AND list_position(list_transform(l, lambda o: o.k), e.k) = i))",
)


class DuckdbQuery(Query):
    """DuckDB over the files that the catalog lists; each query reads each table at one snapshot."""

    def __init__(
        self, catalog: Catalog, files: Files, settings: QueryConfig, tail: Tail | None = None, database: str = ""
    ) -> None:
        self.database = database.lower()
        """Name by which queries may qualify tables."""
        self._catalog = catalog
        self._scratch = Scratch()
        root = files.location("x")
        self._db = _connect(settings, self._scratch.folder, Path(root).parent if root else None)
        self._sources = Sources(files, self._scratch.folder)
        self._superseded = Superseded(self._db, self._sources, self._scratch.folder)
        self._tail = tail if settings.fresh else None
        self._seconds = settings.seconds
        self._numbered: dict[str, tuple[pa.Table, pa.Table]] = {}
        self._idle: deque[_Session] = deque()
        self._names: dict[str, str] = {}
        self._prepare = lru_cache(1024)(lambda sql: _prepared(sql, self.database))
        self._plan = lru_cache(1024)(_plan)

    @classmethod
    def open(
        cls, url: str, catalog: Catalog, files: Files, settings: QueryConfig, tail: Tail | None = None, database: str = ""
    ) -> Self:
        if url.partition(":")[2].strip("/"):
            raise ConfigError(f"{url}: DuckDB runs inside the process and has no place", hint="write duckdb:")
        return cls(catalog, files, settings, tail, database)

    def execute(
        self, sql: str, *, versions: Mapping[str, int] | None = None, tables: Mapping[str, pa.Table] | None = None
    ) -> pa.Table:
        return self._run(*self._planned(sql, versions, tables))

    def stream(self, sql: str, *, versions: Mapping[str, int] | None = None, rows: int = 65_536) -> Iterator[pa.Table]:
        statement, plan, definitions, relations = self._planned(sql, versions, None)
        session = _Session(self._db.cursor(), self._seconds)  # of its own: it is busy until the last row
        try:
            for batch in session.read(plan.text(definitions), relations, rows):
                yield _tidy(pa.Table.from_batches([batch]), plan.names)
        except duckdb.Error as error:
            raise explained(statement, error) from None
        finally:
            session.close()

    def _planned(
        self, sql: str, versions: Mapping[str, int] | None, tables: Mapping[str, pa.Table] | None
    ) -> tuple[Statement, Plan, dict[str, str], dict[str, pa.Table]]:
        """What a query is to DuckDB, what its names stand for, and the Arrow tables that it reads."""
        statement, tree, places, asked = self._prepare(sql)
        given = {name.lower(): table for name, table in (tables or {}).items()}
        shown = {
            name: self._shown(statement, asked[name].table if name in asked else name, places[name], given)
            for name in places if name not in given
        }
        read = {real.lower() for real, _ in shown.values()}
        for name in versions or {}:
            if name.lower() not in read:
                raise QueryError(f"a version of {name} is given, and the query does not read it", hint=near(name, sorted(read)))
        past = self._past(shown, asked, places)
        states, tails = self._states({real for name, (real, _) in shown.items() if name not in past}, versions or {})
        snapshots = past | {name: states[real] for name, (real, _) in shown.items() if name not in past}
        schemas = {name: given[name].schema for name in places if name in given}
        for name, (_, every) in shown.items():
            contract = snapshots[name].table.contract
            schemas[name] = _row_schema(contract) if every or not contract.key else _schema(contract)
        plan = self._plan(sql, statement, _Tree(tree), tuple(schemas.items()))
        definitions, relations = {}, {name: given[name] for name in places if name in given}
        for name, (real, every) in shown.items():
            tail = None if name in past else tails.get(real)
            definitions[name], tables_read = self._definition(name, snapshots[name], every, tail)
            relations |= tables_read
        return statement, plan, definitions, relations

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self._db.close()
        self._scratch.close()

    def _shown(
        self, statement: Statement, name: str, place: dict[str, int], given: Mapping[str, pa.Table]
    ) -> tuple[str, bool]:
        """The catalog's table behind a name, and whether the name shows its history."""
        for _ in range(2):
            if name in self._names:
                return self._names[name], False
            if name.endswith(_HISTORY) and name.removesuffix(_HISTORY) in self._names:
                return self._names[name.removesuffix(_HISTORY)], True
            self._names = {real.lower(): real for real in self._catalog.tables()}
        known = [*given, *self._names, *(real + _HISTORY for real in self._names)]
        raise QueryError(f"no table {name}", hint=near(name, known), **place)

    def _past(
        self, shown: Mapping[str, tuple[str, bool]], asked: Mapping[str, AsOf], places: Mapping[str, dict[str, int]]
    ) -> dict[str, Snapshot]:
        """The snapshot of each name that stands for a table as it was."""
        found = {}
        for name, as_of in asked.items():
            real = shown[name][0]
            try:
                found[name] = self._catalog.snapshot(real, self._version(as_of, real, places[name]))
            except NotFound as error:
                raise QueryError(str(error), hint=error.hint, **places[name]) from None
        return found

    def _version(self, asked: AsOf, real: str, where: dict[str, int]) -> int:
        if asked.kind == "version":
            return int(asked.value)
        return self._catalog.version_at(real, microseconds(self.execute(f"SELECT {asked.value}"), asked.table, where))

    def _states(self, names: set[str], versions: Mapping[str, int]) -> tuple[dict[str, Snapshot], dict[str, pa.Table]]:
        """Each table's snapshot, and the rows that have arrived since."""
        wanted = {name.lower(): version for name, version in versions.items()}
        for _ in range(RETRIES):
            try:
                found = {real: self._catalog.snapshot(real, wanted.get(real.lower())) for real in names}
            except NotFound as error:
                raise QueryError(str(error), hint=error.hint) from None
            newest = {real: snapshot for real, snapshot in found.items() if real.lower() not in wanted}
            if self._tail is None or not newest:
                break
            try:
                return found, {real: self._numbers(real, rows) for real, rows in self._tail.rows(newest).items()}
            except Trimmed:
                continue  # the writer went on, and what it has read was dropped
        return found, {}

    def _numbers(self, real: str, rows: pa.Table) -> pa.Table:
        """A tail with `ROW`: numbers that no row of a file has."""
        known = self._numbered.get(real)
        if known is None or known[0] is not rows:
            known = rows, rows.append_column(ROW, pa.array(np.arange(_TAIL_ROWS, _TAIL_ROWS + len(rows))))
            self._numbered[real] = known
        return known[1]

    def _definition(
        self, name: str, snapshot: Snapshot, every: bool, tail: pa.Table | None,
        columns: Sequence[str] = (), deleted: bool = False,
    ) -> tuple[str, dict[str, pa.Table]]:
        """What a name stands for, and the Arrow tables that it reads, by names of their own."""
        contract, base = snapshot.table.contract, snapshot.base
        read = {} if tail is None else {_tail_of(snapshot.table.name): tail}
        if every or not contract.key:
            return history(contract, self._rows(snapshot, tail)), read
        if base is None or contract.foreign:
            return current(contract, self._rows(snapshot, tail), _has_row_ids(snapshot), columns, deleted), read
        shown, more = self._from_base(name, snapshot, tail, columns, deleted)
        return shown, read | more

    def _from_base(
        self, name: str, snapshot: Snapshot, tail: pa.Table | None, columns: Sequence[str], deleted: bool
    ) -> tuple[str, dict[str, pa.Table]]:
        contract, base = snapshot.table.contract, snapshot.base
        assert base is not None
        live, gone = (self._sources.base(snapshot, gone) for gone in (False, True))
        if not base.changes and tail is None:
            return from_base(contract, live, gone, None, columns, deleted), {}
        found = self._superseded.find(snapshot, tail)
        latest, read = f"{name}:latest", {}
        if found.latest is None:
            rows = self._rows(replace(snapshot, files=base.changes), tail)
        else:
            rows = rows_of(contract.row_schema, found.latest, internal(latest), False) + _past(snapshot, tail, False)
            read[latest] = found.latest
        superseded = f"{name}:superseded" if len(found.superseded) else ""
        if superseded:
            read[superseded] = found.superseded
        changes = Changes(rows, superseded and internal(superseded), found.late, found.latest is not None and tail is None)
        return from_base(contract, live, gone, changes, columns, deleted), read

    def _rows(self, snapshot: Snapshot, tail: pa.Table | None) -> str:
        """All rows of a snapshot, and those past it."""
        return self._sources.rows(snapshot) + _past(snapshot, tail, _has_row_ids(snapshot))

    def states(self, table: str, version: int, deleted: bool) -> Iterator[pa.RecordBatch]:
        """What a base is made of: see `SupportsStates`."""
        snapshot = self._catalog.snapshot(table, version)
        contract = snapshot.table.contract
        rows, read = self._definition(table, snapshot, False, None, contract.row_schema.names, deleted=True)
        key = ", ".join(quoted(name) for name in contract.key)
        cursor = self._db.cursor()
        try:
            for name, relation in read.items():
                cursor.register(internal(name), relation)
            where = f"_op {'=' if deleted else '<>'} 'delete'"
            found = cursor.sql(f"SELECT * FROM ({rows}) WHERE {where} ORDER BY {key}")
            yield from found.to_arrow_reader(_BATCH)
        except duckdb.Error as error:
            raise BackendError(f"table {table}: DuckDB failed ({type(error).__name__})", hint="run `caudal verify`") from error
        finally:
            cursor.close()

    def _run(self, statement: Statement, plan: Plan, definitions: Mapping[str, str], given: Mapping[str, pa.Table]) -> pa.Table:
        session = self._idle.pop() if self._idle else _Session(self._db.cursor(), self._seconds)
        try:
            result = session.run(plan.text(definitions), given)
        except duckdb.Error as error:
            session.close()
            raise explained(statement, error) from None
        except BaseException:
            session.close()
            raise
        self._idle.append(session)
        return _tidy(result, plan.names)


def _has_row_ids(snapshot: Snapshot) -> bool:
    """Whether the SQL of its rows has `ROW`."""
    return snapshot.table.format != "csv" or not snapshot.files


def _past(snapshot: Snapshot, tail: pa.Table | None, has_row_ids: bool) -> str:
    """What adds the rows past a snapshot to the SQL of its rows."""
    if tail is None:
        return ""
    relation = internal(_tail_of(snapshot.table.name))
    return f" UNION ALL {rows_of(snapshot.table.contract.row_schema, tail, relation, has_row_ids)}"


def _tail_of(table: str) -> str:
    """What the rows past a table's snapshot are called; no name of a table has a colon."""
    return f"{table}:tail"


class _Session:
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


class _Tree:
    """A prepared tree, equal to any other, so that plans are found by their text and schemas."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tree)

    def __hash__(self) -> int:
        return 0


def _prepared(sql: str, database: str) -> tuple[Statement, Any, dict[str, dict[str, int]], dict[str, AsOf]]:
    statement = parse(sql)
    return statement, *prepare(statement, database)


def _plan(sql: str, statement: Statement, tree: _Tree, schemas: tuple[tuple[str, pa.Schema], ...]) -> Plan:
    spellings = {field.name.lower(): field.name for _, schema in schemas for field in schema}
    columns = {name: {field.name.lower(): athena_type(field.type) for field in schema} for name, schema in schemas}
    return transpile(statement, tree.tree, columns, spellings)


@lru_cache(1024)
def _schema(contract: Contract) -> pa.Schema:
    return contract.schema


@lru_cache(1024)
def _row_schema(contract: Contract) -> pa.Schema:
    return contract.row_schema


def _connect(settings: QueryConfig, folder: Path, lake: Path | None) -> Any:
    """An empty database that reads the lake's folder and its own, and cannot be talked out of it."""
    db = duckdb.connect(":memory:", config={
        "memory_limit": f"{settings.memory_mb}MB", **({"threads": settings.threads} if settings.threads else {}),
        "temp_directory": str(folder / "spill"), "autoinstall_known_extensions": False, "autoload_known_extensions": False,
        "allow_community_extensions": False, "python_enable_replacements": False,
    })
    for macro in _MACROS:
        db.execute(macro)
    folders = ", ".join(text(f"{path}/") for path in (folder, lake) if path is not None)
    for setting in ("TimeZone = 'UTC'", "parquet_metadata_cache = true", f"allowed_directories = [{folders}]", "enable_external_access = false",
                    "lock_configuration = true"):
        db.execute(f"SET {setting}")
    return db


def _tidy(result: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """The result with its names, and times in UTC by that name."""
    columns = []
    for column in result.columns:
        kind = column.type
        if pa.types.is_timestamp(kind) and kind.tz not in (None, "UTC"):
            column = column.cast(pa.timestamp(kind.unit, "UTC"))
        elif pa.types.is_uint64(kind):
            column = column.cast(pa.int64())
        elif pa.types.is_interval(kind):
            column = pa.chunked_array([pa.array(map(interval_text, column.to_pylist()), pa.string())])
        columns.append(column)
    return pa.table(columns, names=list(names))
