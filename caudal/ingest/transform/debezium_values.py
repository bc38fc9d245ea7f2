"""Debezium's values as those that a contract's columns are read from, by their schema if it came along.

Sources: Debezium's documentation of its PostgreSQL and MySQL connectors, data type mappings.
"""

import base64
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from caudal.contract import Column
from caudal.ingest.transform.form import parse_value
from caudal.ingest.transform.values import FIRST_TIME, LAST_TIME, Misfit, Warn, number_of
from caudal.records import Item

_PLACEHOLDER = "__debezium_unavailable_value"

UNAVAILABLE = (_PLACEHOLDER, base64.b64encode(_PLACEHOLDER.encode()).decode(), [_PLACEHOLDER])
"""What stands for a large value that did not change, and which PostgreSQL did not send."""

_UNITS = {
    "io.debezium.time.Timestamp": 1_000, "org.apache.kafka.connect.data.Timestamp": 1_000, "io.debezium.time.MicroTimestamp": 1,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_debezium(column: Column, value: Any, field: Item, warn: Warn) -> Any:
    """The value as `exact_value` takes it for the column; what is not of its kind stays as it is. Raises Misfit."""
    if value is None:
        return None
    if column.kind in ("decimal", "int", "float"):
        return _number(column, value, field)
    if column.kind == "bool":
        return {0: False, 1: True}.get(value, value) if type(value) is int else value  # MySQL's TINYINT(1)
    if column.kind == "date":
        return _date(column, value)
    if column.kind == "timestamp":
        return _timestamp(column, value, field, warn)
    if column.kind == "json" and isinstance(value, str):
        return parse_value(value.encode("utf-8", "replace"))
    return value


def _number(column: Column, value: Any, field: Item) -> Any:
    """Numbers come as such, as text, as base64 of a decimal's bytes, or as {"scale", "value"} of these."""
    if isinstance(value, dict) and set(value) == {"scale", "value"}:  # io.debezium.data.VariableScaleDecimal
        return _unscaled(column, value["value"], value["scale"])
    if not isinstance(value, str):
        return value
    if field.get("type") == "bytes":
        parameters = field.get("parameters")
        scale = parameters.get("scale") if isinstance(parameters, dict) else None
        return _unscaled(column, value, scale)
    if column.kind == "float" and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    try:
        return number_of(value)
    except ValueError:
        raise Misfit("number_format", f"{column.name} is no number: send schemas, or set decimal.handling.mode=string") from None


def _unscaled(column: Column, text: Any, scale: Any) -> Decimal:
    """A number from its digits as big-endian bytes, two's complement."""
    try:
        unscaled = int.from_bytes(base64.b64decode(text, validate=True), "big", signed=True)
        return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -int(scale)))  # not rounded to 28 digits
    except (ValueError, TypeError, ArithmeticError):
        raise Misfit("number_format", f"{column.name} is no decimal of bytes and scale") from None


def _date(column: Column, value: Any) -> Any:
    """Days since 1970, or ISO text."""
    if type(value) is not int:
        return value
    try:
        return date(1970, 1, 1) + timedelta(days=value)
    except OverflowError:
        raise Misfit("date_format", f"{column.name} is outside the years 1 to 9999") from None


def _timestamp(column: Column, value: Any, field: Item, warn: Warn) -> Any:
    """Milli-, micro- or nanoseconds since 1970, by the schema or else by size; or ISO text."""
    if type(value) is not int:
        return value
    name = field.get("name")
    if name == "io.debezium.time.NanoTimestamp" or (name not in _UNITS and abs(value) >= 10**17):
        micros, lost = divmod(value, 1000)
        if lost:
            warn("timestamp_truncated")
    elif name in _UNITS:
        micros = value * _UNITS[name]
    else:
        micros = value * 1000 if abs(value) < 10**14 else value
    if name not in _UNITS and name != "io.debezium.time.NanoTimestamp":
        warn("precision_inferred")
    if not FIRST_TIME <= micros <= LAST_TIME:
        raise Misfit("timestamp_format", f"{column.name} is outside the years 1 to 9999")
    return _EPOCH + timedelta(microseconds=micros)
