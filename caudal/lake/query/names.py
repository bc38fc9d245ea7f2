"""Which table and column each name in a query means; names that mean nothing are refused with their place."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from caudal.errors import QueryError
from caudal.lake.query.check import Statement, near
from caudal.lake.query.types import TYPES

Columns = Mapping[str, str]
"""Column, in lower case, to Athena's type."""


def lower_names(tree: Any) -> None:
    """Put every name in lower case, quoted or not, as Athena does; what was written stays as its spelling."""
    for name in tree.find_all(exp.Identifier):
        name.meta["spelling"] = name.this
        name.set("this", name.this.lower())
        name.set("quoted", False)


def tables_of(tree: Any) -> list[Any]:
    """The nodes that name tables outside the query: all but its own WITH names."""
    try:
        scopes = traverse_scope(tree)
    except OptimizeError as error:
        raise QueryError(_plain(error)) from None
    found = {id(source): source for scope in scopes for source in scope.sources.values() if isinstance(source, exp.Table)}
    return list(found.values())


def check_qualifier(statement: Statement, table: Any, database: str) -> None:
    """Refuse a table of another database or catalog."""
    given = [part for part in (table.catalog, table.db) if part]
    if not given or (table.db == database and table.catalog in ("", "awsdatacatalog")):
        return
    raise QueryError(f"no database {'.'.join(given)}", hint=f"write {table.name}" + (f", or {database}.{table.name}" if database else ""),
                     **statement.place(table))


def bind(statement: Statement, tree: Any, schemas: Mapping[str, Columns]) -> Any:
    """Write every column as table.column, `*` as columns, and give every expression its type.

    Raises QueryError for a column that is not there, or is in two tables.
    """
    schema = MappingSchema(dict(schemas), dialect="athena", normalize=False)
    try:
        tree = qualify(
            tree, schema=schema, dialect="athena", validate_qualify_columns=False, quote_identifiers=False, identify=False,
            canonicalize_table_aliases=False,
        ) if _has_columns(tree) else tree
    except OptimizeError as error:
        raise _unresolved(statement, error, schemas) from None
    _check_columns(statement, tree, schemas)
    return annotate_types(tree, schema=schema, expression_metadata=TYPES, dialect="athena")


def _has_columns(tree: Any) -> bool:
    return not isinstance(tree, exp.Values)


def _unresolved(statement: Statement, error: OptimizeError, schemas: Mapping[str, Columns]) -> QueryError:
    text = _plain(error)
    match = re.search(r"(?:column|join)[^:]*: *['\"]?([^'\".\s]+)|[Cc]olumn ['\"]?([^'\"\s]+?)['\"]? ", text)
    if match is None:
        return QueryError(text[:1].lower() + text[1:], hint="check the names of tables and columns")
    name = (match.group(1) or match.group(2)).split(".")[-1].strip("\"'")
    if "mbiguous" in text:
        owners = [table for table, columns in schemas.items() if name in columns]
        return QueryError(f"column {name} is in {' and in '.join(owners) or 'two tables'}",
                          hint=f"write table.{name}", **statement.find(name))
    return _no_column(statement, name, list(schemas), [column for columns in schemas.values() for column in columns],
                      statement.find(name))


def _check_columns(statement: Statement, tree: Any, schemas: Mapping[str, Columns]) -> None:
    for scope in traverse_scope(tree):
        for column in scope.columns:
            if column.table and column.table not in scope.sources:
                continue  # belongs to a query around this one, whose turn comes
            sources = {column.table: scope.sources[column.table]} if column.table else scope.sources
            known = [name for source in sources.values() for name in _columns(source, schemas)]
            if column.table and (not known or column.name in known):
                continue
            if not column.table and column.name in _aliases(scope):
                continue
            raise _no_column(statement, column.name, [_title(name, source) for name, source in sources.items()], known,
                             statement.place(column))
        for column in scope.external_columns:
            if column.table and not _outer(scope, column.table):
                raise QueryError(f"no table {column.table} for column {column.table}.{column.name}",
                                 hint=near(column.table, list(scope.sources)), **statement.place(column))


def _outer(scope: Any, table: str) -> bool:
    while scope is not None:
        if table in scope.sources:
            return True
        scope = scope.parent
    return False


def _columns(source: Any, schemas: Mapping[str, Columns]) -> Sequence[str]:
    """Columns that a source has; empty when it does not say."""
    if isinstance(source, exp.Table):
        alias = source.args.get("alias")
        if alias is not None and alias.columns:
            return [column.name for column in alias.columns]
        return list(schemas.get(source.name, ()))
    if isinstance(source, Scope):
        if isinstance(source.expression, exp.Unnest | exp.Lateral | exp.Values):
            alias = source.expression.args.get("alias")
            return [column.name for column in alias.columns] if alias is not None else []
        return list(source.outer_columns or source.expression.named_selects)
    return []


def _aliases(scope: Any) -> set[str]:
    return set(scope.expression.named_selects) if isinstance(scope.expression, exp.Query) else set()


def _title(name: str, source: Any) -> str:
    return source.name if isinstance(source, exp.Table) else name


def _no_column(statement: Statement, name: str, tables: list[str], known: list[str], where: dict[str, int]) -> QueryError:
    owners = " or ".join(dict.fromkeys(tables)) or "the query"
    return QueryError(f"column {name} is not in {owners}", hint=near(name, list(dict.fromkeys(known))), **where)


def _plain(error: Exception) -> str:
    return str(error).split("\n", 1)[0].split(". Line")[0]
