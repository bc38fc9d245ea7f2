"""SHOW and DESCRIBE of the databases of the Data Catalog; about the pipeline's own the engine answers."""

import re
from typing import Any

import pyarrow as pa

from caudal.errors import QueryError
from caudal.gateway.athena.ddl import name_of
from caudal.gateway.athena.names import CATALOG, view_text
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.glue.entries import is_iceberg
from caudal.lake.query.commands import Command, matching

_PROPERTIES = re.compile(r"SHOW\s+TBLPROPERTIES\s+(?P<table>[\w`\".$-]+)\s*(?:\(\s*'(?P<key>[^']*)'\s*\))?", re.IGNORECASE)


class Showing:
    """Answers from the Data Catalog."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def answer(self, command: Command, database: str) -> pa.Table:
        """The rows of a SHOW or DESCRIBE, with Athena's names of their columns. Raises QueryError."""
        glue = self._cloud.service("glue")
        if command.kind == "databases":
            return _texts("database_name", matching(sorted(glue.databases()), command.pattern))
        place = [part for part in command.qualifier if part != CATALOG]
        schema = place[-1] if place else database
        if schema == glue.declared.database:
            return self._cloud.stages.query.execute(_written(command))
        try:
            tables = glue.tables(schema)
        except AwsError:
            raise QueryError(f"no database {schema}", hint=f"there is {', '.join(sorted(glue.databases()))}") from None
        if command.kind == "tables":
            return _texts("tab_name", matching(list(tables), command.pattern))
        if command.kind == "views":
            views = [name for name, table in tables.items() if table.get("TableType") == "VIRTUAL_VIEW"]
            return _texts("views", matching(views, command.pattern))
        if command.table not in tables:
            raise QueryError(f"no table {CATALOG}.{schema}.{command.table}", hint=f"there is {', '.join(tables) or 'none'}")
        return self._about(command, tables[command.table], glue)

    def properties(self, sql: str, database: str) -> pa.Table | None:
        """The answer to SHOW TBLPROPERTIES; None if it is another statement. Raises QueryError."""
        found = _PROPERTIES.fullmatch(sql)
        if found is None:
            return None
        schema, name = name_of([part.strip('`"').lower() for part in found["table"].split(".")], database)
        try:
            table = self._cloud.service("glue").table(schema, name)
        except AwsError:
            raise QueryError(f"no table {CATALOG}.{schema}.{name}", hint="see SHOW TABLES") from None
        kept = sorted(table.get("Parameters", {}).items())
        if is_iceberg(table):
            from caudal.gateway.athena.iceberg.ddl import properties

            kept = properties(self._cloud, table)
        if found["key"] is None:
            return _texts("prpt_name", [f"{key}\t{value}" for key, value in kept])
        missing = f"Table {schema}.{name} does not have property: {found['key']}"
        return _texts("prpt_name", [dict(kept).get(found["key"], missing)])

    def _about(self, command: Command, table: Document, glue: Any) -> pa.Table:
        columns, keys = table.get("StorageDescriptor", {}).get("Columns", []), table.get("PartitionKeys", [])
        if is_iceberg(table):
            from caudal.gateway.athena.iceberg import ddl

            told = ddl.columns_of(self._cloud, table)
            columns = [{"Name": name, "Type": kind, "Comment": comment} for name, kind, comment in told]
            if command.kind == "create table":
                return _texts("createtab_stmt", ddl.shown(self._cloud, table))
            if command.kind == "describe" and not command.column:
                return _lines(ddl.described(self._cloud, table))
        if command.kind == "columns":
            return _texts("field", [column["Name"] for column in [*columns, *keys]])
        if command.kind == "partitions":
            if not keys:
                raise QueryError(f"FAILED: table {table['Name']} is not a partitioned table", hint="it has no PARTITIONED BY")
            parts = glue.entries.partitions(table["DatabaseName"], table["Name"])
            names = [key["Name"] for key in keys]
            return _texts("partition", ["/".join(f"{n}={v}" for n, v in zip(names, p["Values"], strict=True)) for p in parts])
        if command.kind == "create view":
            return _texts("Create View", [f'CREATE VIEW "{table["Name"]}" AS', *view_text(table)[0].splitlines()])
        if command.kind == "create table":
            return _texts("createtab_stmt", create_table(table))
        lines = [(column["Name"], column.get("Type", "string"), column.get("Comment", "")) for column in [*columns, *keys]]
        if command.column:
            lines = [line for line in lines if line[0] == command.column]
            if not lines:
                raise QueryError(f"column {command.column} is not in {table['Name']}", hint="DESCRIBE the whole table")
        elif keys:
            lines += [("", "", ""), ("# Partition Information", "", ""), ("# col_name", "data_type", "comment")]
            lines += [(key["Name"], key.get("Type", "string"), key.get("Comment", "")) for key in keys]
        return _lines(lines)


def _lines(lines: list[tuple[str, str, str]]) -> pa.Table:
    return pa.table([pa.array([line[n] for line in lines], pa.string()) for n in range(3)],
                    names=["col_name", "data_type", "comment"])


def create_table(table: Document) -> list[str]:
    """The statement that makes a table, line by line."""
    descriptor = table["StorageDescriptor"]
    serde = descriptor.get("SerdeInfo", {})
    lines = [f"CREATE EXTERNAL TABLE `{table['Name']}`(", *_listed(descriptor.get("Columns", []))]
    if table.get("PartitionKeys"):
        lines += ["PARTITIONED BY (", *_listed(table["PartitionKeys"])]
    lines += ["ROW FORMAT SERDE", f"  '{serde.get('SerializationLibrary', '')}'"]
    if serde.get("Parameters"):
        lines += ["WITH SERDEPROPERTIES (", *_properties(serde["Parameters"])]
    lines += ["STORED AS INPUTFORMAT", f"  '{descriptor.get('InputFormat', '')}'", "OUTPUTFORMAT",
              f"  '{descriptor.get('OutputFormat', '')}'", "LOCATION", f"  '{descriptor.get('Location', '')}'"]
    return [*lines, *(["TBLPROPERTIES (", *_properties(table["Parameters"])] if table.get("Parameters") else [])]


def _listed(columns: list[Document]) -> list[str]:
    last = len(columns) - 1
    return [f"  `{column['Name']}` {column.get('Type', 'string')}{')' if n == last else ','}" for n, column in enumerate(columns)]


def _properties(properties: Document) -> list[str]:
    texts = [f"  '{name}'='{_escaped(str(value))}'" for name, value in sorted(properties.items())]
    return [f"{text}{')' if n == len(texts) - 1 else ','}" for n, text in enumerate(texts)]


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() and c not in "'\\" else f"\\{c}" if c in "'\\" else f"\\u{ord(c):04x}" for c in text)


def _written(command: Command) -> str:
    """The command again, without a database."""
    like = f" '{command.pattern}'" if command.pattern else ""
    if command.kind in ("tables", "views"):
        return f"SHOW {command.kind}{like}"
    if command.kind == "describe":
        column = f' "{command.column}"' if command.column else ""
        return f'DESCRIBE {"FORMATTED " if command.formatted else ""}"{command.table}"{column}'
    return f'SHOW {command.kind}{" IN" if command.kind == "columns" else ""} "{command.table}"'


def _texts(column: str, values: list[str]) -> pa.Table:
    return pa.table({column: pa.array(values, pa.string())})
