"""What the tables of one database are, as SHOW, DESCRIBE and information_schema show it: from the catalog alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from caudal.errors import QueryError
from caudal.lake.catalog import Catalog, LakeTable
from caudal.lake.files import Files
from caudal.lake.query.check import near
from caudal.lake.query.commands import Command, matching
from caudal.lake.query.ddl import HIVE, create_table, create_view, partitions_of
from caudal.lake.query.sqltypes import trino_type

CATALOG = "awsdatacatalog"
SCHEMA = "information_schema"

_TEXT = pa.string()
_SCHEMATA = pa.schema([("catalog_name", _TEXT), ("schema_name", _TEXT)])
_TABLES = pa.schema([("table_catalog", _TEXT), ("table_schema", _TEXT), ("table_name", _TEXT), ("table_type", _TEXT)])
_COLUMNS = pa.schema([
    ("table_catalog", _TEXT), ("table_schema", _TEXT), ("table_name", _TEXT), ("column_name", _TEXT),
    ("ordinal_position", pa.int64()), ("column_default", _TEXT), ("is_nullable", _TEXT), ("data_type", _TEXT),
])
_DESCRIBED = ("col_name", "data_type", "comment")

INFORMATION = ("schemata", "tables", "columns")
"""Tables of information_schema."""


class Shown:
    """One name of SQL: a table of the lake, or its current state."""

    def __init__(self, name: str, table: LakeTable, is_current: bool) -> None:
        self.name, self.table = name, table
        self.is_current = is_current
        """Whether it is a view, of the latest rows."""

    @property
    def schema(self) -> pa.Schema:
        contract = self.table.contract
        return contract.schema if self.is_current else contract.row_schema

    def columns(self) -> list[tuple[str, str]]:
        """Name and Hive type of each column, as a query sees them whatever the format."""
        kinds = {column.name: column.sql for column in self.table.contract.columns}
        return [(field.name.lower(), kinds.get(field.name) or HIVE[str(field.type)]) for field in self.schema]


class Descriptions:
    """Answers about the tables of one database."""

    def __init__(self, catalog: Catalog, files: Files, database: str) -> None:
        self._catalog, self._files = catalog, files
        self._database = database or "default"

    def answer(self, command: Command) -> pa.Table:
        """The rows of a SHOW or DESCRIBE, with Athena's names of their columns. Raises QueryError."""
        self._check(command)
        show: dict[str, Callable[[Command], pa.Table]] = {
            "tables": lambda c: _texts("tab_name", matching([shown.name for shown in self._all()], c.pattern)),
            "views": lambda c: _texts("views", matching([shown.name for shown in self._all() if shown.is_current], c.pattern)),
            "databases": lambda c: _texts("database_name", matching([self._database], c.pattern)),
            "columns": lambda c: _texts("field", [name for name, _ in self._one(c).columns()]),
            "partitions": self._partitions, "create table": self._create_table, "create view": self._create_view,
            "describe": self._describe,
        }
        return show[command.kind](command)

    def information(self, name: str) -> pa.Table:
        """A table of information_schema, with this database alone."""
        if name == "schemata":
            return pa.Table.from_pylist([{"catalog_name": CATALOG, "schema_name": self._database}], _SCHEMATA)
        rows: list[dict[str, Any]] = []
        for shown in self._all():
            where = {"table_catalog": CATALOG, "table_schema": self._database, "table_name": shown.name}
            if name == "tables":
                rows.append({**where, "table_type": "VIEW" if shown.is_current else "BASE TABLE"})
                continue
            rows += [
                {**where, "column_name": field.name.lower(), "ordinal_position": number,
                 "is_nullable": "YES" if field.nullable else "NO", "data_type": trino_type(field.type)}
                for number, field in enumerate(shown.schema, 1)
            ]
        return pa.Table.from_pylist(rows, _TABLES if name == "tables" else _COLUMNS)

    def url(self, path: str) -> str:
        """Where an object of the lake is; its path in the lake, if only caudal can reach it."""
        location = self._files.location(path)
        if location is None:
            return path
        return location if "://" in location else Path(location).as_uri()

    def _all(self) -> list[Shown]:
        found = [shown for name, table in self._catalog.tables().items() for shown in _names(name.lower(), table)]
        return sorted(found, key=lambda shown: shown.name)

    def _one(self, command: Command) -> Shown:
        known = {shown.name: shown for shown in self._all()}
        events = command.table.removesuffix("_history")
        if command.table not in known and events in known:
            return known[events]  # events show under both names
        if command.table not in known:
            raise QueryError(f"no table {command.table}", hint=near(command.table, list(known)))
        return known[command.table]

    def _check(self, command: Command) -> None:
        """Refuse another database or catalog."""
        place = [part for part in command.qualifier if part != CATALOG]
        if any(part != self._database for part in place):
            raise QueryError(f"no database {'.'.join(command.qualifier)}", hint=f"there is {self._database}")

    def _partitions(self, command: Command) -> pa.Table:
        shown = self._one(command)
        if not shown.table.contract.partition:
            raise QueryError(f"table {shown.name} is not partitioned", hint="its contract declares no partition")
        files = self._catalog.snapshot(shown.table.name).files
        return _texts("partition", sorted({"/".join(f"{key}={value}" for key, value in file.partition) for file in files}))

    def _create_table(self, command: Command) -> pa.Table:
        shown = self._one(command)
        if shown.is_current:
            raise QueryError(f"{shown.name} is the current state of {shown.name}_history, a view",
                             hint=f"SHOW CREATE VIEW {shown.name}, or SHOW CREATE TABLE {shown.name}_history")
        return _texts("createtab_stmt", create_table(shown.name, shown.table, self._folder(shown.table)))

    def _create_view(self, command: Command) -> pa.Table:
        shown = self._one(command)
        if not shown.is_current:
            raise QueryError(f"{shown.name} is a table, not a view", hint=f"SHOW CREATE TABLE {shown.name}")
        if shown.table.contract.foreign:
            raise QueryError(f"{shown.name}: another system makes its changes, and no short view orders them as caudal does",
                             hint=f"SHOW CREATE TABLE {shown.name}_history")
        return _texts("Create View", create_view(shown.name, shown.table.contract, shown.table.format == "csv"))

    def _describe(self, command: Command) -> pa.Table:
        shown = self._one(command)
        columns = shown.columns()
        if command.column:
            columns = [(name, kind) for name, kind in columns if name == command.column]
            if not columns:
                raise QueryError(f"column {command.column} is not in {shown.name}",
                                 hint=near(command.column, [name for name, _ in shown.columns()]))
            return _rows(columns)
        lines = list(columns)
        if not shown.is_current and shown.table.contract.partition:
            lines += [("", ""), ("# Partition Information", ""), ("# col_name", "data_type"),
                      *partitions_of(shown.table.contract)]
        if command.formatted:
            lines += [("", ""), ("# Detailed Table Information", ""), *self._details(shown)]
        return _rows(lines)

    def _details(self, shown: Shown) -> list[tuple[str, str]]:
        table = shown.table
        where = [] if shown.is_current else [("Location:", self._folder(table))]
        packed = f", {table.compression}" if table.compression else ""
        return [
            ("Database:", self._database), *where, ("Table Type:", "VIRTUAL_VIEW" if shown.is_current else "EXTERNAL_TABLE"),
            ("Format:", f"{table.format}{packed}"), *([("Key:", ", ".join(table.contract.key))] if table.contract.key else []),
            ("Version:", str(self._catalog.snapshot(table.name).version)),
        ]

    def _folder(self, table: LakeTable) -> str:
        """The URL of the folder that a table's files are in, whatever their partition."""
        files = self._catalog.snapshot(table.name).files
        path = f"lake/{self._database}/{table.name}/x"
        if files:
            path = "/".join([*files[0].path.split("/")[: -1 - len(files[0].partition)], "x"])
        return self.url(path).removesuffix("x")


def _names(name: str, table: LakeTable) -> list[Shown]:
    history = Shown(f"{name}_history", table, False)
    return [Shown(name, table, bool(table.contract.key)), history] if table.contract.key else [Shown(name, table, False)]


def _texts(column: str, values: list[str]) -> pa.Table:
    return pa.table({column: pa.array(values, _TEXT)})


def _rows(lines: list[tuple[str, str]]) -> pa.Table:
    return pa.table([pa.array(values, _TEXT) for values in ([n for n, _ in lines], [k for _, k in lines], [""] * len(lines))],
                    names=list(_DESCRIBED))

