"""Which tables a query means: the pipeline's own are the engine's, those of the Data Catalog are read for it."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from sqlglot import exp

from caudal.errors import QueryError
from caudal.gateway.athena.external import Reader
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.glue.entries import columns_of, is_iceberg
from caudal.lake.query.asof import microseconds, take_versions
from caudal.lake.query.check import Statement, parse
from caudal.lake.query.names import lower_names, tables_of
from caudal.lake.query.written import place

CATALOG = "awsdatacatalog"
ABOUT = ("snapshots", "history", "files", "manifests", "partitions", "refs")
"""What an Iceberg table has metadata tables of: `"table$snapshots"`."""
_DEPTH = 16
"""Views that may stand in one another."""


class Reading:
    """A query as the engine takes it, and what it reads beside the engine's own tables."""

    def __init__(self) -> None:
        self.sql = ""
        self.sources: dict[str, Any] = {}
        """By the name that the query now has for it."""
        self.given: dict[str, pa.Table] = {}
        self.own_bytes = 0
        self.digits_read: set[int] = set()
        """Of a second's part in the times of what it reads: 6 in Iceberg tables, else 3."""

    def digits(self) -> int:
        """Those of the times in its result: the engine does not tell of each which it has."""
        return 6 if self.digits_read == {6} else 3

    def size(self) -> int:
        """Bytes of the objects that it reads."""
        return self.own_bytes + sum(int(source.size) for source in self.sources.values())

    def advice(self) -> str:
        """How it would read less."""
        keys = sorted({key for source in self.sources.values() for key in source.keys})
        return f"restrict the partition columns {', '.join(keys)} in WHERE" if keys else "partition the table"

    def tables(self) -> dict[str, pa.Table]:
        """Those tables, with the columns that the query may name."""
        return {**self.given, **{name: source.read() for name, source in self.sources.items()}}


