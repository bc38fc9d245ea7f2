"""Queries run by DuckDB inside the process, straight on the lake's files."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

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
from caudal.lake.query.commands import Command, Prepared, command_of
from caudal.lake.query.connection import connect
from caudal.lake.query.definitions import Definitions
from caudal.lake.query.describe import SCHEMA, Descriptions
from caudal.lake.query.dialect import Plan, internal, prepare, transpile
from caudal.lake.query.explain import explained_plan
from caudal.lake.query.messages import explained
from caudal.lake.query.names import bind
from caudal.lake.query.parameters import values_of, with_parameters
from caudal.lake.query.places import OF_FILES
from caudal.lake.query.port import Query, Tail
from caudal.lake.query.scratch import Scratch
from caudal.lake.query.session import Session
from caudal.lake.query.sources import ROW, quoted
from caudal.lake.query.sqltypes import athena_type, interval_text

_HISTORY = "_history"
RETRIES = 3
_TAIL_ROWS = 1 << 62

_BATCH = 1 << 17
"""Rows of a batch of states: a row group of a base, so that a look-up of one key reads one."""

class DuckdbQuery(Query):
    """DuckDB over the files that the catalog lists; each query reads each table at one snapshot."""

    def __init__(
        self, catalog: Catalog, files: Files, settings: QueryConfig, tail: Tail | None = None, database: str = ""
    ) -> None:
        self.database = database.lower()
        """Name by which queries may qualify tables."""
        self._catalog = catalog
        self._descriptions = Descriptions(catalog, files, self.database)
        self._prepared = Prepared()
        self._scratch = Scratch()
        root = files.location("x")
        self._db = connect(settings, self._scratch.folder, Path(root).parent if root else None)
        self._definitions = Definitions(self._db, files, self._scratch.folder, self._descriptions.url)
        self._tail = tail if settings.fresh else None
        self._seconds = settings.seconds
        self._numbered: dict[str, tuple[pa.Table, pa.Table]] = {}
        self._idle: deque[Session] = deque()
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
        self, sql: str, *, versions: Mapping[str, int] | None = None, tables: Mapping[str, pa.Table] | None = None,
        parameters: Sequence[str] = (),
    ) -> pa.Table:
        command = command_of(sql)
        if command is None:
            return self._run(*self._planned(with_parameters(sql, parameters) if parameters else sql, versions, tables))
        if command.kind == "execute":
            sql = with_parameters(self._prepared.text(command), [*values_of(command.sql), *parameters])
            return self.execute(sql, versions=versions, tables=tables)
        if parameters:
            raise QueryError("only a SELECT or EXECUTE takes parameters", hint="leave them out")
        if command.kind == "explain":
            return self._explain(command, versions, tables)
        if command.kind not in ("prepare", "deallocate"):
            return self._descriptions.answer(command)
        if command.kind == "prepare":
            self._prepared.keep(command)
        else:
            self._prepared.forget(command)
        return pa.table({})

    def stream(self, sql: str, *, versions: Mapping[str, int] | None = None, rows: int = 65_536) -> Iterator[pa.Table]:
        if command_of(sql) is not None:
            yield self.execute(sql, versions=versions)
            return
        statement, plan, definitions, relations = self._planned(sql, versions, None)
        session = Session(self._db.cursor(), self._seconds)  # of its own: it is busy until the last row
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
        reading = self._reading(sql, versions, tables)
        plan = self._plan(sql, reading.statement, _Tree(reading.tree), tuple(reading.schemas.items()))
        definitions, relations = {}, reading.given.copy()
        for name, (_, every) in reading.shown.items():
            snapshot, tail = reading.snapshots[name], reading.tails.get(name)
            if every or not snapshot.table.contract.key:
                found = self._definitions.history(snapshot, tail, name in reading.hidden)
            else:
                found = self._definitions.current(name, snapshot, tail)
            definitions[name] = found.sql
            relations |= found.tables
        return reading.statement, plan, definitions, relations

    def _reading(
        self, sql: str, versions: Mapping[str, int] | None, tables: Mapping[str, pa.Table] | None
    ) -> "_Reading":
        statement, tree, places, asked = self._prepare(sql)
        given = {name.lower(): table for name, table in (tables or {}).items()}
        given |= {name: self._descriptions.information(name.removeprefix(f"{SCHEMA}."))
                  for name in places if name.startswith(f"{SCHEMA}.")}
        shown = {
            name: self._shown(statement, asked[name].table if name in asked else name, places[name], given)
            for name in places if name not in given
        }
        read = {real.lower() for real, _ in shown.values()}
        for name in versions or {}:
            if name.lower() not in read:
                raise QueryError(f"a version of {name} is given, and the query does not read it", hint=near(name, sorted(read)))
        past = self._past(shown, {name: as_of for name, as_of in asked.items() if name in shown}, places)
        states, tails = self._states({real for name, (real, _) in shown.items() if name not in past}, versions or {})
        snapshots = past | {name: states[real] for name, (real, _) in shown.items() if name not in past}
        schemas = {name: given[name].schema for name in places if name in given}
        hidden = set()
        for name, (_, every) in shown.items():
            contract = snapshots[name].table.contract
            schemas[name] = _row_schema(contract) if every or not contract.key else _schema(contract)
            if '"$' in sql and (every or not contract.key):
                schemas[name] = pa.schema([*schemas[name], *OF_FILES])
                hidden.add(name)
        return _Reading(
            statement, tree, {name: table for name, table in given.items() if name in places}, shown, snapshots,
            {name: tails[real] for name, (real, _) in shown.items() if name not in past and real in tails}, schemas, hidden,
        )

    def _explain(
        self, command: Command, versions: Mapping[str, int] | None, tables: Mapping[str, pa.Table] | None
    ) -> pa.Table:
        self._planned(command.sql, versions, tables)  # whatever is wrong with the query is said here
        reading = self._reading(command.sql, versions, tables)
        columns = _columns(reading.schemas)
        return explained_plan(bind(reading.statement, reading.tree.copy(), columns), reading.told)

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

    def states(self, table: str, version: int, deleted: bool) -> Iterator[pa.RecordBatch]:
        """What a base is made of: see `SupportsStates`."""
        snapshot = _with_hidden(self._catalog.snapshot(table, version))
        contract = snapshot.table.contract
        states = self._definitions.current(table, snapshot, None, contract.row_schema.names, deleted=True)
        key = ", ".join(quoted(name) for name in contract.key)
        cursor = self._db.cursor()
        try:
            for name, relation in states.tables.items():
                cursor.register(internal(name), relation)
            where = f"_op {'=' if deleted else '<>'} 'delete'"
            found = cursor.sql(f"SELECT * FROM ({states.sql}) WHERE {where} ORDER BY {key}")
            yield from found.to_arrow_reader(_BATCH)
        except duckdb.Error as error:
            raise BackendError(f"table {table}: DuckDB failed ({type(error).__name__})", hint="run `caudal verify`") from error
        finally:
            cursor.close()

    def _run(self, statement: Statement, plan: Plan, definitions: Mapping[str, str], given: Mapping[str, pa.Table]) -> pa.Table:
        session = self._idle.pop() if self._idle else Session(self._db.cursor(), self._seconds)
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


def _with_hidden(snapshot: Snapshot) -> Snapshot:
    """The snapshot with its hidden columns shown: they may come back, and what is in a base is read from nowhere else."""
    table = snapshot.table
    contract = replace(table.contract, columns=(*table.contract.columns, *table.hidden))
    return replace(snapshot, table=replace(table, contract=contract, hidden=()))


class _Reading(NamedTuple):
    """What a query reads; by its names for it, in lower case."""

    statement: Statement
    tree: Any
    given: dict[str, pa.Table]
    shown: dict[str, tuple[str, bool]]
    """The catalog's table, and whether its history is meant."""
    snapshots: dict[str, Snapshot]
    tails: dict[str, pa.Table]
    schemas: dict[str, pa.Schema]
    hidden: set[str]
    """Those whose rows are to say which file they are in."""

    def told(self, name: str) -> str:
        """What it means to read a table, for people."""
        if name not in self.shown:
            return f"{name}: given"
        snapshot, (real, every) = self.snapshots[name], self.shown[name]
        kind = "events" if not snapshot.table.contract.key else "history" if every else "current state"
        rows, size = sum(file.rows for file in snapshot.files), sum(file.bytes for file in snapshot.files)
        past = f", {len(self.tails[name])} rows past it" if name in self.tails else ""
        return (f"{real}: {kind}, version {snapshot.version}, {snapshot.table.format}, {len(snapshot.files)} files, {rows} rows,"
                f" {size} bytes{past}")


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
    return transpile(statement, tree.tree, _columns(dict(schemas)), spellings)


def _columns(schemas: Mapping[str, pa.Schema]) -> dict[str, dict[str, str]]:
    return {name: {field.name.lower(): athena_type(field.type) for field in schema} for name, schema in schemas.items()}


@lru_cache(1024)
def _schema(contract: Contract) -> pa.Schema:
    return contract.schema


@lru_cache(1024)
def _row_schema(contract: Contract) -> pa.Schema:
    return contract.row_schema


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
