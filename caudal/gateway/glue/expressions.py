"""The filter of GetPartitions: `year = 2026 AND month IN ('01', '02')`, over the partition keys."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from caudal.gateway.faults import AwsError
from caudal.lake.query.patterns import wildcards

Row = Mapping[str, Any]
Test = Callable[[Row], Any]

NUMBERS = ("tinyint", "smallint", "int", "bigint", "decimal", "float", "double", "long")

_COMPARE: dict[type[exp.Expression], Callable[[Any, Any], bool]] = {
    exp.EQ: lambda a, b: a == b, exp.NEQ: lambda a, b: a != b, exp.GT: lambda a, b: a > b,
    exp.GTE: lambda a, b: a >= b, exp.LT: lambda a, b: a < b, exp.LTE: lambda a, b: a <= b,
}


def partition_filter(expression: str, keys: Sequence[Mapping[str, str]]) -> Callable[[Sequence[str]], bool]:
    """Whether a partition's values fit the expression; `keys` are the table's, with names and types. Raises AwsError."""
    types = {key["Name"]: key.get("Type", "string").partition("(")[0] for key in keys}
    if not expression.strip():
        return lambda values: True
    try:
        test = _test(parse_one(expression, read="athena"), types)
    except (SqlglotError, RecursionError):
        raise AwsError("InvalidInputException", "the Expression is no SQL condition on partition keys") from None
    names = list(types)

    def fits(values: Sequence[str]) -> bool:
        return bool(test({name: _value(types[name], text) for name, text in zip(names, values, strict=True)}))

    return fits


def _test(node: exp.Expression, types: Mapping[str, str]) -> Test:
    """A condition as a function of the partition's values."""
    if isinstance(node, exp.Paren):
        return _test(node.this, types)
    if isinstance(node, exp.And | exp.Or):
        left, right = _test(node.left, types), _test(node.right, types)
        if isinstance(node, exp.And):
            return lambda row: left(row) and right(row)
        return lambda row: left(row) or right(row)
    if isinstance(node, exp.Not):
        inner = _test(node.this, types)
        return lambda row: not inner(row)
    if type(node) in _COMPARE:
        compare = _COMPARE[type(node)]
        a, b = _operand(node.left, node.right, types), _operand(node.right, node.left, types)
        return lambda row: compare(a(row), b(row))
    if isinstance(node, exp.In) and not node.args.get("query"):
        value = _operand(node.this, node.this, types)
        among = [_operand(each, node.this, types) for each in node.expressions]
        return lambda row: value(row) in [each(row) for each in among]
    if isinstance(node, exp.Between):
        value = _operand(node.this, node.this, types)
        low, high = _operand(node.args["low"], node.this, types), _operand(node.args["high"], node.this, types)
        return lambda row: low(row) <= value(row) <= high(row)
    if isinstance(node, exp.Like) and isinstance(node.expression, exp.Literal):
        value = _operand(node.this, node.this, types)
        pattern = re.compile(wildcards(node.expression.this, "%", "_"))
        return lambda row: pattern.fullmatch(str(value(row))) is not None
    raise AwsError("InvalidInputException", f"the Expression has {node.key.upper()}, which a filter on partitions cannot have")


def _operand(node: exp.Expression, other: exp.Expression, types: Mapping[str, str]) -> Test:
    """A partition key, or a literal as the type of the key that it is compared with."""
    if isinstance(node, exp.Paren):
        return _operand(node.this, other, types)
    if isinstance(node, exp.Column):
        name = node.name.lower()
        if name not in types:
            raise AwsError("InvalidInputException", f"the Expression names {name}, which is no partition key")
        return lambda row: row[name]
    negative = isinstance(node, exp.Neg)
    literal = node.this if negative or isinstance(node, exp.Cast | exp.Date) else node
    if not isinstance(literal, exp.Literal):
        raise AwsError("InvalidInputException", "the Expression compares partition keys with literals only")
    kind = types.get(other.name.lower(), "string") if isinstance(other, exp.Column) else "string"
    value = _value(kind, f"-{literal.this}" if negative else literal.this)
    return lambda row: value


def _value(kind: str, text: str) -> Any:
    if kind not in NUMBERS:
        return text
    try:
        return Decimal(text)
    except InvalidOperation:
        raise AwsError("InvalidInputException", f"a value of a partition key of type {kind} is no number") from None
