"""Tables as they were: `FROM sale FOR VERSION AS OF 12`, `FOR TIMESTAMP AS OF TIMESTAMP '2026-01-31 12:00:00'`."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import pyarrow as pa
from sqlglot import exp

from caudal.errors import QueryError
from caudal.lake.query.check import Statement
from caudal.lake.query.names import tables_of

_HINT = "write FOR VERSION AS OF 12, or FOR TIMESTAMP AS OF TIMESTAMP '2026-01-31 12:00:00'"


@dataclass(frozen=True)
class AsOf:
    """A table of the lake at one of its versions."""

    table: str
    """Its name, in lower case."""
    kind: Literal["version", "timestamp"]
    value: str
    """The version, or Athena's SQL of the time."""


def take_versions(statement: Statement, tree: Any) -> dict[str, AsOf]:
    """Give each table that is asked for as it was a name of its own, and say which it stands for. Raises QueryError."""
    found: dict[AsOf, str] = {}
    for table in tables_of(tree):
        version = table.args.get("version")
        if version is None:
            continue
        asked = _asked(statement, table, version)
        name = f"{asked.table}@{asked.value if asked.kind == 'version' else f'time{len(found) + 1}'}"
        name = found.setdefault(asked, name)
        if not table.args.get("alias"):
            alias = exp.to_identifier(table.name)
            alias.meta.update(table.this.meta)
            table.set("alias", exp.TableAlias(this=alias))
        named = exp.to_identifier(name)
        named.meta.update(table.this.meta)
        table.set("this", named)
        table.set("version", None)
    for table in tree.find_all(exp.Table):
        if table.args.get("version") is not None:
            raise QueryError(f"{table.name} is a part of this query and has no versions", hint="ask for a version of a table",
                             **statement.place(table))
    return {name: asked for asked, name in found.items()}


def _asked(statement: Statement, table: Any, version: Any) -> AsOf:
    where, value = statement.place(table), version.args.get("expression")
    if version.args.get("kind") != "AS OF" or value is None:
        raise QueryError(f"{table.name}: only one version can be read", hint=_HINT, **where)
    if version.name == "TIMESTAMP":
        return AsOf(table.name, "timestamp", value.sql(dialect="athena"))
    while isinstance(value, exp.Paren):
        value = value.this
    if not isinstance(value, exp.Literal) or value.is_string or not value.name.isdigit() or len(value.name) > 19:
        raise QueryError(f"{table.name}: a version is a whole number", hint=_HINT, **where)
    return AsOf(table.name, "version", str(min(int(value.name), (1 << 63) - 1)))


def microseconds(answer: pa.Table, table: str, where: dict[str, int]) -> int:
    """The one time that a query answered, microseconds since 1970, UTC. Raises QueryError if it is none."""
    value = answer.column(0)[0].as_py() if answer.num_rows == 1 and answer.num_columns == 1 else None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise QueryError(f"{table}: what follows TIMESTAMP AS OF is not a timestamp", hint=_HINT, **where)
    since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
