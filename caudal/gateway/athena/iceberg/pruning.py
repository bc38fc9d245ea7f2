"""The part of a WHERE by which files of an Iceberg table are left out: what is not understood leaves none out."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from typing import Any

import sqlglot
from pyiceberg.exceptions import ValidationError
from pyiceberg.expressions import (
    And,
    BooleanExpression,
    EqualTo,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNull,
    LessThan,
    LessThanOrEqual,
    NotNull,
    Or,
)
from pyiceberg.expressions.visitors import bind
from pyiceberg.schema import Schema
from pyiceberg.types import DateType, DecimalType, IntegerType, LongType, StringType, TimestampType
from sqlglot import exp

from caudal.gateway.iceberg.tables import ALL

_COMPARE: dict[type, tuple[Any, Any]] = {
    exp.EQ: (EqualTo, EqualTo), exp.GT: (GreaterThan, LessThan), exp.GTE: (GreaterThanOrEqual, LessThanOrEqual),
    exp.LT: (LessThan, GreaterThan), exp.LTE: (LessThanOrEqual, GreaterThanOrEqual),
}
"""A comparison, and what it is with its sides exchanged."""


def predicate(tests: Sequence[str | None], schema: Schema, alias: str = "") -> BooleanExpression:
    """What is true of each row that one of the tests may choose.

    Args:
        tests: SQL over the table's columns; None for all rows.
        alias: by what the tests call the table, if they do.
    """
    parts = [ALL if test is None else _of(_bare(sqlglot.parse_one(test, read="athena"), alias), schema) for test in tests]
    found: BooleanExpression = reduce(lambda one, other: Or(one, other), parts) if parts else ALL
    try:
        bind(schema, found, case_sensitive=False)
    except (ValidationError, ValueError, TypeError, OverflowError):
        return ALL
    return found


def _bare(node: Any, alias: str) -> Any:
    """The test with the table's columns by their names alone: what still has a name before it is a field of a struct."""
    for column in node.find_all(exp.Column):
        if alias and column.table.lower() == alias.lower() and not column.db:
            column.set("table", None)
    return node


def _of(node: Any, schema: Schema) -> BooleanExpression:
    if isinstance(node, exp.Paren):
        return _of(node.this, schema)
    if isinstance(node, exp.And):
        return And(_of(node.left, schema), _of(node.right, schema))
    if isinstance(node, exp.Or):
        return Or(_of(node.left, schema), _of(node.right, schema))
    if type(node) in _COMPARE:
        straight, turned = _COMPARE[type(node)]
        if isinstance(node.left, exp.Column):
            return _made(straight, node.left, node.right, schema)
        return _made(turned, node.right, node.left, schema)
    if isinstance(node, exp.Between):
        return And(_made(GreaterThanOrEqual, node.this, node.args["low"], schema),
                   _made(LessThanOrEqual, node.this, node.args["high"], schema))
    if isinstance(node, exp.In) and node.expressions:
        name, values = _name(node.this, schema), [_value(one, _kind(node.this, schema)) for one in node.expressions]
        return ALL if name is None or None in values else _build(In, name, set(values))
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        name = _name(node.this, schema)
        return ALL if name is None else _build(IsNull, name)
    if isinstance(node, exp.Not) and isinstance(node.this, exp.Is) and isinstance(node.this.expression, exp.Null):
        name = _name(node.this.this, schema)
        return ALL if name is None else _build(NotNull, name)
    return ALL


def _made(kind: Any, column: Any, other: Any, schema: Schema) -> BooleanExpression:
    name, value = _name(column, schema), _value(other, _kind(column, schema))
    return ALL if name is None or value is None else _build(kind, name, value)


def _build(kind: Any, *given: Any) -> BooleanExpression:
    made: BooleanExpression = kind(*given)
    return made


def _name(column: Any, schema: Schema) -> str | None:
    if not isinstance(column, exp.Column) or column.table:
        return None
    return next((field.name for field in schema.fields if field.name.lower() == column.name.lower()), None)


def _kind(column: Any, schema: Schema) -> Any:
    name = _name(column, schema)
    return None if name is None else schema.find_type(name)


def _value(node: Any, kind: Any) -> Any:
    """A constant, if it is of the column's own type; else None."""
    if isinstance(node, exp.Paren):
        return _value(node.this, kind)
    if isinstance(node, exp.Literal):
        if node.is_string:
            return node.this if isinstance(kind, StringType) else None
        if isinstance(kind, DecimalType):
            exact = Decimal(node.this)
            scaled = exact.quantize(Decimal(1).scaleb(-kind.scale)) if exact.adjusted() < 28 - kind.scale else None
            return scaled if scaled == exact else None
        return int(node.this) if isinstance(kind, IntegerType | LongType) and node.this.isdecimal() else None
    if isinstance(node, exp.Neg):
        value = _value(node.this, kind)
        return None if value is None else -value
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and node.this.is_string:
        try:
            if node.to.this == exp.DType.DATE and isinstance(kind, DateType):
                return date.fromisoformat(node.this.this)
            if node.to.this in (exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ) and isinstance(kind, TimestampType):
                found = datetime.fromisoformat(node.this.this)
                return found if found.tzinfo is None else None
        except ValueError:
            return None
    return None
