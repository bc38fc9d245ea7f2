"""Values for the `?` of a query, put in as literals, as Athena's execution parameters are."""

from collections.abc import Sequence
from typing import Any

from sqlglot import exp
from sqlglot.tokens import TokenType

from caudal.errors import QueryError
from caudal.lake.query.check import parse, tokens_of

_CONSTANT = (
    exp.Literal, exp.Neg, exp.Null, exp.Boolean, exp.Cast, exp.DataType, exp.DataTypeParam, exp.Interval, exp.Var, exp.Array,
    exp.Map, exp.Paren, exp.Date, exp.Tuple,
)
_HINT = "write it as in SQL: 5, 1.50, 'text', DATE '2026-01-31', TIMESTAMP '2026-01-31 12:00:00', NULL"


def parameters_of(sql: str) -> int:
    """How many `?` a query has."""
    return len(_places(sql))


def _places(sql: str) -> list[Any]:
    return [token for token in tokens_of(sql) if token.token_type == TokenType.PLACEHOLDER]


def with_parameters(sql: str, values: Sequence[str]) -> str:
    """The query with its `?` in order replaced by literals, each written as in SQL, so that text has quotes.

    Raises QueryError if there are more or fewer, or one is no constant.
    """
    places = _places(sql)
    if len(places) != len(values):
        raise QueryError(f"the query has {len(places)} parameters, and {len(values)} values are given",
                         hint="give one value for each ?, in their order")
    texts = [_literal(value, number) for number, value in enumerate(values, 1)]
    for token, text in zip(reversed(places), reversed(texts), strict=True):
        sql = f"{sql[: token.start]}{text}{sql[token.end + 1 :]}"
    return sql


def values_of(text: str) -> list[str]:
    """The values of EXECUTE … USING, separated by commas."""
    return [_sql(node) for node in _parsed(text, "EXECUTE: its values cannot be read")] if text else []


def _literal(value: str, number: int) -> str:
    told = f"parameter {number} is not one constant"
    found = _parsed(value, told)
    if len(found) != 1 or any(not isinstance(node, _CONSTANT) for node in found[0].walk()):
        raise QueryError(told, hint=_HINT)
    return _sql(found[0])


def _parsed(text: str, told: str) -> list[Any]:
    """The expressions of a list; what is wrong with them is not quoted, for a value may be personal."""
    try:
        tree = parse(f"SELECT {text}\n").tree
    except QueryError:
        raise QueryError(told, hint=_HINT) from None
    if not isinstance(tree, exp.Select) or any(value for name, value in tree.args.items() if name != "expressions"):
        raise QueryError(told, hint=_HINT)
    return list(tree.expressions)


def _sql(node: Any) -> str:
    text: str = node.sql(dialect="trino", comments=False)
    return f"({text})" if isinstance(node, exp.Neg) else text