class Resolver:
    """Makes a query that names tables of many databases one that the engine can run."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._reader = Reader(cloud)

    def resolve(
        self, sql: str, database: str, given: Mapping[str, pa.Table] = {}, pinned: Mapping[tuple[str, str], Any] = {},
    ) -> Reading:
        """The query with names of the engine's. Raises QueryError.

        Args:
            given: tables that the query names without a database.
            pinned: Iceberg tables, by database and name, that are to be read as they were loaded.
        """
        reading = Reading()
        reading.given.update(given)
        tests: dict[str, list[str | None]] = {}
        documents: dict[str, Document] = {}
        reading.sql = self._rewritten(sql, database, reading, documents, tests, 0)
        if documents:
            self._find_sources(reading, documents, tests, pinned)
        return reading

    def _find_sources(
        self, reading: Reading, documents: dict[str, Document], tests: dict[str, list[str | None]],
        pinned: Mapping[tuple[str, str], Any],
    ) -> None:
        statement = parse(reading.sql)
        wanted, tree = _columns(statement.tree), statement.tree.copy()
        lower_names(tree)
        asked = take_versions(statement, tree)
        for name in sorted({table.name for table in tables_of(tree)}):
            document = documents.get(asked[name].table if name in asked else name)
            if document is None:
                continue
            reading.digits_read.add(6 if is_iceberg(document) else 3)
            if not is_iceberg(document):
                if name in asked:
                    raise QueryError(f"NOT_SUPPORTED: table {document['Name']} has no versions", hint="Iceberg tables have")
                reading.sources[name] = self._reader.source(document, wanted, tests[name])
                continue
            from caudal.gateway.athena.iceberg.reading import source

            at = (asked[name].kind, self._moment(asked[name], document)) if name in asked else None
            table = pinned.get((document["DatabaseName"], document["Name"]))
            chosen = tests[name] if name not in asked else [None]
            reading.sources[name] = source(self._cloud, document, wanted, chosen, at, table)

    def _moment(self, asked: Any, document: Document) -> int:
        """The snapshot, or the microseconds, that a query asks for."""
        if asked.kind == "version":
            return int(asked.value)
        return microseconds(self._cloud.stages.query.execute(f"SELECT {asked.value}"), document["Name"], {})

    def _rewritten(
        self, sql: str, database: str, reading: Reading, documents: dict[str, Document], tests: dict[str, list[str | None]],
        depth: int,
    ) -> str:
        statement = parse(sql)
        tree = statement.tree.copy()
        if not isinstance(tree, exp.Query):
            return sql
        lower_names(tree)
        taken = {cte.alias for cte in tree.find_all(exp.CTE)}
        cuts = []
        for table in tables_of(tree):
            start, end = _span(table)
            text = self._named(statement, table, database, reading, documents, tests, taken, depth)
            cuts.append((start, end, text))
        for start, end, text in sorted(cuts, reverse=True):
            sql = f"{sql[:start]}{text.ljust(end - start)}{sql[end:]}"  # what follows stays in its column
        return sql

    def _named(
        self, statement: Statement, table: Any, database: str, reading: Reading, documents: dict[str, Document],
        tests: dict[str, list[str | None]], taken: set[str], depth: int,
    ) -> str:
        """What to write for a table."""
        if table.catalog not in ("", CATALOG):
            raise QueryError(f"no database {table.catalog}.{table.db}", hint=f"there is {CATALOG}", **statement.place(table))
        schema, name, glue = table.db or database, table.name, self._cloud.service("glue")
        if not table.db and name in reading.given:
            return _quoted(name)
        alias = "" if table.args.get("alias") else f' AS "{name}"'
        if schema == "information_schema":
            made = f"{schema}_{name}"
            reading.given[made] = _information(glue, name)
            return f'"{made}"{alias}'
        if schema == glue.declared.database and (depth == 0 or name in glue.declared.tables()):
            reading.own_bytes += self._own_bytes(name)
            reading.digits_read.add(3)
            return f"{glue.declared.database}.{_quoted(name)}" if name in taken else _quoted(name)  # the engine refuses that
        try:
            document = _document(glue, schema, name)
        except AwsError:
            known = sorted(glue.tables(schema)) if schema in glue.databases() else []
            hint = f"database {schema} has {', '.join(known) or 'no tables'}"
            raise QueryError(f"no table {CATALOG}.{schema}.{name}", hint=hint, **place(statement.sql, _span(table)[0])) from None
        if document.get("TableType") == "VIRTUAL_VIEW":
            if depth >= _DEPTH:
                raise QueryError(f"VIEW_IS_RECURSIVE: view {schema}.{name} reads itself", hint="change one of the views")
            text, inner = view_text(document)
            return f"({self._rewritten(text, inner or schema, reading, documents, tests, depth + 1)}){alias}"
        made = next((each for each, known in documents.items() if known == document and (each == name or alias)), "")
        if not made:
            free = (depth == 0 and name not in taken and name not in documents and name not in glue.declared.tables()
                    and "$" not in name)
            made = name if free else f"{schema}__{name.replace('$', '_')}__{len(documents)}"
            documents[made] = document
        columns = columns_of(document) if is_iceberg(document) else document.get("PartitionKeys", [])
        tests.setdefault(made, []).append(_test(table, {column["Name"] for column in columns}))
        return _quoted(name) if made == name else f"{_quoted(made)}{alias}"

    def _own_bytes(self, name: str) -> int:
        for table in self._cloud.stages.catalog.tables():
            if name in (table.lower(), f"{table.lower()}_history"):
                return sum(file.bytes for file in self._cloud.stages.catalog.snapshot(table).files)
        return 0


def _document(glue: Any, schema: str, name: str) -> Document:
    """A table's entry; of `table$snapshots` that of the Iceberg table, and what is asked about it. Raises AwsError."""
    table, _, about = name.partition("$")
    if not about:
        return dict(glue.table(schema, name))
    document = glue.table(schema, table)
    if not is_iceberg(document) or about not in ABOUT:
        raise AwsError("EntityNotFoundException", f"Table {name} not found.")
    return {**document, "caudal.about": about}


