"""Small pieces of DuckDB's syntax tree."""

from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp


@lru_cache(maxsize=256)
def _template(text: str) -> Any:
    return sqlglot.parse_one(text, read="duckdb")


def duck(text: str, **parts: Any) -> Any:
    """DuckDB's expression `text`, with a copy of a part wherever it says `:name`."""
    tree = _template(text).copy()
    for hole in list(tree.find_all(exp.Placeholder)):
        part = parts[hole.name].copy()
        hole.replace(exp.Paren(this=part) if isinstance(part, exp.Binary | exp.Case | exp.Lambda | exp.Not | exp.Unary) else part)
    return tree


def call(name: str, *arguments: Any) -> Any:
    """A call of a DuckDB function."""
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def cast(value: Any, kind: str) -> Any:
    """CAST(value AS kind), a type of DuckDB."""
    return exp.Cast(this=value.copy(), to=exp.DataType.build(kind, dialect="duckdb"))


def is_type(node: Any, *kinds: str) -> bool:
    """Whether the node is known to be of one of these types."""
    return node.type is not None and node.type.this.name in kinds
