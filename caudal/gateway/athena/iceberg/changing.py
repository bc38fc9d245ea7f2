"""INSERT, UPDATE, DELETE and MERGE of Iceberg tables: files that hold a changed row are written anew.

Each clause becomes a SELECT over the table's rows with a number each, which the engine answers like any other query.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask
from sqlglot.errors import SqlglotError

from caudal.errors import AlreadyExists, BackendError, Conflict, NotFound, QueryError, Unavailable, UsageError
from caudal.gateway.athena.assign import assigned
from caudal.gateway.athena.executions import NOTHING, OPEN_PARTITIONS, Outcome
from caudal.gateway.athena.iceberg.clauses import Branch, Changing, changing
from caudal.gateway.athena.iceberg.pruning import predicate
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.iceberg.schema import engine_rows, engine_schema
from caudal.gateway.iceberg.tables import Making, fitted

Ask = Callable[[str, str, Mapping[str, pa.Table], Mapping[tuple[str, str], Any]], Outcome]
"""Runs a query: SQL, database, tables by name, Iceberg tables as they were loaded by database and name."""

TARGET, SOURCE, PAIRS, ROW, FROM = "caudal_target", "caudal_source", "caudal_pairs", "caudal_row", "caudal_from"


class Changes(NamedTuple):
    """What a statement does to a table."""

    gone: np.ndarray[Any, Any]
    """Numbers of the rows that are not to be there any more."""
    new: pa.Table
    """Rows in their place, and others, of the engine's types."""
    touched: int
    """Rows that it is about."""


def insert(cloud: Cloud, document: Document, chosen: Sequence[str], outcome: Outcome, stopped: Callable[[], bool]) -> Outcome:
    """Add the rows of a query; `chosen` are the columns that it gives, all of them if empty. Raises QueryError."""
    schema, name = document["DatabaseName"], document["Name"]

    def work(making: Making) -> list[DataFile]:
        shape = _shape(making)
        columns = list(chosen) or shape.names
        if len(columns) != outcome.table.num_columns or not set(columns) <= set(shape.names) or len(set(columns)) < len(columns):
            raise QueryError("TYPE_MISMATCH: Insert query has mismatched columns", hint=f"the table has {', '.join(shape.names)}")
        given = outcome.table.rename_columns(columns)
        rows = pa.table([
            assigned(given[field.name], field, "Insert query has mismatched column types") if field.name in columns
            else pa.nulls(len(given), field.type) for field in shape], schema=shape)
        _go_on(stopped)
        return checked(making.replace(_stored(rows, making)))

    added = commit(cloud, schema, name, work)
    return Outcome(NOTHING, outcome.scanned, [file.file_path for file in added], len(outcome.table))


def change(cloud: Cloud, sql: str, kind: str, place: Callable[[tuple[str, ...]], Document], database: str, ask: Ask,
           stopped: Callable[[], bool]) -> Outcome:
    """Run an UPDATE, DELETE or MERGE; `place` finds the table by its name. Raises QueryError."""
    statement = changing(sql, kind)
    document = place(statement.table)
    schema, name = document["DatabaseName"], document["Name"]

    def work(making: Making) -> tuple[list[DataFile], int, int]:
        files = making.files(_where(statement, making))
        made = _Change(statement, kind, making, files, lambda query, given: ask(
            query, database, given, {(schema, name): making.table}))
        changes = made.run()
        _go_on(stopped)
        return checked(made.apply(changes)), changes.touched, sum(file.file.file_size_in_bytes for file in files) + made.scanned

    added, count, scanned = commit(cloud, schema, name, work)
    return Outcome(NOTHING, scanned, [file.file_path for file in added], count)


