"""Athena's SQL as DuckDB's, with the same answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from caudal.errors import QueryError
from caudal.lake.query.aggregates import mend_aggregates
from caudal.lake.query.asof import AsOf, take_versions
from caudal.lake.query.check import Statement, near
from caudal.lake.query.describe import CATALOG, INFORMATION, SCHEMA
from caudal.lake.query.duck import duck, is_type
from caudal.lake.query.functions import CLASS_MENDS, built
from caudal.lake.query.mends import MENDS
from caudal.lake.query.names import Columns, bind, check_qualifier, lower_names, tables_of


@dataclass(frozen=True)
class Plan:
    """A query for DuckDB, whose tables are still to be defined."""

    tables: frozenset[str]
    """Names of the tables that it reads, in lower case; the text calls each `internal(name)`."""
    recursive: bool
    ctes: str
    body: str
    names: tuple[str, ...]
    """Names of the result's columns."""

    def text(self, definitions: Mapping[str, str]) -> str:
        """The whole query, with SQL for the tables that are not there by name."""
        parts = [f'"{internal(name)}" AS NOT MATERIALIZED ({sql})' for name, sql in definitions.items()]
        if self.ctes:
            parts.append(self.ctes)
        start = f"WITH {'RECURSIVE ' if self.recursive else ''}{', '.join(parts)} " if parts else ""
        return start + self.body


def internal(name: str) -> str:
    """What DuckDB calls a table; no name that a query can write."""
    return f"lake:{name}"


def prepare(statement: Statement, database: str) -> tuple[Any, dict[str, dict[str, int]], dict[str, AsOf]]:
    """The tree with plain lower-case names, the tables that it reads with where they are written, and which of them are
    names for a table as it was."""
    tree = statement.tree.copy()
    if isinstance(tree, exp.Values):
        tree = _select_from_values(tree)
    lower_names(tree)
    _name_outputs(tree)
    versions = take_versions(statement, tree)
    tables = tables_of(tree)
    hidden = {cte.alias for cte in tree.find_all(exp.CTE)}
    places: dict[str, dict[str, int]] = {}
    for table in tables:
        if table.db == SCHEMA and table.catalog in ("", CATALOG):
            _information(statement, table)
        else:
            check_qualifier(statement, table, database)
        if table.db and table.db != SCHEMA and table.name in hidden:
            where = statement.place(table)
            raise QueryError(f"WITH {table.name} hides the table {table.name}", hint="give it another name", **where)
        table.set("db", None)
        table.set("catalog", None)
        places.setdefault(table.name, statement.place(table))
    return tree, places, versions


def _information(statement: Statement, table: Any) -> None:
    """Call a table of information_schema by a name that no table has."""
    if table.name not in INFORMATION:
        raise QueryError(f"no table information_schema.{table.name}", hint=near(table.name, INFORMATION),
                         **statement.place(table))
    if not table.args.get("alias"):
        table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
    named = exp.to_identifier(f"{SCHEMA}.{table.name}")
    named.meta.update(table.this.meta)
    table.set("this", named)


def transpile(statement: Statement, tree: Any, schemas: Mapping[str, Columns], spellings: Mapping[str, str]) -> Plan:
    """Translate a prepared tree for tables of these columns. Raises QueryError."""
    tree = bind(statement, tree.copy(), schemas)
    names = _output_names(tree, spellings)
    tree = _mend(tree)
    for table in tables_of(tree):
        alias = table.alias or table.name
        if not table.args.get("alias"):
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
        table.set("this", exp.to_identifier(internal(table.name), quoted=True))
    with_ = tree.args.get("with_")
    if with_ is not None:
        tree.set("with_", None)
    return Plan(
        frozenset(schemas), bool(with_ and with_.args.get("recursive")),
        ", ".join(_sql(cte) for cte in with_.expressions) if with_ is not None else "", _sql(tree), names,
    )


def _sql(tree: Any) -> str:
    text: str = tree.sql(dialect="duckdb", identify=True, comments=False)
    return text


def _select_from_values(values: Any) -> Any:
    rows = values.expressions
    width = len(rows[0].expressions) if isinstance(rows[0], exp.Tuple) else 1
    columns = [exp.to_identifier(f"_col{index}") for index in range(width)]
    values.set("alias", exp.TableAlias(this=exp.to_identifier("t"), columns=columns))
    return exp.select("*").from_(values)


UNNAMED = "_unnamed"


def _leftmost(tree: Any) -> Any:
    while isinstance(tree, exp.SetOperation | exp.Subquery):
        tree = tree.this
    return tree


def _name_outputs(tree: Any) -> None:
    """Mark the result's columns that have no name, for they are to be called `_col0`, `_col1`, …."""
    select = _leftmost(tree)
    if not isinstance(select, exp.Select):
        return
    for node in list(select.expressions):
        if not isinstance(node, exp.Alias | exp.Column | exp.Star | exp.Dot):
            node.replace(exp.alias_(node.copy(), UNNAMED))


def _output_names(tree: Any, spellings: Mapping[str, str]) -> tuple[str, ...]:
    names = []
    for index, node in enumerate(_leftmost(tree).selects):
        alias = node.args.get("alias") if isinstance(node, exp.Alias) else None
        spelling = alias.meta.get("spelling") if isinstance(alias, exp.Identifier) else None
        name = node.alias_or_name
        names.append(f"_col{index}" if name == UNNAMED else spelling or spellings.get(name, name))
    return tuple(names)


def _mend(tree: Any) -> Any:
    """Put what DuckDB understands for what it would understand otherwise; parts before wholes."""
    for node in reversed(list(tree.bfs())):
        if isinstance(node, exp.Anonymous):
            new = built(node.name.lower(), node.expressions)
        elif isinstance(node, exp.Unnest):
            new = _unnest(node)
        elif isinstance(node, exp.DataType):
            new = exp.DataType.build("TIMESTAMPTZ") if node.this.name in ("TIMESTAMP", "TIMESTAMPNTZ") else None
        else:
            mend = MENDS.get(type(node)) or CLASS_MENDS.get(type(node))
            new = mend(node) if mend else None
        if new is not None and new is not node:
            new.type = node.type
            node.replace(new)
    mend_aggregates(tree)
    return tree


def _unnest(node: Any) -> Any:
    """UNNEST of several arrays, or of a map: a subquery beside the table."""
    lists = list(node.expressions)
    if len(lists) == 1 and is_type(lists[0], "MAP"):
        lists = [duck("MAP_KEYS(:m)", m=lists[0]), duck("MAP_VALUES(:m)", m=lists[0])]
    if len(lists) < 2:
        return None
    alias, columns = node.args.get("alias"), [duck("UNNEST(:l)", l=item) for item in lists]
    alias = alias.copy() if alias is not None else None
    ordinal = node.args.get("offset")
    if ordinal:
        if alias is not None and isinstance(ordinal, exp.Identifier):
            alias.append("columns", ordinal.copy())
        lengths = ", ".join(f"LEN(:l{i})" for i in range(len(lists)))
        longest = duck(f"GREATEST({lengths})", **{f"l{i}": x for i, x in enumerate(lists)})
        columns.append(duck("UNNEST(GENERATE_SERIES(1, :n))", n=longest))
    return exp.Lateral(this=exp.Subquery(this=exp.select(*columns)), alias=alias)
