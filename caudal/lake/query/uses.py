"""Which columns of which tables a query reads."""

from collections.abc import Mapping, Sequence

from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from caudal.contract import SYSTEM, Column
from caudal.errors import QueryError
from caudal.lake.query.check import parse
from caudal.lake.query.dialect import prepare
from caudal.lake.query.names import bind
from caudal.lake.query.sqltypes import athena_type


def columns_used(sql: str, tables: Mapping[str, Sequence[Column]], database: str = "") -> set[tuple[str, str]]:
    """(table, column) that the query names, in lower case; `*` names none. A table's history counts as the table.

    Raises QueryError for SQL that cannot be read, or names what is not there.
    """
    columns = {
        name.lower(): {c.name.lower(): athena_type(c.arrow) for c in found} | {f.name: athena_type(f.type) for f in SYSTEM}
        for name, found in tables.items()
    }
    known = columns | {f"{name}_history": found for name, found in columns.items()}
    statement = parse(sql)
    tree, places, past = prepare(statement, database)
    known |= {name: known[one.table] for name, one in past.items() if one.table in known}
    missing = [name for name in places if name not in known]
    if missing:
        raise QueryError(f"no table {missing[0]}")
    written = {column.name.lower() for column in statement.tree.find_all(exp.Column)}
    used = set()
    for scope in traverse_scope(bind(statement, tree.copy(), {name: known[name] for name in places})):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and column.name in written:
                used.add((source.name if source.name in columns else source.name.removesuffix("_history"), column.name))
    return used