class _Change:
    """One statement on one state of its table."""

    def __init__(
        self, statement: Changing, kind: str, making: Making, files: list[FileScanTask],
        ask: Callable[[str, Mapping[str, pa.Table]], Outcome],
    ) -> None:
        self._statement, self._kind, self._making, self._files, self._ask = statement, kind, making, files, ask
        self._shape = _shape(making)
        self._parts = [making.rows(file) for file in files]
        self._rows = pa.concat_tables(self._parts) if self._parts else fitted(pa.table({}), making.table)
        self._target = engine_rows(self._rows).rename_columns(self._shape.names).append_column(
            ROW, pa.array(np.arange(len(self._rows))))
        self.scanned = 0

    def run(self) -> Changes:
        """What is to be done."""
        if self._kind == "MERGE":
            return self._merge()
        branch = self._statement.branches[0]
        where = f" WHERE ({branch.condition})" if branch.condition else ""
        found = self._query(f"SELECT {self._listed(branch, [ROW])} FROM {TARGET} AS {_quoted(self._statement.alias)}{where}", {})
        rows = found[ROW].to_numpy()
        return Changes(rows, self._made(branch, found, rows), len(rows))

    def apply(self, changes: Changes) -> list[DataFile]:
        """Write the files that hold a row that is gone without it, and the new rows; returns those files."""
        gone = np.zeros(len(self._rows), bool)
        gone[changes.gone] = True
        kept, removed, first = [_stored(changes.new, self._making)], [], 0
        for part, file in zip(self._parts, self._files, strict=True):
            there = gone[first : first + len(part)]
            first += len(part)
            if there.any():
                kept.append(part.filter(pa.array(~there)))
                removed.append(file.file)
        return self._making.replace(pa.concat_tables(kept), removed)

    def _merge(self) -> Changes:
        statement = self._statement
        target, source = _quoted(statement.alias), _quoted(statement.source_alias or "caudal_s")
        found = self._query(f"SELECT * FROM {statement.source}", {})
        names = [name.lower() for name in found.column_names]
        if len(set(names)) < len(names):
            raise QueryError("AMBIGUOUS_NAME: two columns of the source have one name", hint="name them with AS")
        rows = found.rename_columns(names).append_column(FROM, pa.array(np.arange(len(found))))
        pairs = self._query(f"SELECT {target}.{ROW}, {source}.{FROM} FROM {TARGET} AS {target} JOIN {SOURCE} AS {source}"
                            f" ON ({statement.on})", {SOURCE: rows})
        if len(pairs[ROW].unique()) < len(pairs):
            raise QueryError("MERGE_TARGET_ROW_MULTIPLE_MATCHES: One MERGE target table row matched more than one source row",
                             hint="make the source have one row for each")
        rest = rows.filter(pc.invert(pc.is_in(rows[FROM], pairs[FROM])))
        gone, new, count = [], [], 0
        for branch in statement.branches:
            where = f" WHERE ({branch.condition})" if branch.condition else ""
            if branch.matched:
                taken = self._query(
                    f"SELECT {self._listed(branch, [f'{PAIRS}.{ROW}'])} FROM {PAIRS} JOIN {TARGET} AS {target}"
                    f" ON {PAIRS}.{ROW} = {target}.{ROW} JOIN {SOURCE} AS {source} ON {PAIRS}.{FROM} = {source}.{FROM}{where}",
                    {SOURCE: rows, PAIRS: pairs})
                pairs = pairs.filter(pc.invert(pc.is_in(pairs[ROW], taken[ROW])))
                gone.append(taken[ROW].to_numpy())
                new.append(self._made(branch, taken, gone[-1]))
            else:
                taken = self._query(f"SELECT {self._listed(branch, [f'{source}.{FROM}'])} FROM {SOURCE} AS {source}{where}",
                                    {SOURCE: rest})
                rest = rest.filter(pc.invert(pc.is_in(rest[FROM], taken[FROM])))
                new.append(self._made(branch, taken, None))
            count += len(taken)
        return Changes(np.concatenate([np.array([], int), *gone]), pa.concat_tables(new), count)

    def _query(self, sql: str, given: Mapping[str, pa.Table]) -> pa.Table:
        try:
            outcome = self._ask(sql, {TARGET: self._target, **given})
        except QueryError as error:
            raise QueryError(str(error), hint=error.hint) from None  # where it says it is, is not in the user's text
        self.scanned += outcome.scanned
        return outcome.table

    def _listed(self, branch: Branch, first: list[str]) -> str:
        columns = branch.columns or (tuple(self._shape.names) if branch.action == "INSERT" else ())
        if branch.action == "INSERT" and len(columns) != len(branch.values):
            raise QueryError("TYPE_MISMATCH: MERGE INSERT has mismatched columns", hint=f"it names {len(columns)}")
        if missing := [column for column in columns if column not in self._shape.names]:
            raise QueryError(f"column {missing[0]} is not in {self._statement.table[-1]}",
                             hint=f"there is {', '.join(self._shape.names)}")
        if len(set(columns)) < len(columns):
            raise QueryError("SYNTAX_ERROR: Multiple assignments for a column", hint="assign to each column once")
        return ", ".join([*first, *(f"({value}) AS caudal_{n}" for n, value in enumerate(branch.values))])

    def _made(self, branch: Branch, found: pa.Table, rows: Any) -> pa.Table:
        """The rows that a branch makes of what its query found; `rows` are the numbers of those that it changes."""
        if branch.action == "DELETE":
            return self._shape.empty_table()
        columns = branch.columns or tuple(self._shape.names)
        told = f"{self._kind} table column types don't match {'SET' if branch.action == 'UPDATE' else 'INSERT'} expressions"
        given = {column: found[f"caudal_{n}"] for n, column in enumerate(columns)}
        old = self._target.take(pa.array(rows)) if rows is not None else None
        made = []
        for field in self._shape:
            if field.name in given:
                made.append(assigned(given[field.name], field, told))
            else:
                made.append(old[field.name] if old is not None else pa.nulls(len(found), field.type))
        return pa.table(made, schema=self._shape)


