"""Which table and column each name in a query means; names that mean nothing are refused with their place."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp
from sqlglot.dialects import Athena
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from caudal.errors import QueryError
from caudal.lake.query.check import Statement, near
from caudal.lake.query.returns import TYPES
from caudal.lake.query.typecheck import check_types


class _Hidden(Athena):  # type: ignore[misc]
    """Athena's SQL with the columns that no `*` has."""

    PSEUDOCOLUMNS = {"$PATH", "$FILE_SIZE", "$FILE_MODIFIED_TIME"}
    EXCLUDES_PSEUDOCOLUMNS_FROM_STAR = True


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
    longer = f", or {database}.{table.name}" if database else ""
    raise QueryError(f"no database {'.'.join(given)}", hint=f"write {table.name}{longer}",
                     **statement.place(table))


def bind(statement: Statement, tree: Any, schemas: Mapping[str, Columns]) -> Any:
    """Write every column as table.column, `*` as columns, and give every expression its type.

    Raises QueryError for a column that is not there, or is in two tables.
    """
    schema = MappingSchema(dict(schemas), dialect="athena", normalize=False)
    try:
        tree = qualify(
            tree, schema=schema, dialect=_Hidden, validate_qualify_columns=False, quote_identifiers=False, identify=False,
            expand_alias_refs=False,  # Athena knows an alias in ORDER BY only
        )
    except OptimizeError as error:
        raise _unresolved(statement, error, schemas) from None
    _check_columns(statement, tree, schemas)
    tree = annotate_types(tree, schema=schema, expression_metadata=TYPES, dialect="athena")
    check_types(statement, tree)
    return tree


def _unresolved(statement: Statement, error: OptimizeError, schemas: Mapping[str, Columns]) -> QueryError:
    text = _plain(error)
    if text.startswith("Unknown table: "):
        name = text.removeprefix("Unknown table: ")
        return QueryError(f"no table {name}", hint=near(name, list(schemas)), **statement.find(name))
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
                if not _outer(scope, column.table):
                    raise QueryError(f"no table {column.table} for column {column.table}.{column.name}",
                                     hint=near(column.table, list(scope.sources)), **statement.place(column))
                continue  # belongs to a query around this one
            _check_column(statement, scope, column, schemas)
        _check_having(statement, scope, schemas)


def _check_having(statement: Statement, scope: Any, schemas: Mapping[str, Columns]) -> None:
    """HAVING knows columns, not the result's names as DuckDB does."""
    having = scope.expression.args.get("having")
    if having is None or (scope.parent is not None and scope.is_correlated_subquery):
        return
    known = {name: _columns(source, schemas) for name, source in scope.sources.items()}
    for column in having.find_all(exp.Column):
        there = column.table or not all(known.values()) or any(column.name in columns for columns in known.values())
        if not there and column.find_ancestor(exp.Query) is scope.expression:
            raise _no_column(statement, column.name, [_title(name, source) for name, source in scope.sources.items()],
                             [name for columns in known.values() for name in columns], statement.place(column))


def _check_column(statement: Statement, scope: Any, column: Any, schemas: Mapping[str, Columns]) -> None:
    sources = {column.table: scope.sources[column.table]} if column.table else scope.sources
    known = {name: _columns(source, schemas) for name, source in sources.items()}
    owners = [name for name, columns in known.items() if column.name in columns]
    if column.table:
        if owners or not known[column.table]:
            return
    elif len(owners) > 1:
        raise QueryError(f"column {column.name} is in {' and in '.join(owners)}", hint=f"write {owners[0]}.{column.name}",
                         **statement.place(column))
    elif owners or (column.name in _aliases(scope) and column.find_ancestor(exp.Order, exp.Select, exp.Window).key == "order"):
        return
    raise _no_column(statement, column.name, [_title(name, source) for name, source in sources.items()],
                     [name for columns in known.values() for name in columns], statement.place(column))


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
            alias, ordinal = source.expression.args.get("alias"), source.expression.args.get("offset")
            names = [column.name for column in alias.columns] if alias is not None else []
            return [*names, ordinal.name] if names and isinstance(ordinal, exp.Identifier) else names
        return list(source.outer_columns or source.expression.named_selects)
    return []


def _aliases(scope: Any) -> set[str]:
    return set(scope.expression.named_selects) if isinstance(scope.expression, exp.Query) else set()


def _title(name: str, source: Any) -> str:
    if isinstance(source, exp.Table):
        return str(source.name)
    return "the subquery" if re.fullmatch(r"_\d+", name) else name


def _no_column(statement: Statement, name: str, tables: list[str], known: list[str], where: dict[str, int]) -> QueryError:
    owners = " or ".join(dict.fromkeys(tables)) or "the query"
    return QueryError(f"column {name} is not in {owners}", hint=near(name, list(dict.fromkeys(known))), **where)


def _plain(error: Exception) -> str:
    return str(error).split("\n", 1)[0].split(". Line")[0]