def view_text(document: Document) -> tuple[str, str]:
    """A view's query, and the database that its names are of. Raises QueryError."""
    text = document.get("ViewOriginalText", "")
    try:
        if not text.startswith("/* Presto View:"):
            raise ValueError
        view = json.loads(base64.b64decode(text.removeprefix("/* Presto View:").removesuffix("*/").strip()))
        return str(view["originalSql"]), str(view.get("schema", ""))
    except (ValueError, KeyError):
        told = f"INVALID_VIEW: {document['Name']} is no view of Athena's"
        raise QueryError(told, hint="make it with CREATE VIEW") from None


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f'"{name}"'


def _span(table: Any) -> tuple[int, int]:
    """Where a table's name is written, with its database."""
    parts = [part for part in (table.args.get("catalog"), table.args.get("db"), table.this) if part is not None]
    return parts[0].meta["start"], parts[-1].meta["end"] + 1


def _columns(tree: Any) -> set[str] | None:
    """Every name that may be a column's, in lower case; None if `*` may mean all of them."""
    for star in tree.find_all(exp.Star):
        if not isinstance(star.parent, exp.Count):
            return None
    if any(join.method == "NATURAL" for join in tree.find_all(exp.Join)) or not list(tree.find_all(exp.Select)):
        return None
    return {name.this.lower() for name in tree.find_all(exp.Identifier)}


def _test(table: Any, keys: set[str]) -> str | None:
    """The part of the WHERE that says which partitions of a table are read; None if there is none."""
    select = table.find_ancestor(exp.Select)
    where = select.args.get("where") if select is not None else None
    joins = select.args.get("joins") or [] if select is not None else []
    if where is None or not keys or any(join.side in ("RIGHT", "FULL") for join in joins):
        return None
    if not isinstance(table.parent, exp.From) and not (isinstance(table.parent, exp.Join) and not table.parent.side):
        return None
    parts = list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]
    chosen = []
    for part in parts:
        columns = list(part.find_all(exp.Column))
        known = {table.alias_or_name} | ({""} if not joins else set())
        if not columns or part.find(exp.Query) or any(c.name not in keys or c.table not in known for c in columns):
            continue
        bare = part.copy()
        for column in bare.find_all(exp.Column):
            column.set("table", None)
        chosen.append(f"({bare.sql(dialect='athena', identify=True)})")
    return " AND ".join(chosen) or None


def _information(glue: Any, name: str) -> pa.Table:
    """A table of information_schema, over all databases."""
    if name not in ("schemata", "tables", "columns"):
        raise QueryError(f"no table information_schema.{name}", hint="there is schemata, tables, columns")
    text, databases = pa.string(), sorted(glue.databases())
    if name == "schemata":
        return pa.table({"catalog_name": [CATALOG] * len(databases), "schema_name": databases})
    rows = []
    for database in databases:
        for table, document in glue.tables(database).items():
            where = {"table_catalog": CATALOG, "table_schema": database, "table_name": table}
            if name == "tables":
                rows.append({**where, "table_type": "VIEW" if document.get("TableType") == "VIRTUAL_VIEW" else "BASE TABLE"})
                continue
            columns = [*columns_of(document), *document.get("PartitionKeys", [])]
            rows += [{**where, "column_name": column["Name"], "ordinal_position": number, "column_default": None,
                      "is_nullable": "YES", "data_type": _presto(column.get("Type", "string"), 6 if is_iceberg(document) else 3)}
                     for number, column in enumerate(columns, 1)]
    first = [("table_catalog", text), ("table_schema", text), ("table_name", text)]
    more = [("table_type", text)] if name == "tables" else [
        ("column_name", text), ("ordinal_position", pa.int64()), ("column_default", text), ("is_nullable", text),
        ("data_type", text)]
    return pa.Table.from_pylist(rows, pa.schema([*first, *more]))


def _presto(hive: str, digits: int) -> str:
    """A type of the Data Catalog's as queries call it; `digits` are those of a second's part."""
    named = {"string": "varchar", "int": "integer", "binary": "varbinary", "float": "real", "timestamp": f"timestamp({digits})"}
    return named.get(hive, hive.replace("<", "(").replace(">", ")").replace("struct(", "row(").replace(":", " "))