def _where(statement: Changing, making: Making) -> Any:
    """By which files are left out."""
    conditions = [] if statement.on else [branch.condition for branch in statement.branches]
    try:
        return predicate([condition or None for condition in conditions], making.table.schema(), statement.alias)
    except SqlglotError:
        return predicate([], making.table.schema())  # what is wrong with it the engine says


def _shape(making: Making) -> pa.Schema:
    """The table's columns as queries have them."""
    return engine_schema(pa.schema([(field.name.lower(), field.type) for field in fitted(pa.table({}), making.table).schema]))


def _stored(rows: pa.Table, making: Making) -> pa.Table:
    """Rows of `_shape` as the table keeps them. Raises QueryError."""
    try:
        return fitted(rows.rename_columns([field.name for field in making.table.schema().fields]), making.table)
    except pa.ArrowInvalid as error:
        if "may not be NULL" in str(error):
            told = f"CONSTRAINT_VIOLATION: NULL value not allowed for NOT NULL {str(error).removesuffix(' may not be NULL')}"
            raise QueryError(told, hint="give a value") from None
        raise


def checked(added: list[DataFile]) -> list[DataFile]:
    """Files that a statement wrote. Raises QueryError if they are of more partitions than Athena writes."""
    if len({str(file.partition) for file in added}) > OPEN_PARTITIONS:
        told = f"ICEBERG_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of {OPEN_PARTITIONS} open writers for partitions"
        raise QueryError(told, hint="write the partitions with several statements")
    return added


def commit(cloud: Cloud, schema: str, name: str, work: Callable[[Making], Any]) -> Any:
    """Change a table. Raises QueryError."""
    with refused():
        return cloud.iceberg.change(schema, name, work)


@contextmanager
def refused() -> Iterator[None]:
    """What an Iceberg table refuses, as a query's error; what cannot be reached is no fault of the query's."""
    try:
        yield
    except (QueryError, Unavailable):
        raise
    except AlreadyExists as error:
        raise QueryError(f"FAILED: {error}", hint="choose another name") from None
    except (NotFound, BackendError) as error:
        what = "" if isinstance(error, Conflict) else "ICEBERG_INVALID_METADATA: "
        raise QueryError(f"{what}{error}", hint=error.hint) from None
    except UsageError as error:
        raise QueryError(str(error), hint=error.hint) from None


def _go_on(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise QueryError("QUERY_CANCELLED: the query was stopped", hint="start it again")


def _quoted(name: str) -> str:
    return f'"{name}"'
